"""OTLP over HTTP, as an OpenTelemetry collector, Loki and others take it. It needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from google.protobuf.message import DecodeError, Error
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.format.layouts import OTEL
from bamboo_logmetrics.ship.destinations.base import ALL_TAKEN, DeliveryResult, Destination, Rejection
from bamboo_logmetrics.ship.entries import Entry

_SCOPE = "bamboo_logmetrics"
_RESOURCE = ("service.name", "deployment.environment.name")


class Otlp(Destination):
    """``POST /v1/logs`` with protobuf."""

    kind = "otlp"
    path = "/v1/logs"
    content_type = "application/x-protobuf"
    successes = frozenset({200, 202, 204})  # Loki says 204

    def body(self, entries: Sequence[Entry]) -> bytes:
        """Return the log records, in one resource for each service and environment. Raises ValueError."""
        request = ExportLogsServiceRequest()
        resources: dict[tuple[str, str], ResourceLogs] = {}
        for entry in entries:
            key = (self.labels.service_of(entry), self.labels.env_of(entry))
            if key not in resources:
                resources[key] = _resource(request, key)
            try:
                resources[key].scope_logs[0].log_records.append(_record_of(OTEL.write(entry.flat())))
            except Error as error:  # too deep for protobuf
                raise ValueError(str(error)) from None
        body: bytes = request.SerializeToString()
        return body

    def judge(self, entries: Sequence[Entry], answer: bytes) -> DeliveryResult:
        """Return how many were refused; the answer does not say which. Raises ValueError for another answer."""
        how_many, reason = _rejected(answer)
        how_many = min(how_many, len(entries))
        if how_many <= 0:
            return ALL_TAKEN
        return DeliveryResult(refused=[Rejection(entries, how_many, reason or "rejected, without a reason")])


def _rejected(answer: bytes) -> tuple[int, str]:
    try:
        partial = ExportLogsServiceResponse.FromString(answer).partial_success
    except DecodeError:  # some answer with JSON
        found = msgspec.json.decode(answer, type=_Answer).partial
        return int(found.rejected), found.error
    return partial.rejected_log_records, partial.error_message


class _Partial(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    rejected: int | str = msgspec.field(name="rejectedLogRecords", default=0)
    error: str = msgspec.field(name="errorMessage", default="")


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    partial: _Partial = msgspec.field(name="partialSuccess", default_factory=_Partial)


def _resource(request: ExportLogsServiceRequest, values: tuple[str, str]) -> ResourceLogs:
    made: ResourceLogs = request.resource_logs.add()
    for name, text in zip(_RESOURCE, values, strict=True):
        if text:
            made.resource.attributes.add(key=name).value.string_value = text
    scope = made.scope_logs.add().scope
    scope.name, scope.version = _SCOPE, __version__
    return made


def _record_of(data: dict[str, Any]) -> LogRecord:
    """Return an OTLP/JSON log record, as of the layout ``otel``, as protobuf."""
    time = int(data["timeUnixNano"])
    return LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time,
        severity_number=data["severityNumber"],
        severity_text=data["severityText"],
        event_name=data.get("eventName", ""),
        attributes=[KeyValue(key=item["key"], value=_value(item["value"])) for item in data["attributes"]],
        trace_id=bytes.fromhex(data.get("traceId", "")),
        body=_value(data["body"]),
    )


def _value(data: dict[str, Any]) -> AnyValue:
    for kind, value in data.items():
        return _VALUES[kind](value)
    return AnyValue()


def _pairs(data: dict[str, Any]) -> KeyValueList:
    return KeyValueList(values=[KeyValue(key=item["key"], value=_value(item["value"])) for item in data["values"]])


_VALUES: dict[str, Callable[[Any], AnyValue]] = {
    "stringValue": lambda value: AnyValue(string_value=value),
    "intValue": lambda value: AnyValue(int_value=int(value)),
    "boolValue": lambda value: AnyValue(bool_value=value),
    "doubleValue": lambda value: AnyValue(double_value=float(value)),
    "arrayValue": lambda value: AnyValue(array_value=ArrayValue(values=map(_value, value["values"]))),
    "kvlistValue": lambda value: AnyValue(kvlist_value=_pairs(value)),
}
