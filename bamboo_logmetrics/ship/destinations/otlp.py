"""OTLP over HTTP, as OpenTelemetry collectors, Loki and others take it. Its use needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bamboo_logmetrics.format.layouts import OTEL
from bamboo_logmetrics.ship.destinations.base import (
    ALL_TAKEN,
    DeliveryResult,
    Destination,
    DestinationOptions,
    Rejection,
    ResourceDefaults,
)
from bamboo_logmetrics.ship.destinations.ordering import requests_by_time
from bamboo_logmetrics.ship.entries import Entry


class _Partial(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    rejected: int | str = msgspec.field(name="rejectedLogRecords", default=0)
    error: str = msgspec.field(name="errorMessage", default="")


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    partial: _Partial = msgspec.field(name="partialSuccess", default_factory=_Partial)


class Otlp(Destination):
    """``POST /v1/logs`` with protobuf."""

    name = "otlp"
    path = "/v1/logs"
    content_type = "application/x-protobuf"
    success_statuses = frozenset({200, 202, 204})  # Loki answers 204
    names_rejected = False

    def __init__(self, defaults: ResourceDefaults, options: DestinationOptions) -> None:
        super().__init__(defaults, options)
        from bamboo_logmetrics.ship.destinations import otlp_protobuf  # here: the registry needs no extra

        self._protobuf = otlp_protobuf

    def requests(self, entries: Sequence[Entry]) -> list[Sequence[Entry]]:
        """Return the lines by their times, half an hour at most in each request, because the server may be Loki."""
        return requests_by_time(entries)

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Return the log records, in one resource for each service and environment. Raises ValueError."""
        defaults = self.defaults
        return self._protobuf.encode_request(
            ((defaults.service_of(entry), defaults.env_of(entry)), OTEL.write(entry.flat())) for entry in entries
        )

    def parse_response(self, entries: Sequence[Entry], body: bytes) -> DeliveryResult:
        """Return how many lines are rejected; the answer does not say which. Raises ValueError for another answer."""
        number, reason = self._protobuf.decode_rejected(body) or _rejected_in_json(body)
        number = min(number, len(entries))
        if number <= 0:
            return ALL_TAKEN
        return DeliveryResult(rejections=[Rejection(entries, number, reason or "rejected, without a reason")])


def _rejected_in_json(body: bytes) -> tuple[int, str]:
    partial = msgspec.json.decode(body, type=_Answer).partial
    return int(partial.rejected), partial.error
