"""The step: take, encode, write, count. It needs no thread and takes no lock; one caller at a time.

What was taken from the channel is in ``_hand`` until it is a line, and a line is in ``_pending`` until the sink
has it. An exception may come anywhere, Ctrl-C in a durable emit too; so each passage from one to the next is made of
plain stores and one call at most (see channel.py), and nothing is in neither or in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.events import (
    MetricsDropped,
    MetricsEvent,
    StorageError,
    SystemEvent,
    WorkerStarted,
    WorkerStopped,
)
from bamboo_logmetrics.events.times import format_ns, format_utc
from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.format.redact.values import mask_text
from bamboo_logmetrics.logfiles import Sink
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.pipeline.drop_reporter import DropReporter
from bamboo_logmetrics.record.queued import Ack, QueuedRecord
from bamboo_logmetrics.system import Clock, backoff, host, process_started_at

BATCH = 4096  # records per step, which is one write
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 5.0  # seconds


def _kind_of(event: object) -> str:
    """Return what a StorageError calls a record: never an exception, or the batch would never be written."""
    try:
        return str(event.kind) if isinstance(event, MetricsEvent) else "plain"
    except Exception:  # noqa: BLE001
        return type(event).__name__


def _text_of(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the text of an exception may raise anything
        return type(error).__name__


def worker_started_fields(version: str, clock: Clock, repaired_bytes: int) -> dict[str, Any]:
    """Return the fields of a worker_started line, which identify the process and its machine."""
    pid = os.getpid()
    started = process_started_at(pid)
    return {
        "version": version,
        "pid": pid,
        "host": host(),
        "started_at": format_utc(started) if started else format_ns(clock.time_ns()),
        "repaired_bytes": repaired_bytes,
    }


class _Batch:
    """Lines on their way into the file: the user's, or one of the log's own."""

    __slots__ = ("acks", "done", "kind", "lines", "own")

    def __init__(self, kind: str, lines: list[bytes], acks: list[Ack], *, own: bool) -> None:
        self.kind = kind
        self.lines = lines
        self.acks = acks  # none, or one for each line
        self.own = int(own)
        self.done = 0  # so many lines are in the file

    def left(self) -> int:
        """Return how many lines are not in the file yet."""
        return len(self.lines) - self.done


class Step:
    """What the worker does, over and over.

    Args:
        channel: where records come from, and where everything is counted.
        maker: makes their lines.
        sink: where the lines go.
        sync: True to bring each batch to the disk before it is acknowledged.
        diagnostics: for what the log itself cannot say.
        clock: the clock.
    """

    def __init__(
        self,
        *,
        channel: Channel,
        maker: LineEncoder,
        sink: Sink,
        sync: bool,
        diagnostics: Diagnostics,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._maker = maker
        self._sink = sink
        self._sync = sync
        self._diagnostics = diagnostics
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Start as one that has written nothing."""
        self._hand: list[QueuedRecord] = []
        self._pending: list[_Batch] = []
        self._seen = self._sink.stored  # of the sink's total, what has been counted
        self._report = DropReporter(self._clock)
        self._retries: Iterator[float] | None = None  # the growing pauses while storing fails
        self._retry_at = 0.0
        self._failure: StorageError | None = None
        self._said_stop = False
        self.started = False
        self.deadline: float | None = None  # when close gives up (monotonic)
        self.abandoned = False  # close has given up while this was in the sink: do no more

    # -- what is to be done --------------------------------------------------------------

    def in_hand(self) -> bool:
        """Tell whether something was taken and is not in the file yet."""
        return bool(self._pending or self._hand)

    def has_work(self) -> bool:
        """Tell whether something waits to be written."""
        return bool(self._pending or self._hand or len(self._channel))

    def failing(self) -> bool:
        """Tell whether the last attempt to store failed."""
        return self._retries is not None

    def retry_in(self) -> float:
        """Return the seconds until the next attempt is due, or close gives up; 0 if it is now."""
        if self._retries is None:
            return 0.0
        until = self._retry_at if self.deadline is None else min(self._retry_at, self.deadline)
        return max(0.0, until - self._clock.monotonic())

    def drops_due_in(self) -> float | None:
        """Return the seconds until a drop is to be announced; None if there is none."""
        return self._report.due_in(self._channel.drops())

    # -- the step ------------------------------------------------------------------------

    def run(self, deadline: float | None = None) -> int:
        """Take, encode, write and count once; return how many records were taken.

        ``deadline`` (monotonic) is when to give up waiting for other processes.
        """
        taken = 0
        if not self._pending:
            if not self.started and (self.has_work() or self.drops_due_in() is not None):
                self.announce_start()
            if not self._hand:
                self._channel.take(BATCH, self._hand)
                taken = len(self._hand)
            self._encode()
            self._announce_drops(everything=False)
        self._write(deadline)
        return taken

    def announce_start(self) -> None:
        """Put worker_started first."""
        fields = worker_started_fields(__version__, self._clock, self._sink.repaired_bytes)
        self.started = True
        self._own(WorkerStarted(), fields, undo=self._take_back_start)

    def _take_back_start(self) -> None:
        self.started = False

    def _encode(self) -> None:
        """Make lines of what is in hand: all of it, or nothing when something is raised."""
        if not self._hand:
            return
        seq = self._maker.seq
        batch = _Batch(_kind_of(self._hand[0].event), [], [], own=False)
        line_of, add = self._maker.encode, batch.lines.append
        try:
            for record in self._hand:
                line, ack = line_of(record), record.ack
                if line is not None:
                    add(line)
                if ack is None:
                    continue
                if line is not None:
                    batch.acks.append(ack)
                else:
                    ack.answer = False
            too_large = len(self._hand) - len(batch.lines)
        except BaseException:
            self._maker.seq = seq
            raise
        self._channel.too_large += too_large
        self._hand = []
        if batch.lines:
            self._pending.append(batch)
            self._said_stop = False

    def _write(self, deadline: float | None = None) -> None:
        while self._pending and not self.abandoned and not self.retry_in():
            batch = self._pending[0]
            failure = None
            try:
                if batch.left():  # else it was stored, and an interrupt came before it was put away
                    self._store(batch, self.deadline if deadline is None else deadline)
            except OSError as error:
                failure = error
            if not batch.left():
                self._pending.remove(batch)
            if failure is not None:
                self.fail(failure)
                return
            if batch.acks or not self._sync:  # else it is not known whether syncing works again
                self._recover()

    def _store(self, batch: _Batch, deadline: float | None) -> None:
        """Write what is left of a batch, and count what is in the file, also when something is raised."""
        try:
            self._sink.write(batch.lines[batch.done :], deadline)
        finally:
            # one run without a call or a jump, see channel.py
            before = batch.done
            fresh = self._sink.stored - self._seen
            self._seen += fresh
            batch.done += fresh
            self._channel.own += fresh * batch.own
            self._channel.written += fresh * (1 - batch.own)
            self._acknowledge(batch.acks[before : batch.done])

    def _acknowledge(self, acks: list[Ack]) -> None:
        """Answer who waits for lines that are in the file. Raises OSError when they cannot be brought to the disk."""
        durable = False
        try:
            if acks and self._sync:
                self._sink.sync()
            durable = True
        except OSError as error:
            raise OSError(error.errno, f"fsync: {error.strerror}") from error
        finally:
            for ack in acks:
                ack.answer = durable

    # -- storing fails, and works again --------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Keep what is in hand, and try again after a growing pause."""
        if self._retries is None:
            self._retries = backoff(_FIRST_RETRY, _LONGEST_RETRY)
        text = _text_of(error)
        self._diagnostics.say(f"cannot write, will keep trying: {text}")
        if self._failure is None:
            kind = self._pending[0].kind if self._pending else "file"
            self._failure = StorageError(error=mask_text(text), event_type=kind)
        self._retry_at = self._clock.monotonic() + next(self._retries)

    def _recover(self) -> None:
        """Say what had failed before, after a write that worked."""
        self._retries = None
        self._say_failure()
        for problem in self._sink.problems():
            self._diagnostics.say(problem)
            self._own(StorageError(error=mask_text(problem), event_type="file"), {})

    def _say_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            self._own(failure, {})

    # -- the log's own lines -------------------------------------------------------------

    def _own(self, event: SystemEvent, extra: Mapping[str, Any], undo: Callable[[], None] | None = None) -> None:
        """Append a line of the log itself; call ``undo`` when it cannot be made, so that it is made later."""
        seq = self._maker.seq
        try:
            batch = _Batch(event.kind, [self._maker.encode_internal(event, extra)], [], own=True)
        except BaseException:
            self._maker.seq = seq
            if undo is not None:
                undo()
            raise
        self._pending.append(batch)
        self._said_stop = isinstance(event, WorkerStopped)

    def _announce_drops(self, *, everything: bool) -> None:
        for reason, count, total in self._report.news(self._channel.drops(), everything=everything):
            undo = partial(self._report.take_back, reason, count)
            self._own(MetricsDropped(count=count, reason=reason), {"total": total}, undo)

    # -- the end -------------------------------------------------------------------------

    def finish(self) -> bool:
        """Write the last announcements and worker_stopped, as the last line; tell whether all is in the file."""
        if not self.has_work():
            self._announce_drops(everything=True)
            self._say_failure()
            self._write()
        while not self.has_work() and not self._said_stop:
            self._own(WorkerStopped(), self._final_counts())
            self._write()
        return not self.has_work()

    def rest(self) -> None:
        """Write worker_stopped when all is written: the process may end at any moment. What comes later starts anew."""
        if self.started and self.finish():
            self.started = self._said_stop = False

    def _final_counts(self) -> dict[str, Any]:
        stats = self._channel.stats()
        counts: dict[str, Any] = {"emitted": stats.emitted, "written": stats.written, "dropped": dict(stats.dropped)}
        repaired = self._sink.repaired_bytes
        return counts | ({"repaired_bytes": repaired} if repaired else {})

    def give_up(self) -> None:
        """Count what is in hand as lost to the storage, and what was never taken as lost to the shutdown."""
        lost = len(self._hand) + sum(batch.left() for batch in self._pending if not batch.own)
        acks = [ack for batch in self._pending for ack in batch.acks[batch.done :]]
        acks += [record.ack for record in self._hand if record.ack is not None]
        self._channel.storage += lost
        self._hand = []
        self._pending = []
        for ack in acks:
            ack.answer = False
        self._channel.discard()
