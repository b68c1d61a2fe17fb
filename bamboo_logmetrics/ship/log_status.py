"""Status of the shippers of a log, from their checkpoints and the log's files, whether they run or not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import find_ids
from bamboo_logmetrics.logfiles.discovery import AnyPath, find_logs
from bamboo_logmetrics.logfiles.follower import NOT_KNOWN, Follower
from bamboo_logmetrics.logfiles.names import list_shippers, shipper_file
from bamboo_logmetrics.logfiles.position import Chunk
from bamboo_logmetrics.logfiles.side_files import open_alone
from bamboo_logmetrics.ship.entries import Entry, entry_of
from bamboo_logmetrics.ship.log_state import LogState, load_state
from bamboo_logmetrics.ship.sequences import LineSet, SequenceTracker
from bamboo_logmetrics.system import FS, Clock

_READ = 256 * 1024
_READ_AT_MOST = 16 * 1024 * 1024  # bytes in which jumps of writers' numbers are looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """One shipper of one log.

    Args:
        log: the path of the log.
        name: the shipper's name.
        to: the name of the destination.
        url: the server's URL.
        running: True while a process ships the log.
        shipped: the number of delivered lines.
        refused: the number of lines that the server rejected, or that are invalid.
        lost: the number of lines that the files no longer hold, also of those that a shipper has not met yet.
        repeated: the number of lines that stood in the files again, and were delivered once.
        lag_bytes: the bytes in the files that are still to be delivered, decompressed.
        lag_seconds: the age of the oldest line in the files that is still to be delivered; 0 if there is none.
        saved_at: the time at which the checkpoint was saved, UTC.
        error: the current problem, or empty.
        error_since: the time since which there has been a problem, UTC.
        unkept: the number of refused lines, and of ranges of lost ones, that the full dead-letter file does not hold.
        dead_letters: the path of the dead-letter file; empty if there is none.
    """

    log: str
    name: str
    to: str
    url: str
    running: bool
    shipped: int
    refused: int
    lost: int
    repeated: int
    lag_bytes: int
    lag_seconds: float
    saved_at: str
    error: str
    error_since: str
    unkept: int
    dead_letters: str


def status(files: AnyPath | Iterable[AnyPath], *, checkpoint_dir: str | None = None) -> list[LogStatus]:
    """Return the status of each shipper of these logs.

    Args:
        files: paths of logs, or patterns.
        checkpoint_dir: the directory of the checkpoints, unless they are beside the logs.

    Raises FileNotFoundError for a path or pattern without a file.
    """
    fs = FS()
    return [
        _status(fs, log, name, checkpoint_dir)
        for log in find_logs(files)
        for name in list_shippers(fs, log, checkpoint_dir)
    ]


def _status(fs: FS, log: str, name: str, directory: str | None) -> LogStatus:
    def path(kind: str) -> str:
        return shipper_file(log, name, kind, directory)

    try:
        state = load_state(fs, path("checkpoint")) or LogState(to="", url="", error="no valid checkpoint")
        running = _is_locked(fs, path("shipper"))
    except (OSError, ConfigError) as error:  # one log's problem must not hide the others
        state, running = LogState(to="", url="", error=str(error)), False
    letters = path("dead-letter")
    try:
        lag = _lag(fs, log, state)
    except OSError as error:
        lag = _Lag(0, 0.0, 0, f"{log} cannot be read: {error}")
    return LogStatus(
        log=log,
        name=name,
        to=state.to,
        url=state.url,
        running=running,
        shipped=state.shipped,
        refused=state.refused,
        lost=state.lost + lag.lost,
        repeated=state.repeated,
        lag_bytes=lag.size,
        lag_seconds=lag.seconds,
        saved_at=state.saved_at,
        error=state.error or lag.problem,
        error_since=state.error_since,
        unkept=state.unkept,
        dead_letters=letters if os.path.exists(letters) else "",
    )


class _Lag(NamedTuple):
    """The lines after a position.

    Args:
        size: their bytes, decompressed.
        seconds: the age of the oldest; 0 without any.
        lost: how many lines are missing before them.
        problem: why it is not known which lines are missing; empty where it is.
    """

    size: int
    seconds: float
    lost: int
    problem: str


def _lag(fs: FS, log: str, state: LogState) -> _Lag:
    follower = Follower(log, state.position, fs=fs)
    waiting = _Waiting(state)
    try:
        size = follower.size_ahead()
        while waiting.size < _READ_AT_MOST and (chunk := follower.read(_READ)):
            waiting.add(chunk)
    finally:
        follower.close()
    age = 0.0 if waiting.oldest is None else max(0.0, (Clock().time_ns() - waiting.oldest) / 1e9)
    return _Lag(size, age, waiting.lost, waiting.problem)


class _Waiting:
    """Lines that are still to be delivered, counted without keeping them."""

    def __init__(self, state: LogState) -> None:
        self.size = self.lost = 0
        self.oldest: int | None = None  # its time in ns
        self.problem = ""
        self._delivered = LineSet(state.ahead)
        self._sequences = SequenceTracker(state.writers)

    def add(self, chunk: Chunk) -> None:
        """Count the lines of one read."""
        if chunk.reason in NOT_KNOWN:
            self.problem = chunk.reason
        self.size += len(chunk.broken)
        for line in chunk.lines:
            self.size += len(line) + 1
            try:
                entry = entry_of(line)
            except ValueError:
                for writer, seq in find_ids(line):
                    self._sequences.skip(writer, seq)
            else:
                self._add(entry, in_oldest=chunk.position.in_oldest)

    def _add(self, entry: Entry, *, in_oldest: bool) -> None:
        writer, seq = entry.head.writer, entry.head.seq
        new, lost = self._sequences.take(writer, seq, in_oldest=in_oldest)
        if lost is not None:
            self.lost += lost.size
        if new and (writer, seq) not in self._delivered:
            self.oldest = entry.time_ns if self.oldest is None else min(self.oldest, entry.time_ns)


def _is_locked(fs: FS, path: str) -> bool:
    try:
        fd = open_alone(fs, path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not fs.lock(fd)
    finally:
        fs.close(fd)
