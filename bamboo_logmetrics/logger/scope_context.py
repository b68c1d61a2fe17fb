"""The scopes that are open in this thread or task, innermost first.

One context variable holds a chain of entries. It refers to each of them weakly, so that a scope that is dropped is
collected, whatever task or thread still has the context. An entry that has ended is skipped, so nothing depends on the
order in which scopes end, nor on the context in which they do.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TypeAlias

    from typing_extensions import Self

    from bamboo_logmetrics.logger.scopes import RequestScope, RoundScope, SessionScope, ToolScope

    Chain: TypeAlias = "tuple[weakref.ref[Entry], Chain] | None"

F = TypeVar("F", bound=Callable[..., Any])

_chain: ContextVar[Chain] = ContextVar("bamboo_logmetrics_scopes", default=None)

SESSION, ROUND, TOOL, REQUEST, OBSERVER = "session", "round", "tool", "request", "observer"
_OF_THE_CALL = (REQUEST, OBSERVER)


class Entry:
    """An entry of the chain: a scope, or the mark of :func:`observing`."""

    kind: ClassVar[str]
    is_open: bool | None = None  # None: not entered yet
    _link: Chain = None

    def _push(self) -> weakref.ref[Entry]:
        """Become the innermost entry of this context, and return a reference to it."""
        self.is_open = True
        outer = _chain.get()
        if outer is not None:
            outer = _first_open(outer)
        if outer is not None and outer[1] is not None:  # what ended behind it goes too: scopes may overlap for ever
            outer = (outer[0], _first_open(outer[1]))
        ref = weakref.ref(self)
        link = self._link = (ref, outer)
        _chain.set(link)
        return ref

    @property
    def around(self) -> Chain:
        """The chain of the context in which the entry was entered."""
        return None if self._link is None else self._link[1]

    def _pop(self) -> None:
        """Leave the chain, here and wherever else it is."""
        self.is_open = False
        link = _chain.get()
        if link is not None and link is self._link:
            _chain.set(link[1])


def swap(chain: Chain) -> Chain:
    """Set the chain of this context, and return the one before, to be put back."""
    before = _chain.get()
    _chain.set(chain)
    return before


def _first_open(link: Chain) -> Chain:
    while link is not None:
        entry = link[0]()
        if entry is not None and entry.is_open:
            break
        link = link[1]
    return link


def surroundings() -> tuple[SessionScope | None, RoundScope | None, ToolScope | None]:
    """Return the innermost open session of this context, and within it the innermost open round and tool, or None."""
    call = tool = None
    link = _chain.get()
    while link is not None:
        entry: Any = link[0]()
        if entry is not None and entry.is_open:
            kind = entry.kind
            if kind == SESSION:
                return entry, call, tool
            if kind == ROUND:
                call = call or entry
            elif kind == TOOL:
                tool = tool or entry
        link = link[1]
    return None, call, tool


def current_session() -> SessionScope | None:
    """Return the innermost open session of this context, or None."""
    return surroundings()[0]


def current_round() -> RoundScope | None:
    """Return the innermost open round of this context's session, or None."""
    return surroundings()[1]


def current_tool() -> ToolScope | None:
    """Return the innermost open tool call of this context's session, or None."""
    return surroundings()[2]


def current_request() -> RequestScope | None:
    """Return the request scope that a call made now belongs to, or None.

    A session, a round or a tool that was opened inside a request is outside of its call.
    """
    link = _chain.get()
    while link is not None:
        entry: Any = link[0]()
        if entry is not None and entry.is_open and entry.kind != OBSERVER:
            return entry if entry.kind == REQUEST else None
        link = link[1]
    return None


class _Observer(Entry):
    kind = OBSERVER

    def __enter__(self) -> Self:
        self._push()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._pop()


def observing() -> _Observer:
    """Return a context manager inside which :func:`is_observed` is True: its owner counts the call.

    ::

        with observing():
            response = send(request)  # transports below leave this call alone
    """
    return _Observer()


def is_observed() -> bool:
    """Return True if an outer observer counts the call that is being made, so that nobody else may.

    That is a request scope, or whoever is :func:`observing`.
    """
    link = _first_open(_chain.get())
    entry = None if link is None else link[0]()
    return entry is not None and entry.kind in _OF_THE_CALL


def carry(function: F) -> F:
    """Return ``function`` so that it runs with the open scopes, and all other context variables, of this call.

    For threads and executors, which begin without them; tasks and ``asyncio.to_thread`` need no help::

        with log.session(model="gpt-5-mini"):
            executor.map(carry(work), items)

    The result may be called any number of times, also at the same time in several threads.

    Args:
        function: a function, or a coroutine function that another thread's event loop will run.

    Raises:
        TypeError: it is a generator function, whose steps run in the context of the consumer.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        msg = f"carry() takes a function; got the generator {function.__name__}. Carry the function that runs it."
        raise TypeError(msg)
    context = copy_context()
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def carried_coroutine(*args: Any, **kw: Any) -> Any:
            for variable, value in context.items():
                variable.set(value)
            return await function(*args, **kw)

        return cast("F", carried_coroutine)

    @wraps(function)
    def carried(*args: Any, **kw: Any) -> Any:
        return context.copy().run(function, *args, **kw)

    return cast("F", carried)
