"""OTLP as protobuf, in the plain form of records. Needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from bamboo_logmetrics.importers.otlp.records import LOG, METRIC, SPAN, NotOtlpError, Source, TelemetryRecord


def records_of(data: bytes, signal: str) -> Iterator[TelemetryRecord]:
    """Yield the records of a request with one signal. Raises NotOtlpError at the beginning."""
    request_class, read = _SIGNALS[signal]
    try:
        request = request_class.FromString(data)
    except DecodeError:
        msg = f"not a request with {signal}s in protobuf"
        raise NotOtlpError(msg) from None
    return read(request)


def _logs(request: Any) -> Iterator[TelemetryRecord]:
    for group in request.resource_logs:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_logs:
            source = Source(resource, scope.scope.name)
            for item in scope.log_records:
                yield TelemetryRecord(
                    LOG, source, item.event_name, _attributes(item.attributes),
                    time_ns=item.time_unix_nano or item.observed_time_unix_nano,
                    trace_id=_id(item.trace_id), span_id=_id(item.span_id), severity=item.severity_text,
                    body=_value(item.body),
                )  # fmt: skip


def _spans(request: Any) -> Iterator[TelemetryRecord]:
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            source = Source(resource, scope.scope.name)
            for item in scope.spans:
                yield TelemetryRecord(
                    SPAN, source, item.name, _attributes(item.attributes),
                    time_ns=item.end_time_unix_nano, start_ns=item.start_time_unix_nano,
                    trace_id=_id(item.trace_id), span_id=_id(item.span_id), parent_id=_id(item.parent_span_id),
                    failed=item.status.code == Status.STATUS_CODE_ERROR, message=item.status.message,
                )  # fmt: skip


def _metrics(request: Any) -> Iterator[TelemetryRecord]:
    for group in request.resource_metrics:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_metrics:
            source = Source(resource, scope.scope.name)
            for item in scope.metrics:
                kind = item.WhichOneof("data")
                points = getattr(item, kind).data_points if kind else ()
                time = max((point.time_unix_nano for point in points), default=0)
                yield TelemetryRecord(METRIC, source, item.name, time_ns=time, points=len(points))


def _attributes(items: Any) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in items}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def _id(value: bytes) -> str:
    return value.hex() if any(value) else ""


_SIGNALS: dict[str, tuple[Any, Callable[[Any], Iterator[TelemetryRecord]]]] = {
    LOG: (ExportLogsServiceRequest, _logs),
    SPAN: (ExportTraceServiceRequest, _spans),
    METRIC: (ExportMetricsServiceRequest, _metrics),
}
