"""The open scopes of a context: threads, executors, tasks, generators, and who counts a call."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from support.tools import Turn

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger import scope_context
from bamboo_logmetrics.logger.scope_context import (
    _chain,
    current_request,
    current_round,
    current_session,
    current_tool,
    is_observed,
    observing,
)


def in_thread(function):
    """Run a function in a thread and return its result."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def length():
    """Return the length of this context's chain."""
    link, count = _chain.get(), 0
    while link is not None:
        link, count = link[1], count + 1
    return count


def test_a_thread_begins_without_scopes(log):
    """A plain thread has no scopes; carry brings those of the moment when it was called."""
    with log.session(model="m") as session, log.round(model="m") as call:
        assert in_thread(current_session) is None
        carried = blm.carry(lambda: (current_session(), current_round(), current_tool()))
        with log.tool("later"):
            assert in_thread(carried) == (session, call, None)
    assert in_thread(carried) == (None, None, None)


def test_carry_in_a_pool(log):
    """A carried function runs in many threads at once, each with a context of its own."""
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait(30)
        with log.tool(f"t-{number}") as tool:
            barrier.wait(30)
            return current_tool() is tool and current_session().session_id

    with log.session(model="m", session_id="s"), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(blm.carry(work), range(4))) == ["s"] * 4
        assert current_tool() is None


def test_carry_takes_all_context_variables(log):
    """A carried function sees structlog's variables and any other too, and keeps its name and its arguments."""
    variable = contextvars.ContextVar("variable")
    variable.set(1)
    structlog.contextvars.bind_contextvars(user="u")

    def work(a, *, b):
        """Work."""
        return a, b, variable.get(), structlog.contextvars.get_contextvars()

    carried = blm.carry(work)
    assert (carried.__name__, carried.__doc__) == ("work", "Work.")
    assert in_thread(lambda: carried(1, b=2)) == (1, 2, 1, {"user": "u"})


def test_carry_a_coroutine_function(log):
    """A carried coroutine function has the scopes in the event loop of another thread."""

    async def work():
        await Turn()
        return current_session()

    with log.session(model="m") as session:
        carried = blm.carry(work)
        assert inspect.iscoroutinefunction(carried)
        assert in_thread(lambda: asyncio.run(carried())) is session
        assert in_thread(lambda: asyncio.run(work())) is None


def test_carry_takes_no_generator(log):
    """A generator function, whose steps run where they are asked for, is an error that names the way."""

    def steps():
        yield

    async def async_steps():
        yield

    for function in (steps, async_steps):
        with pytest.raises(TypeError, match=f"got the generator {function.__name__}"):
            blm.carry(function)


def test_tasks_and_to_thread_need_no_help(log):
    """A task and ``asyncio.to_thread`` have the scopes of where they were started, and end their own."""

    async def main():
        async with log.session(model="m") as session:
            assert await asyncio.to_thread(current_session) is session
            task = asyncio.ensure_future(within(session))
            assert current_round() is None
            await task
            assert current_round() is None

    async def within(session):
        assert current_session() is session
        async with log.round(model="m") as call:
            await Turn()
            assert current_round() is call

    asyncio.run(main())


def test_a_task_that_outlives_its_session(log):
    """A task that goes on after the session of its creator has ended has no session."""

    async def main():
        ended = asyncio.Event()

        async def late():
            await ended.wait()
            return current_session()

        async with log.session(model="m") as session:
            task = asyncio.ensure_future(late())
            await Turn()
        ended.set()
        assert await task is None
        assert not session.is_open

    asyncio.run(main())


def test_a_generator_that_is_closed_in_another_context(log):
    """A scope inside a generator ends in whatever context the generator is closed in; nothing is raised."""

    def stream():
        with log.round(model="m"):
            yield 1
            yield 2

    generator = stream()
    with log.session(model="m") as session:
        next(generator)
        contextvars.copy_context().run(generator.close)
        assert current_round() is None
        assert current_session() is session


def test_an_async_generator_that_is_left(log):
    """An asynchronous generator that is left open is closed by the loop in another task; its scope ends."""
    seen = []

    async def stream():
        async with log.round(model="m") as call:
            seen.append(call)
            yield 1
            yield 2

    async def main():
        async for _ in stream():
            break

    asyncio.run(main())
    gc.collect()
    assert not seen[0].is_open


def test_scopes_that_end_out_of_order(log):
    """A scope that ends before one inside it leaves the inner one current, and then the one around both."""
    with log.session(model="m") as session:
        first, second = log.round(model="m").__enter__(), log.round(model="m").__enter__()
        first.__exit__(None, None, None)
        assert current_round() is second
        second.__exit__(None, None, None)
        assert current_round() is None
        assert current_session() is session


def test_the_chain_does_not_grow(log):
    """Scopes that end out of order or are dropped leave nothing behind in the context."""
    for _ in range(50):
        first, second = log.round(model="m").__enter__(), log.tool("t").__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        log.tool("dropped").__enter__()
    with log.session(model="m"):
        assert length() == 1


def test_who_counts_a_call(log):
    """A call inside a request scope or an observer is observed; scopes of other kinds begin anew."""
    assert not is_observed()
    with observing() as observer:
        assert is_observed()
        with log.tool("t"):
            assert not is_observed()
            with log.request(endpoint="e", model="m") as request:
                assert is_observed()
                assert current_request() is request
                with observing():
                    assert current_request() is request
        assert is_observed()
        assert observer.is_open
    assert not is_observed()


def test_a_request_that_is_observed_emits_nothing(log, path):
    """A request scope inside an observer is not counted a second time."""
    with observing(), log.request(endpoint="e", model="m"):
        pass
    assert log.stats().emitted == 0


def test_an_observer_that_has_ended(log):
    """A task that was created inside an observer is not observed for ever."""

    async def main():
        ended = asyncio.Event()

        async def late():
            await ended.wait()
            return is_observed()

        with observing():
            task = asyncio.ensure_future(late())
            await Turn()
        ended.set()
        assert not await task

    asyncio.run(main())


def test_scopes_that_overlap_leave_nothing_behind(log):
    """Scopes of which the next is entered before the one before ends do not make the chain longer and longer."""
    before = log.tool("t")
    before.__enter__()
    for _ in range(200):
        tool = log.tool("t")
        tool.__enter__()
        before.__exit__(None, None, None)
        before = tool
    length, link = 0, scope_context._chain.get()
    while link is not None:
        length, link = length + 1, link[1]
    before.__exit__(None, None, None)
    assert length <= 3
