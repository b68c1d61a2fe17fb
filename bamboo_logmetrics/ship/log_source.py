"""One log on its way to one destination: what comes next, and what is settled."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format.layouts import find_ids
from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.names import shipper_file
from bamboo_logmetrics.logfiles.position import Chunk, Position
from bamboo_logmetrics.ship.dead_letters import DeadLetters, of_broken, of_lost, of_refusal
from bamboo_logmetrics.ship.destinations.base import Rejection
from bamboo_logmetrics.ship.entries import Entry, InvalidLine, entry_of
from bamboo_logmetrics.ship.follower import NOT_KNOWN, Follower
from bamboo_logmetrics.ship.sequences import Lost, SequenceTracker, newest
from bamboo_logmetrics.ship.state import State, load_state, save_state
from bamboo_logmetrics.system import FS, Clock

_ERROR_EVERY = 10.0  # seconds between two checkpoints that only say what is wrong
_LOCK_TRIES, _LOCK_PAUSE = 10, 0.02  # `status` holds the lock for an instant

_locks: set[int] = set()  # descriptors of locks; a forked child must not keep its parent's


def _close_locks() -> None:
    while _locks:
        os.close(_locks.pop())


os.register_at_fork(after_in_child=_close_locks)


class Batch(NamedTuple):
    """What was read at once, on its way.

    Args:
        entries: the lines to deliver.
        place: the place behind them.
        last: the highest number of each writer among them.
        repeated: how many lines were left out since they had been delivered before.
        lost: what the files no longer hold.
        broken: what are no lines of a log, with the reasons.
    """

    entries: list[Entry]
    place: Position
    last: dict[str, int]
    repeated: int
    lost: list[Lost]
    broken: list[InvalidLine]


class ShipperIdentity(NamedTuple):
    """What a shipper is called and where it ships to; its files are named so."""

    name: str
    to: str
    url: str
    directory: str | None = None

    def path(self, log: str, what: str) -> str:
        """Return the path of one of its files for a log."""
        return shipper_file(log, self.name, what, self.directory)


class LogSource:
    """Reads a log, and keeps its checkpoint, which is never ahead of what is settled.

    Args:
        log: the real path of the log.
        names: what the shipper is called.
        moved: True to go on at another URL than the checkpoint's.
        new: True where the log was waited for, so that all it lacks at its beginning is lost.
        fs, clock: the system.

    Raises ConfigError when another process ships this log under this name, or the checkpoint is of another URL.
    """

    def __init__(
        self, log: str, names: ShipperIdentity, *, moved: bool, new: bool = False, fs: FS, clock: Clock
    ) -> None:
        self.log = log
        self._fs = fs
        self._clock = clock
        self._path = names.path(log, "checkpoint")
        self._letters = DeadLetters(names.path(log, "dead-letter"), fs, log)
        self._unwritten: list[dict[str, Any]] = []
        self._guard = threading.Lock()  # the thread that delivers says what is wrong, perhaps when all is closed
        self._closed = False
        with _saying_where(self._path):
            if names.directory is not None:
                fs.makedirs(names.directory)
            self._lock = _lock(fs, clock, names.path(log, "shipper"), log, names.name)
        try:
            self.state, self.starts_anew = self._load(names, moved=moved, new=new)
        except BaseException:
            self._unlock()
            raise
        self._follower = Follower(log, self.state.place, fs=fs)
        self._ledger = SequenceTracker(self.state.writers)
        self._error_saved = float("-inf")
        self._saved_place = self.state.place
        self._began = bool(self.state.writers or self.state.place.head or self.state.place.passed)
        try:
            self._begin()
            with _saying_where(self._path):
                self.save()  # from now on the log's retention waits
        except BaseException:
            self.close()
            raise

    def _load(self, names: ShipperIdentity, *, moved: bool, new: bool) -> tuple[State, bool]:
        """Return the state, and whether it had to begin anew since no checkpoint that is there is valid."""
        state = load_state(self._fs, self._path)
        if state is None:
            place = Position(in_oldest=not new)
            return State(to=names.to, url=names.url, place=place), checkpoint.exists(self._fs, self._path)
        moved = (moved and state.to == names.to) or not (state.shipped or state.refused)
        if (state.to, state.url) != (names.to, names.url) and not moved:
            msg = (
                f"{self._path} is the checkpoint of {state.to} at {state.url}; to ship everything to {names.url} as"
                " well give --name, to go on there since it is the same server by another name give --moved"
            )
            raise ConfigError(msg)
        state.proven &= state.url == names.url
        state.to, state.url = names.to, names.url
        return state, False

    def _begin(self) -> None:
        """Note where the log begins, so that what is removed before it was delivered is known to be lost."""
        if self._began or (found := self._follower.beginning()) is None:
            return
        self._began = True
        self.state.place, line = found
        if not self.state.place.in_oldest:
            return
        with suppress(ValueError):  # a line of somebody else's
            head = entry_of(line).head
            self.state.writers = {head.writer: head.seq - 1}
            self._ledger = SequenceTracker(self.state.writers)

    # -- reading -------------------------------------------------------------------------

    def next_batch(self, size: int) -> Batch | None:
        """Return about ``size`` bytes of lines; None at the end, for now. Raises OSError."""
        if not self._began:
            self._begin()
            if self._began:
                self.save()
        before = self._follower.place
        piece = self._follower.read(size)
        if piece is None:
            return None
        found: list[Entry | InvalidLine] = []
        for line in piece.lines:
            try:
                found.append(_entry_or_broken(line))
            except ConfigError:  # of a newer version: what stands before it is delivered, and then it is waited for
                self._go_back(before)
                if not found:
                    raise
                return self.next_batch(sum(len(item.line) + 1 for item in found))
        return self._batch(piece, found)

    def _go_back(self, place: Position) -> None:
        self._follower.close()
        self._follower = Follower(self.log, place, fs=self._fs)

    def _batch(self, piece: Chunk, found: list[Entry | InvalidLine]) -> Batch:
        batch = Batch([], piece.position, {}, 0, [], [InvalidLine(piece.broken, piece.reason)] if piece.reason else [])
        repeated = 0
        for entry in found:
            if isinstance(entry, InvalidLine):
                self._pass_by(entry.line, batch)
                batch.broken.append(entry)
                continue
            writer, seq = entry.head.writer, entry.head.seq
            new, lost = self._ledger.take(writer, seq, in_oldest=piece.position.in_oldest)
            if not new:
                repeated += 1
                continue
            if lost:
                batch.lost.append(lost)
            batch.last[writer] = seq
            batch.entries.append(entry)
        self._ledger.tidy(batch.last)
        return batch._replace(repeated=repeated)

    def _pass_by(self, line: bytes, batch: Batch) -> None:
        """Take the number that a broken line had for one that is there: the line is refused, and not lost as well."""
        for writer, seq in find_ids(line):
            if self._ledger.pass_by(writer, seq):
                batch.last[writer] = seq

    # -- settling ------------------------------------------------------------------------

    def settle(self, batch: Batch, refusals: list[Rejection]) -> None:
        """Count a batch whose lines are delivered or refused; :meth:`save` brings that to the disk."""
        state = self.state
        refused = sum(refusal.how_many for refusal in refusals)
        self._unwritten += [of_broken(broken) for broken in batch.broken]
        self._unwritten += [letter for refusal in refusals for letter in of_refusal(refusal)]
        self._unwritten += [of_lost(lost) for lost in batch.lost]
        self.state = msgspec.structs.replace(
            state,
            proven=state.proven or len(batch.entries) > refused,
            shipped=state.shipped + len(batch.entries) - refused,
            refused=state.refused + refused + sum(broken.reason not in NOT_KNOWN for broken in batch.broken),
            lost=state.lost + sum(lost.how_many for lost in batch.lost),
            repeated=state.repeated + batch.repeated,
            writers=newest(state.writers, batch.last),
            place=batch.place,
        )

    def save(self) -> None:
        """Save the checkpoint, and first the dead letters that it counts. Raises OSError; it can be called again."""
        self._letters.write(self._unwritten, self._now())
        self._unwritten = []
        self.state.saved_at = self._now()
        save_state(self._fs, self._path, self.state)
        self._saved_place = self.state.place

    def rest(self) -> None:
        """Save the place if files were passed in which nothing was left; nothing may be under way. Raises OSError."""
        place = self._follower.place
        if place != self._saved_place:
            self.state.place = place
            self.save()

    def leave_gone(self) -> bool:
        """Leave the file that is open of a log whose files are all gone; tell whether none is.

        What stands in it without a newline comes with the next batch.
        """
        return self._follower.leave_gone()

    def trouble(self, error: str) -> None:
        """Note what is wrong, ``""`` for nothing; it stands in the checkpoint within ten seconds."""
        with self._guard:
            now, before = self._clock.monotonic(), self.state.error
            if self._closed or not (error or before):
                return
            self.state.error = error
            self.state.error_since = (self.state.error_since or self._now()) if error else ""
            if error and before and now < self._error_saved + _ERROR_EVERY:
                return
            self._error_saved = now
            with suppress(OSError):  # the next one may go better; this is not what matters
                self.save()

    def close(self) -> None:
        """Close the files, and let another process ship the log."""
        with self._guard:
            self._closed = True
            self._follower.close()
            self._unlock()

    def _unlock(self) -> None:
        self._fs.unlock(self._lock)  # also what a child may have of it, forked this instant
        _locks.discard(self._lock)
        self._fs.close(self._lock)

    def _now(self) -> str:
        return format_ns(self._clock.time_ns())


def _entry_or_broken(line: bytes) -> Entry | InvalidLine:
    try:
        return entry_of(line)
    except ConfigError:  # which is a ValueError
        raise
    except ValueError as error:
        return InvalidLine(line, f"not a line of this log: {error}")


@contextmanager
def _saying_where(path: str) -> Iterator[None]:
    """Say of an error of the disk what it is about, and the way out."""
    try:
        yield
    except OSError as error:
        text = f"{error.strerror} (a shipper keeps its checkpoint beside the log, or where --checkpoint-dir says)"
        raise OSError(error.errno, text, path) from error


def _lock(fs: FS, clock: Clock, path: str, log: str, name: str) -> int:
    """Return the descriptor of the lock that a shipper holds while it runs."""
    fd = fs.open(path, os.O_RDWR | os.O_CREAT)
    _locks.add(fd)
    ours = False
    try:
        pause = threading.Lock()
        with pause:
            ours = fs.lock(fd) or any(not clock.wait(pause, _LOCK_PAUSE) and fs.lock(fd) for _ in range(_LOCK_TRIES))
    finally:
        if not ours:
            _locks.discard(fd)
            fs.close(fd)
    if ours:
        return fd
    msg = f"another process ships {log} under the name {name!r}; stop it, or give --name for another destination"
    raise ConfigError(msg)
