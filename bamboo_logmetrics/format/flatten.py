"""An event or a text as its flat record: the keys and values of its line, in order.

The header comes first: ``timestamp, level, event, v, writer, seq`` and, for a plain line, ``plain``. The event's fields
follow, then the bound values, then ``exception`` and ``truncated``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bamboo_logmetrics.events import MetricsDropped, MetricsEvent, StorageError, SystemEvent, UnknownEvent
from bamboo_logmetrics.events.base import names_of
from bamboo_logmetrics.events.registry import require_kind
from bamboo_logmetrics.events.times import format_utc
from bamboo_logmetrics.format.fields import APP, ERROR_STATUSES, HEADER_SET, TRAILER, USAGE, VERSION, fields_in_line
from bamboo_logmetrics.format.strict_json import encodable
from bamboo_logmetrics.record.integers import integer


def level_of(event: MetricsEvent) -> str:
    """Return the level of an event's line: error, warning or info."""
    if isinstance(event, StorageError) or getattr(event, "status", None) in ERROR_STATUSES:
        return "error"
    failed = getattr(event, "success", None) is False
    return "warning" if failed or isinstance(event, MetricsDropped) else "info"


def fields_of(event: MetricsEvent) -> dict[str, Any]:
    """Return the event's fields as a flat mapping, without those that are None."""
    if isinstance(event, UnknownEvent):
        return _unknown_fields(event)
    flat: dict[str, Any] = {}
    for name in names_of(type(event)):
        value = getattr(event, name)
        if name == "meta":
            flat["event_id"] = value.event_id
            flat["trace_id"] = value.trace_id
        elif name == "usage":
            flat.update((part, getattr(value, part, None)) for part in USAGE)
        else:
            flat[name] = value.value if name == "status" else value
    return {name: value for name, value in flat.items() if value is not None}


def _unknown_fields(event: UnknownEvent) -> dict[str, Any]:
    payload = encodable(msgspec.json.decode(event.payload)) if event.payload else {}
    if not isinstance(payload, dict):
        return {"payload": payload}
    parts = [part for name in ("meta", "usage") if isinstance(part := payload.pop(name, None), dict)]
    flat: dict[str, Any] = {}
    for part in [*parts, payload]:
        flat.update({key: value for key, value in part.items() if value is not None})
    return flat


def expand(
    event: MetricsEvent,
    bound: Mapping[str, Any],
    *,
    writer: str | None = None,
    seq: int | None = None,
    timestamp: str = "",
    exception: str | None = None,
    own: bool = False,
) -> dict[str, Any]:
    """Return the flat record of a typed event.

    Args:
        event: the event.
        bound: the bound values; a key with a reserved name becomes ``bound_<key>``.
        writer: the writer's id, or None for a record outside a log.
        seq: the line's number within its writer, from 1.
        timestamp: the time of an event without a meta.
        exception: the text of an exception.
        own: True for the log's own system events; one that the application emits gets ``"source":"app"``.

    Raises TypeError for an instance of a base class, which has no kind.
    """
    require_kind(event)
    fields = fields_of(event)
    meta = getattr(event, "meta", None)
    if meta is not None:
        timestamp = format_utc(meta.occurred_at)
    flat = _header(timestamp, level_of(event), event.kind, writer, seq)
    if "event_id" in fields:
        _put_trace_id(flat, fields, bound)
    reserved = fields_in_line(event.kind) | HEADER_SET
    for name, value in fields.items():
        flat[name if name not in HEADER_SET else f"bound_{name}"] = value
    if isinstance(event, SystemEvent) and not own:
        flat["source"] = APP
    if event.extra:
        _bind(flat, encodable(msgspec.json.decode(event.extra)), reserved.union(TRAILER))
    _bind(flat, bound, reserved, exception)
    return flat


def expand_plain(
    text: str,
    bound: Mapping[str, Any],
    *,
    level: str,
    timestamp: str,
    writer: str | None = None,
    seq: int | None = None,
    exception: str | None = None,
) -> dict[str, Any]:
    """Return the flat record of a plain line; the arguments are those of :func:`expand`."""
    flat = _header(timestamp, level, text, writer, seq)
    flat["plain"] = True
    _bind(flat, bound, HEADER_SET, exception)
    return flat


def _header(timestamp: str, level: str, event: str, writer: str | None, seq: int | None) -> dict[str, Any]:
    flat: dict[str, Any] = {"timestamp": timestamp, "level": level, "event": event, "v": VERSION}
    if writer is not None:
        flat["writer"] = writer
        flat["seq"] = seq
    return flat


def _put_trace_id(flat: dict[str, Any], fields: dict[str, Any], bound: Mapping[str, Any]) -> None:
    """Set the event's id and trace id; a bound trace id fills a missing one."""
    flat["event_id"] = fields["event_id"]
    trace_id = fields.get("trace_id", bound.get("trace_id"))
    if isinstance(trace_id, str):
        flat["trace_id"] = trace_id


def _bind(
    flat: dict[str, Any], bound: Mapping[str, Any], reserved: frozenset[str], exception: str | None = None
) -> None:
    for key, value in bound.items():
        name = key
        if key in reserved:
            own = flat.get(key)
            if own == value and type(own) is type(value):
                continue
            name = f"bound_{key}"
        elif key in TRAILER:
            if key == "exception" and exception is None and type(value) is str:
                exception = value  # set by a processor such as format_exc_info
                continue
            name = f"bound_{key}"
        while name in flat:
            name = f"bound_{name}"
        flat[name] = value if type(value) is not int else integer(value)
    if exception is not None:
        flat["exception"] = exception
