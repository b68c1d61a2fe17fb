"""The cost of a call and of a line, in counts that do not depend on the machine."""

from __future__ import annotations

import gc
import logging
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from support.strategies import FULL_USAGE, meta
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger import bound_log

EVENTS = 1_000
MEMORY = {"brk", "mmap", "munmap", "madvise", "mremap"}


@pytest.fixture(autouse=True)
def no_context_variables(monkeypatch):
    """Be a process that has never bound a context variable of structlog: they are read where there are any."""
    monkeypatch.setattr(bound_log, "CONTEXT_VARS", {})


@pytest.fixture
def queueing_log(open_log):
    """Open a log whose worker sleeps for the whole test, and whose first line is written."""
    log = open_log(flush_interval=1e6, queue_size=100_000).bind(project="p-1")
    log.emit(completed())
    assert log.flush()
    log.emit(completed())  # wakes the worker, which then sleeps for the interval
    return log


def completed():
    return blm.RoundCompleted(
        meta=meta(1, "req-1"), round_id="r-1", session_id="s-1", status="success", usage=FULL_USAGE, latency_ms=2345
    )


def calls_of(work):
    """Return how many functions of Python and of C one call of ``work`` calls, itself left out."""
    counts = Counter()
    sys.setprofile(lambda frame, call, arg: counts.update([call]))
    try:
        work()
    finally:
        sys.setprofile(None)
    return counts["call"] - 1, counts["c_call"] - 1  # the end of the counting is a call as well


def test_calls_of_an_emit(queueing_log):
    """An event that exists already goes through emit and put, and is appended."""
    event = completed()
    python, c = calls_of(lambda: queueing_log.emit(event))
    assert python == 2
    assert c <= 2


def test_calls_of_making_an_event():
    """An event, its usage and its meta are created in C; in Python there is one check for each, and a new id."""
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens"), 1)
    ids = {"round_id": "r", "session_id": "s"}
    status = blm.RoundStatus.SUCCESS
    python, _ = calls_of(lambda: blm.RoundCompleted(status=status, usage=blm.TokenUsage(**usage), latency_ms=1, **ids))
    assert python == 4


def test_calls_of_a_scope(queueing_log):
    """A scope adds few calls to those that its events take."""
    log, usage = queueing_log, blm.TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)

    def emits():
        log.emit(blm.RoundStarted(round_id="r", session_id="s", model="m"))
        event = blm.RoundCompleted(round_id="r", session_id="s", status="success", usage=usage, latency_ms=1)
        log.emit(event, model="m")

    def scope():
        with log.round(model="m", session_id="s") as call:
            call.usage = usage

    for work in (emits, scope):
        work()  # what is done once
    of_emits, of_scope = calls_of(emits), calls_of(scope)
    assert of_scope[0] - of_emits[0] <= 24
    assert of_scope[1] - of_emits[1] <= 20


def test_calls_of_a_plain_line(queueing_log):
    """A plain call with scalars looks at their types, reads the clock and puts."""
    python, c = calls_of(lambda: queueing_log.info("cache warmed", entries=312, hits=4, name="abc", ratio=0.5, ok=True))
    assert python == 2
    assert c <= 6


def test_calls_of_a_stdlib_record(tmp_path):
    """The handler adds few calls to those that the stdlib makes for a record."""
    handler = blm.MetricsHandler(tmp_path / "a.jsonl", flush_interval=1e6)
    nothing = logging.NullHandler()
    counts = []
    stdlib = logging.getLogger("costs")
    stdlib.propagate = False
    for each in (handler, nothing):
        stdlib.handlers = [each]
        stdlib.warning("first")
        counts.append(calls_of(lambda: stdlib.warning("text", extra={"n": 1, "name_of": "x"}))[0])
    handler.close()
    stdlib.handlers = []
    assert counts[0] - counts[1] <= 15


def test_what_stays_allocated_for_an_event(queueing_log):
    """An event that waits costs one record; the queue itself grows by blocks of 64."""
    event = completed()
    numbers = range(EVENTS)
    before = sys.getallocatedblocks()
    for _ in numbers:
        queueing_log.emit(event)
    assert sys.getallocatedblocks() - before <= 1.1 * EVENTS


def test_the_garbage_collector_does_not_see_what_waits(queueing_log):
    """However many events wait, no garbage collection begins because of them."""
    gc.collect()
    before = gc.get_count()[0]
    for _ in range(300):
        queueing_log.emit(completed())
    assert gc.get_count()[0] - before < 30


def test_bytes_of_a_line(queueing_log):
    """A line holds what it has to say and nothing more."""
    queueing_log.flush()
    line = next(line for line in log_lines(queueing_log) if b"chat.round_completed" in line)
    assert len(line) == len(
        b'{"timestamp":"2026-11-22T15:47:13.417691Z","level":"info","event":"chat.round_completed","v":1,'
        b'"writer":"0123456789abcdef0123","seq":2,"event_id":"6d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a01","trace_id":"req-1",'
        b'"round_id":"r-1","session_id":"s-1","status":"success","prompt_tokens":1234,"completion_tokens":567,'
        b'"total_tokens":1801,"cache_read_tokens":1000,"cache_write_tokens":0,"reasoning_tokens":64,"latency_ms":2345,'
        b'"project":"p-1"}'
    )


def log_lines(log):
    with open(log.path, "rb") as file:
        return file.read().splitlines()


TRACED = f"""
import os, sys, time
import bamboo_logmetrics as blm
log = blm.open_log(sys.argv[1], flush_interval=1e6)
event = blm.ToolCalled(tool_call_id="c", round_id="r", session_id="s", tool_name="t", latency_ms=1, success=True)
log.emit(event); log.flush(); log.emit(event); log.flush()
log.emit(event)
mark = lambda name: os.access("/" + name, os.F_OK)
numbers = range({EVENTS})
mark("emit")
for _ in numbers:
    WORK
mark("flush")
log.flush()
mark("end")
log.close()
"""


@pytest.mark.parametrize("work", ["log.emit(event)", "with log.tool('t'): pass"])
def test_system_calls_of_a_thousand_events(tmp_path, work):
    """A caller that emits a thousand events, or runs as many tools in scopes, asks the system for nothing but memory.

    All of the events are one write.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace, path = tmp_path / "trace", tmp_path / "a.jsonl"
    command = ["strace", "-f", "-o", trace, sys.executable, "-c", TRACED.replace("WORK", work), path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr.lower():
        pytest.skip("strace may not trace here")
    assert (done.returncode, len(flat(path))) == (0, EVENTS + 5)
    text = trace.read_text(encoding="utf-8")
    (emitting, _), (_, writing) = (between(text, *marks) for marks in (("emit", "flush"), ("flush", "end")))
    assert emitting.pop("futex", 0) <= 4  # the interpreter's, when it lets the worker have a look
    assert set(emitting) <= MEMORY
    assert (writing["write"], writing["fsync"]) == (1, 0)
    assert sum(count for name, count in writing.items() if name not in MEMORY | {"futex"}) <= 12


def between(text, start, end):
    """Count the calls between two marks: those of the thread that made the marks, and those of the others."""
    match = re.search(rf'^(\d+) +access\("/{start}".*\n((?s:.*?))^\1 +access\("/{end}"', text, re.MULTILINE)
    mine, others = Counter(), Counter()
    for thread, name in re.findall(r"^(\d+) +(\w+)\(", match[2], re.MULTILINE):
        (mine if thread == match[1] else others)[name] += 1
    return mine, others
