from __future__ import annotations

import errno
import gc
import os
import threading

import pytest
from support.faults import FaultyFS
from support.sinks import Reentrant, flush_at_last, hold_one
from support.tools import balanced, dropped, flat, kinds, of_kind, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.pipeline import process, step, worker
from bamboo_logmetrics.pipeline.locks import try_acquire
from bamboo_logmetrics.testing import FailingSink, GateSink, ManualClock, open_log_on


def test_what_comes_while_the_worker_writes_waits_for_its_next_turn(gate):
    """A turn ends with the records that were queued when it began: it does not chase a caller that emits in a loop."""
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


def test_flush_waits_for_every_batch(gate, path, monkeypatch):
    """flush is not answered before the last of several batches is written."""
    monkeypatch.setattr(step, "BATCH", 10)
    clock = ManualClock()
    sink, log = gate(clock=clock)
    waiting, write = [], sink.inner.write

    def watched(lines, deadline=None):
        waiting.append(len(log._pipeline._worker._requests))
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


@pytest.mark.usefixtures("no_threads")
def test_without_threads_the_work_is_done_by_the_callers(path):
    """Where no thread can be started, events are written where they are emitted, and close works."""
    log = blm.open_log(path)
    for n in range(5):
        assert log.emit(tool(n))
    assert len(typed(path)) == 5
    assert log.flush()
    assert log.close()
    assert kinds(path)[-1] == "system.worker_stopped"


@pytest.mark.usefixtures("no_threads")
def test_without_threads_and_with_a_bad_disk_close_gives_up(path, capsys):
    """Where no thread can be started and the disk fails, flush and close still come back in time."""
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
    """A worker that dies of a fault is replaced at the next emit."""
    log, died = open_log(), threading.Event()
    assert log.flush()
    worker = log._pipeline._worker

    def turn():
        raise SystemExit

    def fail(_):
        del worker._turn, worker.step.fail
        raise MemoryError

    previous, threading.excepthook = threading.excepthook, lambda _: died.set()
    try:
        worker._turn, worker.step.fail = turn, fail
        log.emit(tool(1))
        assert died.wait(30)
    finally:
        threading.excepthook = previous
    assert log.emit(tool(2))
    assert log.flush()
    assert len(typed(path)) == 2


def test_a_count_that_is_wrong_does_not_keep_the_worker_turning(open_log):
    """A turn ends with an empty queue, even if fewer records are counted as taken than were."""
    log = open_log()
    log._pipeline.channel.taken -= 1
    log.emit(tool())
    assert log.flush()
    assert log.close()


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


def test_a_leaving_worker_answers_a_flush(open_log):
    """A flush that comes while the worker is on its way out is answered by it."""
    log = open_log()
    assert log.close()
    request = worker._FlushRequest()
    log._pipeline._worker._requests.append(request)
    log._pipeline._worker._work()
    assert request.ok


def test_a_worker_is_started_once(open_log):
    """A caller does not start a worker that is started, or that another caller is starting."""
    started = open_log()._pipeline._worker
    assert started._start()
    has_thread, started._has_thread = started._has_thread, False
    answers = []
    started._start_lock.run(lambda: answers.append(started._start()), try_acquire)
    started._has_thread = has_thread
    assert answers == [True]


@pytest.mark.usefixtures("no_threads")
def test_an_emit_from_within_the_sink_without_threads(path):
    """Where no thread can be started, an emit from within a write is written after it."""
    answers = []
    sink = Reentrant(lambda log: answers.append((log.emit(tool("inner")), log._pipeline._worker.wake())))
    log = open_log_on(sink, path)
    sink.log = log
    log.emit(tool("outer"))
    assert log.close()
    assert answers == [(True, False)]
    assert sorted(line["tool_call_id"] for line in typed(path)) == ["cinner", "couter"]


def test_trouble_at_the_close_of_the_file(path, capsys):
    """An error when the file is closed at the end is reported on stderr."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs)
    assert log.flush()
    fd = log._pipeline._sink._fd
    fs.fail("close", errno.EIO, when=lambda number: number == fd)
    assert log.close()
    os.close(fd)
    assert "close: " in capsys.readouterr().err


def test_a_compression_that_hangs_is_no_loss(path, capsys):
    """When close's time is up and only a compression is under way, no loss is reported."""
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


def test_a_thread_that_leaves_after_close_gave_up_closes_the_file(path, capsys):
    """When close has given up while the worker was in the sink, and the sink then fails, its batch is counted."""
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


@pytest.mark.usefixtures("no_threads")
def test_faults_where_there_are_no_threads(path, capsys):
    """Where no thread can be started, MemoryError in the sink does not come out of emit, and the line is written later."""
    sink = FailingSink(None, MemoryError())
    log = open_log_on(sink, path)
    assert log.emit(tool(1))
    assert log.flush()
    assert log.close()
    assert len(typed(path)) == 1
    capsys.readouterr()


def test_a_loss_is_reported_once(open_log, capsys):
    """A loss is reported once, however often the log gives up."""
    log = open_log()
    log._pipeline.channel.storage = 1
    log._pipeline._worker._report_loss()
    log._pipeline._worker._report_loss()
    log._pipeline.channel.storage = 0
    assert capsys.readouterr().err.count("closed before all was written") == 1


def test_giving_up_a_log_that_has_ended(open_log):
    """Once the log has ended, giving it up and starting a worker do nothing."""
    log = open_log()
    assert log.flush()
    log._pipeline.channel.close()
    log._pipeline._worker.abandon()
    assert log.close()
    log._pipeline._worker._give_up_unless_over()
    assert not log._pipeline._worker._start()
    assert log.stats().dropped_total == 0


def test_a_worker_that_left_before_close_gave_up(open_log, path):
    """When the worker has gone while close was giving up, close puts the file away itself."""
    log = open_log()
    assert log.flush()
    left = log._pipeline._worker
    left.channel.close()
    real = left._run_in_step

    def busy(work, timeout):
        left._run_in_step = real
        left._has_thread = False
        return False

    left._run_in_step = busy
    left.abandon()
    assert left._sink._fd == -1
    left._wakeup.release()


def test_the_worker_sleeps_until_a_drop_is_due(path):
    """With a drop to be announced the worker sleeps no longer than until that is due."""
    with blm.open_log(path, clock=ManualClock()) as log:
        assert log.flush()
        idle = log._pipeline._worker
        idle._wrote = False
        idle.channel.too_large = 1
        assert idle._pause() == worker._SHORTEST_SLEEP
        idle.channel.too_large = 0


def test_a_running_worker_keeps_its_log_alive(path):
    """A log that the application no longer refers to is still written and closed at the exit of the process."""
    blm.open_log(path).emit(tool())
    gc.collect()
    process.close_all()
    assert kinds(path) == ["system.worker_started", "chat.tool_called", "system.worker_stopped"]


def test_an_interrupt_while_the_worker_is_started(path, monkeypatch):
    """A Ctrl-C while a thread is being started passes to the caller, and the next call starts one."""

    def interrupt(_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr("threading.Thread.start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        blm.open_log(path)
    (pipeline,) = process.pipelines()
    assert pipeline.flush()
    assert pipeline.close()
    assert kinds(path) == ["system.worker_started", "system.worker_stopped"]
