"""One log on its way to one destination: what comes next, and what is settled."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.ship.deadletter import DeadLetters, of_broken, of_lost, of_refusal
from bamboo_logmetrics.ship.destinations.base import Refusal
from bamboo_logmetrics.ship.entries import Entry, entry_of
from bamboo_logmetrics.ship.follow import GONE, Follower
from bamboo_logmetrics.ship.ledger import Ledger, Lost, newest
from bamboo_logmetrics.ship.place import Piece, Place
from bamboo_logmetrics.ship.state import State, load_state, save_state
from bamboo_logmetrics.sinks import checkpoint
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
    place: Place
    last: dict[str, int]
    repeated: int
    lost: list[Lost]
    broken: list[tuple[bytes, str]]


class Names(NamedTuple):
    """What a shipper is called and where it ships to; its files are named so."""

    name: str
    to: str
    url: str
    directory: str | None = None

    def path(self, log: str, what: str) -> str:
        """Return the path of one of its files for a log."""
        return checkpoint.path_beside(log, self.name, what, self.directory)


class Shipment:
    """Reads a log, and keeps its checkpoint, which is never ahead of what is settled.

    Args:
        log: the real path of the log.
        names: what the shipper is called.
        moved: True to go on at another URL than the checkpoint's.
        fs, clock: the system.

    Raises ConfigError when another process ships this log under this name, or the checkpoint is of another URL.
    """

    def __init__(self, log: str, names: Names, *, moved: bool, fs: FS, clock: Clock) -> None:
        self.log = log
        self._fs = fs
        self._clock = clock
        self._path = names.path(log, "checkpoint")
        self._letters = DeadLetters(names.path(log, "dead-letter"), fs, log)
        self.proven = False  # True where lines were delivered to this URL before
        self._unwritten: list[dict[str, Any]] = []
        self._guard = threading.Lock()  # the thread that delivers says what is wrong, perhaps when all is closed
        self._closed = False
        if names.directory is not None:
            fs.makedirs(names.directory)
        self._lock = _lock(fs, clock, names.path(log, "shipper"), log, names.name)
        try:
            self.state, self.starts_anew = self._load(names, moved=moved)
        except BaseException:
            self._unlock()
            raise
        self._follower = Follower(log, self.state.place, fs=fs)
        self._ledger = Ledger(self.state.writers)
        self._error_saved = float("-inf")
        self._saved_place = self.state.place
        self._began = self.state.place != Place()
        try:
            self._begin()
            self.save()  # from now on the log's retention waits
        except BaseException:
            self.close()
            raise

    def _load(self, names: Names, *, moved: bool) -> tuple[State, bool]:
        """Return the state, and whether it had to begin anew since no checkpoint that is there is valid."""
        state = load_state(self._fs, self._path)
        if state is None:
            return State(to=names.to, url=names.url), checkpoint.exists(self._fs, self._path)
        self.proven = state.url == names.url and state.shipped > 0
        if (state.to, state.url) != (names.to, names.url) and not moved:
            msg = (
                f"{self._path} is the checkpoint of {state.to} at {state.url}; to ship everything to {names.url} as"
                " well give --name, to go on there since it is the same server by another name give --moved"
            )
            raise ConfigError(msg)
        state.to, state.url = names.to, names.url
        return state, False

    def _begin(self) -> None:
        """Note where the log begins, so that what is removed before it was delivered is known to be lost."""
        if self._began or (found := self._follower.beginning()) is None:
            return
        self._began = True
        self.state.place, line = found
        with suppress(ValueError):  # a line of somebody else's
            head = entry_of(line).head
            self.state.writers = {head.writer: head.seq - 1}
            self._ledger = Ledger(self.state.writers)

    # -- reading -------------------------------------------------------------------------

    def next_batch(self, size: int) -> Batch | None:
        """Return about ``size`` bytes of lines; None at the end, for now. Raises OSError."""
        if not self._began:
            self._begin()
            if self._began:
                self.save()
        piece = self._follower.read(size)
        return None if piece is None else self._batch(piece)

    def _batch(self, piece: Piece) -> Batch:
        batch = Batch([], piece.place, {}, 0, [], [(piece.broken, piece.reason)] if piece.reason else [])
        repeated = 0
        for line in piece.lines:
            try:
                entry = entry_of(line)
            except ConfigError:  # of a newer version
                raise
            except ValueError as error:
                batch.broken.append((line, f"not a line of this log: {error}"))
                continue
            writer, seq = entry.head.writer, entry.head.seq
            new, lost = self._ledger.take(writer, seq, in_oldest=piece.place.in_oldest)
            if not new:
                repeated += 1
                continue
            if lost:
                batch.lost.append(lost)
            batch.last[writer] = seq
            batch.entries.append(entry)
        self._ledger.tidy(batch.last)
        return batch._replace(repeated=repeated)

    # -- settling ------------------------------------------------------------------------

    def settle(self, batch: Batch, refusals: list[Refusal]) -> None:
        """Count a batch whose lines are delivered or refused; :meth:`save` brings that to the disk."""
        state = self.state
        refused = sum(refusal.how_many for refusal in refusals)
        self._unwritten += [of_broken(line, reason) for line, reason in batch.broken]
        self._unwritten += [letter for refusal in refusals for letter in of_refusal(refusal)]
        self._unwritten += [of_lost(lost) for lost in batch.lost]
        self.state = msgspec.structs.replace(
            state,
            shipped=state.shipped + len(batch.entries) - refused,
            refused=state.refused + refused + sum(reason is not GONE for _, reason in batch.broken),
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
