"""Scopes as decorators: a scope for each call of a function, of any kind."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect

import pytest
from support.tools import Turn, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.scope_context import current_round, current_session, current_tool


def events(log, path):
    log.close()
    return [(line["event"].partition(".")[2], line.get("status", line.get("success"))) for line in typed(path)]


def test_a_function(log, path):
    """Each call is a scope of its own, with the function's arguments, result and name."""

    @log.tool("add")
    def add(a, *, b):
        """Add."""
        return a + b

    assert [add(1, b=2), add(3, b=4)] == [3, 7]
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    with pytest.raises(TypeError):
        add("a", b=1)
    assert events(log, path) == [("tool_called", True), ("tool_called", True), ("tool_called", False)]
    assert len({line["tool_call_id"] for line in typed(path)}) == 3


def test_a_method_that_calls_itself(log, path):
    """A decorated method gets its object, and a recursion nests its scopes."""

    class Agent:
        @log.session(model="m", user="u")
        def run(self, depth):
            return current_session() if not depth else self.run(depth - 1)

    assert not Agent().run(1).is_open
    found = events(log, path)
    assert found == [("session_started", None)] * 2 + [("session_completed", "completed")] * 2
    assert typed(path)[1]["parent_session_id"] == typed(path)[0]["session_id"]
    assert {line["user"] for line in typed(path)} == {"u"}


def test_decorated_before_configure(unconfigured, path):
    """A function that is decorated at import writes to the log that is configured later."""

    @blm.get_logger().tool("t")
    def work():
        return current_tool().tool_name

    blm.configure(path)
    assert work() == "t"
    blm.close()
    assert [line["event"] for line in typed(path)] == ["chat.tool_called"]


def test_a_coroutine_function(log, path):
    """A decorated coroutine function is one still; its scopes run at the same time."""

    @log.round(model="m", round_id="r")
    async def ask(number):
        before = current_round()
        await Turn()
        assert current_round() is before
        return number

    assert inspect.iscoroutinefunction(ask)

    async def main():
        return await asyncio.gather(ask(1), ask(2))

    assert asyncio.run(main()) == [1, 2]
    assert [name for name, _ in events(log, path)] == ["round_started"] * 2 + ["round_completed"] * 2


def test_a_request_as_a_decorator(log, path):
    """A decorated request has the same arguments at each call."""

    @log.request(endpoint="e", model="m", is_stream=True, provider="p")
    def send():
        pass

    send()
    send()
    assert [name for name, _ in events(log, path)] == ["request_started", "request_completed"] * 2
    assert [line["provider"] for line in typed(path)] == ["p"] * 4
    assert len({line["request_id"] for line in typed(path)}) == 2


def make_generators(log):
    """Return a decorated generator function, and an asynchronous one; both record what is thrown or closed."""
    seen = []

    @log.round(model="m")
    def steps(count):
        with log.tool("inside") as tool:
            for number in range(count):
                try:
                    seen.append((yield number))
                except ValueError as error:
                    seen.append(str(error))
                except GeneratorExit:
                    seen.append("closed")
                    raise
                assert current_tool() is tool
        return "end"

    @log.round(model="m")
    async def async_steps(count):
        async with log.tool("inside") as tool:
            for number in range(count):
                try:
                    seen.append((yield number))
                except ValueError as error:
                    seen.append(str(error))
                except GeneratorExit:
                    seen.append("closed")
                    raise
                await Turn()
                assert current_tool() is tool

    return steps, async_steps, seen


WHOLE = [("round_started", None), ("tool_called", True), ("round_completed", "success")]


def test_a_generator(log, path):
    """A decorated generator takes what is sent and thrown, and returns its value; between steps the scope is not current."""
    steps, _, seen = make_generators(log)
    assert inspect.isgeneratorfunction(steps)
    generator = steps(3)
    assert next(generator) == 0
    assert (current_round(), current_tool()) == (None, None)
    assert generator.send("a") == 1
    assert generator.throw(ValueError("b")) == 2
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "end"
    assert seen == ["a", "b", None]
    assert events(log, path) == WHOLE


def test_an_async_generator(log, path):
    """The same for an asynchronous generator."""
    _, steps, seen = make_generators(log)
    assert inspect.isasyncgenfunction(steps)

    async def main():
        generator = steps(3)
        assert await generator.asend(None) == 0
        assert (current_round(), current_tool()) == (None, None)
        assert await generator.asend("a") == 1
        assert await generator.athrow(ValueError("b")) == 2
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)

    asyncio.run(main())
    assert seen == ["a", "b", None]
    assert events(log, path) == WHOLE


@pytest.mark.parametrize("way", ["close", "drop", "loop"])
def test_a_generator_that_is_left(log, path, way):
    """A generator that the consumer leaves is closed early, which is no failure."""
    steps, _, seen = make_generators(log)
    if way == "loop":
        for _ in steps(3):
            break
    else:
        generator = steps(3)
        next(generator)
        if way == "close":
            generator.close()
        del generator
    gc.collect()
    assert seen == ["closed"]
    assert events(log, path) == WHOLE
    assert typed(path)[2]["stream_end"] == "closed"


@pytest.mark.parametrize("way", ["aclose", "leave"])
def test_an_async_generator_that_is_left(log, path, way):
    """An asynchronous generator is closed early by the consumer, or by the loop once it is dropped."""
    _, steps, seen = make_generators(log)

    async def main():
        generator = steps(3)
        await generator.asend(None)
        if way == "aclose":
            await generator.aclose()
        del generator
        while not seen:
            await Turn()

    asyncio.run(main())
    assert seen == ["closed"]
    assert events(log, path) == WHOLE
    assert typed(path)[2]["stream_end"] == "closed"


def test_an_async_generator_that_the_loop_cancels(log, path):
    """An asynchronous generator that is open when its loop ends is cancelled with the other tasks."""
    _, steps, _ = make_generators(log)

    async def main():
        await steps(3).asend(None)

    asyncio.run(main())
    assert [name for name, _ in events(log, path)] == ["round_started", "tool_called", "round_completed"]


def test_generators_that_take_turns(log):
    """Two generators that run in turns each see their own scope."""

    @log.round(model="m")
    def steps():
        before = current_round()
        for _ in range(3):
            yield current_round() is before

    assert all(a and b for a, b in zip(steps(), steps(), strict=True))


def test_a_generator_that_fails(log, path):
    """An exception of the generator is the scope's, and one that it does not catch goes through."""
    steps, _, _ = make_generators(log)
    generator = steps(3)
    next(generator)
    with pytest.raises(LookupError):
        generator.throw(LookupError("x"))
    assert events(log, path) == [("round_started", None), ("tool_called", False), ("round_completed", "error")]


def test_an_async_generator_without_its_loop(log, path):
    """An asynchronous generator whose loop was dropped ends its scope when it is collected."""
    _, steps, _ = make_generators(log)
    generator = steps(3)
    coroutine = generator.asend(None)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    del generator, coroutine
    gc.collect()
    assert events(log, path) == WHOLE


def test_a_generator_that_is_never_started(log, path):
    """A generator that was made and not started has no events."""
    steps, _, _ = make_generators(log)
    steps(3)
    assert events(log, path) == []


def test_methods_of_a_class(log, path):
    """A static method and a class method stay what they are, in whatever order they are decorated."""

    class Tools:
        @log.tool("a")
        @staticmethod
        def first(value):
            return value

        @log.tool("b")
        @classmethod
        def second(cls, value):
            return cls, value

        @classmethod
        @log.tool("c")
        def third(cls, value):
            return cls, value

    assert (Tools.first(1), Tools().first(2)) == (1, 2)
    assert (Tools.second(1), Tools().third(2)) == ((Tools, 1), (Tools, 2))
    assert events(log, path) == [("tool_called", True)] * 4


def test_objects_that_are_called(log, path):
    """An object with an asynchronous call, and a partial function, are decorated as what they return."""

    class Asking:
        async def __call__(self, value):
            await Turn()
            return current_round(), value

    call, value = asyncio.run(log.round(model="m")(Asking())(1))
    assert (call.model, value) == ("m", 1)
    assert asyncio.run(log.round(model="m")(functools.partial(Asking().__call__, 2))())[1] == 2
    assert [name for name, _ in events(log, path)] == ["round_started", "round_completed"] * 2


@pytest.mark.parametrize("thing", [int, 5, None], ids=str)
def test_what_is_no_function(log, thing):
    """A class, or anything that cannot be called, is an error."""
    with pytest.raises(TypeError, match="decorates a function"):
        log.tool("t")(thing)
