"""The stdlib's side: a handler with a pipeline, and the flat form as a python-json-logger formatter."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pythonjsonlogger.core import RESERVED_ATTRS, BaseJsonFormatter, merge_record_extra

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format import flatten as records
from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.format.truncate import cap
from bamboo_logmetrics.logger.opening import open_log
from bamboo_logmetrics.options import LEVELS
from bamboo_logmetrics.record.queued import KeyValues, QueuedRecord
from bamboo_logmetrics.record.snapshot import freeze_key, freeze_mapping, freeze_text

if TYPE_CHECKING:
    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.pipeline.statistics import Stats

_NS = 1_000_000_000
_RESERVED = frozenset(RESERVED_ATTRS)
_formatter = logging.Formatter()


class MetricsHandler(logging.Handler):
    """Write the records of stdlib loggers, and events logged as messages, to a log of ours.

    ``extra=`` becomes keys of the line, a dict as message too (as in python-json-logger); an exception is
    one text. The logger's name is bound as ``logger``. No lock is taken.

    Args:
        path: the file, as for :func:`bamboo_logmetrics.open_log`; or a BoundLog to share.
        options: as for :func:`bamboo_logmetrics.open_log`; ``level`` becomes the handler's.

    Raises ConfigError as :func:`bamboo_logmetrics.open_log`.
    """

    def __init__(self, path: str | os.PathLike[str] | BoundLog, **options: Any) -> None:
        self._shared = hasattr(path, "emit")
        self._log: BoundLog = path if self._shared else open_log(path, **options)  # type: ignore[assignment, arg-type]
        super().__init__(self._log.get_effective_level())

    def createLock(self) -> None:  # noqa: N802 - the stdlib's name
        """Make no lock: what it would guard is the channel's business."""
        self.lock = None

    def _at_fork_reinit(self) -> None:
        """Nothing to make anew: the pipeline does it."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record that passes the filters; the stdlib's takes the lock around this."""
        passed: Any = self.filter(record)  # from 3.12 on a filter may give another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record over. What a processor of yours raises goes to ``handleError``, as in the stdlib."""
        try:
            item = self._as_it_is(record)
            if item is not None:
                self._log._logger.put_plain(item)
                return
            what, beside = _content(record)
            item = self._log._record(what, _level(record.levelno or 0), beside, int(record.created * _NS))
            if item is not None:
                self._log._put_of(item)(item)
        except Exception:  # noqa: BLE001 - the stdlib's contract for handlers
            self.handleError(record)

    def _as_it_is(self, record: logging.LogRecord) -> QueuedRecord | None:
        """Return what is queued of a record that is text and scalars, as most are; None of any other."""
        log, attributes = self._log, record.__dict__
        if record.exc_info or record.exc_text or record.stack_info or type(record.msg) is not str:
            return None
        names, values_of = _beside(tuple(attributes))
        values = values_of(attributes)
        try:
            if not log._goes_as_it_is(values):
                return None
            text = record.getMessage()
            if type(text) is not str:  # of a record class of somebody's own
                return None
        except Exception:  # noqa: BLE001 - a type that refuses to be hashed, arguments that do not fit
            return None
        time_ns = int(record.created * _NS)
        return QueuedRecord(text, KeyValues(names, values), log._context, _level(record.levelno or 0), time_ns)

    def stats(self) -> Stats:
        """Return one snapshot of the log's counters."""
        return self._log.stats()

    def flush(self) -> None:
        """Wait up to 5 s until all records are in the file."""
        self._log.flush()

    def close(self) -> None:
        """Close the log, unless it is a shared one."""
        if not self._shared:
            self._log.close()
        super().close()


def _content(record: logging.LogRecord) -> tuple[Any, dict[str, Any]]:
    """Return what was logged, and what stands beside it."""
    names, values_of = _beside(tuple(record.__dict__))
    beside = dict(zip(names, values_of(record.__dict__), strict=True))
    what: Any = record.msg
    if isinstance(what, dict):
        given = {freeze_key(key): value for key, value in what.items()}
        what = given.pop("message", "")
        extra = {name: value for name, value in beside.items() if name != "logger" or name in record.__dict__}
        beside = {**beside, **given, **extra}
    elif not isinstance(what, MetricsEvent):
        what = _message(record, beside)
    text = record.exc_text or (_formatter.formatException(record.exc_info) if record.exc_info else None)
    if text and record.exc_info != (None, None, None):
        beside["exception"] = text
    if record.stack_info:
        beside["stack"] = record.stack_info
    return what, beside


@lru_cache(maxsize=1024)
def _beside(attributes: tuple[str, ...]) -> tuple[tuple[str, ...], Callable[[dict[str, Any]], tuple[Any, ...]]]:
    """Return the keys beside a record's text, and what gets their values from the record's attributes.

    They are the logger's name, and what ``extra=`` and filters added: python-json-logger's rule says what that is. The
    records of one call have the same attributes every time.
    """
    named = SimpleNamespace()
    named.__dict__.update(dict.fromkeys(attributes))
    extra = merge_record_extra(named, {}, reserved=_RESERVED)  # type: ignore[arg-type]
    sources = {"logger": "name", **{freeze_key(name): name for name in extra}}
    if len(sources) == 1:
        return ("logger",), lambda of: (of["name"],)
    return tuple(sources), itemgetter(*sources.values())


@lru_cache(maxsize=128)
def _level(number: int) -> str:
    """Return the name of the level at or below a stdlib number; there are five."""
    return next((name for name, least in reversed(list(LEVELS.items())) if number >= least), "debug")


def _message(record: logging.LogRecord, beside: dict[str, Any]) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit are a bug, but no reason to lose the line
        beside["args"] = record.args
        return freeze_text(record.msg)


class FlatJsonFormatter(BaseJsonFormatter):
    """The line's flat form for handlers of your own, with the options of python-json-logger's formatters.

    Events logged as messages become typed lines. The lines carry no ``writer`` and ``seq``, which only a log
    of ours can give; ``read`` reads them, ``verify`` cannot account for them.

    Args:
        max_line_bytes: a longer line is cut.
        options: as python-json-logger's, such as ``static_fields`` and ``rename_fields``.
    """

    def __init__(self, *args: Any, max_line_bytes: int = 32_000, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limit = max_line_bytes

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        what, beside = _content(record)
        beside = {**self.defaults, **self.static_fields, **beside}
        exception = beside.pop("exception", None)
        timestamp = format_ns(int(record.created * _NS))
        common: dict[str, Any] = {"timestamp": timestamp, "exception": exception}
        if isinstance(what, MetricsEvent):
            flat = records.expand(what, freeze_mapping(beside), **common)
        else:
            level = _level(record.levelno or 0)
            flat = records.expand_plain(freeze_text(what), freeze_mapping(beside), level=level, **common)
        redact_flat(flat)
        flat, _ = cap(flat, self._limit)
        return self.serialize_log_record({self._get_rename(key): value for key, value in flat.items()})

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return strict JSON."""
        return encode(log_data).decode()
