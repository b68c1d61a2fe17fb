from __future__ import annotations

import errno
import os
import signal
import threading

import pytest
from support.faults import FaultyFS
from support.tools import balanced, dropped, flat, of_kind, physical, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.pipeline import pipeline, process, step
from bamboo_logmetrics.pipeline.locks import try_acquire
from bamboo_logmetrics.testing import FailingSink, GateSink, ManualClock, open_log_on


@pytest.fixture
def gate(path):
    gates = []

    def opening(**options):
        sink = GateSink()
        gates.append((sink, open_log_on(sink, path, **options)))
        assert sink.wait_for_writer()  # it holds worker_started
        return gates[-1]

    yield opening
    for sink, log in gates:
        sink.open_gate()
        log.close()


def flush_at_last(log, clock):
    """Let time pass until everything is written."""
    while not log.flush(timeout=0):
        clock.advance(1)


def hold_one(sink, log):
    """Let worker_started through and have the worker hold the line of one event."""
    sink.shut_gate()
    log.emit(tool("held"))
    assert sink.wait_for_writer()


def kinds(path):
    return [line["event"] for line in flat(path)]


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


def test_what_comes_while_the_worker_writes_waits_for_its_next_turn(gate):
    """A turn ends with what was queued when it began: who emits in a loop is not chased."""
    clock = ManualClock()
    sink, log = gate(clock=clock)
    sink.open_gate()
    assert log.flush()
    while sink.wait_for_writer(timeout=0):
        pass
    hold_one(sink, log)
    log.emit(tool("later"))
    sink.open_gate()
    assert clock.until_waiting()  # the worker sleeps out its interval
    assert (log.stats().written, log.stats().queued) == (1, 1)
    flush_at_last(log, clock)


def test_flush_says_no_in_time(gate):
    """flush is False when its time is up, and the events are still there."""
    sink, log = gate()
    log.emit(tool())
    assert not log.flush(timeout=0.01)
    assert log.stats().queued == 1
    sink.open_gate()
    assert log.flush()


def test_flush_waits_for_every_batch(gate, path, monkeypatch):
    """flush is not answered before the last of several batches is written."""
    monkeypatch.setattr(step, "BATCH", 10)
    clock = ManualClock()
    sink, log = gate(clock=clock)
    waiting, write = [], sink.inner.write

    def watched(lines, deadline=None):
        waiting.append(len(log._pipeline._tickets))
        write(lines, deadline)

    monkeypatch.setattr(sink.inner, "write", watched)
    for n in range(25):
        log.emit(tool(n))
    thread = threading.Thread(target=log.flush)
    thread.start()
    assert clock.until_waiting()
    sink.open_gate()
    thread.join()
    assert waiting == [1] * 4  # worker_started and three batches
    assert len(typed(path)) == 25


def test_flush_under_load_does_not_wait_for_the_load(open_log):
    """flush answers while other threads go on emitting."""
    log, done = open_log(queue_size=5000), threading.Event()

    def emit():
        while not done.is_set():
            log.emit(tool())

    threads = [threading.Thread(target=emit) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert all(log.flush(30) for _ in range(5))
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_an_overflow_is_counted_and_announced(gate, path):
    """Of capacity + 7 events behind a shut gate, 7 are dropped, and one MetricsDropped says so."""
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


def test_drops_are_announced_though_nothing_follows(gate, path):
    """A flood followed by silence is announced by the worker's own clock."""
    sink, log = gate(queue_size=5)
    for n in range(9):
        log.emit(tool(n))
    sink.open_gate()
    assert log.flush()
    assert dropped(path) == {"queue_full": 4}


def test_drops_are_announced_once_a_second(path):
    """Two floods within a second make one announcement each second, with exact counts and totals."""
    clock, sink = ManualClock(), GateSink()
    log = open_log_on(sink, path, queue_size=2, clock=clock)
    try:
        for _ in range(2):
            sink.shut_gate()
            log.emit(tool())
            assert sink.wait_for_writer()
            for n in range(5):
                log.emit(tool(n))
            sink.open_gate()
            assert log.flush()
        said = of_kind(path, "system.metrics_dropped")
        assert len(said) == 1
        before = said[0]["total"]
        clock.advance(1)
        assert log.flush()
        total = log.stats().dropped["queue_full"]
        last = of_kind(path, "system.metrics_dropped")[-1]
        assert (last["count"], last["total"]) == (total - before, total)
    finally:
        sink.open_gate()
        log.close()


def test_an_idle_worker_wakes_to_announce(path):
    """The worker announces the rest of the drops when their second is over, without any call."""
    clock, sink = ManualClock(), GateSink(shut=False)
    log = open_log_on(sink, path, queue_size=2, clock=clock, max_line_bytes=1000)
    try:
        for _ in range(2):
            log.emit(tool(session_id="s" * 1000))
            assert log.flush()
        assert dropped(path) == {"too_large": 1}
        assert clock.until_waiting()
        while sink.wait_for_writer(0.01):
            pass
        clock.advance(1)
        assert sink.wait_for_writer()
        assert log.flush()
        assert dropped(path) == {"too_large": 2}
    finally:
        log.close()


def test_close_on_a_full_queue_writes_all(gate, path):
    """close waits for what is queued and says so."""
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
    """When time is up, what was never taken is shutdown, the batch in hand stays queued, and stderr has the counts."""
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


@pytest.mark.parametrize("error", [SystemExit(), MemoryError(), RecursionError(), KeyboardInterrupt()])
def test_the_worker_outlives_anything(path, error, capsys):
    """After a SystemExit and the like in the sink, everything is written once, and one StorageError tells of it."""
    sink = FailingSink(None, error)
    log = open_log_on(sink, path)
    assert log.flush()
    for n in range(5):
        log.emit(tool(n))
    assert log.flush()
    assert log.close()
    assert [line["tool_call_id"] for line in typed(path)] == [f"c{n}" for n in range(5)]
    (said,) = of_kind(path, "system.storage_error")
    assert said["error"].startswith(type(error).__name__)
    assert said["event_type"] == "chat.tool_called"
    assert [line["seq"] for line in flat(path)] == list(range(1, len(flat(path)) + 1))
    assert capsys.readouterr().err.count("\n") == 1


def test_a_full_disk_keeps_the_lines(path, capsys):
    """While the disk is full lines are kept; when there is space again they and one StorageError are written."""
    clock, fs = ManualClock(), FaultyFS()
    log = blm.open_log(path, fs=fs, clock=clock)
    try:
        assert log.flush()
        fs.fail("write", errno.ENOSPC, times=None)
        for n in range(10):
            log.emit(tool(n))
        for _ in range(8):
            assert not log.flush(timeout=0)
            clock.advance(5)
        assert log.stats().queued == 10
        fs.heal()
        flush_at_last(log, clock)
        assert len(typed(path)) == 10
        (said,) = of_kind(path, "system.storage_error")
        assert "No space left" in said["error"]
    finally:
        fs.heal()
        flush_at_last(log, clock)
        log.close()
    assert capsys.readouterr().err.count("\n") == 1


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


def test_a_failure_at_the_very_end_is_told_before_the_stop(path):
    """When worker_stopped itself fails once, the StorageError comes and worker_stopped is still the last line."""
    sink = FailingSink(None, None, OSError(errno.EIO, "I/O error"))
    log = open_log_on(sink, path)
    log.emit(tool())
    assert log.flush()
    assert log.close()
    assert kinds(path)[-1] == "system.worker_stopped"
    assert "system.storage_error" in kinds(path)
    assert blm.verify([path]).ok


def test_the_stop_waits_for_what_failed(path):
    """When storing fails at close and works again in time, there is one worker_stopped, and it is the last line."""
    sink = FailingSink(None, *[OSError(errno.EIO, "I/O error")] * 3)
    log = open_log_on(sink, path)
    log.emit(tool())
    assert log.close()
    assert kinds(path) == [
        "system.worker_started",
        "chat.tool_called",
        "system.storage_error",
        "system.worker_stopped",
    ]
    assert blm.verify([path]).ok


def test_trouble_beside_the_writing_is_told(path):
    """A rotation that fails is a StorageError in the log, which goes on."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs, max_bytes=1000)
    fs.fail("rename", errno.EACCES)
    for n in range(10):
        log.emit(tool(n))
        assert log.flush()
    assert log.close()
    assert [line["error"] for line in of_kind(path, "system.storage_error")] == ["rotate: [Errno 13] Permission denied"]
    assert len(typed(path)) == 10


def test_a_log_that_cannot_be_opened_now(path, capsys):
    """Opening never raises for a failing disk: it is said on stderr and tried again."""
    fs = FaultyFS()
    fs.fail("open", errno.EACCES, times=3)
    log = blm.open_log(path, fs=fs)
    log.emit(tool())
    assert log.flush()
    assert log.close()
    assert [kind for kind in kinds(path) if kind.startswith("chat")] == ["chat.tool_called"]
    assert "Permission denied" in capsys.readouterr().err


def test_without_threads_the_work_is_done_by_the_callers(path, monkeypatch):
    """Where no thread can be started, events are written where they are emitted, and close works."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    log = blm.open_log(path)
    for n in range(5):
        assert log.emit(tool(n))
    assert len(typed(path)) == 5
    assert log.flush()
    assert log.close()
    assert kinds(path)[-1] == "system.worker_stopped"


def test_without_threads_and_with_a_bad_disk_close_gives_up(path, monkeypatch, capsys):
    """Where no thread can be started and the disk fails, flush and close still come back in time."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs)
    fs.fail("write", errno.ENOSPC, times=None)
    log.emit(tool())
    assert not log.flush(timeout=0.1)
    assert not log.close(timeout=0.1)
    assert balanced(log.stats())
    assert log.stats().dropped == {"storage": 1}
    capsys.readouterr()


def test_a_dead_worker_is_replaced(open_log, path):
    """A worker that dies of what it cannot survive is replaced at the next emit."""
    log, died = open_log(), threading.Event()
    assert log.flush()
    pipeline = log._pipeline

    def turn():
        raise SystemExit

    def fail(_):
        del pipeline._turn, pipeline._step.fail
        raise MemoryError

    previous, threading.excepthook = threading.excepthook, lambda _: died.set()
    try:
        pipeline._turn, pipeline._step.fail = turn, fail
        log.emit(tool(1))
        assert died.wait(10)
    finally:
        threading.excepthook = previous
    assert log.emit(tool(2))
    assert log.flush()
    assert len(typed(path)) == 2


@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_an_acknowledged_line_is_in_the_file(open_log, path, durability):
    """Under durability write and fsync, True means that the line is in the file."""
    log = open_log(durability=durability)
    for n in range(20):
        assert log.emit(tool(n))
        assert typed(path)[-1]["tool_call_id"] == f"c{n}"
    log.info("plain")
    assert flat(path)[-1]["event"] == "plain"


def test_fsync_syncs_before_it_acknowledges(path):
    """Under durability fsync the file is synced for each acknowledgement, and the directory after creation."""
    fs = FaultyFS()
    with blm.open_log(path, durability="fsync", fs=fs) as log:
        assert log.emit(tool(1))
        assert fs.count("fsync") == 2
        assert log.emit(tool(2))
        assert fs.count("fsync") == 3


def test_a_failed_fsync_is_no_acknowledgement(path):
    """When fsync fails the answer is False, the line is written, and a StorageError tells of it."""
    fs = FaultyFS()
    with blm.open_log(path, durability="fsync", fs=fs) as log:
        assert log.flush()
        fs.fail("fsync", errno.EIO)
        assert not log.emit(tool(1))
        assert log.emit(tool(2))
    assert len(typed(path)) == 2
    assert "fsync" in of_kind(path, "system.storage_error")[0]["error"]


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


def test_a_line_too_long_answers_no(open_log):
    """Under durability write a line that is too large to write is not acknowledged and counted."""
    log = open_log(durability="write", max_line_bytes=1000)
    assert not log.emit(tool(session_id="s" * 2000))
    assert log.stats().dropped == {"too_large": 1}


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
    """A line that was emitted within a durable write is written soon, also if nobody ever calls again."""
    sink = Reentrant(lambda log: log.emit(tool("inner")))
    log = open_log_on(sink, path, durability="write")
    assert log.flush()
    log._pipeline.channel.take(0, [])  # as the step of a durable emit does: from now on nobody rings
    sink.log = log
    assert log.emit(tool("outer"))
    for _ in ("worker_started", "outer", "inner"):
        assert sink.written.acquire(timeout=10)
    assert [line["tool_call_id"] for line in typed(path)] == ["couter", "cinner"]
    log.close()


def test_a_count_that_is_wrong_does_not_keep_the_worker_turning(open_log):
    """A turn ends with an empty queue, even if fewer records are counted as taken than were."""
    log = open_log()
    log._pipeline.channel.taken -= 1
    log.emit(tool())
    assert log.flush()
    assert log.close()


class Reentrant(FailingSink):
    """A sink that does something with the log in the middle of a write."""

    def __init__(self, action):
        super().__init__()
        self.action = action
        self.log = None
        self.written = threading.Semaphore(0)  # one for each line

    def write(self, lines, deadline=None):
        if self.log is not None and self.action is not None:
            action, self.action = self.action, None
            action(self.log)
        super().write(lines, deadline)
        self.written.release(len(lines))


@pytest.mark.parametrize("durability", ["queue", "write"])
def test_calls_from_within_the_sink(path, durability):
    """Emit, flush and close from within a write come back at once, and everything is written."""
    answers = []

    def action(log):
        answers.append((log.emit(tool("inner")), log.flush(), log.close()))

    sink = Reentrant(action)
    log = open_log_on(sink, path, durability=durability)
    assert log.flush()
    sink.log = log
    log.emit(tool("outer"))
    log.flush()
    assert log.close()
    assert answers == [(durability == "queue", False, False)]
    assert sorted(line["tool_call_id"] for line in typed(path)) == ["cinner", "couter"]
    assert kinds(path)[-1] == "system.worker_stopped"


def test_a_closed_log_stays_closed_for_its_step(path, gate):
    """What was in the sink when close gave up is the last line: no more is written after it."""
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


def test_an_idle_log_costs_nothing(open_log):
    """A worker that has nothing to do waits without a timer, until it is woken."""
    timeouts = []

    class Noting(ManualClock):
        def wait(self, lock, timeout):
            timeouts.append(timeout)
            return super().wait(lock, timeout)

    clock = Noting()
    log = open_log(clock=clock)
    log.emit(tool())
    assert log.flush()
    while timeouts[-1] is not None:  # the worker sleeps out its last interval first
        clock.advance(1)
    assert log.emit(tool())
    assert log.flush()


def test_a_fault_in_the_middle_of_a_batch_loses_nothing(open_log, path, monkeypatch):
    """When making lines is interrupted in the middle of a batch, every record of it is written once."""
    log = open_log()
    assert log.flush()
    maker = log._pipeline._maker
    real, calls = maker.encode, []

    def encode(item):
        calls.append(item)
        if len(calls) == 3:
            raise SystemExit
        return real(item)

    monkeypatch.setattr(maker, "encode", encode)
    for n in range(6):
        log.emit(tool(n))
    assert log.flush()
    assert [line["tool_call_id"] for line in typed(path)] == [f"c{n}" for n in range(6)]
    assert log.stats().written == 6


def test_as_in_a_forked_child(path, monkeypatch):
    """After a fork the log has a new writer, counters at zero, and says that it started with its first event."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
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


def test_as_in_a_child_that_never_emits(path, monkeypatch):
    """A forked child that closes a log it has not used writes no line."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    log = blm.open_log(path)
    process._after_fork_in_child()
    assert log.close()
    assert kinds(path) == ["system.worker_started"]


def test_who_asks_a_leaving_worker_is_answered(open_log):
    """A flush that comes while the worker is on its way out is answered by it."""
    log = open_log()
    assert log.close()
    ticket = pipeline._Ticket()
    log._pipeline._tickets.append(ticket)
    log._pipeline._work()
    assert ticket.ok


def test_a_worker_is_started_once(open_log):
    """Who finds another caller starting the worker, or one started, leaves it at that."""
    log = open_log()
    assert log._pipeline._start_worker()
    alive, log._pipeline._alive = log._pipeline._alive, False
    answers = []
    log._pipeline._starting.run(lambda: answers.append(log._pipeline._start_worker()), try_acquire)
    log._pipeline._alive = alive
    assert answers == [True]


def test_an_emit_from_within_the_sink_without_threads(path, monkeypatch):
    """Where no thread can be started, an emit from within a write is written after it."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    answers = []
    sink = Reentrant(lambda log: answers.append((log.emit(tool("inner")), log._pipeline.wake())))
    log = open_log_on(sink, path)
    sink.log = log
    log.emit(tool("outer"))
    assert log.close()
    assert answers == [(True, False)]
    assert sorted(line["tool_call_id"] for line in typed(path)) == ["cinner", "couter"]


def test_trouble_at_the_close_of_the_file(path, capsys):
    """An error when the file is closed at the end is said on stderr."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs)
    assert log.flush()
    fd = log._pipeline._sink._fd
    fs.fail("close", errno.EIO, when=lambda given: given == fd)
    assert log.close()
    os.close(fd)
    assert "close: " in capsys.readouterr().err


def test_a_compression_that_hangs_is_no_loss(path, capsys):
    """When close's time is up and only a compression is under way, nothing is said to be lost."""
    fs, go_on = FaultyFS(), threading.Event()
    fs.plan["fsync"] = lambda _: go_on.wait(30) and None
    log = blm.open_log(path, fs=fs, max_bytes=1000, compress="gzip")
    for n in range(20):
        log.emit(tool(n))
        assert log.flush()
    assert log.close(timeout=0.2)
    assert capsys.readouterr().err == ""
    go_on.set()
    assert len(typed(path)) == 20


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


def test_a_stored_batch_that_was_not_put_away_is_not_stored_again(open_log, path):
    """When an interrupt comes after a batch was stored and before it was put away, it is not written twice."""
    log = open_log()
    assert log.flush()
    step = log._pipeline._step

    class Pending(list):
        def remove(self, item):
            step._pending = list(self)
            raise SystemExit

    step._pending = Pending()
    log.emit(tool(1))
    assert log.flush()
    assert len(typed(path)) == 1
    assert log.stats().written == 1


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


def test_a_thread_that_leaves_after_close_gave_up_closes_the_file(path, capsys):
    """When close has given up while the worker was in the sink, and the sink then fails, what it held is counted."""
    sink = GateSink()
    log = open_log_on(sink, path)
    assert sink.wait_for_writer()
    sink.open_gate()
    assert log.flush()
    hold_one(sink, log)
    assert not log.close(timeout=0.01)
    assert log.stats().queued == 1
    sink.inner.write = lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error"))
    sink.open_gate()
    while log.stats().queued:
        sink.wait_for_writer(0.01)
    assert log.stats().dropped == {"storage": 1}
    assert balanced(log.stats())
    capsys.readouterr()


def test_faults_where_there_are_no_threads(path, monkeypatch, capsys):
    """Where no thread can be started, MemoryError in the sink does not come out of emit, and the line is written later."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    sink = FailingSink(None, MemoryError())
    log = open_log_on(sink, path)
    assert log.emit(tool(1))
    assert log.flush()
    assert log.close()
    assert len(typed(path)) == 1
    capsys.readouterr()


def test_a_fault_in_making_an_own_line_leaves_no_gap(open_log, path, monkeypatch, capsys):
    """When making one of the log's own lines fails, its number is used by the next line."""
    log = open_log()
    log.emit(tool(1))
    assert log.flush()
    maker = log._pipeline._maker
    real = maker.encode_internal

    def encode_internal(event, fields):
        monkeypatch.setattr(maker, "encode_internal", real)
        real(event, fields)
        raise SystemExit

    monkeypatch.setattr(maker, "encode_internal", encode_internal)
    assert log.close()
    assert [line["seq"] for line in flat(path)] == list(range(1, len(flat(path)) + 1))
    assert kinds(path)[-1] == "system.worker_stopped"
    capsys.readouterr()


def test_a_loss_is_said_once(open_log, capsys):
    """Whoever gives up first says what was lost; nobody else says it again."""
    log = open_log()
    log._pipeline.channel.storage = 1
    log._pipeline._say_lost()
    log._pipeline._say_lost()
    log._pipeline.channel.storage = 0
    assert capsys.readouterr().err.count("closed before all was written") == 1


def test_giving_up_a_log_that_has_ended(open_log):
    """Who comes to give up when the log has just ended leaves it at that, and so does who comes to start a worker."""
    log = open_log()
    assert log.flush()
    log._pipeline.channel.close()
    log._pipeline._abandon()
    assert log.close()
    log._pipeline._give_up_unless_ended()
    assert not log._pipeline._start_worker()
    assert log.stats().dropped_total == 0


def test_a_worker_that_left_before_close_gave_up(open_log, path):
    """When the worker has gone while close was giving up, close puts the file away itself."""
    log = open_log()
    assert log.flush()
    held = log._pipeline
    held.channel.close()
    real = held._in_step

    def busy(work, timeout):
        held._in_step = real
        held._alive, held._alive_before = False, held._alive
        return False

    held._in_step = busy
    held._abandon()
    assert held._sink._fd == -1
    held._bell.release()


def test_the_worker_sleeps_until_a_drop_is_due(path):
    """With a drop to be announced the worker sleeps no longer than until that is due."""
    with blm.open_log(path, clock=ManualClock()) as log:
        assert log.flush()
        held = log._pipeline
        held._worked = False
        held.channel.too_large = 1
        assert held._pause() == pipeline._BLINK
        held.channel.too_large = 0
