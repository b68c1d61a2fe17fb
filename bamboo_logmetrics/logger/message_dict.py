"""A dictionary as the message of a stdlib record: structlog's event dictionary, or one by python-json-logger's rule."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Any

import structlog
from structlog.processors import EventRenamer

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.logger.callers import caller_stack
from bamboo_logmetrics.logger.exceptions import add_stack, format_exception, text_of
from bamboo_logmetrics.record.levels import level_at

_SAME_TIME = 2.0  # seconds; a time in whole seconds, taken just before the record was made, is the record's time


def split_message(
    record: logging.LogRecord, message: dict[str, Any], exception: str | None
) -> tuple[Any, dict[str, Any], str | None]:
    """Return the event or text of a dictionary, the other values, and the traceback.

    structlog's ``wrap_for_formatter`` passes its event dictionary as the message: the text or event under ``event``, or
    where EventRenamer moved it, and the level, time and exception that the record has as well. Any other dictionary
    follows python-json-logger's rule, by which the text is under ``message``.

    Args:
        record: the record.
        message: a copy of the dictionary, which is changed.
        exception: the traceback that the record itself has.
    """
    wrapped = is_wrapped(record)
    event = _take_event(message, wrapped=wrapped)
    own = _take_exception(record, message)
    if wrapped:
        own = text_of(message.pop("exception", None)) or own
    elif not own and isinstance(message.get("exception"), str):
        own = message.pop("exception")
    return event, message, own or exception


def is_wrapped(record: logging.LogRecord) -> bool:
    """Return True if structlog's ``wrap_for_formatter`` made the message of a record."""
    return isinstance(record.msg, dict) and "_logger" in record.__dict__ and "_name" in record.__dict__


def _take_event(message: dict[str, Any], *, wrapped: bool) -> Any:
    """Remove the event or the text of a dictionary and return it; "" if there is none."""
    names = ("event", "message", "msg") if wrapped else ("message", "event")
    present = [name for name in names if name in message]
    typed = [name for name in present if isinstance(message[name], MetricsEvent)]
    if wrapped and not present:  # renamed to another key
        present = [item.to for item in structlog.get_config()["processors"] if isinstance(item, EventRenamer)]
        present = [name for name in present if name in message]
        typed = [name for name, value in message.items() if isinstance(value, MetricsEvent)]
    name = next(iter([*typed, *present]), None)
    return "" if name is None else message.pop(name)


def _take_exception(record: logging.LogRecord, message: dict[str, Any]) -> str | None:
    """Remove ``exc_info`` and ``stack_info``; return the traceback, and put the stack under ``stack``."""
    stack = message.pop("stack_info", None)
    if stack:
        add_stack(message, stack if isinstance(stack, str) else caller_stack(record))
    exc_info = message.pop("exc_info", None)
    if isinstance(exc_info, str):
        return exc_info or None
    return format_exception(exc_info) if exc_info else None


def leave_out_doubles(record: logging.LogRecord, fields: dict[str, Any]) -> None:
    """Remove the level and the time of the record itself from its fields, as structlog's processors add them."""
    level = fields.get("level")
    if isinstance(level, str) and level.lower() in {level_at(record.levelno or 0), str(record.levelname).lower()}:
        del fields["level"]
    if "timestamp" in fields and _is_time_of(record, fields["timestamp"]):
        del fields["timestamp"]


def _is_time_of(record: logging.LogRecord, value: Any) -> bool:
    """Return True if a time in one of the forms of structlog's TimeStamper is that of the record."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value.removesuffix("Z"))
            zones = [moment.tzinfo or timezone.utc] if value.endswith("Z") or moment.tzinfo else [timezone.utc, None]
            times = [moment.replace(tzinfo=zone).timestamp() for zone in zones]
        else:
            times = [float(value)]
    except (TypeError, ValueError, OverflowError):
        return False
    return any(abs(time - record.created) < _SAME_TIME for time in times)
