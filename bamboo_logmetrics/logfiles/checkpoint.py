"""The store of a shipper's checkpoints: files that a crash leaves readable.

A checkpoint is one line of JSON and its SHA-256. A new checkpoint replaces the last one as a whole, and the last one
is kept under another name. A torn checkpoint is recognised by its checksum; then the one before counts.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from bamboo_logmetrics.logfiles.names import list_shippers, shipper_file
from bamboo_logmetrics.logfiles.side_files import MODE, create_side_file, read_side_file
from bamboo_logmetrics.system import FS, write_all

_SUFFIX, _PREVIOUS, _PARTIAL = ".checkpoint", ".checkpoint.old", ".checkpoint.tmp"
_LONGEST = 16 * 1024 * 1024  # bytes; a checkpoint has at most a few thousand writers


def save(fs: FS, path: str, state: dict[str, Any], mode: int = MODE) -> None:
    """Replace the checkpoint at ``path``; ``mode`` is the log's. Raises OSError, and then the last one still counts."""
    line = msgspec.json.encode(state)
    stem = path.removesuffix(_SUFFIX)
    partial = stem + _PARTIAL
    fd = create_side_file(fs, partial, mode)
    try:
        write_all(fs, fd, line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")
        fs.fsync(fd)
    finally:
        fs.close(fd)
    if _read(fs, path) is not None:  # a torn one must not take the place of a valid one
        fs.rename(path, stem + _PREVIOUS)
    fs.rename(partial, path)


def load(fs: FS, path: str) -> dict[str, Any] | None:
    """Return the last valid checkpoint, or None if there is none. Raises OSError."""
    for candidate in _candidates(path):
        if (state := _read(fs, candidate)) is not None:
            return state
    return None


def exists(fs: FS, path: str) -> bool:
    """Return True if there is a checkpoint, valid or not. Raises OSError."""
    return any(_exists(fs, candidate) for candidate in _candidates(path))


def passed_by_all(fs: FS, log: str) -> str | None:
    """Return the newest rotated file that every shipper of a log has passed; ``""`` for none, None without shippers.

    A shipper whose checkpoint cannot be read has passed nothing.
    """
    passed = []
    for shipper in list_shippers(fs, log):
        try:
            state = load(fs, shipper_file(log, shipper, "checkpoint")) or {}
        except OSError:
            state = {}
        position = state.get("place")  # the position; a checkpoint keeps the keys of version 0.1.0
        name = position.get("passed", "") if isinstance(position, dict) else ""
        passed.append(name if isinstance(name, str) else "")
    return min(passed, default=None)


def _candidates(path: str) -> tuple[str, str]:
    return path, path.removesuffix(_SUFFIX) + _PREVIOUS


def _read(fs: FS, path: str) -> dict[str, Any] | None:
    try:
        data = read_side_file(fs, path, _LONGEST)
    except FileNotFoundError:
        return None
    line, _, checksum = data.partition(b"\n")
    if checksum != hashlib.sha256(line).hexdigest().encode() + b"\n":
        return None
    try:
        state = msgspec.json.decode(line)
    except (ValueError, RecursionError):  # not of this package, which saves neither
        return None
    return state if isinstance(state, dict) else None


def _exists(fs: FS, path: str) -> bool:
    try:
        fs.lstat(path)
    except FileNotFoundError:
        return False
    return True
