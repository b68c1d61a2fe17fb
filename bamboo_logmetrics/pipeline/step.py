"""The step: take, encode, write, count. It needs no thread and takes no lock; the caller allows one at a time.

A record that was taken from the channel is in ``_hand`` until it is a line, and a line is in ``_pending`` until the
sink has stored it. An exception may come anywhere, Ctrl-C in a durable emit too. So each passage from one to the next
is made of plain stores and at most one call (see channel.py), and nothing is ever in neither or in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from bamboo_logmetrics.pipeline.life import ABANDONED, ENDED, OPEN, OVER
from bamboo_logmetrics.record.queued import Ack, QueuedRecord
from bamboo_logmetrics.system import Clock, backoff, boot_id, host, pid_namespace, process_started_at

Listener = Callable[[Sequence[QueuedRecord]], None]

BATCH = 4096  # records per step, which is one write
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 5.0  # seconds


def _kind_of(event: object) -> str:
    """Return the kind of a record for a StorageError. It never raises, or the batch would never be written."""
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
    """Return the fields of a worker_started line, which identify the process, its machine and its container."""
    started = process_started_at("self")
    fields: dict[str, Any] = {
        "version": version,
        "pid": os.getpid(),
        "host": host(),
        "started_at": format_utc(started) if started else format_ns(clock.time_ns()),
        "repaired_bytes": repaired_bytes,
    }
    known = {"boot_id": boot_id(), "pid_namespace": pid_namespace()}
    return fields | {name: value for name, value in known.items() if value is not None}


class _Batch:
    """Lines on their way into the file: the user's, or one line of the log itself."""

    __slots__ = ("acks", "done", "kind", "lines", "own")

    def __init__(self, kind: str, lines: list[bytes], acks: list[Ack], *, own: bool) -> None:
        self.kind = kind
        self.lines = lines
        self.acks = acks  # none, or one for each line
        self.own = int(own)
        self.done = 0  # number of lines that are in the file

    def left(self) -> int:
        """Return the number of lines that are not in the file yet."""
        return len(self.lines) - self.done


class Step:
    """One pass of the work on a log: take records, encode them, write the lines, and count.

    Args:
        channel: where records come from, and where everything is counted.
        encoder: makes their lines.
        sink: stores the lines.
        sync: True to bring each batch to the disk before it is acknowledged.
        diagnostics: reports on stderr what the log cannot hold.
        clock: the clock.
    """

    def __init__(
        self,
        *,
        channel: Channel,
        encoder: LineEncoder,
        sink: Sink,
        sync: bool,
        diagnostics: Diagnostics,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._encoder = encoder
        self._sink = sink
        self._sync = sync
        self._diagnostics = diagnostics
        self._clock = clock
        self.life = OPEN  # here, because both the step and the worker go by it
        self.listeners: Sequence[Listener] = ()  # called with each batch of records that was encoded
        self.reset()

    def reset(self) -> None:
        """Reset to the state before anything was written, as a forked child must."""
        self._hand: list[QueuedRecord] = []
        self._pending: list[_Batch] = []
        self._seen = self._sink.stored  # the part of the sink's total that has been counted
        self._drops = DropReporter(self._clock)
        self._retries: Iterator[float] | None = None  # the growing pauses while storing fails
        self._retry_at = 0.0
        self._failure: StorageError | None = None
        self._stop_encoded = False  # worker_stopped is the last line
        self.started = False  # worker_started has been encoded
        self.deadline: float | None = None  # when close gives up (monotonic)
        self.life = ENDED if self.life in OVER else OPEN

    # -- the work there is ---------------------------------------------------------------

    def in_hand(self) -> bool:
        """Return True if something was taken and is not in the file yet."""
        return bool(self._pending or self._hand)

    def has_work(self) -> bool:
        """Return True if something waits to be written."""
        return bool(self._pending or self._hand or len(self._channel))

    def failing(self) -> bool:
        """Return True if the last attempt to store failed."""
        return self._retries is not None

    def retry_in(self) -> float:
        """Return the seconds until the next attempt is due or close gives up; 0 if that is now."""
        if self._retries is None:
            return 0.0
        until = self._retry_at if self.deadline is None else min(self._retry_at, self.deadline)
        return max(0.0, until - self._clock.monotonic())

    def drops_due_in(self) -> float | None:
        """Return the seconds until a drop is to be announced; None if there is no such drop."""
        return self._drops.due_in(self._channel.drops())

    # -- the step ------------------------------------------------------------------------

    def run(self, deadline: float | None = None) -> int:
        """Take, encode, write and count once; return the number of records that were taken.

        Args:
            deadline: when to give up waiting for other processes (monotonic).
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
        """Encode worker_started, the first line of each writer."""
        fields = worker_started_fields(__version__, self._clock, self._sink.repaired_bytes)
        if not self._encoder.redact:
            fields["redact"] = False
        self.started = True
        self._add_own_line(WorkerStarted(), fields, undo=self._take_back_start)

    def _take_back_start(self) -> None:
        self.started = False

    def _encode(self) -> None:
        """Encode what is in hand: all of it, or nothing if something is raised."""
        if not self._hand:
            return
        hand, seq = self._hand, self._encoder.seq
        batch = _Batch(_kind_of(self._hand[0].event), [], [], own=False)
        line_of, add = self._encoder.encode, batch.lines.append
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
            self._encoder.seq = seq
            raise
        self._channel.too_large += too_large
        self._hand = []
        if batch.lines:
            self._pending.append(batch)
            self._stop_encoded = False
        if self.listeners:
            self._tell_listeners(hand)

    def _tell_listeners(self, records: Sequence[QueuedRecord]) -> None:
        """Give the records of a batch to each listener. What a listener raises is reported, and costs no record."""
        for listener in list(self.listeners):
            try:
                listener(records)
            except Exception as error:  # noqa: BLE001 - it is code outside of the log
                self._diagnostics.report(f"a listener of the log failed: {_text_of(error)}")

    def _write(self, deadline: float | None = None) -> None:
        while self._pending and self.life is not ABANDONED and not self.retry_in():
            batch = self._pending[0]
            failure = None
            try:
                if batch.left():  # else it was stored, and an interrupt came before it was removed
                    self._store(batch, self.deadline if deadline is None else deadline)
            except OSError as error:
                failure = error
            if not batch.left():
                self._pending.remove(batch)
            if failure is not None:
                self.fail(failure)
                return
            if batch.acks or not self._sync:  # else nothing was synced: syncing may still fail
                self._recover()

    def _store(self, batch: _Batch, deadline: float | None) -> None:
        """Write what is left of a batch, and count the lines that are in the file, also if something is raised."""
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
        """Answer the callers whose lines are in the file. Raises OSError if these cannot be brought to the disk."""
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

    # -- failures to store ---------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Report an error and try again after a growing pause; what is in hand is kept."""
        retries = self._retries  # a durable caller in another thread may recover meanwhile
        if retries is None:
            retries = self._retries = backoff(_FIRST_RETRY, _LONGEST_RETRY)
        text = _text_of(error)
        self._diagnostics.report(f"cannot write, will keep trying: {text}")
        if self._failure is None:
            kind = next((batch.kind for batch in self._pending[:1]), "file")
            self._failure = StorageError(error=mask_text(text), event_type=kind)
        self._retry_at = self._clock.monotonic() + next(retries)

    def _recover(self) -> None:
        """Log what had failed before, after a write that worked."""
        self._retries = None
        self._log_failure()
        for problem in self._sink.problems():
            self._diagnostics.report(problem)
            self._add_own_line(StorageError(error=mask_text(problem), event_type="file"), {})

    def _log_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            self._add_own_line(failure, {})

    # -- lines of the log itself ---------------------------------------------------------

    def _add_own_line(
        self, event: SystemEvent, fields: Mapping[str, Any], undo: Callable[[], None] | None = None
    ) -> None:
        """Append a line of the log itself. If it cannot be encoded, call ``undo``, so that it is tried again later."""
        seq = self._encoder.seq
        try:
            batch = _Batch(event.kind, [self._encoder.encode_internal(event, fields)], [], own=True)
        except BaseException:
            self._encoder.seq = seq
            if undo is not None:
                undo()
            raise
        self._pending.append(batch)
        self._stop_encoded = isinstance(event, WorkerStopped)

    def _announce_drops(self, *, everything: bool) -> None:
        for reason, count, total in self._drops.due(self._channel.drops(), everything=everything):
            undo = partial(self._drops.take_back, reason, count)
            self._add_own_line(MetricsDropped(count=count, reason=reason), {"total": total}, undo)

    # -- the end -------------------------------------------------------------------------

    def finish(self) -> bool:
        """Write the last announcements, and worker_stopped as the last line; return True if all is in the file."""
        if not self.has_work():
            self._announce_drops(everything=True)
            self._log_failure()
            self._write()
        while not self.has_work() and not self._stop_encoded:
            self._add_own_line(WorkerStopped(), self._final_counts())
            self._write()
        return not self.has_work()

    def write_stop_line(self) -> None:
        """Write worker_stopped if all is written, because the process may end soon; a later record starts over."""
        if self.started and self.finish():
            self.started = self._stop_encoded = False

    def renew_stop_line(self) -> None:
        """Write worker_stopped again if other lines have followed it and all is written."""
        if self.started and not self._stop_encoded and self.life is OPEN:
            self.finish()

    def _final_counts(self) -> dict[str, Any]:
        stats = self._channel.stats()
        counts: dict[str, Any] = {"emitted": stats.emitted, "written": stats.written, "dropped": dict(stats.dropped)}
        repaired = self._sink.repaired_bytes
        return counts | ({"repaired_bytes": repaired} if repaired else {})

    def give_up(self) -> None:
        """Count what is in hand as ``storage``, and what was never taken as ``shutdown``."""
        lost = len(self._hand) + sum(batch.left() for batch in self._pending if not batch.own)
        acks = [ack for batch in self._pending for ack in batch.acks[batch.done :]]
        acks += [record.ack for record in self._hand if record.ack is not None]
        self._channel.storage += lost
        self._hand = []
        self._pending = []
        for ack in acks:
            ack.answer = False
        self._channel.discard()
