from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import freezegun
import pytest
import structlog
from support.tools import Turn, flat, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import GateSink, open_log_on


@pytest.fixture
def lines(log, path):
    """Return a function that returns the application's lines so far."""

    def reading():
        assert log.flush()
        return [line for line in flat(path) if line["event"] != "system.worker_started" or "source" in line]

    return reading


def test_emit_writes_a_typed_event(log, lines):
    """emit answers True and the event stands in the file with the values that are bound and those of the call."""
    assert log.bind(project="p").emit(tool(1), attempt=2) is True
    (line,) = lines()
    assert (line["event"], line["project"], line["attempt"]) == ("chat.tool_called", "p", 2)


@pytest.mark.parametrize("wrong", ["text", None, 5, blm.TokenUsage, tool])
def test_emit_takes_events_only(log, wrong):
    """emit of anything but an event is a TypeError that names the way to log text."""
    with pytest.raises(TypeError, match="log.info"):
        log.emit(wrong)
    with pytest.raises(TypeError, match="log.info"):
        asyncio.run(log.aemit(wrong))


def test_emit_is_never_filtered(open_log, path):
    """The level filter does not touch emit; it drops plain lines below it, and events logged below it."""
    log = open_log(level="error")
    log.emit(tool(1))
    log.info("no")
    log.info(tool(2))
    log.log(30, "no")
    log.error("yes")
    log.error(tool(3))
    asyncio.run(log.ainfo("no"))
    log.close()
    assert [line["event"] for line in flat(path)[1:-1]] == ["chat.tool_called", "yes", "chat.tool_called"]
    assert log.stats().emitted == 3


def test_an_event_as_the_message_keeps_its_level(log, lines):
    """log.debug(event) writes the event's own level."""
    log.debug(tool(success=False))
    assert lines()[0]["level"] == "warning"


LEVELS = ["debug", "info", "warning", "error", "critical"]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_has_its_methods(log, lines, level):
    """Each level has a method, an async one, and its name and number for log and alog."""
    number = 10 * (LEVELS.index(level) + 1)

    async def use():
        await getattr(log, f"a{level}")("two")
        await log.alog(level, "three")
        await log.alog(number, "four")

    getattr(log, level)("one")
    asyncio.run(use())
    log.log(level.upper(), "five")
    log.log(number, "six")
    assert [(line["event"], line["level"]) for line in lines()] == [
        (text, level) for text in ("one", "two", "three", "four", "five", "six")
    ]


def test_structlogs_other_names(log, lines):
    """msg, warn, err and fatal are what they are in structlog."""
    log.msg("a")
    log.warn("b")
    log.err("c")
    log.fatal("d")
    assert [line["level"] for line in lines()] == ["info", "warning", "error", "critical"]


def test_an_unknown_level_is_refused(log):
    """An unknown level is a ValueError that names the levels."""
    with pytest.raises(ValueError, match="debug, info, warning, error, critical"):
        log.log("loud", "x")
    with pytest.raises(ValueError, match=r"got 1\.5"):
        log.log(1.5, "x")


def test_levels_can_be_asked_for(open_log):
    """A logger has structlog's and the stdlib's methods to ask for its level."""
    log = open_log(level="warning")
    assert log.get_effective_level() == log.getEffectiveLevel() == 30
    assert log.is_enabled_for(30)
    assert not log.isEnabledFor(20)


def test_positional_arguments_fill_the_text(log, lines):
    """%s and %(name)s are filled as in structlog and the stdlib."""
    log.info("%s is %d", "x", 5)
    log.info("%(a)s", {"a": 1})
    asyncio.run(log.ainfo("%s", "y"))
    assert [line["event"] for line in lines()] == ["x is 5", "1", "y"]


def test_arguments_that_do_not_fit_are_written_beside(log, lines):
    """A text whose arguments do not fit, and an event with arguments, lose neither line nor arguments."""
    log.info("bad %d", "x")
    log.error("none", 1, args="mine")
    log.warning(tool(), 1)
    asyncio.run(log.ainfo("bad %d", "y"))
    one, two, three, four = lines()
    assert (one["event"], one["args"]) == ("bad %d", ["x"])
    assert (two["event"], two["args"], two["bound_args"]) == ("none", "mine", [1])
    assert (three["event"], three["args"]) == ("chat.tool_called", [1])
    assert (four["event"], four["args"]) == ("bad %d", ["y"])


def test_a_text_of_a_filtered_level_is_not_filled_in(open_log):
    """Below the level of the log nothing is computed."""

    class Never:
        def __str__(self):
            raise AssertionError

    log = open_log(level="warning")
    log.info("%s", Never())
    log.log(25, "%s", Never())
    open_log("b.jsonl", level="critical").exception("%s", Never())
    asyncio.run(open_log("c.jsonl", level="critical").aexception("%s", Never()))
    asyncio.run(log.ainfo("%s", Never()))
    asyncio.run(log.alog("info", "%s", Never()))


@pytest.fixture
def success():
    """Give the number 25 a name, as applications do."""
    logging.addLevelName(25, "SUCCESS")
    yield
    logging._levelToName.pop(25)
    logging._nameToLevel.pop("SUCCESS")


@pytest.mark.usefixtures("success")
@pytest.mark.parametrize(
    ("level", "line_level", "name"),
    [
        (25, "info", "SUCCESS"),
        ("success", "info", "SUCCESS"),
        ("SUCCESS", "info", "SUCCESS"),
        ("25", "info", "SUCCESS"),
        (35, "warning", "Level 35"),
        (99, "critical", "Level 99"),
        ("warn", "warning", None),
        ("WARN", "warning", None),
        ("fatal", "critical", None),
        ("exception", "error", None),
        (logging.ERROR, "error", None),
    ],
)
def test_levels_between_the_five(log, lines, level, line_level, name):
    """Any level of the stdlib can be logged at; a name that is none of the five stands beside the level."""
    log.log(level, "one")
    asyncio.run(log.alog(level, "two"))
    log.log(level, tool(success=True))
    one, two, three = lines()
    assert [(line["level"], line.get("level_name")) for line in (one, two)] == [(line_level, name)] * 2
    assert (three["level"], "level_name" in three) == ("info", False)


@pytest.mark.usefixtures("success")
@pytest.mark.parametrize(("level", "number"), [("WARN", 30), ("notset", 0), (25, 25), ("SUCCESS", 25), (5, 5)])
def test_the_level_of_a_log_may_be_any(open_log, level, number):
    """The option level takes what the stdlib takes; numbers below debug let such lines through."""
    log = open_log(level=level)
    assert log.get_effective_level() == number
    log.log(number, "written")
    log.log(number - 1, "not written")
    assert log.stats().emitted == 1


def test_the_name_of_a_level_can_be_given(log, lines):
    """A value under level_name in the call takes precedence."""
    log.log(25, "x", level_name="mine")
    assert lines()[0]["level_name"] == "mine"


@pytest.mark.parametrize(("value", "text"), [(None, "None"), (5, "5"), (["a"], "['a']"), (ValueError("x"), "x")])
def test_anything_can_be_a_text(log, lines, value, text):
    """A value that is neither a text nor an event is written as its text."""
    log.info(value)
    assert lines()[0]["event"] == text


def test_binding_returns_a_logger_of_the_same_log(log, lines):
    """bind, unbind, try_unbind and new return a BoundLog and leave the logger they are called on as it is."""
    bound = log.bind(a=1, b=2)
    derived = [bound.unbind("a"), bound.try_unbind("b", "zz"), bound.new(c=3), bound]
    for each in derived:
        assert type(each) is blm.BoundLog
        each.info("x")
    assert [{key: line[key] for key in "abc" if key in line} for line in lines()] == [
        {"b": 2},
        {"a": 1},
        {"c": 3},
        {"a": 1, "b": 2},
    ]
    with pytest.raises(KeyError):
        log.unbind("nothing")


def test_what_is_queued_cannot_be_changed(path):
    """A value that is bound or passed is written as it was at the call, even if it changes later."""
    gate = GateSink()
    log = open_log_on(gate, path)
    items, values = [1], {"n": {"deep": [1]}}
    bound = log.bind(items=items)
    bound.info("one", **values)
    bound.emit(tool(), **values)
    items.append(2)
    values["n"]["deep"].append(2)
    bound.info("two", **values)
    gate.open_gate()
    log.close()
    shown = [(line["items"], line["n"]["deep"]) for line in flat(path)[1:-1]]
    assert shown == [([1], [1]), ([1], [1]), ([1, 2], [1, 2])]


def test_context_variables(log, lines):
    """Context variables of structlog are written; values of the logger and of the call take precedence."""
    structlog.contextvars.bind_contextvars(request="r-1", who="context", items=[1])
    log.bind(who="bound").info("one")
    log.emit(tool(), who="call")
    structlog.contextvars.unbind_contextvars("request", "items")
    log.info("two")
    structlog.contextvars.clear_contextvars()
    log.info("three")
    one, two, three, four = lines()
    assert (one["request"], one["who"], one["items"]) == ("r-1", "bound", [1])
    assert (two["request"], two["who"]) == ("r-1", "call")
    assert ("request" in three, three["who"]) == (False, "context")
    assert "who" not in four


def test_context_variables_of_tasks(log, lines):
    """Each asyncio task's events carry the context of that task."""

    async def work(number):
        structlog.contextvars.bind_contextvars(task=number)
        await asyncio.to_thread(int)  # the other task has its turn
        await log.aemit(tool(number))
        await log.ainfo(str(number))

    async def both():
        await asyncio.gather(work(1), work(2))

    asyncio.run(both())
    seen = lines()
    assert len(seen) == 4
    assert all(str(line["task"]) == line.get("tool_call_id", f"c{line['event']}")[1:] for line in seen)


def failing():
    secret_local = "do not show"  # noqa: F841
    raise ValueError("broken")


@pytest.mark.parametrize("how", ["exception", "exc_info", "instance", "tuple", "aexception"])
def test_exceptions_are_one_text(log, lines, how):
    """An exception is its traceback as one text, without locals."""
    try:
        failing()
    except ValueError as error:
        if how == "exception":
            log.exception("oops")
        elif how == "aexception":
            asyncio.run(log.aexception("oops", exc_info=error))
        else:
            value = {"exc_info": True, "instance": error, "tuple": (type(error), error, error.__traceback__)}[how]
            log.error("oops", exc_info=value)
    (line,) = lines()
    assert (line["event"], line["level"]) == ("oops", "error")
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: broken")
    assert "do not show" not in line["exception"]


def test_an_exception_beside_an_event(log, lines):
    """An event may carry an exception, and a call's stack."""
    try:
        failing()
    except ValueError:
        log.error(tool(), exc_info=True)
        log.emit(tool(), exc_info=True, stack_info=True)
    first, second = lines()
    assert "ValueError: broken" in first["exception"]
    assert "ValueError: broken" in second["exception"]
    assert "test_an_exception_beside_an_event" in second["stack"]


@pytest.mark.parametrize("nothing", [True, (None, None, None), (), False, None])
def test_no_exception_is_no_key(log, lines, nothing):
    """Without an exception no key is written."""
    log.info("x", exc_info=nothing)
    assert "exception" not in lines()[0]


def test_user_processors_run_at_the_caller(open_log, path):
    """Processors of the user's see the call as in structlog, on the caller's thread, and what they add is written."""
    seen = []

    def processor(logger, name, event_dict):
        seen.append((name, threading.current_thread(), dict(event_dict)))
        event_dict["added"] = name
        return event_dict

    log = open_log(processors=[structlog.processors.add_log_level, processor]).bind(a=1)
    log.warning("text", b=2)
    log.emit(tool(success=False), c=3)
    assert log.close()
    assert seen[0][2] == {"a": 1, "b": 2, "event": "text", "level": "warning"}
    assert [(name, thread) for name, thread, _ in seen] == [("warning", threading.current_thread())] * 2
    plain, event = flat(path)[1:-1]
    assert (plain["added"], plain["a"], plain["b"]) == ("warning", 1, 2)
    assert (event["event"], event["added"], event["c"]) == ("chat.tool_called", "warning", 3)


def test_a_dropped_event_was_not_emitted(open_log):
    """emit returns False for an event that a processor drops, and no counter counts it."""

    def drop(logger, name, event_dict):
        raise structlog.DropEvent

    log = open_log(processors=[drop])
    assert log.emit(tool()) is False
    assert asyncio.run(log.aemit(tool())) is False
    log.info("x")
    asyncio.run(log.ainfo("x"))
    assert log.stats().emitted == 0


def test_a_processors_exception_passes_through(open_log):
    """An exception of a processor of the user's reaches the caller, as in structlog."""

    def broken(logger, name, event_dict):
        raise ZeroDivisionError

    log = open_log(processors=[broken])
    with pytest.raises(ZeroDivisionError):
        log.emit(tool())


@pytest.mark.parametrize(
    ("renderer", "text"),
    [
        (structlog.processors.KeyValueRenderer(), "a=1 event='x'"),
        (lambda *_: b"bytes", "bytes"),
        (lambda *_: (("positional",), {"a": 2}), "positional"),
        (lambda _, __, event_dict: {"a": 1}, ""),
    ],
)
def test_a_renderer_among_the_processors(open_log, path, renderer, text):
    """The result of a renderer is the text of a plain line."""
    log = open_log(processors=[renderer])
    log.info("x", a=1)
    log.close()
    assert flat(path)[1]["event"] == text


def test_a_processors_exception_text_is_the_exception(open_log, path):
    """The text that structlog's format_exc_info returns is the line's exception."""
    log = open_log(processors=[structlog.processors.format_exc_info])
    try:
        failing()
    except ValueError:
        log.exception("oops")
    log.close()
    assert flat(path)[1]["exception"].endswith("ValueError: broken")


def test_async_calls_of_a_log_that_may_block(open_log, path):
    """If the log may block, async calls leave the event loop free and keep the context."""
    log = open_log(durability="write")

    async def use():
        structlog.contextvars.bind_contextvars(task=7)
        assert await log.aemit(tool())
        await log.ainfo("text")
        assert await log.aflush()
        assert await log.aclose()

    asyncio.run(use())
    assert [line["task"] for line in flat(path)[1:-1]] == [7, 7]


def test_a_call_that_is_cancelled_before_a_thread_is_free(open_log, path):
    """A coroutine that is cancelled while its event waits for a thread of the executor loses nothing."""
    log = open_log(durability="write")
    free = threading.Event()

    async def use():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, free.wait, 30)
        calls = [asyncio.ensure_future(log.aemit(tool())), asyncio.ensure_future(log.ainfo("text"))]
        await Turn()
        for call in calls:
            call.cancel()
        for _ in range(3):
            await Turn()
        free.set()
        await asyncio.gather(*calls, busy, return_exceptions=True)
        assert all(call.cancelled() for call in calls)

    asyncio.run(use())
    log.close()
    assert [line["event"] for line in flat(path)[1:-1]] == ["chat.tool_called", "text"]


def test_an_application_system_event_is_marked(log, lines):
    """A system event that the application emits says so and is timed at the call."""
    log.emit(blm.MetricsDropped(count=5, reason="mine"), source="log")
    (line,) = lines()
    assert (line["source"], line["bound_source"], line["count"]) == ("app", "log", 5)
    assert line["timestamp"].endswith("Z")


def test_an_unknown_event_can_be_emitted(log, lines):
    """An event of a kind that only a newer version knows is written flat."""
    log.emit(blm.UnknownEvent(family="Chat", variant="SessionPaused", payload='{"session_id":"s-1","n":null}'))
    (line,) = lines()
    assert (line["event"], line["session_id"], "n" in line) == ("chat.session_paused", "s-1", False)


def test_the_path_is_resolved_at_opening(tmp_path, monkeypatch, open_log):
    """A relative path means the directory that was current when the log was opened."""
    monkeypatch.chdir(tmp_path)
    log = blm.open_log("rel.jsonl")
    monkeypatch.chdir("/")
    log.emit(tool())
    log.close()
    assert log.path == str(tmp_path / "rel.jsonl")
    assert len(typed(tmp_path / "rel.jsonl")) == 1


def test_a_processor_can_take_a_context_variable_away(open_log, path):
    """Context variables pass the user's processors, and what these remove is not written."""

    def without_mail(_, __, event_dict):
        event_dict.pop("mail", None)
        return event_dict

    structlog.contextvars.bind_contextvars(mail="a@b.c", request="r-1")
    log = open_log(processors=[structlog.contextvars.merge_contextvars, without_mail])
    log.info("hello")
    log.close()
    line = flat(path)[1]
    assert ("mail" in line, line["request"]) == (False, "r-1")


def test_an_exception_without_a_length(log, lines):
    """An exception whose length is 0 is an exception like any other."""

    class Empty(Exception):
        def __len__(self):
            return 0

    log.info("x", exc_info=Empty("here"))
    assert "here" in lines()[0]["exception"]


class Unhashable(type):
    """A class of classes that cannot be hashed."""

    __hash__ = None


class Odd(metaclass=Unhashable):
    """A value whose type cannot be hashed."""


def test_a_value_whose_type_cannot_be_hashed(log, lines):
    """A value whose type refuses to be hashed loses no line."""
    log.info("x", value=Odd())
    assert lines()[0]["value"] == "<unprintable Odd>"


def test_a_frozen_time(path):
    """freezegun moves what an application calls the time: events and plain lines; the log works on meanwhile."""
    moment = "2020-01-02T03:04:05.000000Z"
    log = blm.open_log(path)
    with freezegun.freeze_time("2020-01-02 03:04:05"):
        log.emit(tool(1))
        log.info("plain")
        log.info("nested", values=[1])
        log.info(blm.WorkerStarted())
        asyncio.run(log.ainfo("async"))
        logging.getLogger("tests.frozen").handlers = [blm.MetricsHandler(log)]
        logging.getLogger("tests.frozen").warning("handler")
        assert log.flush()
        assert blm.EventMeta.new().occurred_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
        assert log.close()
    logging.getLogger("tests.frozen").handlers = []
    lines = flat(path)
    assert [line["timestamp"] for line in lines[1:-1]] == [moment] * 6
    assert min(lines[0]["timestamp"], lines[-1]["timestamp"]) > "2026"
    assert blm.verify([path]).ok
