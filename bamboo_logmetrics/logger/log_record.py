"""The event and the fields of a stdlib LogRecord, for the handler and the formatter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS, merge_record_extra

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.record.snapshot import freeze_key, freeze_text

NS = 1_000_000_000  # nanoseconds in a second: LogRecord.created is in seconds

_RESERVED = frozenset(RESERVED_ATTRS)
_formatter = logging.Formatter()


def event_and_fields(record: logging.LogRecord) -> tuple[Any, dict[str, Any]]:
    """Return the event or the text of a record, and the fields to write beside it."""
    names, values_of = extra_getter(tuple(record.__dict__))
    fields = dict(zip(names, values_of(record.__dict__), strict=True))
    event: Any = record.msg
    if isinstance(event, dict):
        message = {freeze_key(key): value for key, value in event.items()}
        event = message.pop("message", "")
        extra = {name: value for name, value in fields.items() if name != "logger" or name in record.__dict__}
        fields = {**fields, **message, **extra}
    elif not isinstance(event, MetricsEvent):
        event = _text(record, fields)
    exception = record.exc_text or (_formatter.formatException(record.exc_info) if record.exc_info else None)
    if exception and record.exc_info != (None, None, None):
        fields["exception"] = exception
    if record.stack_info:
        fields["stack"] = record.stack_info
    return event, fields


@lru_cache(maxsize=1024)
def extra_getter(attributes: tuple[str, ...]) -> tuple[tuple[str, ...], Callable[[dict[str, Any]], tuple[Any, ...]]]:
    """Return the names of a record's fields, and a function that gets their values from the record's ``__dict__``.

    The fields are the logger's name, and what ``extra=`` and filters added, by python-json-logger's rule.

    Args:
        attributes: the names of the record's attributes. The records of one call always have the same, hence the cache.
    """
    empty = SimpleNamespace()
    empty.__dict__.update(dict.fromkeys(attributes))
    extra = merge_record_extra(empty, {}, reserved=_RESERVED)  # type: ignore[arg-type]
    sources = {"logger": "name", **{freeze_key(name): name for name in extra}}
    if len(sources) == 1:
        return ("logger",), lambda of: (of["name"],)
    return tuple(sources), itemgetter(*sources.values())


def _text(record: logging.LogRecord, fields: dict[str, Any]) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit are a bug, but no reason to lose the line
        fields["args"] = record.args
        return freeze_text(record.msg)
