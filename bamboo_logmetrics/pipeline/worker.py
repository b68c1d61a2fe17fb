"""The worker: the thread that writes what is queued, and the callers that do its work where no thread can be started.

All work runs under the step lock. A caller takes that lock only for durability ``write`` and ``fsync``, to close the
log, and where no thread can be started.
"""

from __future__ import annotations

import contextlib
from _thread import allocate_lock
from threading import Thread
from typing import TYPE_CHECKING

from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.life import ABANDONED, CLOSING, ENDED, OPEN, OVER
from bamboo_logmetrics.pipeline.locks import OwnedLock, try_acquire
from bamboo_logmetrics.pipeline.step import Step
from bamboo_logmetrics.system import SystemThread, threads_are_replaced

if TYPE_CHECKING:
    from collections.abc import Callable

    from bamboo_logmetrics.format.encoder import LineEncoder
    from bamboo_logmetrics.logfiles import Sink
    from bamboo_logmetrics.options import Options
    from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
    from bamboo_logmetrics.system import Lock

_LAST_TRY = 0.95  # share of close's time after which the worker tries for the last time, so that it is done in time
_SHORTEST_SLEEP = 0.001  # seconds; a clock that stands still must not make the worker spin


class _FlushRequest:
    """A flush or a close that waits for the worker."""

    __slots__ = ("lock", "ok", "remaining")

    def __init__(self) -> None:
        self.lock: Lock = allocate_lock()  # released with the answer
        self.lock.acquire()
        self.remaining: int | None = None  # records to be taken before the answer; None: not counted yet
        self.ok = False


class Worker:
    """The thread that drives the step, with its wake-up, its pauses, the flush requests and the end of the log.

    Args:
        options: the options of the log.
        encoder: makes the lines.
        sink: stores the lines.
        diagnostics: reports on stderr what the log cannot hold.
        on_end: called when the log ends. It must hold a reference to the pipeline: the running thread then keeps that
            alive, and a log that the application no longer refers to is still closed at exit.
    """

    def __init__(
        self,
        options: Options,
        encoder: LineEncoder,
        sink: Sink,
        diagnostics: Diagnostics,
        on_end: Callable[[], None],
    ) -> None:
        self._clock = options.clock
        self._flush_interval = options.flush_interval
        self._sink = sink
        self._diagnostics = diagnostics
        self._on_end = on_end
        self.channel = Channel(
            capacity=options.queue_size,
            capacity_bytes=options.queue_bytes,
            on_full=OnFull(options.on_full),
            block_timeout=options.block_timeout,
            clock=options.clock,
            wake=self.wake,
            in_step=self.in_step,
        )
        self.step = Step(
            channel=self.channel,
            encoder=encoder,
            sink=sink,
            sync=options.durability == "fsync",
            diagnostics=diagnostics,
            clock=options.clock,
        )
        self.finished = False  # the last line is worker_stopped, or this process has written none at all
        self._loss_reported = False
        self.reset()

    def reset(self) -> None:
        """Reset to the state before a worker was started, as a forked child must."""
        self._wakeup: Lock = allocate_lock()  # released to wake the worker
        self._wakeup.acquire()
        self._step_lock = OwnedLock()
        self._start_lock = OwnedLock()
        self._has_thread = False
        self._wrote = False  # the last turn took records
        self._requests: list[_FlushRequest] = []
        self.writes_through = False  # every record is stored before its call returns, and worker_stopped stays last

    # -- the wake-up ---------------------------------------------------------------------

    def wake(self) -> bool:
        """Wake the worker or start one. Where no thread can be started, do its work here and return False."""
        if not self._has_thread and not self._start():
            self.run_for_caller(self._turn, 0)
            return False
        self._notify()
        return True

    def _notify(self) -> None:
        with contextlib.suppress(RuntimeError):  # another thread released it just now
            if self._wakeup.locked():  # else the worker has been notified already
                self._wakeup.release()

    def _start(self) -> bool:
        if self.step.life in OVER:
            return False
        # without the lock, another caller is starting the thread
        return self._has_thread if self._start_lock.run(self._start_thread, try_acquire) else True

    def _start_thread(self) -> None:
        if self._has_thread:
            return
        try:
            process.enter_process()
            self._has_thread = True
            kind = SystemThread if threads_are_replaced() else Thread
            kind(target=self._work, name="bamboo-logmetrics", daemon=True).start()
        except (RuntimeError, MemoryError):  # the interpreter is ending, or there are too many threads
            self._has_thread = False
        except BaseException:
            self._has_thread = False
            raise

    # -- the thread ----------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while not self._work_until_fault():
                pass
        finally:
            self._has_thread = False
            self.channel.sleep_until_woken()  # the next caller starts another worker
            if self._requests or self.step.life is ABANDONED:
                self.run_for_caller(self._turn, 0)  # a request came, or close gave up, while this thread was leaving
            self._notify()  # two workers, after an interrupted start, must both see the end

    def _work_until_fault(self) -> bool:
        """Work until the log is over; return False after a fault that the worker has survived."""
        try:
            while self.step.life not in OVER:
                pause = self._pause()
                if pause != 0:
                    self._clock.wait(self._wakeup, pause)
                self._run_in_step(self._turn, None)
        except BaseException as error:  # noqa: BLE001 - SystemExit, MemoryError: the log must outlive them
            self.step.fail(error)
            return False
        return True

    def _pause(self) -> float | None:
        """Return for how many seconds the worker may sleep unless it is woken; None for no limit."""
        if self.step.failing():
            return max(self.step.retry_in(), _SHORTEST_SLEEP)
        if self.step.life is not OPEN or self.step.in_hand() or self._requests:
            return 0
        if self._wrote or not self.channel.sleep_until_woken():
            self._wrote = False
            return self._flush_interval if self.channel.sleep_until_half_full() else 0
        due = self.step.drops_due_in()
        return None if due is None else max(due, _SHORTEST_SLEEP)

    # -- the step lock -------------------------------------------------------------------

    def in_step(self) -> bool:
        """Return True if the calling thread holds the step lock."""
        return self._step_lock.held_by_me()

    def in_start(self) -> bool:
        """Return True if the calling thread is starting the worker."""
        return self._start_lock.held_by_me()

    def _run_in_step(self, work: Callable[[], None], timeout: float | None) -> bool:
        """Run ``work`` with the step lock; return False if it is not free in time, or this thread holds it already."""
        return self._step_lock.run(work, lambda lock: self._clock.wait(lock, timeout))

    def run_for_caller(self, work: Callable[[], None], timeout: float | None) -> bool:
        """Run ``work`` as ``_run_in_step`` does, within a call of the application, which must not see MemoryError."""

        def work_or_fail() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001
                self.step.fail(error)

        return self._run_in_step(work_or_fail, timeout)

    # -- a turn, under the step lock -----------------------------------------------------

    def _turn(self) -> None:
        """Write what is queued now. What comes meanwhile waits for the next turn, so that no busy caller is chased."""
        end = self.channel.accepted
        while self.step.life not in OVER and not self.step.retry_in():
            for request in self._requests:
                if request.remaining is None:
                    request.remaining = len(self.channel)
            taken = self.step.run()
            self._wrote = self._wrote or taken > 0
            self._answer_requests(taken)
            if not self.step.in_hand() and (self.channel.taken >= end or not len(self.channel)):
                break
            if self.step.failing() or self.step.life is ABANDONED:
                break
        if self.step.life is ABANDONED:
            self.step.give_up()  # the sink has returned the batch: it is written, or it is lost
            self._sink.close()
            self.step.life = ENDED
        elif self.step.life is CLOSING:
            self._end_if_possible()
        elif self.writes_through:
            self.step.renew_stop_line()
        self._answer_requests(0)

    # -- flush requests ------------------------------------------------------------------

    def request_flush(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until the worker has written what is queued, or has ended a closing log.

        Where no thread can be started, this does the work itself. Returns False at once within the step.
        """
        if self.in_step():
            return False  # it would wait for itself
        request = _FlushRequest()
        self._requests.append(request)
        deadline = self._clock.monotonic() + timeout
        while not self.wake() and request in self._requests and self._clock.monotonic() < deadline:
            self._clock.wait(self._wakeup, min(max(self.step.retry_in(), _SHORTEST_SLEEP), timeout))
        return self._clock.wait(request.lock, deadline - self._clock.monotonic()) and request.ok

    def _answer_requests(self, taken: int) -> None:
        """Answer the requests before which nothing is left to write."""
        step, empty = self.step, not len(self.channel)
        for request in list(self._requests):
            if request.remaining is not None:
                request.remaining = 0 if empty else max(0, request.remaining - taken)
            if step.life in OVER or (request.remaining == 0 and not step.in_hand() and step.life is OPEN):
                self._requests.remove(request)
                request.ok = not step.in_hand()
                request.lock.release()

    # -- the end -------------------------------------------------------------------------

    def start_closing(self, timeout: float | None) -> None:
        """Refuse new records, and have the worker end the log within ``timeout`` seconds; None sets no limit."""
        self.channel.close()
        if timeout is not None:
            deadline = self._clock.monotonic() + timeout * _LAST_TRY
            self.step.deadline = deadline if self.step.deadline is None else max(self.step.deadline, deadline)
        if self.step.life is OPEN:
            self.step.life = CLOSING
        if timeout is not None or not self._has_thread:  # else the worker ends it: this may be a finaliser
            self._end_if_unused()
        if self.step.life not in OVER:
            self.wake()

    def _end_if_unused(self) -> None:
        """End without a line in a forked child that never emitted: it has not written worker_started either."""
        if self._unused():
            self.finished = self._run_in_step(self._end, 0)

    def _unused(self) -> bool:
        return not (self.step.life in OVER or self.step.started or self.step.has_work())

    def _end_if_possible(self) -> None:
        if self._unused() or self.step.finish():
            self.finished = True
            self._end()
        elif self.step.deadline is not None and self._clock.monotonic() >= self.step.deadline:
            self._give_up()

    def _give_up(self) -> None:
        """Count what could not be stored by close's deadline, and end."""
        self.step.give_up()
        self._report_loss()
        self._end()

    def _end(self) -> None:
        self._on_end()
        self._sink.close(self.step.deadline)
        for problem in self._sink.problems():
            self._diagnostics.report(problem)
        self.step.life = ENDED
        self._notify()  # a worker that sleeps has to see it

    def abandon(self) -> None:
        """Give up when close's time is up: count what was never taken. A batch within the sink stays queued."""
        if self._run_in_step(self._give_up_unless_over, 0) or self.step.life in OVER:
            return
        self.step.life = ABANDONED
        self.channel.discard()
        self._on_end()
        self._report_loss()
        if not self._has_thread:
            self.run_for_caller(self._turn, 0)  # the thread left meanwhile: nobody else would close the file

    def _give_up_unless_over(self) -> None:
        if self.step.life not in OVER:
            self._end_if_possible()  # if all is written, only the last line is missing
        if self.step.life not in OVER:
            self._give_up()
        self._answer_requests(0)

    def _report_loss(self) -> None:
        stats = self.channel.stats()
        if self._loss_reported or not (stats.queued or self.channel.shutdown or self.channel.storage):
            return  # reported before, or only a compression was still under way
        self._diagnostics.report(
            f"closed before all was written: emitted {stats.emitted}, written {stats.written}, "
            f"dropped {dict(stats.dropped)}, still in hand {stats.queued}",
            owed=True,
        )
        # last: worker and caller may both be here, and the process may end as soon as the caller goes on
        self._loss_reported = True
