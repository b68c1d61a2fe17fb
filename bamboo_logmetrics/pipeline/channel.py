"""The bounded queue between the callers and the worker, with its policy and its counters.

How it is exact without a lock. Under the GIL, CPython switches threads and runs signal handlers and finalisers only at
calls and at jumps that are taken (the "eval breaker"; from 3.11 on only at backward ones). So the way through an ``if``
whose condition holds is safe, its ``else`` is not. Every decision here is therefore written as a run of plain attribute
reads, comparisons and ``+= 1`` that ends in at most one call, such as ``deque.append``: nothing can come between the
check, the count and the append. So the capacity holds exactly, nothing slips in after :meth:`Channel.close`, and a
snapshot is never torn.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice, repeat, starmap
from types import MappingProxyType
from typing import TYPE_CHECKING

from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline import process, taps
from bamboo_logmetrics.pipeline.statistics import DROP_REASONS, Stats
from bamboo_logmetrics.record.packed import SLOT

if TYPE_CHECKING:
    from typing import Protocol

    from bamboo_logmetrics.record.queued import QueuedRecord
    from bamboo_logmetrics.system import Clock, Lock

    class PutThrough(Protocol):
        """A call that queues a record, waits until it is stored, and returns True if it is."""

        def __call__(self, record: QueuedRecord, *, plain: bool) -> bool: ...  # noqa: D102


_PLAIN_SHARE = 0.9  # of the queue; beyond it plain lines give way to typed events
_HIGH_WATER = 0.5  # of the queue; beyond it the worker is woken before its interval is over
_SHUT = -1
_MOST_SLOTS = 8_192  # that the worker takes at a time: records with long texts, beside their lines, use memory too


class Channel:
    """A bounded queue, its policy and its counters.

    ``accepted``, ``taken`` and the limits are running totals: a record is let in at once while ``accepted < limit``
    (``plain_limit`` for a plain line). The limits are below the capacity wherever a caller has to do more than append:
    0 to wake a worker that sleeps, half of the queue to wake one that sleeps out its interval, and -1 once the channel
    is closed or every record is written at once, or while a test watches it.

    The bytes are counted in slots of SLOT bytes. Each record takes one; ``more_accepted`` and ``more_taken`` are the
    running totals of the slots that records with long texts take beyond that. They lower the limits, so that a caller
    who might exceed the slots decides in :meth:`_put_by_policy`.

    Args:
        capacity: the number of records that may wait.
        capacity_bytes: the number of bytes that may wait; at least one record may.
        on_full: the policy.
        block_timeout: seconds that BLOCK waits.
        clock: the clock for that wait.
        wake: called when the worker has something to do; returns False if no worker can be started.
        in_step: returns True if the calling thread does the worker's work: it must not wait for room that only it can
            make.
    """

    __slots__ = (
        "__weakref__",
        "_append",
        "_at_once",
        "_block_timeout",
        "_blocked",
        "_capacity",
        "_clock",
        "_high_water",
        "_in_step",
        "_on_full",
        "_open",
        "_plain_at_once",
        "_plain_capacity",
        "_plain_slots",
        "_queue",
        "_shut",
        "_slots",
        "_through",
        "_waiters",
        "_wake",
        "accepted",
        "block_timeout",
        "closed",
        "limit",
        "more_accepted",
        "more_taken",
        "own",
        "plain_gave_way",
        "plain_limit",
        "queue_full",
        "refused",
        "shutdown",
        "storage",
        "taken",
        "tap",
        "too_large",
        "written",
    )

    def __init__(
        self,
        *,
        capacity: int,
        capacity_bytes: int,
        on_full: OnFull,
        block_timeout: float,
        clock: Clock,
        wake: Callable[[], bool],
        in_step: Callable[[], bool] = lambda: False,
    ) -> None:
        self._slots = max(1, capacity_bytes // SLOT)
        capacity = min(capacity, self._slots)
        plain_share = 1.0 if on_full is OnFull.BLOCK else _PLAIN_SHARE
        self._capacity = capacity
        self._plain_capacity = max(1, int(capacity * plain_share))
        self._plain_slots = max(1, int(self._slots * plain_share))
        self._high_water = max(1, int(capacity * _HIGH_WATER))
        # The number that is let in at once while the worker is awake. Under drop_oldest `taken` may be too high for a
        # moment, until take or _drop_oldest has seen that another thread was faster.
        self._at_once = self._plain_capacity if on_full is OnFull.DROP_OLDEST else capacity
        self._plain_at_once = min(self._at_once, self._plain_capacity)
        self._on_full = on_full
        self._block_timeout = block_timeout
        self._clock = clock
        self._wake = wake
        self._in_step = in_step
        self._shut = False
        self.tap: Callable[[QueuedRecord], None] | None = None
        self.reset()
        taps.register(self)

    def reset(self) -> None:
        """Reset to an empty queue and counters at zero, as a forked child must."""
        self._queue: deque[QueuedRecord] = deque()
        self._append = self._queue.append
        self._waiters: deque[Lock] = deque()
        self._blocked: set[int] = set()
        self._through: PutThrough | None = None
        self._open = not self._shut and self.tap is None  # neither closed, nor watched, nor written through
        self.limit = self.plain_limit = 0 if self._open else _SHUT
        self.accepted = self.taken = self.refused = self.written = self.own = 0
        self.more_accepted = self.more_taken = 0
        self.queue_full = self.plain_gave_way = self.block_timeout = 0
        self.too_large = self.closed = self.shutdown = self.storage = 0

    def __len__(self) -> int:
        return len(self._queue)

    # -- the caller's side ---------------------------------------------------------------

    def put(self, record: QueuedRecord) -> bool:
        """Queue a typed record, or apply the policy; return True if the record is queued."""
        if self.accepted < self.limit and not record.slots:
            self.accepted += 1
            self._append(record)
            return True
        return self._put_slowly(record, self._capacity)

    def put_plain(self, record: QueuedRecord) -> bool:
        """Queue a plain record, or apply the policy; return True if the record is queued."""
        if self.accepted < self.plain_limit and not record.slots:
            self.accepted += 1
            self._append(record)
            return True
        return self._put_slowly(record, self._plain_capacity)

    def _put_slowly(self, record: QueuedRecord, capacity: int) -> bool:
        process.notice_fork()
        if self.tap is not None:
            return self._give_to_tap(record, self.tap)
        if self._through is not None and record.ack is None:
            return self._through(record, plain=capacity < self._capacity)
        return self._put_by_policy(record, capacity)

    def _put_by_policy(self, record: QueuedRecord, capacity: int) -> bool:
        deadline = self._clock.monotonic() + self._block_timeout
        in_time = True
        slots = self._slots if capacity == self._capacity else self._plain_slots
        more = record.slots = min(record.slots, slots - 1)  # an empty queue has room for every record
        while True:
            if (
                not self._shut
                and self.accepted - self.taken < capacity
                and self.accepted - self.taken + self.more_accepted - self.more_taken + more < slots
            ):
                self.accepted += 1
                self.more_accepted += more
                self.limit -= more
                self.plain_limit -= more
                self._append(record)
                self._wake_worker()
                return True
            if self._shut:
                self.closed += 1
                self.refused += 1
                return False
            if self._on_full is OnFull.BLOCK and in_time:
                in_time = self._wait_for_room(more, deadline)
            elif self._on_full is OnFull.DROP_OLDEST and capacity == self._capacity:
                self._drop_oldest()
            elif self._refuse(capacity):
                self._wake()
                return False

    def _refuse(self, capacity: int) -> bool:
        """Count a record for which there is no room; return False, having counted nothing, if the channel is closed."""
        if self._on_full is OnFull.BLOCK:
            if not self._shut:
                self.block_timeout += 1
                self.refused += 1
                return True
        elif capacity < self._capacity:
            if not self._shut:
                self.plain_gave_way += 1
                self.refused += 1
                return True
        elif not self._shut:
            self.queue_full += 1
            self.refused += 1
            return True
        return False

    def _give_to_tap(self, record: QueuedRecord, tap: Callable[[QueuedRecord], None]) -> bool:
        tap(record)
        if record.ack is not None:
            record.ack.answer = True
        return True

    def _wake_worker(self) -> None:
        self._set_limits()
        woken = False
        try:
            woken = self._wake()
        finally:
            if not woken and self._open:
                self.limit = self.plain_limit = 0  # no worker, or interrupted: the next caller comes this way too

    def _drop_oldest(self) -> None:
        try:
            more = self._queue[0].slots
            self.taken += 1
            self.queue_full += 1
            self.more_taken += more
            oldest = self._queue.popleft()
        except IndexError:  # the worker was faster: there is room now
            return
        if oldest.ack is not None:
            oldest.ack.answer = False

    def _wait_for_room(self, more: int, deadline: float) -> bool:
        """Wait until the worker has taken something; return False if time is up, or the wait would be for itself."""
        ident = get_ident()
        left = deadline - self._clock.monotonic()
        if self._in_step() or ident in self._blocked or left <= 0:
            return False
        lock = allocate_lock()
        lock.acquire()
        try:
            self._blocked.add(ident)
            self._waiters.append(lock)
            self._wake()
            if self._has_room(more) or self._shut:
                return True
            return self._clock.wait(lock, left)
        finally:
            self._blocked.discard(ident)
            with suppress(ValueError):  # _admit has removed it
                self._waiters.remove(lock)

    def _has_room(self, more: int) -> bool:
        waiting = self.accepted - self.taken
        return waiting < self._capacity and waiting + self.more_accepted - self.more_taken + more < self._slots

    def _set_limits(self) -> None:
        """Let callers append without waking the worker, as long as there is room."""
        if self._open:
            self.limit = self.taken + self._at_once - self.more_accepted + self.more_taken
            self.plain_limit = self.taken + self._plain_at_once - self.more_accepted + self.more_taken

    # -- the worker's side ---------------------------------------------------------------

    def take(self, most: int, into: list[QueuedRecord]) -> None:
        """Move up to ``most`` records to the end of ``into``, the oldest first; fewer if they are large."""
        if self.accepted == self.taken:
            self.more_taken = self.more_accepted  # should an interrupt have left them unequal
        count, more = min(len(self._queue), most), 0
        if self.more_accepted != self.more_taken:
            count, more = self._first_slots(count)
        pops = starmap(self._queue.popleft, repeat((), count))
        before = len(into)
        self.taken += count
        self.more_taken += more
        try:
            into.extend(pops)  # one call: no interrupt can come while a record is in neither
        except IndexError:  # callers have dropped some meanwhile
            missing = count - (len(into) - before)
            self.taken -= missing
        if more:  # callers may have dropped some that were counted, and then others came in their place
            error = more - sum(record.slots for record in into[before:])
            self.more_taken -= error
        self._set_limits()
        self._admit()

    def _first_slots(self, count: int) -> tuple[int, int]:
        """Return how many of the first ``count`` records to take at a time, and how many further slots they have."""
        total = 0
        for number, record in enumerate(islice(self._queue.copy(), count)):  # a copy: callers append meanwhile
            if number and total + record.slots > _MOST_SLOTS:
                return number, total
            total += record.slots
        return count, total

    def _admit(self) -> None:
        with suppress(IndexError):  # there are no more
            while True:
                self._waiters.popleft().release()

    def sleep_until_half_full(self) -> bool:
        """Have the caller that fills half of the queue wake the worker; return False if it is half full now."""
        if self._open:
            self.limit = self.plain_limit = self.taken + self._high_water - self.more_accepted + self.more_taken
        return len(self._queue) + self.more_accepted - self.more_taken < self._high_water

    def sleep_until_woken(self) -> bool:
        """Have the next caller wake the worker; return False if something is queued now."""
        if self._open:
            self.limit = self.plain_limit = 0
        return not self._queue

    def close(self) -> None:
        """Refuse everything from now on."""
        self._shut = True
        self._open = False
        self.limit = self.plain_limit = _SHUT
        self._admit()

    def write_through(self, put: PutThrough) -> None:
        """Have every record go by ``put``, which queues it with an ``ack`` and waits for that."""
        self._through = put
        self._open = False
        self.limit = self.plain_limit = _SHUT

    def watch(self, tap: Callable[[QueuedRecord], None] | None) -> None:
        """Give every record to ``tap`` instead of the queue, or to the queue again if None; for tests."""
        self.tap = tap
        self._open = not self._shut and tap is None and self._through is None
        self.limit = self.plain_limit = 0 if self._open else _SHUT

    def discard(self) -> None:
        """Drop all queued records and count them as ``shutdown``."""
        left: list[QueuedRecord] = []
        self.take(len(self._queue), left)
        self.shutdown += len(left)
        for record in left:
            if record.ack is not None:
                record.ack.answer = False

    # -- the counts ----------------------------------------------------------------------

    def drops(self) -> dict[str, int]:
        """Return the number of drops so far by reason."""
        return {reason: getattr(self, reason) for reason in DROP_REASONS}

    def stats(self, writer: str = "", repaired_bytes: int = 0) -> Stats:
        """Return a snapshot of the counters."""
        # no call before the last of these is read, so that all are of one moment
        emitted, written, own = self.accepted + self.refused, self.written, self.own
        slots = self.accepted - self.taken + self.more_accepted - self.more_taken
        counts = (
            self.queue_full,
            self.plain_gave_way,
            self.block_timeout,
            self.too_large,
            self.closed,
            self.shutdown,
            self.storage,
        )
        total = sum(counts)
        return Stats(
            emitted=emitted,
            written=written,
            dropped=MappingProxyType({reason: n for reason, n in zip(DROP_REASONS, counts, strict=True) if n}),
            dropped_total=total,
            queued=emitted - written - total,
            queued_bytes=max(slots, 0) * SLOT,
            own=own,
            writer=writer,
            repaired_bytes=repaired_bytes,
        )
