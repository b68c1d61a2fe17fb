"""Several processes that serve one socket; one that dies is replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from time import monotonic
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MOST_DEATHS = 5  # within this time of all workers, after which a fault is taken to be lasting
_DEATH_SECONDS = 60
_WAIT_SECONDS = 1.0  # after which a signal is seen that came just before the wait, and did not end it

Work = Callable[[Callable[[], object]], Any]


class WorkersFailedError(Exception):
    """Workers died one after the other."""


class Workers:
    """The processes.

    Args:
        number: how many there are.
        work: run in each process, with a function to be called once its handlers of signals are in place; it ends when
            SIGTERM comes, and its result is sent to this process.
        report: called with a line about a worker that died.

    Attributes:
        results: what ``work`` has returned in the processes that have ended.
    """

    def __init__(self, number: int, work: Work, report: Callable[[str], object]) -> None:
        self.results: list[Any] = []
        self._number = number
        self._work = work
        self._report = report
        self._context = multiprocessing.get_context("fork")
        self._processes: dict[int, tuple[ForkProcess, Connection]] = {}  # by the sentinel
        self._life = os.pipe()  # its end tells the workers that this process is gone
        self._is_ending = False
        self._deaths: list[float] = []

    def run(self) -> None:
        """Run the workers until SIGTERM or Ctrl-C comes. Raises WorkersFailedError if they die again and again."""
        before = {number: signal.signal(number, lambda *_: self._stop()) for number in SIGNALS}
        try:
            for _ in range(self._number):
                self._start()
            while self._processes:
                for sentinel in wait(list(self._processes), _WAIT_SECONDS):
                    self._ended(*self._processes.pop(int(str(sentinel))))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for descriptor in self._life:
                os.close(descriptor)
        if len(self._deaths) >= _MOST_DEATHS:
            msg = f"{len(self._deaths)} workers died within {_DEATH_SECONDS} s"
            raise WorkersFailedError(msg)

    def _start(self) -> None:
        """Start one worker. Signals wait until its handlers are in place, so that none is lost."""
        if self._is_ending:
            return
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=run_worker, args=(self._work, sender, self._life))
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
            self._processes[process.sentinel] = process, receiver
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        sender.close()
        if self._is_ending:  # the handler may have run before this process was among those that it ends
            process.terminate()

    def _stop(self) -> None:
        self._is_ending = True
        for process, _ in list(self._processes.values()):
            process.terminate()

    def _ended(self, process: ForkProcess, receiver: Connection) -> None:
        process.join()
        with receiver, suppress(EOFError):  # it died before it could tell
            self.results.append(receiver.recv())
        if self._is_ending:
            return
        now = monotonic()
        self._deaths = [*(death for death in self._deaths if now - death < _DEATH_SECONDS), now]
        if len(self._deaths) >= _MOST_DEATHS:
            self._stop()
            return
        self._report(f"a worker died (exit code {process.exitcode}); another one takes its place")
        self._start()


def run_worker(work: Work, sender: Connection, life: tuple[int, int]) -> None:
    """Run the work of one process, and send its result.

    Args:
        work: the work.
        sender: takes the result.
        life: a pipe; when its writing end is closed everywhere, the process is stopped.
    """
    os.setpgid(0, 0)  # Ctrl-C goes to the process that started this one, which passes it on
    os.close(life[1])
    threading.Thread(target=_stop_at_end, args=(life[0],), daemon=True, name="workers-life").start()
    sender.send(work(lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)))


def _stop_at_end(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
