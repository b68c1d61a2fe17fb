"""Status of the shippers of a log, from their checkpoints, whether they run or not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from bamboo_logmetrics.logfiles.discovery import AnyPath, find_logs
from bamboo_logmetrics.logfiles.names import list_shippers, shipper_file
from bamboo_logmetrics.logfiles.position import Position
from bamboo_logmetrics.ship.entries import entry_of
from bamboo_logmetrics.ship.follower import Follower
from bamboo_logmetrics.ship.log_state import LogState, load_state
from bamboo_logmetrics.system import FS, Clock

_READ = 64 * 1024


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
        lost: the number of lines that the files no longer held.
        repeated: the number of lines that stood in the files again, and were delivered once.
        lag_bytes: the bytes in the files that are still to be delivered; of a compressed file, its compressed bytes.
        lag_seconds: the age of the first line that is still to be delivered; 0 if there is none.
        saved_at: the time at which the checkpoint was saved, UTC.
        error: the current problem, or empty.
        error_since: the time since which there has been a problem, UTC.
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

    state = load_state(fs, path("checkpoint")) or LogState(to="", url="", error="no valid checkpoint")
    letters = path("dead-letter")
    lag_bytes, lag_seconds = _lag(fs, log, state.position)
    return LogStatus(
        log=log,
        name=name,
        to=state.to,
        url=state.url,
        running=_is_locked(fs, path("shipper")),
        shipped=state.shipped,
        refused=state.refused,
        lost=state.lost,
        repeated=state.repeated,
        lag_bytes=lag_bytes,
        lag_seconds=lag_seconds,
        saved_at=state.saved_at,
        error=state.error,
        error_since=state.error_since,
        dead_letters=letters if os.path.exists(letters) else "",
    )


def _lag(fs: FS, log: str, position: Position) -> tuple[int, float]:
    """Return the bytes after a position, and the age of the first line there in seconds."""
    follower = Follower(log, position, fs=fs)
    try:
        size = follower.size_ahead()
        chunk = follower.read(_READ)
    finally:
        follower.close()
    return size, _age(chunk.lines[0]) if chunk and chunk.lines else 0.0


def _age(line: bytes) -> float:
    try:
        return max(0.0, (Clock().time_ns() - entry_of(line).time_ns) / 1e9)
    except ValueError:
        return 0.0


def _is_locked(fs: FS, path: str) -> bool:
    try:
        fd = fs.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not fs.lock(fd)
    finally:
        fs.close(fd)
