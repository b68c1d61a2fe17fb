from __future__ import annotations

import errno
import logging
import os
import signal
import threading

import pytest
from support.faults import FaultyFS, oserror
from support.sinks import Reentrant, flush_at_last, hold_one
from support.tools import balanced, dropped, flat, kinds, of_kind, physical, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.pipeline import pipeline, process
from bamboo_logmetrics.testing import FailingSink, GateSink, ManualClock, open_log_on


def test_a_log_frames_its_lines(open_log, path):
    """worker_started is the first line and worker_stopped, with the final counts, the last."""
    log = open_log()
    log.emit(tool(1))
    log.info("plain")
    assert log.close()
    first, *middle, last = flat(path)
    assert first["event"] == "system.worker_started"
    assert {"version", "pid", "host", "started_at", "repaired_bytes"} <= first.keys()
    assert first["pid"] == os.getpid()
    assert [line["event"] for line in middle] == ["chat.tool_called", "plain"]
    assert last | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "event": "system.worker_stopped",
        "v": 1,
        "writer": log.stats().writer,
        "seq": 4,
        "emitted": 2,
        "written": 2,
        "dropped": {},
    }
    assert [line["seq"] for line in flat(path)] == [1, 2, 3, 4]


def test_worker_started_does_not_wait_for_an_event(gate):
    """The first line is on its way as soon as the log is open."""
    sink, log = gate()
    sink.open_gate()
    assert log.flush()
    assert [line.event.kind for line in sink.lines()] == ["system.worker_started"]


def test_flush_answers_when_all_is_written(open_log, path):
    """After flush every line emitted before it is in the file."""
    log = open_log(flush_interval=1000)
    for n in range(3000):
        log.emit(tool(n))
    assert log.flush()
    assert len(typed(path)) == 3000
    assert log.stats().queued == 0


def test_flush_says_no_in_time(gate):
    """flush returns False when its time is up, and the events stay queued."""
    sink, log = gate()
    log.emit(tool())
    assert not log.flush(timeout=0.01)
    assert log.stats().queued == 1
    sink.open_gate()
    assert log.flush()


def test_an_overflow_is_counted_and_announced(gate, path):
    """Of capacity + 7 events behind a shut gate, 7 are dropped, and one MetricsDropped announces them."""
    sink, log = gate(queue_size=10)
    answers = [log.emit(tool(n)) for n in range(17)]
    assert answers.count(False) == 7
    assert balanced(log.stats())
    sink.open_gate()
    assert log.close()
    assert of_kind(path, "system.metrics_dropped")[0]["count"] == 7
    assert dropped(path) == {"queue_full": 7}
    assert len(typed(path)) == 10
    assert flat(path)[-1]["dropped"] == {"queue_full": 7}


def test_close_on_a_full_queue_writes_all(gate, path):
    """close waits until all queued records are written, and returns True."""
    sink, log = gate(queue_size=100)
    for n in range(100):
        log.emit(tool(n))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(log.close(30)))
    thread.start()
    sink.open_gate()
    thread.join()
    assert answers == [True]
    assert len(typed(path)) == 100


def test_close_gives_up_in_time(gate, path, capsys):
    """When time is up, records never taken are shutdown, the batch in hand stays queued, and stderr has the counts."""
    sink, log = gate(queue_size=100)
    sink.open_gate()
    assert log.flush()
    hold_one(sink, log)
    for n in range(20):
        log.emit(tool(n))
    assert not log.close(timeout=0.01)
    stats = log.stats()
    assert (stats.dropped, stats.queued) == ({"shutdown": 20}, 1)
    assert balanced(stats)
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "emitted 21, written 0, dropped {'shutdown': 20}, still in hand 1" in errors
    sink.open_gate()
    assert not log.close()
    while log.stats().queued:
        assert sink.wait_for_writer(0.01) or True
    assert log.stats().written == 1
    assert kinds(path)[-1] == "chat.tool_called"


def test_closing_twice_and_at_once(open_log, path):
    """Eight closes at once and one more all come back, and there is one worker_stopped."""
    log = open_log()
    log.emit(tool())
    barrier, answers = threading.Barrier(8), []

    def close():
        barrier.wait()
        answers.append(log.close())

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8
    assert log.close()
    assert log.flush()
    assert kinds(path).count("system.worker_stopped") == 1


def test_after_close_emits_are_counted(open_log, path):
    """An emit after close is refused and counted as closed, in no line of the file."""
    log = open_log()
    log.close()
    assert not log.emit(tool())
    log.info("late")
    assert log.stats().dropped == {"closed": 2}
    assert balanced(log.stats())
    assert len(physical(path)) == 2


def test_closing_on_a_full_disk_counts_everything(path, capsys):
    """When storing fails to the end, lines in hand are lost to storage and the rest to shutdown; close is False."""
    sink = FailingSink(None)
    log = open_log_on(sink, path)
    assert log.flush()
    sink.always = OSError(errno.ENOSPC, "No space left on device")
    for n in range(600):
        log.emit(tool(n))
    assert not log.close(timeout=0.2)
    stats = log.stats()
    assert balanced(stats)
    assert stats.queued == 0
    assert stats.dropped["storage"] + stats.dropped.get("shutdown", 0) == 600
    said = capsys.readouterr().err
    assert said.count("\n") == said.count("cannot write") == 1
    process.close_all()
    assert "closed before all was written: emitted 600, written 0, " in capsys.readouterr().err
    assert kinds(path) == ["system.worker_started"]


def test_a_log_that_cannot_be_opened_now(path, capsys):
    """Opening never raises for a failing disk: the failure is reported on stderr, and opening is tried again."""
    fs = FaultyFS()
    fs.fail("open", errno.EACCES, times=3)
    log = blm.open_log(path, fs=fs)
    log.emit(tool())
    assert log.flush()
    assert log.close()
    assert [kind for kind in kinds(path) if kind.startswith("chat")] == ["chat.tool_called"]
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_an_acknowledged_line_is_in_the_file(open_log, path, durability):
    """Under durability write and fsync, True means that the line is in the file."""
    log = open_log(durability=durability)
    for n in range(20):
        assert log.emit(tool(n))
        assert typed(path)[-1]["tool_call_id"] == f"c{n}"
    log.info("plain")
    assert flat(path)[-1]["event"] == "plain"


def test_a_failing_disk_is_no_acknowledgement(path, capsys):
    """Under durability write a line that could not be stored yet answers False and stays queued."""
    fs = FaultyFS()
    with blm.open_log(path, durability="write", fs=fs, block_timeout=0.2) as log:
        assert log.flush()
        fs.fail("write", errno.ENOSPC, times=None)
        assert not log.emit(tool(1))
        fs.heal()
        assert log.flush()
    assert len(typed(path)) == 1
    capsys.readouterr()


def test_durable_emits_of_many_threads(open_log, path):
    """Eight threads under durability write are each acknowledged, and every line is there once."""
    log, answers = open_log(durability="write"), []

    def emit(number):
        answers.extend(log.emit(tool(f"{number}-{n}")) for n in range(200))

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answers)
    assert len({line["tool_call_id"] for line in typed(path)}) == len(typed(path)) == 1600


def test_durable_refusals(gate):
    """Under durability write a refused record, a late one and one without the sink's turn are not acknowledged."""
    sink, log = gate(durability="write", block_timeout=0.01, queue_size=1)
    assert not log.emit(tool(1))
    assert not log.emit(tool(2))
    assert log.stats().dropped == {"queue_full": 1}
    sink.open_gate()
    assert log.flush()
    assert log.stats().written == 1


def test_a_durable_emit_within_a_durable_emit(open_log, path):
    """Under durability write, an emit from a signal handler within the step answers False at once and is written."""
    fs, answers = FaultyFS(), []
    log = open_log(durability="write", fs=fs)
    assert log.flush()
    previous = signal.signal(signal.SIGUSR1, lambda *_: answers.append(log.emit(tool("inner"))))

    def interrupt(*_):
        fs.heal()
        signal.raise_signal(signal.SIGUSR1)

    try:
        fs.plan["write"] = interrupt
        assert log.emit(tool("outer"))
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert log.flush()
    assert answers == [False]
    assert sorted(line["tool_call_id"] for line in typed(path)) == ["cinner", "couter"]


def test_a_durable_emit_that_may_not_wait_is_left_to_the_worker(path):
    """A line that was emitted within a durable write is written soon, also if no call ever follows."""
    sink = Reentrant(lambda log: log.emit(tool("inner")))
    log = open_log_on(sink, path, durability="write")
    assert log.flush()
    log._pipeline.channel.take(0, [])  # as the step of a durable emit does: from now on no caller wakes the worker
    sink.log = log
    assert log.emit(tool("outer"))
    for _ in ("worker_started", "outer", "inner"):
        assert sink.written.acquire(timeout=30)
    assert [line["tool_call_id"] for line in typed(path)] == ["couter", "cinner"]
    log.close()


def test_a_closed_log_stays_closed_for_its_step(path, gate):
    """The batch in the sink when close gave up is the last one: no line is written after it."""
    sink, log = gate()
    for n in range(3):
        log.emit(tool(n))
    assert not log.close(timeout=0.01)
    sink.open_gate()
    while not path.exists() or not physical(path):
        sink.wait_for_writer(0.01)
    assert kinds(path) == ["system.worker_started"]
    assert log.stats().dropped == {"shutdown": 3}


def test_the_queue_fills_while_the_disk_is_away(path, capsys):
    """A disk that is away fills the queue, whose policy counts the rest exactly."""
    clock, fs = ManualClock(), FaultyFS()
    log = blm.open_log(path, fs=fs, clock=clock, queue_size=50)
    try:
        assert log.flush()
        fs.fail("write", errno.EROFS, times=None)
        answers = [log.emit(tool(n)) for n in range(2000)]
        assert balanced(log.stats())
        assert log.stats().dropped_total == answers.count(False)
    finally:
        fs.heal()
        flush_at_last(log, clock)
        log.close()
    assert len(typed(path)) == answers.count(True)
    assert dropped(path) == {"queue_full": answers.count(False)}
    capsys.readouterr()


def test_two_logs_on_one_path(open_log, path):
    """One path opened twice is two writers, each with a sequence of its own."""
    first, second = open_log(), open_log()
    for n in range(100):
        (first if n % 2 else second).emit(tool(n))
    assert first.close()
    assert second.close()
    assert len({line["writer"] for line in flat(path)}) == 2
    assert len(typed(path)) == 100
    assert blm.verify([path]).ok


@pytest.mark.usefixtures("no_threads")
def test_as_in_a_forked_child(path):
    """After a fork the log has a new writer, counters at zero, and its first event is preceded by worker_started."""
    log = blm.open_log(path)
    log.emit(tool("parent"))
    parent = log.stats().writer
    process._after_fork_in_child()
    assert log.stats().emitted == 0
    assert log.stats().writer != parent
    assert kinds(path) == ["system.worker_started", "chat.tool_called"]
    log.emit(tool("child"))
    assert log.close()
    assert kinds(path)[2:] == ["system.worker_started", "chat.tool_called", "system.worker_stopped"]


@pytest.mark.usefixtures("no_threads")
def test_as_in_a_child_that_never_emits(path):
    """A forked child that closes a log it has not used writes no line."""
    log = blm.open_log(path)
    process._after_fork_in_child()
    assert log.close()
    assert kinds(path) == ["system.worker_started"]


def test_a_durable_emit_is_answered_when_close_gives_up(path, capsys):
    """Under durability write, a caller whose record is lost at close is told False."""
    sink = FailingSink(None)
    log = open_log_on(sink, path, durability="write", block_timeout=0.1)
    assert log.flush()
    sink.always = OSError(errno.ENOSPC, "No space left on device")
    assert not log.emit(tool())
    assert not log.close(timeout=0.1)
    assert log.stats().dropped == {"storage": 1}
    capsys.readouterr()


def test_a_broken_stderr_breaks_nothing(path, monkeypatch):
    """Where stderr cannot be written to, the log works on."""
    fs = FaultyFS()
    fs.fail("open", errno.EACCES)
    monkeypatch.setattr("sys.stderr", None)
    with blm.open_log(path, fs=fs) as log:
        assert log.emit(tool())
    monkeypatch.undo()
    assert len(typed(path)) == 1


def test_a_memory_error_in_a_durable_emit_stays_inside(path, capsys):
    """Under durability write, MemoryError in the sink answers False, and the line is written later."""
    sink = FailingSink(None, MemoryError())
    log = open_log_on(sink, path, durability="write", block_timeout=0.01, flush_interval=1000)
    assert log.flush()
    log.emit(tool(1))
    assert log.flush()
    assert log.close()
    assert len(typed(path)) == 1
    capsys.readouterr()


def test_a_durable_emit_keeps_its_time(path, tmp_path):
    """Behind a stopped holder of the file's lock, a durable emit answers after block_timeout, and open_log comes back."""
    holder = os.open(tmp_path / ".a.jsonl.lock", os.O_CREAT | os.O_RDWR)
    FaultyFS().lock(holder)
    log = blm.open_log(path, durability="write", block_timeout=0.05)
    try:
        assert not log.emit(tool(1))
    finally:
        os.close(holder)
        assert log.close()
    assert len(typed(path)) == 1


def test_an_emit_while_its_thread_waits_for_the_step(path):
    """Under durability write, a signal handler's emit does not wait while its own thread is waiting in another."""
    sink, answers = GateSink(), []
    log = open_log_on(sink, path, durability="write", block_timeout=30)
    assert sink.wait_for_writer()
    previous = signal.signal(signal.SIGALRM, lambda *_: (answers.append(log.emit(tool("inner"))), sink.open_gate()))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert log.emit(tool("outer"))
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert answers == [False]
    assert log.close()
    assert len(typed(path)) == 2


def test_write_through_stores_every_record_before_its_call_returns(open_log, path):
    """After write_through each acknowledged line is in the file, of events, plain lines and the handler, and the stop after it."""
    log = open_log(flush_interval=1000)
    handler = blm.MetricsHandler(log)
    log.emit(tool("queued"))
    log._pipeline.write_through()
    assert log._pipeline.flush_and_mark_stopped()
    for n in range(5):
        assert log.emit(tool(n))
        log.info("plain")
        handler.handle(logging.makeLogRecord({"msg": "stdlib", "levelno": 20}))
        assert kinds(path)[-4::2] == ["plain", "stdlib"]
        assert kinds(path)[-1] == kinds(path)[-3] == "system.worker_stopped"
    assert len(typed(path)) == 6
    assert blm.verify([path]).ok
    assert log.close()
    assert kinds(path).count("system.worker_stopped") == 16


@pytest.mark.parametrize("policy", ["drop_newest", "drop_oldest", "block"])
def test_write_through_keeps_the_policy_of_a_full_queue(path, policy, capsys):
    """After write_through what does not fit beside lines that cannot be stored is refused, counted and answered False."""
    sink = FailingSink()
    sink.always = oserror(errno.ENOSPC)
    with open_log_on(sink, path, on_full=policy, queue_size=10, block_timeout=0.01) as log:
        log._pipeline.write_through()
        assert [log.emit(tool(n)) for n in range(30)] == [False] * 30
        assert balanced(log.stats())
        assert log.stats().written == 0
        assert log.stats().dropped_total >= 10
        sink.always = None
        assert log.flush()
    capsys.readouterr()


def test_write_through_by_many_threads(open_log, path):
    """After write_through the calls of eight threads are each in the file once, and the stop is the last line."""
    log, answers = open_log(), []

    def emit(number):
        answers.extend(log.emit(tool(f"{number}-{n}")) for n in range(100))

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(8)]
    for thread in threads[:4]:
        thread.start()
    log._pipeline.write_through()
    assert log._pipeline.flush_and_mark_stopped()
    for thread in threads[4:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 800
    assert len({line["tool_call_id"] for line in typed(path)}) == len(typed(path)) == 800
    assert kinds(path)[-1] == "system.worker_stopped"
    assert blm.verify([path]).ok


def test_write_through_within_a_call(open_log, path):
    """After write_through, an emit from a signal handler within another call's write answers False and is written."""
    fs, answers = FaultyFS(), []
    log = open_log(fs=fs)
    log._pipeline.write_through()
    assert log.emit(tool("first"))
    fs.plan["write"] = lambda *_: (fs.heal(), answers.append(log.emit(tool("within"))))[0]
    assert log.emit(tool("outer"))
    assert answers == [False]
    assert log.flush()
    assert sorted(line["tool_call_id"] for line in typed(path)) == ["cfirst", "couter", "cwithin"]


def test_drops_that_are_announced_later_come_before_the_stop(open_log, path):
    """After write_through a line of the log itself, too, has worker_stopped behind it."""
    log = open_log(max_line_bytes=2_000)
    log._pipeline.write_through()
    log._pipeline.channel.too_large += 1
    log._pipeline.channel.accepted += 1
    assert log.flush()
    assert log.flush()  # the first turn has ended
    assert kinds(path)[-2:] == ["system.metrics_dropped", "system.worker_stopped"]


def test_a_log_that_is_collected_while_the_interpreter_ends(open_log, monkeypatch):
    """A finaliser that runs when the modules are being cleared does nothing."""
    log = open_log()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "process", None)
        log._logger.pipeline.close_unreferenced()
    assert not log._logger.pipeline.closed
    assert log.emit(tool())


def test_a_log_that_ends_while_it_is_kept(open_log, monkeypatch):
    """A log that ended before it was kept for its end is not kept."""
    log = open_log()
    assert log.flush()
    kept = log._logger.pipeline
    monkeypatch.setattr(pipeline.process, "keep", lambda item: item.close())
    unregistered = []
    monkeypatch.setattr(pipeline.process, "unregister", unregistered.append)
    kept.close_unreferenced()
    assert unregistered[-1] is kept
