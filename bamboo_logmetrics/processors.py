"""structlog processors for applications that keep their own structlog configuration, renderer and handlers.

Add :func:`expand` before the renderer to write typed events in the native layout; :func:`redact` and :class:`Cap` may
follow it::

    structlog.configure(processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        bamboo_logmetrics.processors.expand,
        structlog.processors.JSONRenderer(),
    ])
"""

# ruff: noqa: ARG001, ARG002 - a structlog processor's signature

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.event import EventText
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format import flatten, truncate
from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.record.levels import LEVEL_NAME, level_at, level_number, name_between
from bamboo_logmetrics.record.snapshot import all_scalar, freeze_mapping, freeze_text

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

# shown by the renderer or the formatter, and used by structlog's ProcessorFormatter
_KEPT = ("exc_info", "_record", "_from_structlog")

__all__ = ["Cap", "expand", "redact"]


def expand(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
    """Turn an event that was logged into its flat record, and mark any other line as plain.

    A plain line keeps the ``level`` and ``timestamp`` that earlier processors set; without them it gets the level of
    the method and the current time. Values of any type are turned into plain data, without an exception. An event is
    found where ``EventRenamer`` moved it, and in a record of the standard library that a ProcessorFormatter formats.

    Args:
        logger: as structlog passes it; not used.
        method_name: the level of a plain line without one.
        event_dict: structlog's event dictionary, with the event or the text under ``event``.

    Returns:
        The flat record, a new dictionary; ``exc_info`` and a ProcessorFormatter's own keys stay in it.

    Raises:
        TypeError: the event is a base class such as ``ChatEvent``, which has no kind.
    """
    bound = dict(event_dict)
    event = _take_event(bound)
    kept = _take_kept(bound)
    if isinstance(event, MetricsEvent):
        flat = flatten.expand(event, freeze_mapping(bound), timestamp=format_ns(time.time_ns()))
    else:
        level = _take_level(bound, method_name)
        timestamp = str(bound.pop("timestamp", None) or format_ns(time.time_ns()))
        flat = flatten.expand_plain(freeze_text(event), freeze_mapping(bound), level=level, timestamp=timestamp)
    return flat | kept


def _take_event(bound: EventDict) -> Any:
    """Remove the event or the text from an event dictionary and return it; "" if there is none."""
    if "event" in bound:
        event = bound.pop("event")
        return event.event if isinstance(event, EventText) else event
    events = [key for key, value in bound.items() if isinstance(value, MetricsEvent)]
    name = next((key for key in [*events, "message", "msg"] if key in bound), None)
    return "" if name is None else bound.pop(name)


def _take_kept(bound: EventDict) -> dict[str, Any]:
    """Remove values that are for the renderer and the formatter, and return them."""
    return {key: value for key in _KEPT if (value := bound.pop(key, None)) is not None}


def _take_level(bound: EventDict, method_name: str) -> str:
    """Remove the level of a plain line and return it; the name of one between the five goes into ``level_name``."""
    level = str(bound.pop("level", method_name))
    number = level_number(level)
    if number is None:
        return "info" if level == "msg" else level
    name = name_between(number)
    if name is not None:
        bound.setdefault(LEVEL_NAME, name)
    return level_at(number)


def redact(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
    """Mask secrets in the plain text, errors, exceptions and bound values of a flat record.

    Ids, counts and the other fields of an event are left as they are.

    Args:
        logger: as structlog passes it; not used.
        method_name: as structlog passes it; not used.
        event_dict: the flat record, which is changed in place.

    Returns:
        The same dictionary.
    """
    redact_flat(event_dict)
    return event_dict


class Cap:
    """Cut a flat record whose JSON would be longer than a limit.

    The exception is cut first, then bound values, then the error or the plain text; ids are never cut. ``truncated``
    in the record names the keys that were cut.

    Args:
        max_line_bytes: the limit in bytes.
    """

    def __init__(self, max_line_bytes: int = 32_000) -> None:
        self.max_line_bytes = max_line_bytes

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
        """Return a new record, cut if it was too long; ``exc_info`` and the like stay in it."""
        flat = dict(event_dict)
        kept = _take_kept(flat)
        flat, _ = truncate.cap(flat if all_scalar(flat) else freeze_mapping(flat), self.max_line_bytes)
        return flat | kept
