"""The ways out of a scope: exactly one terminal event on each, and the status it has."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tools import Turn, flat, kinds, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.scope_context import current_round, current_session
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.testing import GateSink, capture_events, open_log_on
from bamboo_logmetrics.usage import CallFacts, Iteration

SCOPES = {
    "session": lambda log: log.session(model="m"),
    "round": lambda log: log.round(model="m"),
    "request": lambda log: log.request(endpoint="e", model="m"),
    "tool": lambda log: log.tool("t"),
}
TERMINAL = {
    "session": "chat.session_completed",
    "round": "chat.round_completed",
    "request": "forward.request_completed",
    "tool": "chat.tool_called",
}
STARTED = {"session": "chat.session_started", "round": "chat.round_started", "request": "forward.request_started"}
every_kind = pytest.mark.parametrize("kind", SCOPES)


def ending(path, kind):
    """Return the only terminal event of the only scope of a log."""
    found = typed(path)
    assert [line["event"] for line in found] == [*filter(None, [STARTED.get(kind)]), TERMINAL[kind]]
    return found[-1]


def result(line):
    """Return the status of a terminal event, its error_type and its text."""
    return line.get("status", line.get("success")), line.get("error_type"), line.get("error")


def expected(kind, *values):
    """Return the result of one kind, of those of a session, a request and a tool; a round has the session's words."""
    session, request, tool, error_type, error = values
    statuses = {"session": session, "round": session.replace("completed", "success"), "request": request, "tool": tool}
    return statuses[kind], error_type, None if kind == "tool" else error


class ReadTimeout(Exception):
    """As httpx names it."""


class Cancelled(BaseException):
    """As trio names it."""


class GreenletExit(BaseException):
    """As gevent names it."""


class HTTPStatusError(Exception):
    def __init__(self):
        super().__init__("too many")
        self.response = type("Response", (), {"status_code": 429})()


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError

    @property
    def response(self):
        raise RuntimeError


EXITS = {
    "exception": (ValueError("boom"), ("error", "error", False, "ValueError", "boom")),
    "no text": (ValueError(), ("error", "error", False, "ValueError", "ValueError")),
    "unprintable": (Unprintable(), ("error", "error", False, "Unprintable", "<unprintable Unprintable>")),
    "timeout": (TimeoutError(), ("error", "timeout", False, "TimeoutError", "TimeoutError")),
    "asyncio's timeout": (asyncio.TimeoutError("t"), ("error", "timeout", False, "TimeoutError", "t")),
    "a library's timeout": (ReadTimeout("slow"), ("error", "timeout", False, "ReadTimeout", "slow")),
    "cancelled": (asyncio.CancelledError(), ("cancelled", "error", False, "cancelled", None)),
    "cancelled future": (concurrent.futures.CancelledError(), ("cancelled", "error", False, "cancelled", None)),
    "cancelled by trio": (Cancelled(), ("cancelled", "error", False, "cancelled", None)),
    "killed by gevent": (GreenletExit(), ("cancelled", "error", False, "cancelled", None)),
    "Ctrl-C": (KeyboardInterrupt(), ("cancelled", "error", False, "interrupted", None)),
    "sys.exit()": (SystemExit(), ("completed", "success", True, None, None)),
    "sys.exit(0)": (SystemExit(0), ("completed", "success", True, None, None)),
    "sys.exit(1)": (SystemExit(1), ("error", "error", False, "SystemExit", "1")),
    "sys.exit(text)": (SystemExit("no key"), ("error", "error", False, "SystemExit", "no key")),
    "generator closed": (GeneratorExit(), ("completed", "success", True, None, None)),
    "status of an answer": (HTTPStatusError(), ("error", "error", False, "HTTPStatusError", "too many")),
}


@every_kind
@pytest.mark.parametrize("way", EXITS)
def test_an_exception_ends_the_block(log, path, kind, way):
    """Each exception goes on to the application, and decides the status of the one terminal event."""
    error, values = EXITS[way]
    with pytest.raises(type(error)) as raised, SCOPES[kind](log):
        raise error
    assert raised.value is error
    log.close()
    line = ending(path, kind)
    assert result(line) == expected(kind, *values)
    if kind == "request":
        assert line["status_code"] == {"success": 200}.get(values[1], 429 if way == "status of an answer" else 0)
    closed = "closed" if way == "generator closed" and kind in ("round", "request") else None
    assert line.get("stream_end") == closed
    assert blm.verify([path], complete=True).ok


@every_kind
def test_return(log, path, kind):
    """A block that returns is a success."""

    def block():
        with SCOPES[kind](log) as scope:
            assert scope.is_open
            return scope

    assert not block().is_open
    log.close()
    assert result(ending(path, kind)) == expected(kind, "completed", "success", True, None, None)


@every_kind
@pytest.mark.parametrize("options", [{}, {"durability": "write"}], ids=["queue", "write"])
def test_async_with(open_log, path, kind, options):
    """``async with`` is the same, also where the log waits for the disk."""
    log = open_log(**options)

    async def main():
        async with SCOPES[kind](log):
            pass

    asyncio.run(main())
    log.close()
    assert result(ending(path, kind)) == expected(kind, "completed", "success", True, None, None)


@every_kind
@pytest.mark.parametrize("options", [{}, {"durability": "write"}], ids=["queue", "write"])
def test_a_cancelled_task(open_log, path, kind, options):
    """A task that is cancelled inside the block is cancelled, and its event is there."""
    log = open_log(**options)

    async def main():
        entered = asyncio.Event()

        async def work():
            async with SCOPES[kind](log):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(work())
        await entered.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    log.close()
    assert result(ending(path, kind)) == expected(kind, "cancelled", "error", False, "cancelled", None)


@pytest.mark.parametrize("moment", ["at the start", "at the end"])
def test_cancelled_while_the_disk_is_waited_for(path, moment):
    """A task that is cancelled while its scope's event waits for the disk loses none of them."""
    sink = GateSink(shut=False)
    log = open_log_on(sink, path, durability="write")

    async def work(entered):
        scope = log.session(model="m")
        if moment == "at the start":
            entered.set()
        async with scope:
            entered.set()
            sink.shut_gate()

    async def main():
        assert log.flush(30)
        if moment == "at the start":
            sink.shut_gate()
        entered = asyncio.Event()
        task = asyncio.ensure_future(work(entered))
        await entered.wait()
        assert await asyncio.to_thread(sink.wait_for_writer)
        task.cancel()
        threading.Thread(target=sink.open_gate).start()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    log.close()
    found = sorted(line["event"] for line in typed(path))
    assert found == ["chat.session_completed", "chat.session_started"]


def test_cancelled_before_a_thread_is_free(open_log, path):
    """A task that is cancelled while no thread of the executor is free has all events of its scope written."""
    log = open_log(durability="write")
    free = threading.Event()
    iteration = Iteration(name="compaction", model="m", usage=None)

    async def work(entered):
        async with log.round(model="m") as call:
            call.observe(CallFacts(iterations=[iteration]))
            entered.set()
            await asyncio.Event().wait()

    async def main():
        entered = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        task = asyncio.ensure_future(work(entered))
        await entered.wait()
        busy = loop.run_in_executor(None, free.wait, 30)
        for _ in range(2):  # the block, and then the wait for a thread
            task.cancel()
            await Turn()
            await Turn()
        free.set()
        await asyncio.gather(task, busy, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(main())
    log.close()
    names = sorted((line["event"], line.get("iteration", "")) for line in typed(path))
    ended = "chat.round_completed"
    assert names == [(ended, ""), (ended, "compaction"), ("chat.round_started", "")]


@pytest.mark.parametrize("options", [{}, {"durability": "write"}], ids=["queue", "write"])
def test_a_coroutine_that_is_closed(open_log, path, options):
    """A coroutine that is closed, as one that is dropped, ends its scope without waiting for the disk."""
    log = open_log(**options)

    async def work():
        async with log.round(model="m"):
            await Turn()

    coroutine = work()
    coroutine.send(None)
    coroutine.close()

    log.close()
    found = [(line["event"], line.get("stream_end")) for line in typed(path)]
    assert found == [("chat.round_started", None), ("chat.round_completed", "closed")]


@every_kind
def test_dropped(log, path, kind):
    """A scope that was entered by hand and dropped ends when it is collected, also out of a cycle."""
    scope = SCOPES[kind](log)
    assert scope.__enter__() is scope
    holder = {"scope": scope}
    holder["itself"] = holder
    del scope, holder
    gc.collect()
    assert (current_session(), current_round()) == (None, None)
    log.close()
    assert result(ending(path, kind)) == expected(kind, "cancelled", "error", False, "garbage_collected", None)


def test_dropped_together_with_its_log(path):
    """A log and an open scope that are dropped in one cycle: the scope's end is written before the log's."""
    agent = {"log": blm.open_log(path)}
    agent["session"] = agent["log"].session(model="m").__enter__()
    agent["round"] = agent["log"].round(model="m").__enter__()
    agent["itself"] = agent
    del agent
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("bamboo"):
            thread.join(30)
    assert kinds(path)[-1] == "system.worker_stopped"
    assert sorted(line["event"] for line in typed(path)) == sorted(
        [*list(STARTED.values())[:2], TERMINAL["session"], TERMINAL["round"]]
    )
    assert blm.verify([path], complete=True).ok
    assert process.pipelines() == []


@every_kind
def test_copied(log, path, kind):
    """A copy of an object that holds a scope holds the same scope: it ends once."""
    with SCOPES[kind](log) as scope:
        copies = copy.deepcopy({"scope": scope}), copy.copy(scope)
        assert (copies[0]["scope"], copies[1]) == (scope, scope)
        del copies
        gc.collect()
        assert scope.is_open
    log.close()
    ending(path, kind)


@every_kind
def test_never_entered(log, path, kind):
    """A scope that was never entered has no events."""
    SCOPES[kind](log)
    gc.collect()
    log.close()
    assert typed(path) == []


@every_kind
@pytest.mark.parametrize("options", [{}, {"durability": "write"}, {"on_full": "block"}], ids=str)
def test_the_log_is_closed_inside(open_log, path, kind, options):
    """Closing a log ends its open scopes first; their blocks go on, and emit nothing more."""
    log = open_log(**options)
    with SCOPES[kind](log) as scope:
        assert log.close()
        assert not scope.is_open
    assert result(ending(path, kind)) == expected(kind, "cancelled", "error", False, "log_closed", None)
    assert log.stats().dropped_total == 0
    assert blm.verify([path], complete=True).ok


def test_the_log_is_closed_inside_several(log, path):
    """The innermost scope ends first, so that a round has the usage of its request."""
    usage = blm.TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)
    with log.session(model="m"), log.round(model="m"), log.request(endpoint="e", model="m") as request:
        request.usage = usage
        log.close()
        request.usage = None  # no error: it is not the block that ended the scope
    assert [line["event"] for line in typed(path)] == [
        *STARTED.values(),
        *map(TERMINAL.get, ("request", "round", "session")),
    ]
    assert typed(path)[4]["total_tokens"] == 2


def test_a_log_that_is_closed_before_counts_what_it_refuses(log, path):
    """A scope of a closed log runs its block; its events are refused and counted."""
    log.close()
    with log.session(model="m") as session:
        assert current_session() is session
    assert log.stats().dropped == {"closed": 2}
    assert typed(path) == []


def test_a_full_queue_does_not_hold_up_closing(path):
    """Closing a log that blocks on a full queue emits without waiting; what finds no room is counted."""
    sink = GateSink()
    log = open_log_on(sink, path, queue_size=1, on_full="block", block_timeout=60)
    assert sink.wait_for_writer()
    scope = log.tool("t").__enter__()
    log.info("fills the queue")
    log.close(0)
    assert not scope.is_open
    sink.open_gate()
    assert log.stats().dropped["block_timeout"] == 1


def test_before_configure(unconfigured, path, capfd):
    """A scope that begins before configure ends in the log that was configured meanwhile."""
    log = blm.get_logger()
    with log.session(model="m"):
        blm.configure(path)
        with blm.get_logger("named").round(model="m"):
            pass
    blm.close()
    assert [line["event"].partition(".")[2] for line in typed(path)] == [
        "round_started",
        "round_completed",
        "session_completed",
    ]


def test_configure_again_inside(unconfigured, tmp_path):
    """A scope goes on in the log that replaces its own, and is not ended with the old one."""
    blm.configure(tmp_path / "1.jsonl")
    with blm.get_logger().session(model="m") as session:
        blm.configure(tmp_path / "2.jsonl")
        assert session.is_open
    blm.close()
    assert [line["event"] for line in typed(tmp_path / "1.jsonl")] == ["chat.session_started"]
    assert [line["event"] for line in typed(tmp_path / "2.jsonl")] == ["chat.session_completed"]


def test_without_a_log(unconfigured, capfd):
    """Without any log a scope only runs its block, also when it is dropped."""
    log = blm.get_logger()
    scope = log.tool("t").__enter__()
    del scope
    with log.session(model="m") as session:
        inside = session.is_open
    assert inside


def test_two_logs(open_log, tmp_path):
    """Scopes of one log inside those of another have the ids of the others, and each log has its own events."""
    first, second = open_log("1.jsonl"), open_log("2.jsonl")
    with first.session(model="m"), second.round(model="m"), first.tool("t"):
        pass
    first.close()
    second.close()
    one, two = typed(tmp_path / "1.jsonl"), typed(tmp_path / "2.jsonl")
    assert [line["event"] for line in one] == ["chat.session_started", "chat.tool_called", "chat.session_completed"]
    assert [line["event"] for line in two] == ["chat.round_started", "chat.round_completed"]
    assert {line["session_id"] for line in one + two} == {one[0]["session_id"]}
    assert one[1]["round_id"] == two[0]["round_id"]


def test_closing_one_log_leaves_the_scopes_of_another(open_log):
    """Only the scopes of the log that is closed are ended."""
    first, second = open_log("1.jsonl"), open_log("2.jsonl")
    with first.session(model="m") as one, second.session(model="m") as two:
        first.close()
        assert (one.is_open, two.is_open) == (False, True)


@pytest.mark.parametrize(
    ("ends", "statuses"),
    [
        ("sys.exit()", ["success", "completed"]),
        ("sys.exit(3)", ["error", "error"]),
        ("raise KeyboardInterrupt", ["cancelled", "cancelled"]),
        ("1 / 0", ["error", "error"]),
        ("keep = stack.pop_all(); sys.exit()", ["cancelled", "cancelled"]),
        ("keep = stack.pop_all()", ["cancelled", "cancelled"]),
    ],
)
def test_the_process_ends_inside(run_python, path, ends, statuses):
    """Each end of the process, also with scopes that nobody leaves, has one terminal event for each scope."""
    code = f"""
import contextlib, sys
import bamboo_logmetrics as blm
log = blm.open_log(sys.argv[1])
with contextlib.ExitStack() as stack:
    stack.enter_context(log.session(model="m"))
    stack.enter_context(log.round(model="m"))
    {ends}
"""
    run_python(code, path)
    found = [line for line in typed(path) if line["event"].endswith("completed")]
    assert [(line["event"], line["status"]) for line in found] == [
        ("chat.round_completed", statuses[0]), ("chat.session_completed", statuses[1])
    ]  # fmt: skip
    assert blm.verify([path], complete=True).ok


def test_the_process_ends_while_a_thread_is_inside(run_python, path):
    """A daemon thread that is inside a scope at the exit has its terminal event."""
    code = """
import sys, threading
import bamboo_logmetrics as blm
log = blm.open_log(sys.argv[1])
inside = threading.Event()
def work():
    with log.tool("t"):
        inside.set()
        threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
inside.wait()
"""
    assert run_python(code, path).returncode == 0
    assert result(ending(path, "tool")) == (False, "log_closed", None)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_fork_inside(log, path):
    """Of a scope that is open at a fork only the parent emits the end; the child's own scopes have its ids."""
    with log.session(model="m") as session, log.round(model="m") as call:
        log.flush()
        pid = os.fork()
        if not pid:
            status = 1
            with contextlib.suppress(BaseException):
                with log.tool("child"):
                    pass
                counted = call.observe(object())
                call.__exit__(None, None, None)
                session.__exit__(None, None, None)
                log.close()
                status = int(counted)
            os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
    log.close()
    ends = [line for line in typed(path) if line["event"].endswith("_completed")]
    assert [line["event"] for line in ends] == ["chat.round_completed", "chat.session_completed"]
    (tool,) = [line for line in typed(path) if line["event"] == "chat.tool_called"]
    assert tool["writer"] != ends[0]["writer"] == ends[1]["writer"]
    assert (tool["session_id"], tool["round_id"]) == (session.session_id, call.round_id)
    assert blm.verify([path], complete=True).ok


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_that_closes_or_drops(log, path):
    """A child that closes the log, or drops the scope, does not end the parent's scope."""
    scope = log.session(model="m").__enter__()
    log.flush()
    for work in (lambda: log.close(), lambda: gc.collect()):
        pid = os.fork()
        if not pid:
            work()
            del scope
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    scope.__exit__(None, None, None)
    log.close()
    assert [line["status"] for line in flat(path) if line["event"] == "chat.session_completed"] == ["completed"]


def test_one_end_of_two_at_once(open_log, path):
    """A block that ends in one thread while the log is closed in another has one terminal event, or a counted one."""
    for _ in range(30):
        log = open_log()
        scopes = [log.tool("t").__enter__() for _ in range(20)]
        thread = threading.Thread(target=log.close)
        thread.start()
        for scope in scopes:
            scope.__exit__(None, None, None)
        thread.join()
        assert log.stats().emitted == 20
        assert log.stats().written + log.stats().dropped.get("closed", 0) == 20


def test_many_rounds_at_once(log, path):
    """A hundred rounds that run at the same time in one session keep their usage and requests apart."""

    async def one(number):
        async with log.round(model="m", round_id=f"r-{number}") as call:
            await asyncio.to_thread(request, number)
            assert current_round() is call

    def request(number):
        usage = blm.TokenUsage(prompt_tokens=number, completion_tokens=0, total_tokens=number)
        with log.request(endpoint="e", model="m") as scope:
            scope.usage = usage

    async def main():
        async with log.session(model="m"):
            await asyncio.gather(*map(one, range(1, 101)))

    asyncio.run(main())
    log.close()
    rounds = {line["round_id"]: line for line in typed(path) if line["event"] == "chat.round_completed"}
    assert {name: line["total_tokens"] for name, line in rounds.items()} == {f"r-{n}": n for n in range(1, 101)}
    assert len({line["session_id"] for line in rounds.values()}) == 1
    assert blm.verify([path], complete=True).ok


# -- any nesting ---------------------------------------------------------------------------

programs = st.recursive(
    st.just([]),
    lambda inner: st.lists(
        st.tuples(
            st.sampled_from(sorted(SCOPES)), st.sampled_from(["with", "exit", "drop", "raise", "function"]), inner
        ),
        max_size=3,
    ),
    max_leaves=12,
)


def run(log, program):
    """Run the scopes of a program and return how many of each kind were opened."""
    opened = []
    for kind, way, inner in program:
        opened.append(kind)
        scope = SCOPES[kind](log)
        if way == "with":
            with scope:
                opened += run(log, inner)
        elif way == "exit":
            scope.__enter__()
            opened += run(log, inner)
            scope.__exit__(None, None, None)
        elif way == "drop":
            scope.__enter__()
            opened += run(log, inner)
            del scope
        elif way == "raise":
            with contextlib.suppress(ValueError), scope:
                opened += run(log, inner)
                raise ValueError(kind)
        else:
            opened += scope(run)(log, inner)
    return opened


@given(programs)
def test_any_nesting(tmp_path_factory, program):
    """Whatever scopes are nested and however they end: one start and one end for each, in order, and a whole log."""
    path = tmp_path_factory.mktemp("nested") / "a.jsonl"
    with blm.open_log(path) as log, capture_events() as captured:
        opened = run(log, program)
    events = [(event.kind, id_of(event)) for event in captured]
    requests = [kind for kind, _ in events if kind == STARTED["request"]]
    assert len(requests) <= opened.count("request")  # one inside another is counted further out
    for kind in ("session", "round", "tool"):
        assert sum(name == TERMINAL[kind] for name, _ in events) == opened.count(kind)
    for kind, started in STARTED.items():
        begun = [ident for name, ident in events if name == started]
        ended = [ident for name, ident in events if name == TERMINAL[kind]]
        assert sorted(begun) == sorted(ended)
        assert len(set(begun)) == len(begun)
        for ident in begun:
            assert events.index((started, ident)) < events.index((TERMINAL[kind], ident))
    assert (current_session(), current_round()) == (None, None)


def id_of(event):
    name = {"session": "session_id", "round": "round_id", "tool": "tool_call_id", "request": "request_id"}
    return getattr(event, name[event.kind.partition(".")[2].partition("_")[0]])


@given(programs)
def test_any_nesting_is_written(tmp_path_factory, program):
    """The same in a file: as many ends as starts, and verify finds nothing missing."""
    path = tmp_path_factory.mktemp("nested") / "a.jsonl"
    with blm.open_log(path) as log:
        run(log, program)
    names = [line["event"] for line in typed(path)]
    for kind, started in STARTED.items():
        assert names.count(started) == names.count(TERMINAL[kind])
    assert blm.verify([path], complete=True).ok
