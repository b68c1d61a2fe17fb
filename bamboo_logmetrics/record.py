"""An event and its flat record, both ways: what stands in a line, and in which order.

Always first: ``timestamp, level, event, v, writer, seq`` and, for a plain line, ``plain``. Then the event's
fields, then what was bound, then ``exception`` and ``truncated``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events.base import names_of, snake
from bamboo_logmetrics.events.checks import got
from bamboo_logmetrics.events.model import (
    EventMeta,
    MetricsDropped,
    MetricsEvent,
    StorageError,
    SystemEvent,
    TokenUsage,
    UnknownEvent,
)
from bamboo_logmetrics.events.registry import KINDS, is_builtin, require_kind
from bamboo_logmetrics.events.statuses import ForwardStatus, RoundStatus, SessionStatus, read_status
from bamboo_logmetrics.events.times import format_utc, parse_utc
from bamboo_logmetrics.layouts import encodable, flat_of, integer

VERSION = 1  # changes only when an existing key changes its meaning
APP = "app"  # the "source" of a system event that the application emits

HEADER = ("timestamp", "level", "event", "v", "writer", "seq", "plain")
TRAILER = ("exception", "truncated")
META = names_of(EventMeta)
USAGE = names_of(TokenUsage)

# what a line's own keys hold; all but the level may be absent
_TYPES = {"level": str, "writer": str, "seq": int, "exception": str, "truncated": list}

STATUSES = frozenset(status.value for kind in (SessionStatus, RoundStatus, ForwardStatus) for status in kind)
ERROR_STATUSES = (SessionStatus.ERROR, RoundStatus.ERROR, ForwardStatus.ERROR, ForwardStatus.TIMEOUT)


HEADER_SET = frozenset(HEADER)
NO_FIELDS: frozenset[str] = frozenset()
TEXT_FIELDS = ("error", "reason")  # the event fields that hold free text


@lru_cache(maxsize=1024)
def _field_names(cls: type) -> frozenset[str]:
    names = set(names_of(cls))
    names.update(META if "meta" in names else (), USAGE if "usage" in names else ())
    names.update(("source",) if issubclass(cls, SystemEvent) else ())
    return frozenset(names)


_BUILTIN_FIELDS = frozenset(name for cls in KINDS.values() if is_builtin(cls) for name in _field_names(cls))


def fields_in_line(kind: str) -> frozenset[str]:
    """Return the keys that the fields of a kind have in a line, present or not; none for an unknown kind."""
    cls = KINDS.get(kind)
    return NO_FIELDS if cls is None else _field_names(cls)


def fixed_fields(kind: str) -> frozenset[str]:
    """Return the keys of a kind's fields that are ids, names and numbers: never masked, and cut in TEXT_FIELDS only.

    They are those of this package's classes. A text field that an application's own class adds may hold anything.
    """
    return fields_in_line(kind) & _BUILTIN_FIELDS


def level_of(event: MetricsEvent) -> str:
    """Return the level of an event's line: error, warning or info."""
    if isinstance(event, StorageError) or getattr(event, "status", None) in ERROR_STATUSES:
        return "error"
    failed = getattr(event, "success", None) is False
    return "warning" if failed or isinstance(event, MetricsDropped) else "info"


def fields_of(event: MetricsEvent) -> dict[str, Any]:
    """Return the event's fields as they stand in a line: flat, None left out."""
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
        bound: what was bound beside it; a key of a reserved name becomes ``bound_<key>``.
        writer: the writer's 20 hex digits, or None outside a log of ours.
        seq: the line's number within its writer, from 1.
        timestamp: for an event without a meta, the call's time.
        exception: the text of an exception.
        own: True for the log's own system events; others of the system family say ``"source":"app"``.

    Raises TypeError for the base of a family, which has no kind.
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
    """Return the flat record of a plain line; arguments as for :func:`expand`."""
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
    """Write the event's id and trace id; a bound trace id fills a missing one."""
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
                exception = value  # as a processor such as format_exc_info makes it
                continue
            name = f"bound_{key}"
        while name in flat:
            name = f"bound_{name}"
        flat[name] = value if type(value) is not int else integer(value)
    if exception is not None:
        flat["exception"] = exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as it was read.

    Args:
        event: the typed event, or None for a plain line.
        text: the text of a plain line, or None.
        bound: what stands beside it.
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        timestamp: of a chat or forward event its ``occurred_at``, else the call's time; UTC.
        writer: the writer's 20 hex digits; None for a line made outside a log of ours.
        seq: the line's number within its writer.
        exception: the text of an exception, or None.
        truncated: the names of what was cut to keep the line short.
        source: ``"app"`` for a system event that the application emitted.
    """

    event: MetricsEvent | None
    text: str | None
    bound: Mapping[str, Any]
    level: str
    timestamp: datetime
    writer: str | None
    seq: int | None
    exception: str | None = None
    truncated: tuple[str, ...] = field(default=())
    source: str | None = None

    @property
    def own(self) -> bool:
        """True for a line of the log itself, such as ``system.worker_started``."""
        return isinstance(self.event, SystemEvent) and self.source != APP


def parse_line(data: bytes | str) -> Line:
    """Return the line of one JSON text, of any layout; raises DecodeError."""
    try:
        decoded = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise DecodeError(msg) from None
    try:
        flat = flat_of(decoded)
    except ValueError as error:
        msg = f"{error}: {str(data)[:80]}"
        raise DecodeError(msg) from None
    if type(flat["v"]) is not int or flat["v"] != VERSION:
        msg = f"a line of version {flat['v']!r:.20}; this package reads version {VERSION}: update it"
        raise DecodeError(msg)
    return _parse_flat(flat)


def _parse_flat(flat: dict[str, Any]) -> Line:
    head = {name: flat.pop(name, None) for name in HEADER}
    tail = {name: flat.pop(name, None) for name in TRAILER}
    source = None
    try:
        _check_types(head | tail)
        timestamp = parse_utc(head["timestamp"])
        event = None if head["plain"] is True else _event(head["event"], timestamp, flat)
    except (TypeError, ValueError) as error:
        msg = f"{head['event']:.80}: {error}"
        raise DecodeError(msg) from None
    if isinstance(event, SystemEvent):
        source = flat.pop("source", None)
    return Line(
        event=event,
        text=head["event"] if event is None else None,
        bound=MappingProxyType(flat),
        level=head["level"],
        timestamp=timestamp,
        writer=head["writer"],
        seq=head["seq"],
        exception=tail["exception"],
        truncated=tuple(tail["truncated"] or ()),
        source=source,
    )


def _check_types(values: dict[str, Any]) -> None:
    for name, kind in _TYPES.items():
        value = values[name]
        if type(value) is not kind and (value is not None or name == "level"):
            msg = f"{name} must be of type {kind.__name__}; {got(value)}"
            raise TypeError(msg)


def _event(kind: str, timestamp: datetime, flat: dict[str, Any]) -> MetricsEvent:
    """Take the fields of ``kind`` out of ``flat`` and return their event."""
    cls = KINDS.get(kind)
    if cls is None:
        return _unknown(kind, flat)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(cls):
        if item.name == "meta":
            values["meta"] = EventMeta(
                event_id=flat.pop("event_id", ""), occurred_at=timestamp, trace_id=flat.pop("trace_id", None)
            )
        elif item.name == "usage":
            parts = {name: flat.pop(name) for name in USAGE if name in flat}
            values["usage"] = TokenUsage(**parts) if parts else None
        elif item.name in flat:
            value = flat.pop(item.name)
            values[item.name] = read_status(value) if item.name == "status" else value
    return cls(**values)


def _unknown(kind: str, flat: dict[str, Any]) -> UnknownEvent:
    family, _, variant = kind.partition(".")
    payload = msgspec.json.encode(flat).decode() if flat else None
    flat.clear()
    return UnknownEvent(family=_camel(family), variant=_camel(variant), payload=payload)


def _camel(name: str) -> str:
    """Return ``round_completed`` as ``RoundCompleted``, unless the way back would not lead there."""
    made = "".join(part.capitalize() for part in name.split("_"))
    return made if snake(made) == name else name
