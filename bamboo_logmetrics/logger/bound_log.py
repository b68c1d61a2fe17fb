"""BoundLog: a structlog bound logger whose records go into a pipeline."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import structlog.contextvars
from structlog import BoundLoggerBase, DropEvent

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events import ChatEvent, ForwardEvent, MetricsEvent
from bamboo_logmetrics.events.registry import EVENT_CLASSES, is_builtin, require_kind
from bamboo_logmetrics.format.flatten import level_of
from bamboo_logmetrics.options import LEVELS
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.record.snapshot import SCALARS, all_scalar, freeze_mapping, freeze_text

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import Context, Processor
    from typing_extensions import Self

    from bamboo_logmetrics.logger.target import LogTarget
    from bamboo_logmetrics.pipeline.pipeline import Pipeline
    from bamboo_logmetrics.pipeline.statistics import Stats

# structlog's context variables by name. Reading them costs a microsecond, so it is done only where there are any.
# The name is private: without it they are read at every call.
_CONTEXT_VARS: Any = getattr(structlog.contextvars, "_CONTEXT_VARS", {"": None})

_NUMBERS = {number: name for name, number in LEVELS.items()}
_NOTHING: dict[str, Any] = {}
_are_scalars = SCALARS.issuperset
_TYPED = frozenset(
    cls for cls in EVENT_CLASSES.values() if is_builtin(cls) and issubclass(cls, (ChatEvent, ForwardEvent))
)


class BoundLog(BoundLoggerBase):
    """A structlog bound logger with a pipeline.

    ``bind``, ``unbind``, ``try_unbind`` and ``new`` are structlog's and return another BoundLog of the same log;
    closing any of them closes the log.

    ``debug`` to ``critical``, ``exception``, ``log`` and their async forms (``ainfo``
    ...) are ordinary structlog calls; each also takes an event in place of the text.
    """

    _logger: LogTarget

    def __init__(self, logger: LogTarget, processors: Sequence[Processor], context: Context) -> None:
        super().__init__(logger, processors, context)
        self._processors: Sequence[Processor] = processors
        self._scalar = all_scalar(context)  # then it goes by reference; else it is copied at each call

    # -- events --------------------------------------------------------------------------

    def emit(self, event: MetricsEvent, /, **bound: Any) -> bool:
        """Emit a typed event, with ``bound`` beside it; never filtered by level.

        Returns True when it is acknowledged as the log's durability asks, False when it is not (it is
        then counted). Raises TypeError for anything but an event with a kind; what a processor of yours raises passes
        through.
        """
        if bound or type(event) not in _TYPED or not self._scalar or self._processors or _CONTEXT_VARS:
            return self._emit(event, bound)
        return self._logger.put(QueuedRecord(event, _NOTHING, self._context))

    def _emit(self, event: MetricsEvent, bound: dict[str, Any]) -> bool:
        """Emit where more has to be looked at."""
        if not isinstance(event, MetricsEvent):
            _not_an_event(event)
        record = self._record(event, None, bound)
        return record is not None and self._logger.put(record)

    async def aemit(self, event: MetricsEvent, /, **bound: Any) -> bool:
        """Emit as :meth:`emit`, without holding up the event loop where the log may block."""
        if not isinstance(event, MetricsEvent):
            _not_an_event(event)
        record = self._record(event, None, bound)
        return record is not None and await self._put_async(self._logger.put, record)

    # -- plain lines ---------------------------------------------------------------------

    def log(self, level: int | str, event: Any, *args: Any, **kw: Any) -> None:
        """Log at ``level``, a name or a number of the stdlib."""
        self._log(_level_name(level), event, args, kw)

    async def alog(self, level: int | str, event: Any, *args: Any, **kw: Any) -> None:
        """Log as :meth:`log`, without holding up the event loop."""
        await self._alog(_level_name(level), event, args, kw)

    def exception(self, event: Any, *args: Any, **kw: Any) -> None:
        """Log an error with the exception being handled (as text, without locals)."""
        kw.setdefault("exc_info", True)
        self._log("error", event, args, kw)

    async def aexception(self, event: Any, *args: Any, **kw: Any) -> None:
        """Log as :meth:`exception`, without holding up the event loop."""
        kw.setdefault("exc_info", True)
        await self._alog("error", event, args, kw)

    def is_enabled_for(self, level: int) -> bool:
        """Tell whether lines of this stdlib level are emitted."""
        return level >= self._logger.level

    def get_effective_level(self) -> int:
        """Return the stdlib number of the lowest level that is emitted."""
        return self._logger.level

    isEnabledFor = is_enabled_for  # noqa: N815 - as structlog and the stdlib name them
    getEffectiveLevel = get_effective_level  # noqa: N815

    def _log(self, level: str, event: Any, args: tuple[Any, ...], kw: dict[str, Any]) -> None:
        if LEVELS[level] < self._logger.level:
            return
        if args:
            event = _interpolate(event, args)
        record = self._record(event, level, kw)
        if record is not None:
            self._put_of(record)(record)

    async def _alog(self, level: str, event: Any, args: tuple[Any, ...], kw: dict[str, Any]) -> None:
        if LEVELS[level] < self._logger.level:
            return
        if args:
            event = _interpolate(event, args)
        record = self._record(event, level, kw)
        if record is not None:
            await self._put_async(self._put_of(record), record)

    def _put_of(self, record: QueuedRecord) -> Callable[[QueuedRecord], bool]:
        return self._logger.put if isinstance(record.event, MetricsEvent) else self._logger.put_plain

    async def _put_async(self, put: Callable[[QueuedRecord], bool], record: QueuedRecord) -> bool:
        if not self._logger.may_block:
            return put(record)
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(None, context.run, put, record)

    # -- one record ----------------------------------------------------------------------

    def _record(
        self, event: Any, level: str | None, kw: dict[str, Any], time_ns: int | None = None
    ) -> QueuedRecord | None:
        """Return what is queued, with everything read that may change after the call; None for a dropped one."""
        if isinstance(event, MetricsEvent):
            require_kind(event)
        context: Mapping[str, Any] = self._context
        by_reference = True
        if _CONTEXT_VARS:
            kw = _with_context_vars(context, kw)
        if self._processors:
            try:
                event, kw = self._processed(level or level_of(event), event, kw)
            except DropEvent:
                return None
            context, by_reference = _NOTHING, False  # the keys of processors may be anything
            if isinstance(event, MetricsEvent):
                require_kind(event)  # a processor may have put another in its place
        elif not self._scalar:
            context = freeze_mapping(context)
        exception = _take_exception(kw) if "exc_info" in kw or "stack_info" in kw else None
        beside = kw if by_reference and all_scalar(kw) else freeze_mapping(kw)
        if isinstance(event, (ChatEvent, ForwardEvent)):
            return QueuedRecord(event, beside, context, level, None, exception)
        if not isinstance(event, MetricsEvent):
            event, level = freeze_text(event), level or "info"
        return QueuedRecord(event, beside, context, level, time_ns or self._logger.time_ns(), exception)

    def _goes_as_it_is(self, values: Iterable[Any]) -> bool:
        """Tell whether a plain line takes no more than its text and ``values``. Raises what a value's type raises."""
        return self._scalar and not self._processors and not _CONTEXT_VARS and _are_scalars(map(type, values))

    def _processed(self, method_name: str, event: Any, kw: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Run the user's processors. A renderer among them makes a plain line of its text."""
        args, processed = self._process_event(method_name, event, kw)
        beside = dict(processed)
        event = args[0] if args else beside.pop("event", "")
        return (bytes(event).decode("utf-8", "replace") if isinstance(event, (bytes, bytearray)) else event), beside

    # -- structlog -----------------------------------------------------------------------

    def new(self, **new_values: Any) -> Self:
        """Return a logger with only ``new_values`` bound; unlike structlog's, it leaves this one as it is."""
        return self.__class__(self._logger, self._processors, self._context.__class__(**new_values))

    # -- the log -------------------------------------------------------------------------

    def stats(self) -> Stats:
        """Return one snapshot of the counters."""
        return self._pipeline.stats()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait up to ``timeout`` seconds until all that was emitted before is in the file; tell whether it is."""
        return self._pipeline.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is queued and end the log, in ``timeout`` seconds; tell whether all was written.

        Later calls of any logger of this log are counted as ``closed``.
        """
        return self._pipeline.close(timeout)

    async def aflush(self, timeout: float = 5.0) -> bool:
        """Flush as :meth:`flush`, without holding up the event loop."""
        return await asyncio.to_thread(self.flush, timeout)

    async def aclose(self, timeout: float = 5.0) -> bool:
        """Close as :meth:`close`, without holding up the event loop."""
        return await asyncio.to_thread(self.close, timeout)

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._pipeline.path

    @property
    def _pipeline(self) -> Pipeline:
        pipeline = self._logger.pipeline
        if pipeline is None:
            msg = "no log is configured; call bamboo_logmetrics.configure(path) first"
            raise ConfigError(msg)
        return pipeline

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.aclose()

    if TYPE_CHECKING:
        # made below, one pair for each level

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


def _methods(level: str) -> tuple[_Method, _AsyncMethod]:
    number = LEVELS[level]

    def method(self: BoundLog, event: Any, *args: Any, **kw: Any) -> None:
        outlet = self._logger
        if number < outlet.level:
            return
        try:
            quick = (
                not args and type(event) is str and self._scalar and not self._processors and not _CONTEXT_VARS
                and "exc_info" not in kw and "stack_info" not in kw and _are_scalars(map(type, kw.values()))
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - even a type may refuse to be hashed
            quick = False
        if quick:
            outlet.put_plain(QueuedRecord(event, kw, self._context, level, outlet.time_ns()))
        else:
            self._log(level, event, args, kw)

    async def amethod(self: BoundLog, event: Any, *args: Any, **kw: Any) -> None:
        await self._alog(level, event, args, kw)

    method.__name__, amethod.__name__ = level, f"a{level}"
    method.__doc__ = f"Log text, or an event, at level {level}; ``exc_info`` and ``stack_info`` as in structlog."
    amethod.__doc__ = f"Log at level {level} without holding up the event loop."
    return method, amethod


_ALIASES = {"info": ("msg",), "warning": ("warn",), "error": ("err",), "critical": ("fatal",)}

for _name in LEVELS:
    _plain_method, _async_method = _methods(_name)
    for _alias in (_name, *_ALIASES.get(_name, ())):
        setattr(BoundLog, _alias, _plain_method)
        setattr(BoundLog, f"a{_alias}", _async_method)


def _level_name(level: int | str) -> str:
    name = level.lower() if isinstance(level, str) else _NUMBERS.get(level, "")
    if name in LEVELS:
        return name
    msg = f"level must be one of {', '.join(LEVELS)}, or a number of the stdlib; got {level!r}"
    raise ValueError(msg)


def _not_an_event(event: object) -> NoReturn:
    msg = f"emit() takes an event such as ToolCalled(...); got {type(event).__name__}. For text call log.info(text)."
    raise TypeError(msg)


def _interpolate(event: Any, args: tuple[Any, ...]) -> Any:
    """Fill ``%s`` as structlog and the stdlib do. Raises TypeError where they do not fit."""
    if isinstance(event, MetricsEvent):
        msg = f"{type(event).__name__} takes no positional arguments beside it; bind them by name"
        raise TypeError(msg)
    if len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        return event % args[0]
    return event % args


def _with_context_vars(context: Mapping[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    """Add what structlog's context variables hold; what is bound or given in the call wins."""
    held = structlog.contextvars.get_contextvars()
    return beside | {key: value for key, value in held.items() if key not in context and key not in beside}


def _take_exception(kw: dict[str, Any]) -> str | None:
    """Take ``exc_info`` and ``stack_info`` out of a call's keywords, as text."""
    if kw.pop("stack_info", False):
        kw["stack"] = "".join(traceback.format_stack(sys._getframe(3))).rstrip()
    exc_info = kw.pop("exc_info", None)
    return None if exc_info is None or exc_info is False else format_exception(exc_info)


def format_exception(exc_info: Any) -> str | None:
    """Return an exception's traceback as text, without locals; None if there is none.

    Args:
        exc_info: True for the one being handled, an exception, or a tuple as ``sys.exc_info()`` gives.
    """
    if isinstance(exc_info, tuple):
        error = exc_info[1] if len(exc_info) > 1 else None
    else:
        error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    if not isinstance(error, BaseException):
        return None
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip("\n")
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return f"<unprintable {type(error).__name__}>"
