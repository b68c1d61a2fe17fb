"""BoundLog: a structlog bound logger whose records go into a pipeline."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from time import time_ns  # as a name of this module, so that freezegun replaces it
from typing import TYPE_CHECKING, Any, NoReturn

from structlog import BoundLoggerBase, DropEvent

from bamboo_logmetrics.events import ChatEvent, ForwardEvent, MetricsEvent
from bamboo_logmetrics.events.base import SHORT_EVENTS
from bamboo_logmetrics.events.registry import require_kind
from bamboo_logmetrics.format.flatten import level_of
from bamboo_logmetrics.logger import pickling
from bamboo_logmetrics.logger.context_vars import CONTEXT_VARS, Merged, merge
from bamboo_logmetrics.logger.control import LogControl
from bamboo_logmetrics.logger.exceptions import take_exception
from bamboo_logmetrics.logger.processing import ProcessorChain
from bamboo_logmetrics.logger.scope_methods import ScopeMethods
from bamboo_logmetrics.record.levels import LEVEL_NAME, LEVELS, level_at, level_number, name_between
from bamboo_logmetrics.record.packed import BIG, FEW, LEAST, SHORT, SHORT_TEXT, event_size, fit, is_short, measure, pack
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.record.snapshot import freeze_text

if TYPE_CHECKING:
    from structlog.typing import Context, Processor
    from typing_extensions import Self

    from bamboo_logmetrics.logger.target import LogTarget, Put

_EMPTY: dict[str, Any] = {}
_are_texts = frozenset({str}).issuperset


class BoundLog(LogControl, ScopeMethods, BoundLoggerBase):
    """A logger: structlog's bound logger, with typed events and a pipeline.

    :func:`open_log` and :func:`get_logger` return one, and so does ``structlog.get_logger()`` after
    :func:`configure`::

        with bamboo_logmetrics.open_log("metrics.jsonl") as log:
            log = log.bind(project="p-1")
            log.emit(ToolCalled(...))
            log.info("cache warmed", entries=312)

    ``bind``, ``unbind``, ``try_unbind`` and ``new`` are structlog's. Each returns another BoundLog of the same log;
    closing any of them closes the log.

    ``debug``, ``info``, ``warning``, ``error``, ``critical``, ``exception`` and ``log`` write a plain line, as in
    structlog: a text, whose ``%s`` positional arguments fill in, and values by name. Each also takes an event in place
    of the text. The names with an ``a`` before them (``ainfo`` and so on) are for coroutines: they do not block the
    event loop where the log may wait for room or for the disk.

    ``session``, ``round``, ``tool`` and ``request`` return scopes, which emit the events of a block of code.

    Values are copied at the call, so that a later change of a list or a dict is not seen in the line.
    """

    _logger: LogTarget

    def __init__(self, logger: LogTarget, processors: Sequence[Processor], context: Context) -> None:
        if type(processors) is not ProcessorChain:  # from structlog.configure of the application
            processors = ProcessorChain(processors)
        if logger.context and "logger" not in context:
            context = {**logger.context, **context}
        super().__init__(logger, processors, context)
        self._processors: ProcessorChain = processors
        self._merged: dict[tuple[int, ...], Merged] = {}  # contexts with structlog's variables
        self._short = is_short(context)  # then a record refers to the context; else each call copies it

    # -- events --------------------------------------------------------------------------

    def emit(self, event: MetricsEvent, /, **bound: Any) -> bool:
        """Emit a typed event, whatever the level of the log.

        Args:
            event: the event.
            bound: values to write beside its fields.

        Returns:
            True if the event is acknowledged as the option ``durability`` says. False if it was dropped, which
            :meth:`stats` counts, or if a processor dropped it.

        Raises:
            TypeError: ``event`` is not an event, or a base class such as ``ChatEvent``.
            Exception: a processor of the application raised it.
        """
        if bound or type(event) not in SHORT_EVENTS or not self._short or self._processors or CONTEXT_VARS:
            return self._emit(event, bound)
        return self._logger.put(QueuedRecord(event, _EMPTY, self._context))

    def _emit(self, event: MetricsEvent, bound: dict[str, Any]) -> bool:
        """Emit an event that needs more than its own fields and the context as it is."""
        if not isinstance(event, MetricsEvent):
            _not_an_event(event)
        record = self._record(event, None, bound)
        return record is not None and self._logger.put(record)

    async def aemit(self, event: MetricsEvent, /, **bound: Any) -> bool:
        """Emit as :meth:`emit`, without blocking the event loop."""
        if not isinstance(event, MetricsEvent):
            _not_an_event(event)
        record = self._record(event, None, bound)
        return record is not None and await self._put_async(self._logger.put, record)

    # -- plain lines ---------------------------------------------------------------------

    def log(self, level: int | str, event: Any, *args: Any, **kw: Any) -> None:
        """Log a text, or an event, at a level.

        Args:
            level: a name such as ``"info"`` or one of ``logging.addLevelName``, or a number such as ``logging.INFO``.
                A line of a level between the five has the one below, and the name as ``level_name``.
            event: the text, or the event.
            args: values for ``%s`` in the text. Where they do not fit, they are written beside it, as ``args``.
            kw: values by name; ``exc_info`` and ``stack_info`` as in structlog.

        Raises:
            ValueError: there is no such level.
        """
        number = _number_of(level)
        if number >= self._logger.level:
            self._log(_named_level(number, event, kw), event, args, kw)

    async def alog(self, level: int | str, event: Any, *args: Any, **kw: Any) -> None:
        """Log as :meth:`log`, without blocking the event loop."""
        number = _number_of(level)
        if number >= self._logger.level:
            await self._alog(_named_level(number, event, kw), event, args, kw)

    def exception(self, event: Any, *args: Any, **kw: Any) -> None:
        """Log at level error with the traceback of the exception being handled, without local variables."""
        if LEVELS["error"] >= self._logger.level:
            kw.setdefault("exc_info", True)
            self._log("error", event, args, kw)

    async def aexception(self, event: Any, *args: Any, **kw: Any) -> None:
        """Log as :meth:`exception`, without blocking the event loop."""
        if LEVELS["error"] >= self._logger.level:
            kw.setdefault("exc_info", True)
            await self._alog("error", event, args, kw)

    def is_enabled_for(self, level: int) -> bool:
        """Return True if plain lines of this level, a number of the standard library, are written."""
        return level >= self._logger.level

    def get_effective_level(self) -> int:
        """Return the standard library's number of the lowest level that is written."""
        return self._logger.level

    isEnabledFor = is_enabled_for  # noqa: N815 - as structlog and the stdlib name them
    getEffectiveLevel = get_effective_level  # noqa: N815

    @property
    def name(self) -> str:
        """The name that ``get_logger`` was given; ``"root"`` without one, as in the standard library."""
        return self._logger.name

    def _log(self, level: str, event: Any, args: tuple[Any, ...], kw: dict[str, Any]) -> None:
        if args:
            event = _interpolate(event, args, kw)
        record = self._record(event, level, kw)
        if record is not None:
            self._put_of(record)(record)

    def _log_text(self, level: str, event: str, kw: dict[str, Any]) -> None:
        """Log a text that no processor sees, with any values."""
        target = self._logger
        context: Mapping[str, Any] = self._context
        short, bound, size = self._short, kw, measure(kw.values())
        if CONTEXT_VARS:
            context, short, _ = merge(context, self._merged)
        if size < 0:
            bound, size = pack(kw, target.longest)
        if not short:
            context, length = pack(context, target.longest)
            size += length
        record = QueuedRecord(event, bound, context, level, (target.time_ns or time_ns)())
        if size + len(event) > (SHORT if event.isascii() else SHORT // 2):
            fit(record, target.longest)
        target.put_plain(record)

    async def _alog(self, level: str, event: Any, args: tuple[Any, ...], kw: dict[str, Any]) -> None:
        if args:
            event = _interpolate(event, args, kw)
        record = self._record(event, level, kw)
        if record is not None:
            await self._put_async(self._put_of(record), record)

    def _put_of(self, record: QueuedRecord) -> Put:
        return self._logger.put_plain if type(record.event) is str else self._logger.put

    async def _put_async(self, put: Put, record: QueuedRecord) -> bool:
        if not self._logger.may_block:
            return put(record)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        # shielded: a cancelled task would otherwise cancel a call that still waits for a thread, and lose the record
        return await asyncio.shield(loop.run_in_executor(None, context.run, self._put_in_thread, put, record))

    def _put_in_thread(self, put: Put, record: QueuedRecord) -> bool:
        """Call ``put`` as a method of this logger, so that the log is not closed as unreferenced meanwhile."""
        return put(record)

    # -- one record ----------------------------------------------------------------------

    def _record(
        self, event: Any, level: str | None, kw: dict[str, Any], time: int | None = None
    ) -> QueuedRecord | None:
        """Return the record of a call, with a copy of all that may change later; None if a processor dropped it."""
        context: Mapping[str, Any] = self._context
        longest, short, size = self._logger.longest, self._short, 0
        if CONTEXT_VARS:
            context, short, _ = merge(context, self._merged)
        if self._processors:
            if isinstance(event, MetricsEvent):
                require_kind(event)
            try:
                event, kw = self._processors.run(self._logger, level or level_of(event), event, context, kw)
            except DropEvent:
                return None
            context = _EMPTY
        elif not short:
            context, size = pack(context, longest)
        exception = take_exception(kw) if "exc_info" in kw or "stack_info" in kw else None
        # the keys of processors may be anything
        length = measure(kw.values()) if not self._processors or _are_texts(map(type, kw)) else -1
        bound, length = (kw, length) if length >= 0 else pack(kw, longest)
        size += length if exception is None else length + len(exception)
        record = QueuedRecord(event, bound, context, level, None, exception)
        if type(event) not in SHORT_EVENTS:
            size += self._complete(record, time)
        if size > SHORT:
            fit(record, longest)
        return record

    def _complete(self, record: QueuedRecord, time: int | None) -> int:
        """Set text, level and time of a record whose event is not in SHORT_EVENTS, and return the size of its texts."""
        event = record.event
        if type(event) is str or not isinstance(event, MetricsEvent):
            record.event, record.level = freeze_text(event), record.level or "info"
            size = len(record.event)
        else:
            require_kind(event)
            size = event_size(event)
            if isinstance(event, (ChatEvent, ForwardEvent)):
                return size
        record.time_ns = time or (self._logger.time_ns or time_ns)()
        return size

    def _simple_size(self, values: Iterable[Any]) -> int:
        """Return the size of ``values`` if a plain line needs only these, its text and the context as it is.

        Return a negative number if it needs more.
        """
        return measure(values) if self._short and not self._processors and not CONTEXT_VARS else -1

    # -- structlog -----------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        own = None if self._processors is self._logger.processors else list(self._processors)
        return pickling.rebuild, (type(self), self._logger, pickling.picklable(self._context), own)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a logger never changes, and copies share the log

    def new(self, **new_values: Any) -> Self:
        """Return a logger with only ``new_values`` bound. Unlike structlog's ``new``, leave this logger unchanged."""
        return self.__class__(self._logger, self._processors, self._context.__class__(**new_values))

    if TYPE_CHECKING:
        # defined below, one pair for each level

        def debug(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        def info(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        def warning(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        def error(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        def critical(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        async def adebug(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        async def ainfo(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        async def awarning(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        async def aerror(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102
        async def acritical(self, event: Any, *args: Any, **kw: Any) -> None: ...  # noqa: D102

        msg = info
        warn = warning
        err = error
        fatal = critical
        amsg = ainfo
        awarn = awarning
        aerr = aerror
        afatal = acritical


_Method = Callable[..., None]
_AsyncMethod = Callable[..., Coroutine[Any, Any, None]]


def _methods(level: str) -> tuple[_Method, _AsyncMethod]:  # noqa: C901 - a further call would be felt at each line
    """Return the methods of :class:`BoundLog` for one level: the ordinary and the asynchronous one."""
    number = LEVELS[level]

    def method(self: BoundLog, event: Any, *args: Any, **kw: Any) -> None:
        target = self._logger
        if number < target.level:
            return
        if args or type(event) is not str or self._processors or "exc_info" in kw or "stack_info" in kw:
            self._log(level, event, args, kw)
            return
        if self._short and not CONTEXT_VARS and len(kw) <= FEW:
            size = len(event)
            for value in kw.values():
                if value is None or value is True or value is False:
                    continue
                cls = type(value)
                if cls is str:
                    size += len(value)
                elif cls is not float and (cls is not int or not LEAST < value < BIG):
                    size = SHORT
                    break
            if size <= SHORT_TEXT:
                target.put_plain(QueuedRecord(event, kw, self._context, level, (target.time_ns or time_ns)()))
                return
        self._log_text(level, event, kw)

    async def amethod(self: BoundLog, event: Any, *args: Any, **kw: Any) -> None:
        if number >= self._logger.level:
            await self._alog(level, event, args, kw)

    method.__name__, amethod.__name__ = level, f"a{level}"
    method.__doc__ = f"""Log a text, or an event, at level {level}.

        Args:
            event: the text, or the event.
            args: values for ``%s`` in the text. Where they do not fit, they are written beside it, as ``args``.
            kw: values by name; ``exc_info`` and ``stack_info`` as in structlog.
        """
    amethod.__doc__ = f"Log as :meth:`{level}`, without blocking the event loop."
    return method, amethod


_ALIASES = {"info": ("msg",), "warning": ("warn",), "error": ("err",), "critical": ("fatal",)}

for _name in LEVELS:
    _plain_method, _async_method = _methods(_name)
    for _alias in (_name, *_ALIASES.get(_name, ())):
        setattr(BoundLog, _alias, _plain_method)
        setattr(BoundLog, f"a{_alias}", _async_method)


def _number_of(level: object) -> int:
    """Return the number of a level; raise ValueError if there is no such level."""
    number = level_number(level)
    if number is None:
        msg = f"level must be one of {', '.join(LEVELS)}, or a name or number of the standard library; got {level!r}"
        raise ValueError(msg)
    return number


def _named_level(number: int, event: Any, kw: dict[str, Any]) -> str:
    """Return the level of a plain line; a name between the five goes beside it, into ``kw``."""
    name = name_between(number)
    if name is not None and not isinstance(event, MetricsEvent):
        kw.setdefault(LEVEL_NAME, name)
    return level_at(number)


def _not_an_event(event: object) -> NoReturn:
    msg = f"emit() takes an event such as ToolCalled(...); got {type(event).__name__}. For text call log.info(text)."
    raise TypeError(msg)


def _interpolate(event: Any, args: tuple[Any, ...], kw: dict[str, Any]) -> Any:
    """Return a text with its ``%s`` filled in, as structlog does. Arguments that do not fit go into ``kw``."""
    if not isinstance(event, MetricsEvent):
        try:
            return event % (args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args)
        except Exception:  # noqa: BLE001, S110 - a bug of the application, but no reason to lose the line
            pass
    kw["args" if "args" not in kw else "bound_args"] = args
    return event
