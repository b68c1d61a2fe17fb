"""OTLP as JSON: the bodies of exporters, the lines of the collector's file exporter, and Gemini CLI's own file."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from bamboo_logmetrics.importers.otlp.records import LOG, METRIC, SPAN, NotOtlpError, Source, TelemetryRecord

_HEX = re.compile(r"[0-9a-fA-F]*")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
# an escape of JSON; the group is a surrogate without its other half, as texts have that were cut
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_ERROR_CODES = (2, "STATUS_CODE_ERROR")
_MOST_DEPTH = 64  # of a value
_LONG = 2**63
_ULONG = 2**64
_BILLION = 1_000_000_000
_PAIR = 2
_POINTS = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")


def records_of(data: bytes) -> Iterator[TelemetryRecord]:
    """Yield the records of one JSON object. Raises NotOtlpError, also on the way."""
    document = _decoded(data)
    known = isinstance(document, dict) and [name for name in _READERS if name in document]
    if not known:
        msg = "not an object of OTLP: it has no resourceLogs, resourceSpans or resourceMetrics"
        if document == {}:  # a request without records
            return
        raise NotOtlpError(msg)
    for name in known:
        yield from _READERS[name](document)


def _decoded(data: bytes) -> Any:
    """Return the content of JSON; a lone surrogate in it becomes U+FFFD. Raises NotOtlpError."""
    try:
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError:
            repaired = _ESCAPE.sub(lambda match: rb"\ufffd" if match[1] else match[0], data)
            if repaired == data:
                raise
            return msgspec.json.decode(repaired)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        msg = "not JSON"
        raise NotOtlpError(msg) from None


def _objects(holder: Any, key: str) -> list[Any]:
    """Return a list of objects; null and a missing one are empty."""
    items = holder.get(key) if isinstance(holder, dict) else None
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        msg = f"{key} is not a list of objects"
        raise NotOtlpError(msg)
    return items


def _object(holder: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object; it is empty for all else."""
    item = holder.get(key)
    return item if isinstance(item, dict) else {}


def _under_scopes(
    name: str,
    scopes: str,
    items: str,
    make: Callable[[dict[str, Any], Source], TelemetryRecord],
    document: dict[str, Any],
) -> Iterator[TelemetryRecord]:
    for group in _objects(document, name):
        resource = _attributes(_object(group, "resource"))
        for scope in _objects(group, scopes):
            source = Source(resource, _text(_object(scope, "scope").get("name")))
            for item in _objects(scope, items):
                yield make(item, source)


def _log(item: dict[str, Any], source: Source) -> TelemetryRecord:
    return TelemetryRecord(
        LOG, source, _text(item.get("eventName")), _attributes(item),
        time_ns=_time(item.get("timeUnixNano")) or _time(item.get("observedTimeUnixNano")),
        trace_id=_id(item.get("traceId")), span_id=_id(item.get("spanId")), severity=_text(item.get("severityText")),
        body=_value(item.get("body")),
    )  # fmt: skip


def _span(item: dict[str, Any], source: Source) -> TelemetryRecord:
    status = _object(item, "status")
    return TelemetryRecord(
        SPAN, source, _text(item.get("name")), _attributes(item),
        time_ns=_time(item.get("endTimeUnixNano")), start_ns=_time(item.get("startTimeUnixNano")),
        trace_id=_id(item.get("traceId")), span_id=_id(item.get("spanId")), parent_id=_id(item.get("parentSpanId")),
        failed=status.get("code") in _ERROR_CODES, message=_text(status.get("message")),
    )  # fmt: skip


def _metric(item: dict[str, Any], source: Source) -> TelemetryRecord:
    points = [point for kind in _POINTS for point in _objects(item.get(kind), "dataPoints")]
    time = max((_time(point.get("timeUnixNano")) for point in points), default=0)
    return TelemetryRecord(METRIC, source, _text(item.get("name")), time_ns=time, points=len(points))


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {_text(item.get("key")): _value(item.get("value")) for item in _objects(holder, "attributes")}


def _value(value: Any, depth: int = 0) -> Any:
    """Return a value without its wrapping. A value of no known kind is None."""
    if not isinstance(value, dict) or depth > _MOST_DEPTH:
        return None
    for kind, inner in value.items():
        if kind in {"arrayValue", "kvlistValue"}:
            items = _objects(inner, "values")
            if kind == "arrayValue":
                return [_value(item, depth + 1) for item in items]
            return {_text(item.get("key")): _value(item.get("value"), depth + 1) for item in items}
        if kind in _SIMPLE:
            return _SIMPLE[kind](inner)
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: Any, below: int = _LONG) -> int | None:
    """Return an integer, which may be written as text; None for anything else."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    return value if type(value) is int and -below <= value < below else None


def _float(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _bytes(value: Any) -> bytes | None:
    try:
        return base64.b64decode(value)
    except (TypeError, binascii.Error, ValueError):
        return None


_SIMPLE: dict[str, Callable[[Any], Any]] = {
    "stringValue": lambda value: value if isinstance(value, str) else None,
    "boolValue": lambda value: value if isinstance(value, bool) else None,
    "intValue": _integer,
    "doubleValue": _float,
    "bytesValue": _bytes,
}


def _time(value: Any) -> int:
    """Return nanoseconds since the epoch; 0 if it is missing. Raises NotOtlpError for what is no time."""
    if value is None or value == "":
        return 0
    time = _integer(value, _ULONG)
    if time is None or time < 0:
        msg = "a time is not a number of nanoseconds"
        raise NotOtlpError(msg)
    return time


def _id(value: Any) -> str:
    """Return an id in hexadecimal digits; empty for all else, and for zeros."""
    text = _text(value)
    return text.lower() if _HEX.fullmatch(text) and text.strip("0") else ""


# -- Gemini CLI's telemetry file --------------------------------------------------------------------


def is_of_sdk(document: dict[str, Any]) -> bool:
    """Return True if an object is what OpenTelemetry's SDK for JavaScript prints to a file."""
    return "hrTime" in document or "_spanContext" in document or ("resource" in document and "scopeMetrics" in document)


def records_of_sdk(document: dict[str, Any]) -> Iterator[TelemetryRecord]:
    """Yield the record of an object that the SDK for JavaScript printed, which is not OTLP but tells the same."""
    source = Source(_raw(document.get("resource")), _text(_object(document, "instrumentationScope").get("name")))
    attributes = {key: value for key, value in _object(document, "attributes").items() if value is not None}
    context = _object(document, "spanContext") or _object(document, "_spanContext")
    trace_id, span_id = _id(context.get("traceId")), _id(context.get("spanId"))
    if "hrTime" in document:
        yield TelemetryRecord(
            LOG, source, _text(document.get("eventName")), attributes, _pair(document["hrTime"]), 0, trace_id, span_id
        )
    elif "_spanContext" in document:
        ended, started = _pair(document.get("endTime")), _pair(document.get("startTime"))
        failed = _object(document, "status").get("code") in _ERROR_CODES
        yield TelemetryRecord(
            SPAN, source, _text(document.get("name")), attributes, ended, started, trace_id, span_id, failed=failed
        )
    else:
        for scope in _objects(document, "scopeMetrics"):
            for item in _objects(scope, "metrics"):
                points = _objects(item, "dataPoints")
                time = max((_pair(point.get("endTime")) for point in points), default=0)
                name = _text(_object(item, "descriptor").get("name"))
                yield TelemetryRecord(METRIC, source, name, time_ns=time, points=len(points))


def _raw(resource: Any) -> dict[str, Any]:
    """Return the attributes of a resource, which are printed as pairs."""
    pairs = resource.get("_rawAttributes") if isinstance(resource, dict) else None
    pairs = pairs if isinstance(pairs, list) else []
    return {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, list) and len(pair) == _PAIR and isinstance(pair[0], str) and isinstance(pair[1], str)
    }


def _pair(value: Any) -> int:
    """Return the nanoseconds of a pair of seconds and nanoseconds."""
    if isinstance(value, list) and len(value) == _PAIR and all(type(part) is int and part >= 0 for part in value):
        return min(int(value[0]) * _BILLION + int(value[1]), _ULONG - 1)
    return 0


_READERS: dict[str, Callable[[dict[str, Any]], Iterator[TelemetryRecord]]] = {
    "resourceLogs": partial(_under_scopes, "resourceLogs", "scopeLogs", "logRecords", _log),
    "resourceSpans": partial(_under_scopes, "resourceSpans", "scopeSpans", "spans", _span),
    "resourceMetrics": partial(_under_scopes, "resourceMetrics", "scopeMetrics", "metrics", _metric),
}
