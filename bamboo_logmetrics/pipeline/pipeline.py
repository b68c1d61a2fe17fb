"""The pipeline of one log: the calls that loggers and the process make, and the parts behind them.

Records go through the channel to the worker, whose step writes them to the sink. For durability ``write`` and
``fsync`` the caller runs the step itself, under the worker's lock.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from functools import partial
from typing import TYPE_CHECKING

from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.logfiles import RotatingFile, Sink
from bamboo_logmetrics.logfiles.stream import StreamSink, is_stream
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.pipeline.life import OPEN, OVER
from bamboo_logmetrics.pipeline.worker import Worker
from bamboo_logmetrics.record.queued import Ack, QueuedRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol
    from weakref import ref

    from bamboo_logmetrics.options import Options
    from bamboo_logmetrics.pipeline.statistics import Stats
    from bamboo_logmetrics.pipeline.step import Listener
    from bamboo_logmetrics.system import Lock

    class OpenScope(Protocol):
        """A block of code whose end is an event."""

        def end_with_log(self) -> None: ...  # noqa: D102

    OpenScopes = dict[int, ref[Any]]  # of OpenScope, by id

EXIT_TIMEOUT = 5.0  # seconds
_OPEN_TIMEOUT = 0.5  # seconds that opening waits for another process; the first write then tries again
_THROUGH_TIMEOUT = 0.5  # seconds that a call waits in a process that is ending, unless the log is a durable one


def _sink_at(path: str, options: Options, writer: Callable[[], str]) -> Sink:
    """Return the sink for a file, or for a stream. Raises ConfigError."""
    if is_stream(path):
        sync = options.durability == "fsync"
        limit = options.max_line_bytes
        return StreamSink(path, max_line_bytes=limit, sync=sync, fs=options.fs, clock=options.clock)
    names = ("max_bytes", "backup_count", "unshipped_backups", "rotate_every", "compress", "mode", "fs", "clock")
    return RotatingFile(path, writer=writer, **{name: getattr(options, name) for name in names})


class Pipeline:
    """One opening of one log file by one process.

    Args:
        path: an absolute path of a file, or one of a stream.
        options: the options of the log.
        around: takes the file and returns the sink to write to instead; for tests.

    Raises ConfigError if a log at the path could never be written, or if the file there is not a log. Any other trouble
    with the file is retried and reported, never raised.
    """

    def __init__(self, path: str, options: Options, around: Callable[[Sink], Sink] | None = None) -> None:
        self.path = path
        self.options = options
        self._clock = options.clock
        self._encoder = LineEncoder(
            layout=options.layout,
            max_line_bytes=options.max_line_bytes,
            redact=options.redact,
            fs=options.fs,
            clock=options.clock,
        )
        self.opening = self._encoder.writer  # identifies this opening, in forked children too
        file = _sink_at(path, options, lambda: self._encoder.writer)
        self._sink: Sink = around(file) if around else file
        self._worker = Worker(
            options,
            self._encoder,
            self._sink,
            Diagnostics(path, options.clock),
            on_end=partial(process.unregister, self),
        )
        self.channel = self._worker.channel
        self._step = self._worker.step
        self.durable = options.durability != "queue"
        self.scopes: OpenScopes = {}  # the target's own, from set_pipeline on
        self._unreferenced = False
        self._reset()
        self._open()
        process.register(self)
        self._worker.wake()

    def _reset(self) -> None:
        self._waiting: set[int] = set()  # threads within a durable put
        self._sleep_lock: Lock = allocate_lock()  # never released: a wait for it is a pause
        self._sleep_lock.acquire()

    def _open(self) -> None:
        try:
            self._sink.open(self._clock.monotonic() + _OPEN_TIMEOUT)
        except OSError as error:
            self._step.fail(error)
        self._step.announce_start()

    def set_listeners(self, listeners: list[Listener]) -> None:
        """Have each listener of a list, which may still grow, called with each batch of records that is encoded.

        It is called by the worker, and by the caller where that writes: with durability ``write`` or ``fsync``.
        """
        self._step.listeners = listeners

    # -- durable records -----------------------------------------------------------------

    def put(self, record: QueuedRecord, *, plain: bool) -> bool:
        """Queue a record and wait until it is stored; return True if it is.

        For durability ``write`` and ``fsync``, where it waits up to ``block_timeout`` seconds, and for every record
        after :meth:`write_through`, where it waits less. A call from within another put or the step, such as a signal
        handler's or a finaliser's, does not wait.
        """
        process.notice_fork()
        ack, ident = Ack(), get_ident()
        record.ack = ack
        deadline = self._clock.monotonic() + self._wait_limit()
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
            self._worker.wake()  # a caller that may not wait, or no longer, leaves the record to the worker
        elif self._worker.writes_through:
            self._worker.run_for_caller(self._step.renew_stop_line, deadline - self._clock.monotonic())
        return ack.answer is True

    def _wait_limit(self) -> float:
        """Return for how many seconds a call may wait until its record is stored."""
        if self.durable:
            return self.options.block_timeout
        return 0.0 if self._step.failing() else min(self.options.block_timeout, _THROUGH_TIMEOUT)

    def _step_until(self, ack: Ack, deadline: float) -> None:
        while ack.answer is None and self._step.life not in OVER and not self._worker.in_step():
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return
            pause = self._step.retry_in()
            if pause:
                self._clock.wait(self._sleep_lock, min(pause, left))
            else:
                self._worker.run_for_caller(lambda: self._run_once(deadline), left)

    def _run_once(self, deadline: float) -> None:
        if self._step.has_work():
            self._step.run(deadline)

    # -- the log as a whole --------------------------------------------------------------

    def flush(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Wait up to ``timeout`` seconds until all that was emitted before is in the file; return True if it is."""
        process.notice_fork()
        return not self.stats().queued if self._step.life in OVER else self._worker.request_flush(timeout)

    def close(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Refuse new records, write what is queued and end the log; return True if all was written in time.

        Scopes that are open are ended first. After ``timeout`` seconds, records that were never taken from the queue
        are counted as ``shutdown``.
        A second call waits for the first.
        """
        process.notice_fork()
        worker = self._worker
        self.start_closing(timeout)
        if not (self._step.life in OVER or worker.request_flush(timeout) or worker.in_step()):
            worker.abandon()
        stats = self.stats()
        return worker.finished and not (stats.queued or self.channel.shutdown or self.channel.storage)

    def start_closing(self, timeout: float) -> None:
        """Refuse new records, and have the worker end the log within ``timeout`` seconds; do not wait for it."""
        if self.scopes:
            self._end_scopes()
        self._worker.start_closing(timeout)

    def _end_scopes(self) -> None:
        """Emit the events that end the open scopes, the innermost first, without waiting for room or for the disk."""
        ident = get_ident()
        waiting = [threads for threads in (self._waiting, self.channel._blocked) if ident not in threads]
        try:
            for threads in waiting:
                threads.add(ident)  # as for a call within another one, which does not wait
            scopes: Iterator[OpenScope | None] = (ref() for ref in reversed(list(self.scopes.values())))
            for scope in filter(None, scopes):
                scope.end_with_log()
        finally:
            for threads in waiting:
                threads.discard(ident)

    @property
    def closed(self) -> bool:
        """True if new records are refused."""
        return self._step.life is not OPEN

    def close_unreferenced(self) -> None:
        """Have the worker write what is queued and end the log, because no logger refers to it any more.

        The finaliser of :class:`LogTarget` calls this, so it may run within any code, in any thread. It sets no time
        limit: while the file cannot be written, the worker keeps trying, and the exit gives up as for every log.
        """
        if process is None:  # the interpreter has closed all logs, and is clearing its modules
            return
        process.notice_fork()
        if self._step.life in OVER:
            return
        if self.scopes:  # they are being collected in the same cycle, and each emits its end
            self._unreferenced = True
            return
        process.keep(self)
        self._worker.start_closing(None)
        if self._step.life in OVER:  # it may have ended before it was kept
            process.unregister(self)

    def scope_collected(self) -> None:
        """Close the log if the scope that was collected was the last reason to keep it open."""
        if self._unreferenced and not self.scopes:
            self.close_unreferenced()

    def write_through(self) -> None:
        """Store every further record before its call returns, because the process may end at any moment.

        A call whose record could not be stored in time answers False. After each record worker_stopped is the last line
        again: if it is, nothing that was acknowledged is missing.
        """
        self._worker.writes_through = True
        self.channel.write_through(self.put)

    def flush_and_mark_stopped(self, timeout: float = EXIT_TIMEOUT) -> bool:
        """Flush, and end the file with worker_stopped as close does, but stay open.

        Returns False, having done nothing, if the calling thread is within the step or the start of the worker.
        """
        if self._worker.in_step() or self._worker.in_start():
            return False
        deadline = self._clock.monotonic() + timeout
        if self._step.life not in OVER and self.flush(timeout):
            self._worker.run_for_caller(self._step.write_stop_line, deadline - self._clock.monotonic())
        return True

    def stats(self) -> Stats:
        """Return a snapshot of this process's counters."""
        process.notice_fork()
        return self.channel.stats(self._encoder.writer, self._sink.repaired_bytes)

    def queued(self) -> int:
        """Return the number of records that wait in the queue."""
        return len(self.channel)

    def after_fork(self) -> None:
        """Reset in a forked child, which gets a queue, counters, locks and a writer of its own.

        The parent writes what it had queued.
        """
        self._sink.after_fork()
        self.channel.reset()
        self._encoder.reset_writer()
        self._step.reset()
        self._worker.reset()
        self._reset()
