"""Several processes on one socket."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import pytest

from bamboo_logmetrics.live.workers import SIGNALS, Workers, WorkersFailedError, run_worker


def wait_for_the_end(on_ready):
    """Wait for SIGTERM, which stays blocked until then, and return it."""
    del on_ready  # would allow signals, whose handlers this has not
    return signal.sigwait({signal.SIGTERM})


@pytest.fixture
def pids():
    """Return a function that waits for the ids of a number of workers, which ``told`` notes."""
    reader, writer = os.pipe()

    class Pids:
        def tell(self):
            os.write(writer, b"%10d" % os.getpid())

        def wait(self, count):
            return [int(os.read(reader, 10)) for _ in range(count)]

    yield Pids()
    os.close(reader)
    os.close(writer)


def test_workers_end_with_a_signal(pids):
    """A signal to the first process ends all workers, and their results are there."""

    def work(on_ready):
        pids.tell()
        wait_for_the_end(on_ready)
        return os.getpid()

    workers = Workers(3, work, print)
    seen = []

    def stop():
        seen.extend(pids.wait(3))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    workers.run()
    thread.join()
    assert sorted(workers.results) == sorted(seen)
    assert os.getpid() not in seen


def test_a_worker_that_dies_is_replaced(pids):
    """A worker that is killed is replaced, and that is reported."""
    told = []

    def work(on_ready):
        pids.tell()
        wait_for_the_end(on_ready)
        return 1

    workers = Workers(2, work, told.append)

    def kill():
        first, _ = pids.wait(2)
        os.kill(first, signal.SIGKILL)
        pids.wait(1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=kill)
    thread.start()
    workers.run()
    thread.join()
    assert workers.results == [1, 1]
    assert told == ["a worker died (exit code -9); another one takes its place"]


def test_workers_that_die_again_and_again():
    """Workers that die again and again are given up."""
    told = []
    with pytest.raises(WorkersFailedError, match="5 workers died"):
        Workers(1, lambda _: os._exit(3), told.append).run()
    assert len(told) == 4


def test_a_signal_while_a_worker_is_replaced():
    """No worker takes the place of another once the end has begun."""
    workers = Workers(1, lambda _: os._exit(3), lambda _: os.kill(os.getpid(), signal.SIGTERM))
    workers.run()
    assert workers.results == []


def test_a_signal_while_a_worker_starts():
    """A worker that is not known yet when the end begins is ended too."""
    workers = Workers(1, wait_for_the_end, print)

    class Processes(dict):
        def __setitem__(self, sentinel, process):
            workers._stop()  # as the handler does that runs just now
            super().__setitem__(sentinel, process)

    workers._processes = Processes()
    workers.run()
    assert workers.results == [signal.SIGTERM]


def test_the_end_of_the_first_process():
    """A worker is stopped when the process that started it is gone."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    life = os.pipe()

    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process = context.Process(target=run_worker, args=(wait_for_the_end, sender, life))
        process.start()
        os.close(life[1])
        assert receiver.recv() == signal.SIGTERM
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    process.join()
    os.close(life[0])
