"""The plain form of what OTLP carries, whether it came as JSON or as protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

LOG, SPAN, METRIC = "log", "span", "metric"  # signals
Attributes = Mapping[str, Any]

_PACK = msgspec.msgpack.Encoder()
_ID_BYTES = 16
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_NONE: Attributes = MappingProxyType({})


class NotOtlpError(ValueError):
    """A body or a line is not of OTLP; the message does not quote it, since it may hold prompts."""


class UnusableRecordError(ValueError):
    """A record that no event can be made of."""


class Source(NamedTuple):
    """Where a record comes from.

    Args:
        resource: the attributes of the resource.
        scope: the name of the instrumentation scope.
    """

    resource: Attributes
    scope: str


class TelemetryRecord(NamedTuple):
    """A log record, a span, or a metric.

    Args:
        signal: LOG, SPAN or METRIC.
        source: where it comes from.
        name: the event name of a log record, the name of a span or of a metric.
        attributes: its attributes; it has none if it is a metric.
        time_ns: the time of a log record, the end of a span, the newest point of a metric; 0 if it is not known.
        start_ns: the start of a span; 0 if it is not known.
        trace_id, span_id, parent_id: in hexadecimal digits, empty if missing.
        severity: the severity of a log record as text.
        failed: True if a span ended with an error.
        message: the description of a span's error.
        body: the body of a log record. It may hold a prompt: it is part of the id, and never stored.
        points: the number of points of a metric.
    """

    signal: str
    source: Source
    name: str
    attributes: Attributes = _NONE
    time_ns: int = 0
    start_ns: int = 0
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    severity: str = ""
    failed: bool = False
    message: str = ""
    body: Any = None
    points: int = 0

    @property
    def event_name(self) -> str:
        """The name of a log record: its attribute ``event.name``, or else its own field; of all else the name."""
        name = self.attributes.get("event.name") if self.signal == LOG else None
        return name if isinstance(name, str) and name else self.name

    @property
    def is_usable(self) -> bool:
        """False if its ids are longer than ids can be, so that no line could hold them."""
        spans = (self.span_id, self.parent_id)
        return len(self.trace_id) <= _TRACE_DIGITS and all(len(one) <= _SPAN_DIGITS for one in spans)

    @property
    def key(self) -> str:
        """An id that is the same again when the record is sent again, also by another way or in the other form.

        A span has ids of its own. Of all else it is a hash of everything.
        """
        if self.signal == SPAN and self.trace_id and self.span_id:
            return f"{self.trace_id}:{self.span_id}"
        parts = (
            self.signal, self.source.scope, _sorted(self.source.resource), self.name, _sorted(self.attributes),
            self.time_ns, self.start_ns, self.trace_id, self.span_id, self.body, self.points,
        )  # fmt: skip
        return blake2b(_PACK.encode(parts), digest_size=_ID_BYTES).hexdigest()


def _sorted(attributes: Attributes) -> list[tuple[str, Any]]:
    return sorted(attributes.items())
