from __future__ import annotations

import logging
import threading
from _thread import allocate_lock

import pytest
import structlog
from support.tools import text_record, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import FailingSink, GateSink, ManualClock, capture_events, open_log_on


def test_events_are_captured_from_anywhere(unconfigured, tmp_path, open_log):
    """Events of cached, bound, durable and unconfigured loggers are captured, from any thread, and not written."""
    log = open_log().bind(a=1)
    blm.configure(tmp_path / "b.jsonl", durability="write")
    cached = structlog.get_logger()
    cached.info("before")
    with capture_events() as events:
        assert log.emit(tool(1), b=2)
        thread = threading.Thread(target=lambda: cached.emit(tool(2)))
        thread.start()
        thread.join()
        log.info("text")
        log.error(tool(3))
        with blm.open_log(tmp_path / "c.jsonl") as new:
            new.emit(tool(4))
    log.emit(tool(5))
    assert [event.tool_call_id for event in events] == ["c1", "c2", "c3", "c4"]
    assert events.bound[0] == {"a": 1, "b": 2}
    assert events.texts == ["text"]
    assert log.stats().emitted == 1


def test_plain_lines_are_captured_whole(open_log):
    """Of plain lines text, level, bound values and exception are captured, through the handler too; of events the level."""
    log = open_log().bind(a=1)
    stdlib = logging.getLogger("tests.captured")
    stdlib.addHandler(blm.MetricsHandler(log))
    with capture_events() as events:
        log.warning("one", b=[2])
        log.log(25, "two")
        log.emit(tool(success=False))
        try:
            raise ValueError("broken")
        except ValueError:
            log.exception("three")
            stdlib.exception("four")
    stdlib.handlers = []
    assert [line[:3] for line in events.plain] == [
        ("one", "warning", {"a": 1, "b": [2]}),
        ("two", "info", {"a": 1, "level_name": "Level 25"}),
        ("three", "error", {"a": 1}),
        ("four", "error", {"a": 1, "logger": "tests.captured"}),
    ]
    assert [(line.exception or "").endswith("ValueError: broken") for line in events.plain] == [
        False,
        False,
        True,
        True,
    ]
    assert events.levels == ["warning"]


def test_capturing_needs_no_configuration(unconfigured, capsys):
    """Events of a logger that nobody has configured are captured, and nothing is said on stderr."""
    with capture_events() as events:
        assert blm.get_logger().emit(tool(1))
    assert events == [events[0]]
    assert capsys.readouterr().err == ""


def test_the_manual_clock_stands_still():
    """Time passes only when the test says so, on both clocks."""
    clock = ManualClock(start_ns=5)
    assert (clock.time_ns(), clock.monotonic()) == (5, 0)
    clock.advance(1.5)
    assert (clock.time_ns(), clock.monotonic()) == (1_500_000_005, 1.5)
    clock.set_wall(7)
    assert (clock.time_ns(), clock.monotonic()) == (7, 1.5)


def test_waits_end_by_the_lock_or_by_the_clock():
    """A wait on the manual clock ends when the lock is free, or when the test has let the time pass."""
    clock, lock, answers = ManualClock(), allocate_lock(), []
    assert clock.wait(lock, None)
    assert not clock.wait(lock, 0)
    for release in (lambda: clock.advance(10), lock.release):
        thread = threading.Thread(target=lambda: answers.append(clock.wait(lock, 10)))
        thread.start()
        assert clock.until_waiting()
        release()
        thread.join()
    assert answers == [False, True]
    assert not clock.until_waiting(timeout=0)


def test_sinks_without_a_file_keep_the_lines():
    """A sink of the test kit stores lines and gives them back parsed."""
    sink = GateSink(shut=False)
    line = b'{"timestamp":"2026-11-22T15:47:13.000000Z","level":"info","event":"x","v":1,"plain":true}\n'
    sink.open()
    sink.sync()
    sink.after_fork()
    sink.write([line, line])
    assert sink.stored == 2
    assert [each.text for each in sink.lines()] == ["x", "x"]
    assert sink.problems() == []
    sink.close()


def test_a_failing_sink_fails_as_told():
    """Failures come in the order given, then writes work, until the test sets one for good."""
    sink = FailingSink(OSError("one"), None)
    with pytest.raises(OSError, match="one"):
        sink.write([b"a\n"])
    sink.write([b"a\n"])
    sink.write([b"b\n"])
    sink.always = SystemExit()
    with pytest.raises(SystemExit):
        sink.write([b"c\n"])
    assert (sink.seen, sink.calls) == ([b"a\n", b"b\n"], 4)


def test_a_gate_holds_and_lets_through(tmp_path):
    """A shut gate holds the worker, an open one lets it through to the file; fsync and fork reach the file too."""
    gate = GateSink()
    log = open_log_on(gate, tmp_path / "a.jsonl", durability="fsync", block_timeout=0.01)
    assert gate.wait_for_writer()
    assert not log.emit(tool(1))
    gate.open_gate()
    assert log.flush()
    assert log.emit(tool(2))
    log._logger.put_plain(text_record("x"))
    gate.after_fork()
    assert log.close()
    assert [line.event.kind for line in blm.read(tmp_path / "a.jsonl") if line.event][1:3] == ["chat.tool_called"] * 2


def test_the_manual_clock_moves_when_the_program_ends(monkeypatch):
    """When the main thread has ended nobody will move the clock, and it moves by itself."""

    class Ended:
        def is_alive(self):
            return False

    monkeypatch.setattr(threading, "main_thread", Ended)
    lock = allocate_lock()
    lock.acquire()
    assert not ManualClock().wait(lock, 0.02)
