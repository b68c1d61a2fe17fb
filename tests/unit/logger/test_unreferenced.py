"""Logs that are dropped: the log closes when no logger and no handler can reach it any more."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import weakref

import pytest
from support.tools import flat, kinds, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.testing import FailingSink, GateSink, open_log_on


def join_workers():
    """Wait for the threads of logs that are ending."""
    for thread in threading.enumerate():
        if thread.name.startswith("bamboo"):
            thread.join(30)


def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_a_dropped_log_is_closed(tmp_path, path):
    """A log that nobody refers to any more writes what is queued, ends with worker_stopped and leaves nothing open."""
    before, threads = descriptors(), threading.active_count()
    log = blm.open_log(path).bind(project="p")
    for number in range(1_000):
        assert log.emit(tool(number))
    del log
    join_workers()
    assert len(typed(path)) == 1_000
    assert kinds(path)[-1] == "system.worker_stopped"
    assert blm.verify([path], complete=True).ok
    assert (descriptors(), threading.active_count()) == (before, threads)
    assert process.pipelines() == []


def test_the_memory_of_a_dropped_log_is_freed(path):
    """Once a dropped log has ended, nothing refers to it."""
    log = blm.open_log(path)
    pipeline = weakref.ref(log._pipeline)
    del log
    join_workers()
    gc.collect()
    assert pipeline() is None
    assert process._unreferenced == {}


def run_sessions(folder, count):
    for number in range(count):
        log = blm.open_log(folder / f"{number}.jsonl").bind(session_id=f"s-{number}")
        assert log.emit(blm.SessionStarted(session_id=f"s-{number}", model="m"))
        log.info("hello")
    del log
    join_workers()


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_a_log_for_each_session(tmp_path, count):
    """Logs that are opened for each session and dropped leave no thread and no descriptor, and lose nothing."""
    before = descriptors()
    run_sessions(tmp_path, count)
    assert descriptors() == before
    assert process.pipelines() == []
    for number in range(count):
        expected = ["system.worker_started", "chat.session_started", "hello", "system.worker_stopped"]
        assert kinds(tmp_path / f"{number}.jsonl") == expected


def test_a_log_in_a_cycle_is_closed_by_the_collector(path):
    """A session object that refers to itself and holds the log: the garbage collector closes it."""
    session = {"log": blm.open_log(path)}
    session["itself"] = session
    session["log"].emit(tool(1))
    del session
    gc.collect()
    join_workers()
    assert kinds(path) == ["system.worker_started", "chat.tool_called", "system.worker_stopped"]


@pytest.mark.parametrize(
    "keep",
    [
        lambda log: log.bind(a=1).info,
        lambda log: log.new().info,
        lambda log: log.emit.__self__.info,
        lambda log: in_handler(blm.MetricsHandler(log)),
    ],
    ids=["bound child", "new logger", "bound method", "handler"],
)
def test_a_log_in_use_stays_open(path, keep):
    """A bound child, a method that was kept or a handler keeps the log open."""
    log = blm.open_log(path)
    info = keep(log)
    del log
    gc.collect()
    info("still here")
    (pipeline,) = process.pipelines()
    assert pipeline.flush(30)
    assert kinds(path) == ["system.worker_started", "still here"]
    del info, pipeline
    gc.collect()
    join_workers()
    assert kinds(path)[-1] == "system.worker_stopped"


def in_handler(handler):
    return lambda text: handler.handle(logging.makeLogRecord({"msg": text, "levelno": 20}))


def test_a_dropped_handler_closes_its_log(path):
    """A handler that was removed from its logger and dropped closes its log."""
    logger = logging.getLogger("tests.dropped")
    logger.propagate = False
    logger.addHandler(blm.MetricsHandler(path))
    logger.error("once")
    logger.removeHandler(logger.handlers[0])
    gc.collect()
    join_workers()
    assert kinds(path) == ["system.worker_started", "once", "system.worker_stopped"]


def test_queued_records_of_a_dropped_log_are_written(path):
    """Records that wait while the disk stands still are written after the last logger is gone."""
    sink = GateSink(shut=True)
    log = open_log_on(sink, path)
    for number in range(5_000):
        assert log.emit(tool(number))
    del log
    gc.collect()
    sink.open_gate()
    join_workers()
    assert len(typed(path)) == 5_000
    assert kinds(path)[-1] == "system.worker_stopped"


def test_a_dropped_log_keeps_trying(path):
    """A disk that fails for a while costs a dropped log nothing: it has no time limit."""
    sink = FailingSink(*[OSError(28, "full")] * 3)
    log = open_log_on(sink, path)
    assert log.emit(tool(1))
    del log
    join_workers()
    assert len(typed(path)) == 1
    assert kinds(path)[-1] == "system.worker_stopped"


def test_a_closed_log_may_be_dropped(path):
    """A log that was closed before it is dropped is not touched again."""
    log = blm.open_log(path)
    assert log.close()
    size = path.stat().st_size
    del log
    gc.collect()
    assert (path.stat().st_size, process._unreferenced) == (size, {})


def test_a_log_dropped_in_a_signal_handler(path):
    """A signal handler that drops the last reference, in the middle of any call, has the log closed all the same."""
    held = [blm.open_log(path)]
    held[0].emit(tool(1))
    previous = signal.signal(signal.SIGUSR1, lambda *_: held.clear())
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    join_workers()
    assert kinds(path) == ["system.worker_started", "chat.tool_called", "system.worker_stopped"]


def test_a_log_dropped_by_its_own_worker(path):
    """A value's finaliser in the worker's thread may drop the last logger of the log that is being written."""
    held = []

    class Sink(FailingSink):
        def write(self, lines, deadline=None):
            super().write(lines, deadline)
            if any(b"chat." in line for line in lines):
                held.clear()

    held.append(open_log_on(Sink(), path))
    held[0].emit(tool(1))
    process.pipelines()[0].flush(30)
    join_workers()
    assert kinds(path) == ["system.worker_started", "chat.tool_called", "system.worker_stopped"]


def test_without_a_thread_a_dropped_log_is_kept_until_the_exit(path, monkeypatch):
    """Where no thread can be started and the disk fails, the log stays known to the process, which reports the loss."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
    sink = FailingSink()
    sink.always = OSError(28, "full")
    log = open_log_on(sink, path)
    log.emit(tool(1))
    del log
    gc.collect()
    (pipeline,) = process.pipelines()
    sink.always = None
    del pipeline
    process.close_all()
    assert [line["event"] for line in flat(path)].count("chat.tool_called") == 1
    assert process.pipelines() == []


def test_a_log_marked_as_stopped_gets_no_second_stop(path):
    """After SIGTERM's flush has marked the log as stopped, dropping it adds no line."""
    log = blm.open_log(path)
    log.emit(tool(1))
    assert log._pipeline.flush_and_mark_stopped()
    del log
    join_workers()
    assert kinds(path) == ["system.worker_started", "chat.tool_called", "system.worker_stopped"]


def test_an_event_on_its_way_keeps_the_log_open(path):
    """A coroutine that is cancelled while its event waits in a thread loses nothing when the log is dropped."""
    sink = GateSink(shut=False)

    async def main():
        log = open_log_on(sink, path, durability="write")
        assert log.flush(30)
        sink.shut_gate()
        while sink.wait_for_writer(0):
            pass
        task = asyncio.ensure_future(log.aemit(tool(1)))
        del log
        assert await asyncio.to_thread(sink.wait_for_writer)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        sink.open_gate()

    asyncio.run(main())
    join_workers()
    assert kinds(path) == ["system.worker_started", "chat.tool_called", "system.worker_stopped"]


def test_dropped_at_exit_and_in_a_child(run_python, path):
    """A log dropped just before the exit is written; a forked child that drops it writes no line."""
    done = run_python(
        """
import os, sys
import bamboo_logmetrics as blm
log = blm.open_log(sys.argv[1])
pid = os.fork()
if not pid:
    del log
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
for n in range(20_000):
    log.info("line", n=n)
del log
pid = os.fork()  # while the worker writes
if not pid:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
""",
        path,
    )
    assert done.returncode == 0
    assert "bamboo_logmetrics: " not in done.stderr  # from 3.12 on Python itself warns of the fork
    lines = flat(path)
    assert len(lines) == 20_002
    assert len({line["writer"] for line in lines}) == 1
    assert blm.verify([path], complete=True).ok
