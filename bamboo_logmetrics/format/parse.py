"""Parsing of a line into its event or text and the values bound to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events import EventMeta, MetricsEvent, SystemEvent, TokenUsage, UnknownEvent
from bamboo_logmetrics.events.base import snake
from bamboo_logmetrics.events.registry import EVENT_CLASSES
from bamboo_logmetrics.events.statuses import read_status
from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.events.validators import got
from bamboo_logmetrics.format.fields import APP, HEADER, TRAILER, USAGE, VERSION
from bamboo_logmetrics.format.layouts import flat_of

# the types of header and trailer; all but the level may be absent
_TYPES = {"level": str, "writer": str, "seq": int, "exception": str, "truncated": list}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a log.

    Args:
        event: the typed event, or None for a plain line.
        text: the text of a plain line, or None.
        bound: the bound values.
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        timestamp: ``occurred_at`` of a chat or forward event, the time of the call for any other line; UTC.
        writer: the writer's id, 20 hex digits; None for a line that was made outside a log.
        seq: the line's number within its writer.
        exception: the text of an exception, or None.
        truncated: the names of the values that were cut to keep the line short.
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
        """True for one of the log's own lines, such as ``system.worker_started``."""
        return isinstance(self.event, SystemEvent) and self.source != APP


def parse_line(data: bytes | str) -> Line:
    """Return the line of one JSON text, of any layout. Raises DecodeError for a text that is no line of a log."""
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
    header = {name: flat.pop(name, None) for name in HEADER}
    trailer = {name: flat.pop(name, None) for name in TRAILER}
    source = None
    try:
        _check_types(header | trailer)
        timestamp = parse_utc(header["timestamp"])
        event = None if header["plain"] is True else _event(header["event"], timestamp, flat)
    except (TypeError, ValueError) as error:
        msg = f"{header['event']:.80}: {error}"
        raise DecodeError(msg) from None
    if isinstance(event, SystemEvent):
        source = flat.pop("source", None)
    return Line(
        event=event,
        text=header["event"] if event is None else None,
        bound=MappingProxyType(flat),
        level=header["level"],
        timestamp=timestamp,
        writer=header["writer"],
        seq=header["seq"],
        exception=trailer["exception"],
        truncated=tuple(trailer["truncated"] or ()),
        source=source,
    )


def _check_types(values: dict[str, Any]) -> None:
    for name, kind in _TYPES.items():
        value = values[name]
        if type(value) is not kind and (value is not None or name == "level"):
            msg = f"{name} must be of type {kind.__name__}; {got(value)}"
            raise TypeError(msg)


def _event(kind: str, timestamp: datetime, flat: dict[str, Any]) -> MetricsEvent:
    """Remove the fields of ``kind`` from ``flat`` and return the event made of them."""
    cls = EVENT_CLASSES.get(kind)
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
    """Return ``round_completed`` as ``RoundCompleted``; return a name unchanged if ``snake`` would not restore it."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    return camel if snake(camel) == name else name
