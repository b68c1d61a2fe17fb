"""The layout ``otel``: OpenTelemetry's log data model, one OTLP/JSON log record a line.

OTLP/JSON writes 64-bit numbers as decimal text and every value with its type. OTLP has no numbers beyond signed 64
bits: such a number is a ``doubleValue`` with all of its digits, so that it is read back exactly.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

import msgspec

from bamboo_logmetrics.events.times import EPOCH, format_ns, format_utc, parse_utc
from bamboo_logmetrics.format.header import LineHeader, make_header
from bamboo_logmetrics.format.layouts import semconv
from bamboo_logmetrics.format.layouts.base import Layout
from bamboo_logmetrics.format.layouts.mapping import OLD_NAMES, ROWS, USAGE_WITHIN_ROUND, is_long, rows_of
from bamboo_logmetrics.record.integers import integer

EVENT = "bamboo."  # prefix of a kind
BOUND = "bamboo.bound."  # prefix of a key that has no attribute of its own
TIMESTAMP = "bamboo.timestamp"  # for a time that OTLP cannot hold: before 1970 or after 2262
UID = "log.record.uid"

SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}

_HEADER = frozenset({"timestamp", "level", "event"})
KEYS = {row.otel: row.key for row in ROWS}  # by the name of an attribute, of either generation
KEYS |= {old: KEYS[new] for old, new in OLD_NAMES.items()}
KEYS |= {within: KEYS[name] for name, within in USAGE_WITHIN_ROUND.items()}
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-fA-F]{32}", re.ASCII)
_MICROSECOND = timedelta(microseconds=1)
_AS_THEY_ARE: dict[str, str] = {}


class OtelLayout(Layout):
    """One OTLP/JSON log record a line."""

    name = "otel"
    min_line_bytes = 2_500
    line_start = '{"timeUnixNano":"*","severityNumber":'
    id_pattern = re.compile(rb'"log\.record\.uid","value":{"stringValue":"(?P<writer>[0-9a-f]{20})-(?P<seq>\d{1,16})"')

    def write(self, flat: dict[str, Any]) -> dict[str, Any]:
        """Return a flat record as an OTLP/JSON log record."""
        nanoseconds = _unix_nano(flat["timestamp"])
        record: dict[str, Any] = {
            "timeUnixNano": str(nanoseconds or 0),
            "severityNumber": SEVERITIES.get(flat["level"], 0),
            "severityText": flat["level"],
        }
        values: dict[str, Any] = {}
        if "writer" in flat and "seq" in flat:
            values[UID] = f"{flat['writer']}-{flat['seq']}"
        if nanoseconds is None:
            values[TIMESTAMP] = flat["timestamp"]
        if "plain" not in flat:
            record["eventName"] = EVENT + flat["event"]
        rows = rows_of(flat)
        names = USAGE_WITHIN_ROUND if semconv.is_request_within_round(flat) else _AS_THEY_ARE
        for key, value in flat.items():
            if key in _HEADER:
                continue
            row = rows.get(key)
            if row is None or not row.type.fits(value):
                values[BOUND + key] = value
            elif key == "trace_id" and _TRACE_ID.fullmatch(value):
                record["traceId"] = value
            else:
                values[names.get(row.otel, row.otel)] = value
        values.update(semconv.common(flat))
        values.update(semconv.otel_only(flat))
        record["attributes"] = _pairs(values)
        record["body"] = {"stringValue": flat["event"]}  # after the ids: files of different writers begin differently
        return record

    def read_back(self, decoded: Any) -> dict[str, Any]:
        """Return the flat record of an OTLP/JSON log record."""
        nanoseconds = int(decoded["timeUnixNano"])
        values = {pair["key"]: plain_value(pair["value"]) for pair in decoded["attributes"]}
        if values.get("bamboo.plain") is True:
            event = plain_value(decoded["body"])
        else:
            event = decoded["eventName"].removeprefix(EVENT)
        timestamp = values.get(TIMESTAMP)
        if timestamp is None:
            timestamp = format_ns(nanoseconds)
        flat = {"timestamp": timestamp, "level": decoded["severityText"], "event": event}
        for name, value in values.items():
            if name in KEYS:
                flat[KEYS[name]] = value
            elif name.startswith(BOUND):
                flat[name.removeprefix(BOUND)] = value
        if "traceId" in decoded:
            flat["trace_id"] = decoded["traceId"]
        return flat

    def decode_header(self, line: bytes, /) -> LineHeader:
        """Return the header of an OTLP/JSON log record."""
        record = _decode_record(line)
        values = {pair.key: pair.value for pair in record.attributes}
        plain = values.get("bamboo.plain", _NO_VALUE).bool_value
        event = record.body.string_value if plain else record.event_name
        v, seq = (int(values.get(name, _NO_VALUE).int_value or 0) for name in ("bamboo.v", "bamboo.seq"))
        writer = values.get("bamboo.writer", _NO_VALUE).string_value
        source = values.get("bamboo.source", _NO_VALUE).string_value
        kind = event if plain or event is None else event.removeprefix(EVENT)
        return make_header(kind, v, writer, seq, plain=plain, source=source)


OTEL = OtelLayout()


def _unix_nano(timestamp: str) -> int | None:
    """Return a line's timestamp in nanoseconds since the epoch, or None if OTLP cannot hold it exactly."""
    try:
        moment = parse_utc(timestamp)
    except ValueError:
        return None
    nanoseconds = (moment - EPOCH) // _MICROSECOND * 1000
    return nanoseconds if nanoseconds >= 0 and is_long(nanoseconds) and format_utc(moment) == timestamp else None


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def any_value(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - one line per type reads best
    """Return plain data as an OTLP/JSON ``AnyValue``, which is empty for None and for a number that is not finite."""
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return _number(integer(value))
    if isinstance(value, float):
        return {"doubleValue": value} if math.isfinite(value) else {}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}
    if value is None:
        return {}
    msg = f"not plain data: {type(value).__name__}"
    raise TypeError(msg)


def _number(value: int | str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    return {"intValue": str(value)} if is_long(value) else {"doubleValue": value}


def plain_value(value: dict[str, Any]) -> Any:
    """Return an OTLP/JSON ``AnyValue`` as plain data; raises an ordinary exception for any other value."""
    if not value:
        return None
    [(kind, content)] = value.items()
    if kind == "kvlistValue":
        return {pair["key"]: plain_value(pair["value"]) for pair in content["values"]}
    if kind == "arrayValue":
        return [plain_value(item) for item in content["values"]]
    return int(content) if kind == "intValue" else content


# -- the parts of a log record that decode_header reads ----------------------------------


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: str | int | None = None
    bool_value: bool | None = None


class _Pair(msgspec.Struct, gc=False):
    key: str
    value: _Value


class _LogRecord(msgspec.Struct, rename="camel", gc=False):
    attributes: list[_Pair]
    event_name: str | None = None
    body: _Value = msgspec.field(default_factory=_Value)


_decode_record = msgspec.json.Decoder(_LogRecord).decode
_NO_VALUE = _Value()
