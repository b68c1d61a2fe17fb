"""Scopes as decorators of functions, coroutine functions, generators and asynchronous generators.

The scope of a generator is open from the first step to the end, and is the current one only while a step runs: what
the consumer does between two steps is outside.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bamboo_logmetrics.logger.scope_context import swap

if TYPE_CHECKING:
    from bamboo_logmetrics.logger.scope import Scope

    NewScope = Callable[[], Scope]

F = TypeVar("F", bound=Callable[..., Any])


def decorated(function: F, new_scope: NewScope) -> F:
    """Return ``function`` so that each of its calls is a scope of its own.

    Args:
        function: the function.
        new_scope: returns a scope for one call.

    Raises TypeError for a class, and for anything else that is no function.
    """
    if isinstance(function, (staticmethod, classmethod)):
        kind: Any = type(function)
        return cast("F", kind(decorated(function.__func__, new_scope)))
    if isinstance(function, type) or not callable(function):
        shown = getattr(function, "__name__", type(function).__name__)
        msg = f"a scope decorates a function; got {shown}. Decorate the function or method that does the work."
        raise TypeError(msg)
    forms = (function, getattr(function, "__call__", None))  # noqa: B004 - the second one for an object that is called like a function
    if any(map(inspect.iscoroutinefunction, forms)):
        wrapper = _coroutine_function
    elif any(map(inspect.isasyncgenfunction, forms)):
        wrapper = _async_generator_function
    elif any(map(inspect.isgeneratorfunction, forms)):
        wrapper = _generator_function
    else:
        wrapper = _function
    return cast("F", wraps(function)(wrapper(function, new_scope)))


def _function(function: Callable[..., Any], new_scope: NewScope) -> Callable[..., Any]:
    def call(*args: Any, **kw: Any) -> Any:
        with new_scope():
            return function(*args, **kw)

    return call


def _coroutine_function(function: Callable[..., Any], new_scope: NewScope) -> Callable[..., Any]:
    async def call(*args: Any, **kw: Any) -> Any:
        async with new_scope():
            return await function(*args, **kw)

    return call


def _generator_function(function: Callable[..., Any], new_scope: NewScope) -> Callable[..., Any]:
    def call(*args: Any, **kw: Any) -> Generator[Any, Any, Any]:
        with new_scope() as scope:
            inside = swap(scope.around)
            generator = function(*args, **kw)
            step, value = generator.send, None
            while True:
                outside = swap(inside)
                try:
                    item = step(value)
                except StopIteration as stop:
                    return stop.value
                finally:
                    inside = swap(outside)
                try:
                    step, value = generator.send, (yield item)
                except GeneratorExit:
                    outside = swap(inside)
                    try:
                        generator.close()
                    finally:
                        swap(outside)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown by the consumer: it is for the generator
                    step, value = generator.throw, error

    return call


def _async_generator_function(function: Callable[..., Any], new_scope: NewScope) -> Callable[..., Any]:
    async def call(*args: Any, **kw: Any) -> AsyncGenerator[Any, Any]:
        async with new_scope() as scope:
            inside = swap(scope.around)
            generator = function(*args, **kw)
            step, value = generator.asend, None
            while True:
                outside = swap(inside)
                try:
                    item = await step(value)
                except StopAsyncIteration:
                    return
                finally:
                    inside = swap(outside)
                try:
                    step, value = generator.asend, (yield item)
                except GeneratorExit:
                    outside = swap(inside)
                    try:
                        await generator.aclose()
                    finally:
                        swap(outside)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown by the consumer: it is for the generator
                    step, value = generator.athrow, error

    return call
