"""Records as the stdlib's QueueHandler leaves them: the message is the formatted text, with the traceback in it."""

from __future__ import annotations

import logging
import re
from typing import Any

from bamboo_logmetrics.events.event import EventText

_TRACEBACK = re.compile(r"\n(?=Traceback \(most recent call last\):\n| +\+ Exception Group Traceback \()")
_STACK = "\nStack (most recent call last):\n"
_EVENT = "(meta=EventMeta(event_id="  # in the repr of an event


def is_prepared(record: logging.LogRecord) -> bool:
    """Return True for a record as QueueHandler leaves it: without arguments, with the text as its message."""
    return record.args is None and record.__dict__.get("message") is record.msg


def split_text(text: str) -> tuple[Any, str | None, str | None]:
    """Return the event or the text of a prepared record's message, and the traceback and the stack that follow it."""
    if isinstance(text, EventText):
        event: Any = text.event
        added = text.tail
    else:
        match = _TRACEBACK.search(text)
        end = match.start() if match else text.find(_STACK)
        event, added = (text, "") if end < 0 else (text[:end], text[end:])
    exception, marker, stack = added.rpartition(_STACK)
    if not marker:
        exception, stack = added, ""
    return event, exception.strip("\n") or None, f"{_STACK}{stack}".strip("\n") if marker else None


def holds_event_text(text: Any) -> bool:
    """Return True for a text that a formatter made of an event and something else: the event is lost in it."""
    return isinstance(text, str) and _EVENT in text
