"""A stdlib handler with a pipeline."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.logger.log_record import NS, event_and_fields, extra_getter, has_trace_id
from bamboo_logmetrics.logger.message_dict import is_wrapped
from bamboo_logmetrics.logger.opening import open_log
from bamboo_logmetrics.logger.queue_text import holds_event_text
from bamboo_logmetrics.logger.record_fields import Getter, fields_for_handler
from bamboo_logmetrics.record.levels import NAMES, level_at, level_number
from bamboo_logmetrics.record.packed import SHORT
from bamboo_logmetrics.record.queued import KeyValues, QueuedRecord

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.options import OptionValues
    from bamboo_logmetrics.pipeline.statistics import Stats

_FORMATTED = (
    "an event reached MetricsHandler within a formatted text and is written as a plain line: give the QueueHandler no"
    " formatter, or leave it out, since MetricsHandler has a queue of its own"
)


class MetricsHandler(logging.Handler):
    """Write the records of stdlib loggers to a log; an event that is logged as the message is written as a typed line.

    ``extra=`` becomes keys of the line, and so does a dict as the message, as in python-json-logger. The logger's name
    is written as ``logger``, an exception as one text. No lock is taken::

        logging.getLogger().addHandler(bamboo_logmetrics.MetricsHandler("metrics.jsonl", level="INFO"))
        logging.getLogger(__name__).warning("cache is cold", extra={"entries": 0})

    Args:
        path: the file, as for :func:`open_log`; or a BoundLog, to share its log.
        options: as for :func:`open_log`; ``level`` becomes the handler's level too.

    Raises:
        ConfigError: as for :func:`open_log`.
        PlatformError: as for :func:`open_log`.
    """

    def __init__(self, path: str | os.PathLike[str] | BoundLog = "", **options: Unpack[OptionValues]) -> None:
        self._shared = hasattr(path, "emit")
        self._log: BoundLog = path if self._shared else open_log(path, **options)  # type: ignore[assignment, arg-type]
        self._getter: Getter = extra_getter
        super().__init__(self._log.get_effective_level())

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - the stdlib's name
        """Set the level of the handler; names as the option ``level`` takes them."""
        number = level_number(level)
        super().setLevel(level if number is None else number)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the stdlib's name
        """Write the fields that a formatter shows, such as ``%(filename)s``; the form of a line stays the log's.

        Of a python-json-logger formatter, ``fmt``, ``reserved_attrs``, ``defaults`` and ``static_fields`` are followed.
        Anything else that it would do is reported on stderr.
        """
        super().setFormatter(fmt)
        self._getter, ignored = (extra_getter, []) if fmt is None else fields_for_handler(fmt)
        if ignored:
            self._log._logger.report(
                f"a formatter does not change the form of a line: {', '.join(ignored)} has no effect on MetricsHandler"
            )

    def __getstate__(self) -> dict[str, Any]:
        # a copy, or what is unpickled, shares the log, as with every logger
        return {**self.__dict__, "_shared": True}

    def createLock(self) -> None:  # noqa: N802 - the stdlib's name
        """Create no lock: many threads may use the log at once."""
        self.lock = None

    def _at_fork_reinit(self) -> None:
        """Reset nothing in a forked child: there is no lock, and the pipeline resets itself."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record that passes the filters, without the stdlib's lock; return True if it passed."""
        passed: Any = self.filter(record)  # from 3.12 on a filter may return another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Put one record into the log. An exception of a processor goes to ``handleError``, as in the stdlib."""
        try:
            queued = self._simple_record(record)
            if queued is not None:
                self._log._logger.put_plain(queued)
                return
            event, fields = event_and_fields(record, self._getter)
            if record.args is None and holds_event_text(event):
                self._log._logger.report(_FORMATTED)
            if self._log._processors:  # as structlog's ProcessorFormatter passes a record on
                fields |= {"_record": record, "_from_structlog": is_wrapped(record)}
            queued = self._log._record(event, level_at(record.levelno or 0), fields, int(record.created * NS))
            if queued is not None:
                self._log._put_of(queued)(queued)
        except Exception:  # noqa: BLE001 - the stdlib's contract for handlers
            self.handleError(record)

    def _simple_record(self, record: logging.LogRecord) -> QueuedRecord | None:
        """Return the queued form of a record that is a text with scalars, as most are; None for any other."""
        log, attributes = self._log, record.__dict__
        level = NAMES.get(record.levelno)
        if (
            level is None
            or "timestamp" in attributes
            or record.exc_info
            or record.exc_text
            or record.stack_info
            or record.args is None  # perhaps from a QueueHandler
            or type(record.msg) is not str
        ):
            return None
        names, values_of = self._getter(tuple(attributes))
        values = values_of(attributes)
        size = log._simple_size(values)
        if size < 0:
            return None
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit
            return None
        if type(text) is not str or size + len(text) > SHORT:  # not a str: of a record class of the application
            return None
        if "otelTraceID" in attributes and "trace_id" not in attributes and has_trace_id(attributes):
            names, values = (*names, "trace_id"), (*values, attributes["otelTraceID"])
        time_ns = int(record.created * NS)
        return QueuedRecord(text, KeyValues(names, values), log._context, level, time_ns)

    def stats(self) -> Stats:
        """Return one snapshot of the log's counters in this process."""
        return self._log.stats()

    def flush(self) -> None:
        """Wait up to 5 seconds until all records are in the file."""
        self._log.flush()

    def close(self) -> None:
        """Close the log, unless it is a shared one."""
        if not self._shared:
            self._log.close()
        super().close()
