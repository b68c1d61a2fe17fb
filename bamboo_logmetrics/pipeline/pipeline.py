"""Where the parts meet: channel, lines and sink, and the one worker that drives them.

The worker calls the step in a loop; durability ``write`` and ``fsync``, and the drain of an interpreter that can start
no thread any more, call it where they are. All of it runs under the step lock, which an emit takes only then.
"""

from __future__ import annotations

import contextlib
from _thread import allocate_lock, get_ident
from threading import Thread
from typing import TYPE_CHECKING

from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.logfiles import RotatingFile, Sink
from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.pipeline.locks import OwnedLock, try_acquire
from bamboo_logmetrics.pipeline.statistics import Stats
from bamboo_logmetrics.pipeline.step import Step
from bamboo_logmetrics.record.queued import Ack, QueuedRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from bamboo_logmetrics.options import Options
    from bamboo_logmetrics.system import Lock

EXIT_TIMEOUT = 5.0  # seconds
_OPEN_PATIENCE = 0.5  # seconds that opening waits for another process; writing then tries again
_LAST_TRY = 0.95  # of close's time is over when the worker tries for the last time, so that it is done in time
_BLINK = 0.001  # seconds; the shortest sleep, so that a clock that stands still does not spin


class _Ticket:
    """A flush or a close that waits for the worker."""

    __slots__ = ("lock", "ok", "remaining")

    def __init__(self) -> None:
        self.lock: Lock = allocate_lock()
        self.lock.acquire()
        self.remaining: int | None = None  # records to be taken before it is answered; None: not counted yet
        self.ok = False


def _file(path: str, options: Options, writer: Callable[[], str]) -> RotatingFile:
    names = ("max_bytes", "backup_count", "unshipped_backups", "rotate_every", "compress", "mode", "fs", "clock")
    return RotatingFile(path, writer=writer, **{name: getattr(options, name) for name in names})


class Pipeline:
    """One opening of one log file by one process.

    Args:
        path: an absolute path.
        options: how it works.
        around: given the file, returns the sink to write to instead; for tests.

    Raises ConfigError when something else than a regular file is there. Any other trouble with the
    file is retried and reported, never raised.
    """

    def __init__(self, path: str, options: Options, around: Callable[[Sink], Sink] | None = None) -> None:
        self.path = path
        self.options = options
        self._clock = options.clock
        self.channel = Channel(
            capacity=options.queue_size,
            on_full=OnFull(options.on_full),
            block_timeout=options.block_timeout,
            clock=options.clock,
            wake=self.wake,
            in_step=self._inside,
        )
        self._maker = LineEncoder(
            layout=options.layout, max_line_bytes=options.max_line_bytes, fs=options.fs, clock=options.clock
        )
        file = _file(path, options, lambda: self._maker.writer)
        self._sink: Sink = around(file) if around else file
        self._diagnostics = Diagnostics(path, options.clock)
        self._step = Step(
            channel=self.channel,
            maker=self._maker,
            sink=self._sink,
            sync=options.durability == "fsync",
            diagnostics=self._diagnostics,
            clock=options.clock,
        )
        self.durable = options.durability != "queue"
        self._ended = False  # nothing more will be written
        self._finished = False  # the last line is worker_stopped, or there is none at all
        self._said_lost = False
        self._forget()
        self._open()
        process.register(self)
        self.wake()

    def _forget(self) -> None:
        """Start as one that has no worker, and for whom nobody waits."""
        self._bell: Lock = allocate_lock()  # released to wake the worker
        self._bell.acquire()
        self._step_lock = OwnedLock()
        self._starting = OwnedLock()
        self._alive = False
        self._worked = False
        self._closing = False
        self._tickets: list[_Ticket] = []
        self._waiting: set[int] = set()  # threads within a durable put
        self._never: Lock = allocate_lock()  # what a pause waits for
        self._never.acquire()

    def _open(self) -> None:
        try:
            self._sink.open(self._clock.monotonic() + _OPEN_PATIENCE)
        except OSError as error:
            self._step.fail(error)
        self._step.announce_start()

    # -- the caller's side ---------------------------------------------------------------

    def put(self, record: QueuedRecord, *, plain: bool) -> bool:
        """Let one record in and wait for it to be stored; tell whether it is. For durability write and fsync.

        It waits up to ``block_timeout``; not at all when the calling thread is within another put or the step
        (signal handlers, finalisers).
        """
        ack, ident = Ack(), get_ident()
        record.ack = ack
        deadline = self._clock.monotonic() + self.options.block_timeout
        put = self.channel.put_plain if plain else self.channel.put
        if not put(record):
            return False
        if ident not in self._waiting:
            try:
                self._waiting.add(ident)
                self._step_until(ack, deadline)
            finally:
                self._waiting.discard(ident)
        if ack.answer is None:
            self.wake()  # who may not wait for it, or no longer, leaves it to the worker
        return ack.answer is True

    def _step_until(self, ack: Ack, deadline: float) -> None:
        while ack.answer is None and not self._ended and not self._inside():
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return
            pause = self._step.retry_in()
            if pause:
                self._clock.wait(self._never, min(pause, left))
            else:
                self._try_in_step(lambda: self._run_once(deadline), left)

    def _run_once(self, deadline: float) -> None:
        if self._step.has_work():
            self._step.run(deadline)

    def flush(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Wait up to ``timeout`` seconds until all that was emitted before is in the file; tell whether it is."""
        return not self.stats().queued if self._ended else self._ask(timeout)

    def close(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Refuse new events, write what is queued and end the log; tell whether all was written in time.

        When ``timeout`` seconds are over, what was never taken from the queue is counted as ``shutdown``.
        A second call waits for the first.
        """
        self.start_closing(timeout)
        if not (self._ended or self._ask(timeout) or self._inside()):
            self._abandon()
        stats = self.stats()
        return self._finished and not (stats.queued or self.channel.shutdown or self.channel.storage)

    def start_closing(self, timeout: float) -> None:
        """Refuse new events, and have the worker end the log within ``timeout`` seconds."""
        self.channel.close()
        deadline = self._clock.monotonic() + timeout * _LAST_TRY
        self._step.deadline = deadline if self._step.deadline is None else max(self._step.deadline, deadline)
        self._closing = True
        self._end_if_unused()
        if not self._ended:
            self.wake()

    def settle(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Flush, and end the file as close would, but stay open; False when this thread itself is at that work."""
        if self._inside() or self._starting.mine():
            return False
        deadline = self._clock.monotonic() + timeout
        if not self._ended and self.flush(timeout):
            self._try_in_step(self._step.rest, deadline - self._clock.monotonic())
        return True

    def stats(self) -> Stats:
        """Return one snapshot of this process's counters."""
        return self.channel.stats(self._maker.writer, self._sink.repaired_bytes)

    def _ask(self, timeout: float) -> bool:
        """Wait for the worker's answer; be the worker where no thread can be started."""
        if self._inside():
            return False  # it would wait for itself
        ticket = _Ticket()
        self._tickets.append(ticket)
        deadline = self._clock.monotonic() + timeout
        while not self.wake() and ticket in self._tickets and self._clock.monotonic() < deadline:
            self._clock.wait(self._bell, min(max(self._step.retry_in(), _BLINK), timeout))
        return self._clock.wait(ticket.lock, deadline - self._clock.monotonic()) and ticket.ok

    # -- the worker ----------------------------------------------------------------------

    def wake(self) -> bool:
        """Wake the worker or start one; where there can be none, do its work here and return False."""
        if not self._alive and not self._start_worker():
            self._try_in_step(self._turn, 0)
            return False
        self._ring()
        return True

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # somebody else did, just now
            if self._bell.locked():  # else it has been rung already
                self._bell.release()

    def _start_worker(self) -> bool:
        if self._ended:
            return False
        return self._alive if self._starting.run(self._start_thread, try_acquire) else True  # else somebody is at it

    def _start_thread(self) -> None:
        if self._alive:
            return
        try:
            process.enter_process()
            self._alive = True
            Thread(target=self._work, name="bamboo-logmetrics", daemon=True).start()
        except (RuntimeError, MemoryError):  # the interpreter is ending, or there are too many threads
            self._alive = False
        except BaseException:
            self._alive = False
            raise

    def _work(self) -> None:
        try:
            while not self._work_until_fault():
                pass
        finally:
            self._alive = False
            self.channel.rest()  # the next caller starts another worker
            if self._tickets or self._step.abandoned:
                self._try_in_step(self._turn, 0)  # somebody asked, or gave up, while this one was leaving
            self._ring()  # two workers, after an interrupted start, must both see the end

    def _work_until_fault(self) -> bool:
        """Work until the log ends; False after a fault that it has survived."""
        try:
            while not self._ended:
                pause = self._pause()
                if pause != 0:
                    self._clock.wait(self._bell, pause)
                self._in_step(self._turn, None)
        except BaseException as error:  # noqa: BLE001 - SystemExit, MemoryError: the log must outlive them
            self._step.fail(error)
            return False
        return True

    def _pause(self) -> float | None:
        """Return for how many seconds the worker may sleep unless it is woken; None for as long as it likes."""
        if self._step.failing():
            return max(self._step.retry_in(), _BLINK)
        if self._closing or self._step.in_hand() or self._tickets:
            return 0
        if self._worked or not self.channel.rest():
            self._worked = False
            return self.options.flush_interval if self.channel.doze() else 0
        due = self._step.drops_due_in()
        return None if due is None else max(due, _BLINK)

    # -- under the step lock -------------------------------------------------------------

    def _inside(self) -> bool:
        return self._step_lock.mine()

    def _in_step(self, work: Callable[[], None], timeout: float | None) -> bool:
        """Do ``work`` with the step lock; False when it cannot be had in time, or is this thread's already."""
        return self._step_lock.run(work, lambda lock: self._clock.wait(lock, timeout))

    def _try_in_step(self, work: Callable[[], None], timeout: float | None) -> bool:
        """Do as ``_in_step`` within the application's own call: MemoryError and the like must not come out of it."""

        def trying() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001
                self._step.fail(error)

        return self._in_step(trying, timeout)

    def _turn(self) -> None:
        """Step until what is queued now is written; what comes meanwhile waits, so that no busy caller is chased."""
        end = self.channel.accepted
        while not self._ended and not self._step.retry_in():
            for ticket in self._tickets:
                if ticket.remaining is None:
                    ticket.remaining = len(self.channel)
            taken = self._step.run()
            self._worked = self._worked or taken > 0
            self._answer(taken)
            if not self._step.in_hand() and (self.channel.taken >= end or not len(self.channel)):
                break
            if self._step.failing() or self._step.abandoned:
                break
        if self._step.abandoned:
            self._step.give_up()  # what the sink held has come back: it is written, or it is lost
            self._sink.close()
        elif self._closing and not self._ended:
            self._end_if_possible()
        self._answer(0)

    def _answer(self, taken: int) -> None:
        """Answer the tickets before which nothing is left to write."""
        empty = not len(self.channel)
        for ticket in list(self._tickets):
            if ticket.remaining is not None:
                ticket.remaining = 0 if empty else max(0, ticket.remaining - taken)
            if self._ended or (ticket.remaining == 0 and not self._step.in_hand() and not self._closing):
                self._tickets.remove(ticket)
                ticket.ok = not self._step.in_hand()
                ticket.lock.release()

    def _end_if_possible(self) -> None:
        if self._step.finish():
            self._finished = True
            self._end()
        elif self._step.deadline is not None and self._clock.monotonic() >= self._step.deadline:
            self._give_up()

    def _end_if_unused(self) -> None:
        """End without a line in a forked child that never emitted: it has not even said that it started."""
        if not (self._ended or self._step.started or self._step.has_work()):
            self._finished = self._in_step(self._end, 0)

    def _give_up(self) -> None:
        """Count what could not be stored by close's deadline, and end."""
        self._step.give_up()
        self._say_lost()
        self._end()

    def _end(self) -> None:
        process.forget(self)
        self._sink.close(self._step.deadline)
        for problem in self._sink.problems():
            self._diagnostics.say(problem)
        self._ended = True
        self._ring()  # a worker that sleeps has to see it

    # -- out of time ---------------------------------------------------------------------

    def _abandon(self) -> None:
        """Count what was never taken when close's time is up; a batch that the sink still holds stays queued."""
        if self._in_step(self._give_up_unless_ended, 0) or self._ended:
            return
        self._step.abandoned = True
        self._ended = True
        self.channel.discard()
        process.forget(self)
        self._say_lost()
        if not self._alive:
            self._try_in_step(self._turn, 0)  # the worker left meanwhile: nobody else would close the file

    def _give_up_unless_ended(self) -> None:
        if not self._ended:
            self._end_if_possible()  # when all is written, only the last line is missing
        if not self._ended:
            self._give_up()
        self._answer(0)

    def _say_lost(self) -> None:
        stats = self.stats()
        if self._said_lost or not (stats.queued or self.channel.shutdown or self.channel.storage):
            return  # said before, or only a compression was still under way
        self._said_lost = True
        self._diagnostics.say(
            f"closed before all was written: emitted {stats.emitted}, written {stats.written}, "
            f"dropped {dict(stats.dropped)}, still in hand {stats.queued}",
            owed=True,
        )

    # -- fork ----------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Start anew in a forked child, with queue, counters, locks and writer of its own.

        What the parent had queued is the parent's to write.
        """
        self._sink.after_fork()
        self.channel.reset()
        self._maker.reset_writer()
        self._step.reset()
        self._forget()
