"""The base of scopes: enter, end exactly once, and emit.

Every open scope is in a dictionary of its log's target. Whoever takes it out ends it, in one step: the end of the
block, the garbage collector, or the closing of the log. So there is one terminal event, without a lock.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from uuid_utils import uuid4

from bamboo_logmetrics.logger.context_vars import CONTEXT_VARS, merge
from bamboo_logmetrics.logger.scope_context import Entry
from bamboo_logmetrics.logger.scope_functions import decorated
from bamboo_logmetrics.logger.scope_outcome import (
    ERROR,
    GARBAGE_COLLECTED,
    LOG_CLOSED,
    RETURNED,
    SUCCESS,
    Outcome,
    outcome_of,
    text_of_error,
)
from bamboo_logmetrics.pipeline import process

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from bamboo_logmetrics.events import MetricsEvent
    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.logger.scopes import SessionScope

    Emission = tuple[MetricsEvent, dict[str, Any]]

F = TypeVar("F", bound=Callable[..., Any])


class Scope(Entry, ABC):
    """A block of code whose beginning and end are events: a context manager, plain or asynchronous, and a decorator.

    A scope is entered once. As a decorator it is the pattern of a new scope for each call.

    Args:
        log: the logger that emits the events.
        bound: values to write beside the fields of the events.
    """

    # values of the class as defaults: most scopes never set these
    _exited = False  # True after the end of the block
    _failure: Outcome | None = None
    _pid = 0  # of the process that it belongs to, as the hooks of forks know it

    def __init__(self, log: BoundLog, bound: dict[str, Any]) -> None:
        self._log = log
        self._bound = bound

    # -- for the application -------------------------------------------------------------

    def bind(self, **values: Any) -> Self:
        """Write ``values`` beside the fields of the events that this scope has still to emit; return the scope."""
        self.check_open("bind()")
        self._bound = {**self._bound, **values}
        return self

    def fail(self, error: BaseException | str, *, error_type: str | None = None) -> None:
        """Mark the scope as failed although its block may end without an exception.

        Args:
            error: the exception that was handled, or a text.
            error_type: a short name for the kind of failure; that of the exception when left out.
        """
        self.check_open("fail()")
        if isinstance(error, BaseException):
            outcome = outcome_of(error)
            status = ERROR if outcome.status == SUCCESS else outcome.status
            text = outcome.error or text_of_error(error)
            name = error_type or outcome.error_type or type(error).__name__
            self._failure = Outcome(status, name, text, outcome.status_code)
        else:
            self._failure = Outcome(ERROR, error_type or "error", str(error), described=True)

    def __call__(self, function: F) -> F:  # noqa: D102 - see the class
        if self.is_open is not None:
            msg = f"a {self.kind} scope that was entered is no decorator; {self._remedy()}"
            raise RuntimeError(msg)
        return decorated(function, self._again)

    def __enter__(self) -> Self:
        started = self._open()
        if started is not None:
            self._emit(started)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._exited = True
        for emission in self._close(RETURNED if error is None else outcome_of(error)):
            self._emit(emission)

    async def __aenter__(self) -> Self:
        started = self._open()
        if started is not None:
            try:
                await self._emit_async([started])
            except BaseException as error:  # cancelled while the disk is waited for: there will be no __aexit__
                self._end(outcome_of(error))
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._exited = True
        if isinstance(error, GeneratorExit):  # a coroutine that is being closed must not wait
            self._end(outcome_of(error))
        else:
            await self._emit_async(self._close(RETURNED if error is None else outcome_of(error)))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a copy of an agent is within the same block

    def __del__(self) -> None:
        """End a scope that was entered by hand and dropped."""
        if self.is_open:
            self._end(GARBAGE_COLLECTED)
            pipeline = self._log._logger.pipeline
            if pipeline is not None:
                pipeline.scope_collected()

    # -- what the kinds of scopes define ---------------------------------------------------

    @abstractmethod
    def _begin(self) -> Emission | None:
        """Find the place of the scope, and return the event of its start, if it has one."""

    @abstractmethod
    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Emission]:
        """Return the events of the end."""

    @abstractmethod
    def _again(self) -> Self:
        """Return a new scope like this one, for one call of a decorated function."""

    def _find_session(self, session_id: str | None, session: SessionScope | None) -> str:
        """Return the id of the session that a scope belongs to, and bind a word about one that has to be made."""
        found_id = session_id or (session.session_id if session is not None else bound_id(self._log, "session_id"))
        if not found_id:
            self._bound.setdefault("session_source", "missing")
        return found_id or str(uuid4())

    # -- one beginning, one end ------------------------------------------------------------

    def _open(self) -> Emission | None:
        if self.is_open is not None:
            msg = f"a {self.kind} scope is entered once; {self._remedy()}"
            raise RuntimeError(msg)
        started = self._begin()
        target = self._log._logger
        pipeline = target.pipeline
        self._monotonic = time.monotonic if pipeline is None else pipeline.options.clock.monotonic
        self._pid = process._pid
        self._started = self._monotonic()
        target.scopes[id(self)] = self._push()  # from here on another thread may end it
        return started

    def _close(self, outcome: Outcome) -> list[Emission]:
        """Return the events of the end; none if the scope has been ended otherwise, or belongs to a parent process."""
        self._pop()
        claimed = self._log._logger.scopes.pop(id(self), None)
        if claimed is None or self._pid != process._pid:
            return []
        if self._failure is not None and outcome.status == SUCCESS:
            outcome = self._failure
        try:
            return self._terminal(outcome, int((self._monotonic() - self._started) * 1000))
        except Exception as error:  # noqa: BLE001 - a block of the application never fails because of its scope
            self._report(error)
            return []

    def _end(self, outcome: Outcome) -> None:
        for emission in self._close(outcome):
            self._emit(emission)

    def end_with_log(self) -> None:
        """End the scope because its log is being closed; the block goes on without it."""
        self._end(LOG_CLOSED)

    def check_open(self, call: str) -> None:
        """Raise RuntimeError if the block has ended, so that a call would have no effect."""
        if self._exited:
            msg = f"this {self.kind} has ended: use {call} inside its block"
            raise RuntimeError(msg)

    def _remedy(self) -> str:
        return f"call log.{self.kind}(...) for each block"

    # -- emitting --------------------------------------------------------------------------

    def _emit(self, emission: Emission) -> None:
        event, bound = emission
        try:
            if bound:
                self._log.emit(event, **bound)
            else:
                self._log.emit(event)
        except Exception as error:  # noqa: BLE001 - of the application's processors
            self._report(error)

    async def _emit_async(self, emissions: list[Emission]) -> None:
        """Emit without blocking the event loop where the log may wait for room or for the disk."""
        left = list(reversed(emissions))
        try:
            while left:
                emission = left.pop()
                if not self._log._logger.may_block:
                    self._emit(emission)
                    continue
                event, bound = emission
                try:
                    await self._log.aemit(event, **bound)
                except RuntimeError:  # no event loop of asyncio, or it is ending
                    self._emit(emission)
                except Exception as error:  # noqa: BLE001 - of the application's processors
                    self._report(error)
        finally:
            while left:  # cancelled: the event before is on its way
                self._emit(left.pop())

    def _report(self, error: Exception) -> None:
        self._log._logger.report(
            f"an event of a {self.kind} scope was not emitted: {type(error).__name__}: {text_of_error(error)}"
        )


def bound_id(log: BoundLog, name: str) -> str | None:
    """Return an id that is bound to a logger, or by structlog's context variables."""
    context: Mapping[str, Any] = log._context
    if CONTEXT_VARS:
        context = merge(context, log._merged)[0]
    value = context.get(name)
    return value if type(value) is str and value else None
