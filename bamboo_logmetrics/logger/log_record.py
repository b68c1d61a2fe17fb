"""The event and the fields of a stdlib LogRecord, for the handler and the formatter."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS, merge_record_extra

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.event import EventText
from bamboo_logmetrics.format.caches import TextCache
from bamboo_logmetrics.logger.exceptions import add_stack, text_of
from bamboo_logmetrics.logger.message_dict import leave_out_doubles, split_message
from bamboo_logmetrics.logger.queue_text import is_prepared, split_text
from bamboo_logmetrics.logger.record_fields import Getter
from bamboo_logmetrics.record.levels import LEVEL_NAME, NAMES
from bamboo_logmetrics.record.snapshot import freeze_key, freeze_text

NS = 1_000_000_000  # nanoseconds in a second: LogRecord.created is in seconds

_RESERVED = frozenset(RESERVED_ATTRS)
_OTEL_TRACE_ID = "otelTraceID"  # set by OpenTelemetry's logging instrumentation
_formatter = logging.Formatter()


def event_and_fields(record: logging.LogRecord, getter: Getter | None = None) -> tuple[Any, dict[str, Any]]:
    """Return the event or the text of a record, and the fields to write beside it.

    A record of loguru gets the time of its call as ``created``, which loguru leaves out.

    Args:
        record: the record.
        getter: what gives the fields; ``extra_getter`` when left out.
    """
    names, values_of = (getter or extra_getter)(tuple(record.__dict__))
    fields = dict(zip(names, values_of(record.__dict__), strict=True))
    exception = _exception_of(record)
    loguru = _loguru_record(record)
    event: Any = record.msg
    if loguru is not None:
        event = loguru["message"]
        record.created = loguru["time"].timestamp()
        del fields["extra"]
        fields.update((freeze_key(key), value) for key, value in loguru["extra"].items())
    elif isinstance(event, dict):
        message = {freeze_key(key): value for key, value in event.items()}
        event, message, exception = split_message(record, message, exception)
        extra = {name: value for name, value in fields.items() if name != "logger" or name in record.__dict__}
        fields = {**fields, **message, **extra}
    elif not isinstance(event, MetricsEvent):
        event = _text(record, fields)
        if is_prepared(record):
            event, exception, record.stack_info = split_text(event)
    elif record.args:
        fields["args"] = record.args
    if isinstance(event, EventText):
        event = event.event
    leave_out_doubles(record, fields)
    _add_level_name(record, event, fields)
    _add_trace_id(fields)
    _add_exception(fields, exception)
    if record.stack_info:
        add_stack(fields, record.stack_info)
    return event, fields


def _make_getter(attributes: tuple[str, ...]) -> tuple[tuple[str, ...], Callable[[dict[str, Any]], tuple[Any, ...]]]:
    """Return the names of a record's fields, and a function that gets their values from the record's ``__dict__``.

    The fields are the logger's name, and what ``extra=`` and filters added, by python-json-logger's rule.

    Args:
        attributes: the names of the record's attributes.
    """
    empty = SimpleNamespace()
    empty.__dict__.update(dict.fromkeys(attributes))
    extra = merge_record_extra(empty, {}, reserved=_RESERVED)  # type: ignore[arg-type]
    sources = {"logger": "name", **{freeze_key(name): name for name in extra}}
    if len(sources) == 1:
        return ("logger",), lambda of: (of["name"],)
    return tuple(sources), itemgetter(*sources.values())


def _texts_of(attributes: tuple[Any, ...]) -> Iterator[str]:
    return map(str, attributes)


# the records of one call always have the same attributes
extra_getter: Getter = TextCache(_make_getter, _texts_of).__getitem__


def has_trace_id(attributes: dict[str, Any]) -> bool:
    """Return True if OpenTelemetry's logging instrumentation has put a trace id into a record or into fields."""
    trace_id = attributes.get(_OTEL_TRACE_ID)
    return isinstance(trace_id, str) and trace_id.strip("0") != ""


def _text(record: logging.LogRecord, fields: dict[str, Any]) -> Any:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit are a bug, but no reason to lose the line
        fields["args"] = record.args
        return freeze_text(record.msg)


def _exception_of(record: logging.LogRecord) -> str | None:
    """Return the traceback of a record; loguru leaves an empty text where the exception is given too."""
    if record.exc_text and record.exc_text.strip():
        return record.exc_text
    if not record.exc_info or record.exc_info == (None, None, None):
        return None
    return _formatter.formatException(record.exc_info)


def _add_exception(fields: dict[str, Any], exception: str | None) -> None:
    """Put a traceback under ``exception``.

    structlog's structured form of it, which may hold local variables, gives way to the text; another value of the
    application under that key becomes ``bound_exception``.
    """
    other = fields.pop("exception", None)
    if exception is None:
        exception = text_of(other) or other
    elif other is not None and other != exception and (isinstance(other, str) or text_of(other) is None):
        fields["bound_exception"] = other
    if exception is not None:
        fields["exception"] = exception


def _add_level_name(record: logging.LogRecord, event: Any, fields: dict[str, Any]) -> None:
    """Put the name of a level between the five beside a plain line."""
    if record.levelno and record.levelno not in NAMES and not isinstance(event, MetricsEvent):
        fields.setdefault(LEVEL_NAME, record.levelname)


def _add_trace_id(fields: dict[str, Any]) -> None:
    """Have OpenTelemetry's trace id fill a missing one."""
    if "trace_id" not in fields and has_trace_id(fields):
        fields["trace_id"] = fields[_OTEL_TRACE_ID]


def _loguru_record(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return loguru's own record of a call, if loguru made this record of it; None otherwise.

    Loguru gives a handler its formatted text only. Its own record is found on the stack, also behind a handler that
    passes records on to the stdlib.
    """
    if "loguru" not in sys.modules or not isinstance(record.__dict__.get("extra"), dict):
        return None
    frame = sys._getframe()
    while (back := frame.f_back) is not None:
        frame = back
        if frame.f_globals.get("__name__") == "loguru._simple_sinks":
            names = frame.f_locals
            own = names.get("raw_record", getattr(names.get("message"), "record", None))
            return own if isinstance(own, dict) and own.get("extra") is record.__dict__["extra"] else None
    return None
