"""OTLP's requests and answers as protobuf. Needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError, Error
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs

from bamboo_logmetrics._version import __version__

_SCOPE = "bamboo_logmetrics"
_RESOURCE = ("service.name", "deployment.environment.name")

Resource = tuple[str, str]  # service and environment


def encode_request(records: Iterable[tuple[Resource, dict[str, Any]]]) -> bytes:
    """Return a request with log records of the layout ``otel``, grouped by resource. Raises ValueError."""
    request = ExportLogsServiceRequest()
    resources: dict[Resource, ResourceLogs] = {}
    for resource, record in records:
        if resource not in resources:
            resources[resource] = _add_resource(request, resource)
        try:
            resources[resource].scope_logs[0].log_records.append(_log_record(record))
        except Error as error:  # too deep for protobuf
            raise ValueError(str(error)) from None
    body: bytes = request.SerializeToString()
    return body


def decode_rejected(body: bytes) -> tuple[int, str] | None:
    """Return the number of rejected log records and the reason, or None for a body that is not protobuf."""
    try:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
    except DecodeError:
        return None
    return partial.rejected_log_records, partial.error_message


def _add_resource(request: ExportLogsServiceRequest, values: Resource) -> ResourceLogs:
    logs: ResourceLogs = request.resource_logs.add()
    for name, text in zip(_RESOURCE, values, strict=True):
        if text:
            logs.resource.attributes.add(key=name).value.string_value = text
    scope = logs.scope_logs.add().scope
    scope.name, scope.version = _SCOPE, __version__
    return logs


def _log_record(data: dict[str, Any]) -> LogRecord:
    """Return a log record of the layout ``otel``, which is OTLP/JSON, as protobuf."""
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
