"""One log that is shipped: its next lines, and its checkpoint."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format.layouts import find_ids
from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.follower import NOT_KNOWN, Follower
from bamboo_logmetrics.logfiles.names import rotated_files
from bamboo_logmetrics.logfiles.position import Chunk, Position
from bamboo_logmetrics.logfiles.side_files import MODE, mode_of, open_side_file
from bamboo_logmetrics.ship.dead_letters import (
    DEAD_LETTER_BYTES,
    DeadLetters,
    letter_of_invalid,
    letter_of_lost,
    letters_of_rejection,
)
from bamboo_logmetrics.ship.destinations.base import Rejection
from bamboo_logmetrics.ship.entries import Entry, InvalidLine, entry_of
from bamboo_logmetrics.ship.log_state import LogState, Shipped, ShipperIdentity, load_state, save_state
from bamboo_logmetrics.ship.sequences import LineSet, Lost, SequenceTracker, merge_last
from bamboo_logmetrics.system import FS, Clock

_ERROR_EVERY = 10.0  # seconds between two checkpoints that only change the error
_LAST_FILES = 4  # rotated files whose times say how fast the log is written
_LIST_EVERY = 5.0  # seconds
_LOCK_TRIES, _LOCK_PAUSE = 10, 0.02  # `status` holds the lock for an instant

_locks: set[int] = set()  # descriptors of locks; a forked child must not keep its parent's


def _close_locks() -> None:
    while _locks:
        os.close(_locks.pop())


os.register_at_fork(after_in_child=_close_locks)


class Batch(NamedTuple):
    """The lines of one read.

    Args:
        entries: the lines to deliver.
        position: the position behind them.
        last: the highest number of each writer among them.
        repeated: the number of lines that were left out because they were delivered before.
        ahead: the number of lines that an earlier run delivered and did not count.
        lost: the numbers that the files no longer hold.
        invalid: the lines that cannot be delivered.
    """

    entries: list[Entry]
    position: Position
    last: dict[str, int]
    lost: list[Lost]
    invalid: list[InvalidLine]
    repeated: int = 0
    ahead: int = 0


class LogSource:
    """Reads a log and keeps its checkpoint, which is never ahead of the lines that are delivered or refused.

    Args:
        log: the real path of the log.
        identity: the shipper.
        moved: True to go on at another URL than the checkpoint's.
        new: True if the log was created while the shipper waited for it: then no line before its first one is unknown.
        dead_letter_bytes: the largest size of the dead-letter file.
        fs: the system calls.
        clock: the time.

    Attributes:
        state: how far the log is shipped.
        restarted: True if checkpoints exist and none is valid, so that the log is shipped from its beginning.

    Raises ConfigError if another process ships this log under this name, or if the checkpoint is of another URL.
    """

    def __init__(
        self,
        log: str,
        identity: ShipperIdentity,
        *,
        moved: bool,
        new: bool = False,
        dead_letter_bytes: int = DEAD_LETTER_BYTES,
        fs: FS,
        clock: Clock,
    ) -> None:
        self.log = log
        self._fs = fs
        self._clock = clock
        self._path = identity.path(log, "checkpoint")
        self._dead_letters = DeadLetters(identity.path(log, "dead-letter"), fs, log, dead_letter_bytes)
        self._unwritten: list[dict[str, Any]] = []
        self._guard = threading.Lock()  # the delivering thread reports problems, perhaps after close()
        self._closed = False
        with _explaining(self._path):
            if identity.directory is not None:
                fs.makedirs(identity.directory)
            self._lock = _lock(fs, clock, identity.path(log, "shipper"), log, identity.name)
        try:
            self.state, self.restarted = self._load(identity, moved=moved, new=new)
            self._before = msgspec.structs.replace(self.state)
        except BaseException:
            self._unlock()
            raise
        self._follower = Follower(log, self.state.position, fs=fs)
        self._sequences = SequenceTracker(self.state.writers)
        self._ahead = LineSet(self.state.ahead)  # delivered, although lines before them are not
        self._delivered_before = LineSet(self.state.ahead)  # of these the ones of earlier runs
        self._error_saved = self._listed = float("-inf")
        self._rotations: list[float] = []
        self._saved_position = self.state.position
        self._begun = bool(self.state.writers or self.state.position.head or self.state.position.passed)
        try:
            self._begin()
            with _explaining(self._path):
                self.save()  # from now on the log's retention waits
        except BaseException:
            self.close()
            raise

    def _load(self, identity: ShipperIdentity, *, moved: bool, new: bool) -> tuple[LogState, bool]:
        """Return the state, and True if checkpoints exist and none is valid."""
        state = load_state(self._fs, self._path)
        if state is None:
            state = LogState(to=identity.to, url=identity.url, position=Position(in_oldest=not new))
            return state, checkpoint.exists(self._fs, self._path)
        moved = (moved and state.to == identity.to) or not (state.shipped or state.refused)
        if (state.to, state.url) != (identity.to, identity.url) and not moved:
            msg = (
                f"{self._path} is the checkpoint of {state.to} at {state.url}; if {identity.url} is the same server at"
                " a new URL, give --moved to go on there; if it is another server, give --name to ship everything to it"
            )
            raise ConfigError(msg)
        state.verified &= state.url == identity.url
        state.to, state.url = identity.to, identity.url
        return state, False

    def _begin(self) -> None:
        """Note the first line of the log, so that lines that are removed before their delivery count as lost."""
        if self._begun or (beginning := self._follower.beginning()) is None:
            return
        self._begun = True
        self.state.position, line = beginning
        if not self.state.position.in_oldest:
            return
        with suppress(ValueError):  # not a line of this package
            head = entry_of(line).head
            self.state.writers = {head.writer: head.seq - 1}
            self._sequences = SequenceTracker(self.state.writers)

    # -- reading -------------------------------------------------------------------------

    def next_batch(self, size: int) -> Batch | None:
        """Return about ``size`` bytes of lines; None at the end of the files. Raises OSError and ConfigError.

        ConfigError stands for a line of a newer version, which a newer release of this package must deliver.
        """
        if not self._begun:
            self._begin()
            if self._begun:
                self.save()
        before = self._follower.position
        chunk = self._follower.read(size)
        if chunk is None:
            return None
        items: list[Entry | InvalidLine] = []
        for line in chunk.lines:
            try:
                items.append(_parse(line))
            except ConfigError:  # of a newer version: the lines before it are delivered first
                self._go_back(before)
                if not items:
                    raise
                return self.next_batch(sum(len(item.line) + 1 for item in items))
        return self._batch(chunk, items)

    def _go_back(self, position: Position) -> None:
        self._follower.close()
        self._follower = Follower(self.log, position, fs=self._fs)

    def _batch(self, chunk: Chunk, items: list[Entry | InvalidLine]) -> Batch:
        invalid = [InvalidLine(chunk.broken, chunk.reason)] if chunk.reason else []
        batch = Batch([], chunk.position, {}, [], invalid)
        repeated = ahead = 0
        for item in items:
            if isinstance(item, InvalidLine):
                self._skip(item.line, batch)
                batch.invalid.append(item)
                continue
            writer, seq = item.head.writer, item.head.seq
            new, lost = self._sequences.take(writer, seq, in_oldest=chunk.position.in_oldest)
            if not new:
                repeated += 1
                continue
            if lost:
                batch.lost.append(lost)
            batch.last[writer] = seq
            if (writer, seq) in self._delivered_before:
                ahead += 1
                continue
            batch.entries.append(item)
        self._sequences.prune(batch.last)
        return batch._replace(repeated=repeated, ahead=ahead)

    def _skip(self, line: bytes, batch: Batch) -> None:
        """Note the numbers in an invalid line, so that it does not count as lost as well."""
        for writer, seq in find_ids(line):
            if self._sequences.skip(writer, seq):
                batch.last[writer] = seq

    # -- progress ------------------------------------------------------------------------

    def note_delivered(self, entries: Iterable[Entry]) -> None:
        """Note lines of the batch under way that are delivered, so that no later run sends them again.

        From any thread. A line that is sent again could be refused, because the server has newer ones by now, and then
        the dead-letter file would name a line that the server has.
        """
        with self._guard:
            self._ahead.add((entry.head.writer, entry.head.seq) for entry in entries)
            self.state.ahead = self._ahead.intervals()
            with suppress(OSError):  # the next checkpoint will have it
                self.save()

    def commit(self, batch: Batch, rejections: list[Rejection]) -> None:
        """Count a batch whose lines are delivered or rejected; :meth:`save` writes the counts to the disk."""
        state = self.state
        rejected = sum(rejection.number for rejection in rejections)
        self._unwritten += [letter_of_invalid(line) for line in batch.invalid]
        self._unwritten += [letter for rejection in rejections for letter in letters_of_rejection(rejection)]
        self._unwritten += [letter_of_lost(lost) for lost in batch.lost]
        writers = merge_last(state.writers, batch.last)
        self._ahead.remove_until(writers)  # the position covers these
        self.state = msgspec.structs.replace(
            state,
            verified=state.verified or len(batch.entries) > rejected,
            shipped=state.shipped + len(batch.entries) - rejected + batch.ahead,
            refused=state.refused + rejected + sum(line.reason not in NOT_KNOWN for line in batch.invalid),
            lost=state.lost + sum(lost.size for lost in batch.lost),
            repeated=state.repeated + batch.repeated,
            writers=writers,
            ahead=self._ahead.intervals(),
            position=batch.position,
        )

    def save(self) -> None:
        """Save the checkpoint, after the dead letters that it counts. Raises OSError; it can be called again."""
        self.state.unkept += self._dead_letters.write(self._unwritten, self._now())
        self._unwritten = []
        self.state.saved_at = self._now()
        save_state(self._fs, self._path, self.state, mode_of(self._fs, self.log, MODE))
        self._saved_position = self.state.position

    def save_position(self) -> None:
        """Save the position after files without a new line; only while no batch is being delivered. Raises OSError."""
        position = self._follower.position
        if position != self._saved_position:
            self.state.position = position
            self.save()

    def seconds_to_fill_a_file(self) -> float:
        """Return the time in which the log fills a file, by the names of the last rotated ones; infinite without any.

        The directory is listed once in five seconds.
        """
        now = self._clock.monotonic()
        if now >= self._listed + _LIST_EVERY:
            self._listed = now
            with suppress(OSError):
                files = rotated_files(self._fs, self.log)[-_LAST_FILES:]
                self._rotations = [item.time.timestamp() for item in files]
        times = self._rotations
        if not times:
            return math.inf
        since_last = max(0.0, self._clock.time_ns() / 1e9 - times[-1])
        return max(since_last, (times[-1] - times[0]) / max(1, len(times) - 1))

    @property
    def result(self) -> Shipped:
        """The result of this run."""
        return Shipped(*(getattr(self.state, name) - getattr(self._before, name) for name in Shipped._fields))

    @property
    def notices(self) -> list[str]:
        """The notices at the end of the files."""
        return []

    @property
    def full_dead_letter_file(self) -> str:
        """The path of the dead-letter file if it was too full for letters of this run, else empty."""
        return self._dead_letters.path if self.state.unkept > self._before.unkept else ""

    def leave_gone(self) -> bool:
        """Leave the open file of a log whose files are all gone; return True if none is open.

        A last line without its newline comes with the next batch.
        """
        return self._follower.leave_gone()

    def set_error(self, error: str) -> None:
        """Note the current problem, ``""`` for none; the checkpoint has it within ten seconds."""
        with self._guard:
            now, before = self._clock.monotonic(), self.state.error
            if self._closed or not (error or before):
                return
            self.state.error = error
            self.state.error_since = (self.state.error_since or self._now()) if error else ""
            if error and before and now < self._error_saved + _ERROR_EVERY:
                return
            self._error_saved = now
            with suppress(OSError):  # the next checkpoint will have it
                self.save()

    def close(self) -> None:
        """Close the files, and let another process ship the log."""
        with self._guard:
            self._closed = True
            self._follower.close()
            self._unlock()

    def _unlock(self) -> None:
        self._fs.unlock(self._lock)  # also for a child that was forked at this moment and shares the descriptor
        _locks.discard(self._lock)
        self._fs.close(self._lock)

    def _now(self) -> str:
        return format_ns(self._clock.time_ns())


def _parse(line: bytes) -> Entry | InvalidLine:
    try:
        return entry_of(line)
    except ConfigError:  # which is a ValueError
        raise
    except ValueError as error:
        return InvalidLine(line, f"not a line of this log: {error}")


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    """Add to an error of the disk the file's path, and the option that moves the file."""
    try:
        yield
    except OSError as error:
        text = f"{error.strerror} (a shipper keeps its checkpoint beside the log, or where --checkpoint-dir says)"
        raise OSError(error.errno, text, error.filename or path) from error


def _lock(fs: FS, clock: Clock, path: str, log: str, name: str) -> int:
    """Take the lock that a shipper holds while it runs, and return its descriptor. Raises ConfigError."""
    fd = open_side_file(fs, path, os.O_RDWR | os.O_CREAT, mode_of(fs, log, MODE))
    _locks.add(fd)
    locked = False
    try:
        pause = threading.Lock()
        with pause:
            locked = fs.lock(fd) or any(not clock.wait(pause, _LOCK_PAUSE) and fs.lock(fd) for _ in range(_LOCK_TRIES))
    finally:
        if not locked:
            _locks.discard(fd)
            fs.close(fd)
    if locked:
        return fd
    msg = f"another process ships {log} under the name {name!r}; stop it, or give --name for another destination"
    raise ConfigError(msg)
