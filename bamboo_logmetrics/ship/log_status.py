"""How far the shippers of a log are, from their checkpoints: nobody need be running."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from bamboo_logmetrics.logfiles.discovery import AnyPath, find_logs
from bamboo_logmetrics.logfiles.names import list_shippers, shipper_file
from bamboo_logmetrics.logfiles.position import Position
from bamboo_logmetrics.ship.entries import entry_of
from bamboo_logmetrics.ship.follower import Follower
from bamboo_logmetrics.ship.state import load_state
from bamboo_logmetrics.system import FS, Clock

_READ = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """One shipper of one log.

    Args:
        log: the log.
        name: the shipper's name.
        to: the kind of destination.
        url: where it is.
        running: True while a process ships it.
        shipped: lines delivered.
        refused: lines that the destination will never take, or that are no lines of a log.
        lost: numbers of writers that the files did not hold any more.
        repeated: lines that stood in the files again, and were delivered once.
        lag_bytes: bytes in the files that are not settled; of a compressed file, its compressed bytes.
        lag_seconds: the age of the first line that is not settled; 0 when there is none.
        saved_at: when the checkpoint was saved, UTC.
        error: what is wrong just now, or empty.
        error_since: since when, UTC.
        dead_letters: the file with what was refused or lost; empty when there is none.
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
    """Return how far each shipper of these logs is.

    Args:
        files: logs or patterns.
        checkpoint_dir: where the checkpoints are, when not beside the logs.

    Raises FileNotFoundError for a path or pattern that names nothing.
    """
    fs = FS()
    return [
        _status(fs, log, name, checkpoint_dir)
        for log in find_logs(files)
        for name in list_shippers(fs, log, checkpoint_dir)
    ]


def _status(fs: FS, log: str, name: str, directory: str | None) -> LogStatus:
    def path(what: str) -> str:
        return shipper_file(log, name, what, directory)

    state = load_state(fs, path("checkpoint"))
    letters = path("dead-letter")
    lag_bytes, lag_seconds = _lag(fs, log, state.place if state else None)
    return LogStatus(
        log=log,
        name=name,
        to=state.to if state else "",
        url=state.url if state else "",
        running=_is_locked(fs, path("shipper")),
        shipped=state.shipped if state else 0,
        refused=state.refused if state else 0,
        lost=state.lost if state else 0,
        repeated=state.repeated if state else 0,
        lag_bytes=lag_bytes,
        lag_seconds=lag_seconds,
        saved_at=state.saved_at if state else "",
        error=state.error if state else "no checkpoint that is there is valid",
        error_since=state.error_since if state else "",
        dead_letters=letters if os.path.exists(letters) else "",
    )


def _lag(fs: FS, log: str, place: Position | None) -> tuple[int, float]:
    """Return the bytes behind a place, and the age of the first line there in seconds."""
    follower = Follower(log, place, fs=fs)
    try:
        size = follower.size_ahead()
        piece = follower.read(_READ)
    finally:
        follower.close()
    return size, _age(piece.lines[0]) if piece and piece.lines else 0.0


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
