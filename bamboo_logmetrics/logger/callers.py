"""The caller of a log call: stack frames outside this package, structlog and the standard library's logging."""

from __future__ import annotations

import copy
import sys
import traceback
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog.contextvars
from structlog.processors import CallsiteParameterAdder, StackInfoRenderer

if TYPE_CHECKING:
    import logging

    from structlog.typing import EventDict, Processor, WrappedLogger

_LOGGING = ("bamboo_logmetrics", "structlog", "logging", "loguru")  # packages whose frames are not the caller's
# structlog's context variable for the caller of an async method, which logs in another thread; its name is private
_ASYNC_CALLER: ContextVar[FrameType] = getattr(
    structlog.contextvars, "_ASYNC_CALLING_STACK", ContextVar("_ASYNC_CALLING_STACK")
)
_MODULE_PREFIX = "bamboo_logmetrics."  # as structlog ignores modules: by the beginning of their names


def caller_stack(record: logging.LogRecord | None = None) -> str:
    """Return the stack that ends at the caller of the log, as text.

    Args:
        record: a record of the standard library, which names its caller.
    """
    frame = _ASYNC_CALLER.get(None)
    if frame is None and record is not None:
        frame = _frame_of(record)
    if frame is None:
        frame = sys._getframe()
    while frame is not None and _is_logging(frame):
        frame = frame.f_back
    # a log call that began in no frame of the application: the whole stack
    return "".join(traceback.format_stack(frame or sys._getframe())).rstrip()


def _is_logging(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] in _LOGGING


def naming_the_caller(processor: Processor) -> Processor:
    """Return a processor that names the caller of the log, where ``processor`` would name this package.

    structlog's two processors that look at the stack skip its own frames only. The log gets copies of them that skip
    this package's frames too; any other processor is returned as it is.
    """
    if isinstance(processor, CallsiteParameterAdder):
        return CallerParameters(_ignoring_this_package(processor))
    return _ignoring_this_package(processor) if isinstance(processor, StackInfoRenderer) else processor


def _ignoring_this_package(processor: Any) -> Any:
    own = copy.copy(processor)
    ignores = processor._additional_ignores or []
    own._additional_ignores = [*ignores, *(name for name in (_MODULE_PREFIX,) if name not in ignores)]
    return own


class CallerParameters:
    """A CallsiteParameterAdder whose parameters are complete for records of the standard library too.

    structlog takes these from the record, which has no qualified names. They are those of the frame that the record
    names, if it is still on the stack.

    Args:
        adder: structlog's processor.
    """

    def __init__(self, adder: CallsiteParameterAdder) -> None:
        self._adder = adder
        names = {parameter.value for parameter, _ in adder._active_handlers}
        self._qualified = sorted(names & {"qual_name", "qual_module"})

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
        """Add the parameters to an event dictionary."""
        event_dict = self._adder(logger, method_name, event_dict)
        record = event_dict.get("_record")
        if self._qualified and record is not None and not event_dict.get("_from_structlog"):
            frame = _frame_of(record)
            if frame is not None:
                qualified = {"qual_name": _qualified_name(frame), "qual_module": frame.f_globals.get("__name__", "?")}
                event_dict.update((name, qualified[name]) for name in self._qualified)
        return event_dict


def _frame_of(record: logging.LogRecord) -> FrameType | None:
    """Return the frame that made a record; None if that function has returned, as behind a queue."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name == record.funcName and code.co_filename == record.pathname:
            return frame
        frame = frame.f_back
    return None


def _qualified_name(frame: FrameType) -> str:
    """Return the qualified name of a frame's function; Python 3.10 knows only its name."""
    name: str = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
    return name
