"""The files that a shipper keeps beside a log: how far it is, in a form that a crash leaves readable.

A checkpoint is one line of JSON and the SHA-256 of it. It is replaced by a new one as a whole, and the one before is
kept: a torn one is known by its checksum, and the one before counts.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

import msgspec

from bamboo_logmetrics.logfiles.compression import write_all
from bamboo_logmetrics.system import FS

_SUFFIX, _BEFORE, _PARTIAL = ".checkpoint", ".checkpoint.old", ".checkpoint.tmp"
_READ = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_name(name: str) -> bool:
    """Tell whether a shipper may be called so: letters, digits, ``_`` and ``-``."""
    return _NAME.fullmatch(name) is not None


def path_beside(log: str, name: str, what: str, directory: str | None = None) -> str:
    """Return the path of a shipper's file: hidden, so that no pattern for logs matches it.

    Args:
        log: the path of the log.
        name: the shipper's name.
        what: what the file is, such as ``checkpoint``.
        directory: where it is; None for the log's. Logs of one name from several directories do not meet there.
    """
    folder, base = _folder_and_base(log, directory)
    return os.path.join(folder, f".{base}.{name}.{what}")


def _folder_and_base(log: str, directory: str | None) -> tuple[str, str]:
    folder, base = os.path.split(log)
    if directory is None:
        return folder, base
    return directory, f"{base}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"


def save(fs: FS, path: str, state: dict[str, Any], mode: int = 0o640) -> None:
    """Put a checkpoint in the place of the one before. Raises OSError, and then the one before still counts."""
    line = msgspec.json.encode(state)
    stem = path.removesuffix(_SUFFIX)
    partial = stem + _PARTIAL
    fd = fs.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        write_all(fs, fd, line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")
        fs.fsync(fd)
    finally:
        fs.close(fd)
    if _read(fs, path) is not None:  # a torn one must not take the place of a valid one
        fs.rename(path, stem + _BEFORE)
    fs.rename(partial, path)


def load(fs: FS, path: str) -> dict[str, Any] | None:
    """Return the last valid checkpoint, or None where there is none. Raises OSError."""
    for candidate in (path, path.removesuffix(_SUFFIX) + _BEFORE):
        if (state := _read(fs, candidate)) is not None:
            return state
    return None


def exists(fs: FS, path: str) -> bool:
    """Tell whether there is a checkpoint, valid or not."""
    return any(_is_there(fs, candidate) for candidate in (path, path.removesuffix(_SUFFIX) + _BEFORE))


def names_beside(fs: FS, log: str, directory: str | None = None) -> list[str]:
    """Return the names of the shippers that have a checkpoint of this log."""
    folder, base = _folder_and_base(log, directory)
    form = re.compile(rf"\.{re.escape(base)}\.({_NAME.pattern})\.checkpoint(?:\.old)?")
    try:
        names = fs.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted({found[1] for name in names if (found := form.fullmatch(name))})


def passed_by_all(fs: FS, log: str) -> str | None:
    """Return the newest rotated file that every shipper of a log has passed: no name is ``""``; None: there is none.

    A checkpoint that cannot be read has passed nothing.
    """
    passed = []
    for name in names_beside(fs, log):
        try:
            state = load(fs, path_beside(log, name, "checkpoint")) or {}
        except OSError:
            state = {}
        place = state.get("place")
        found = place.get("passed", "") if isinstance(place, dict) else ""
        passed.append(found if isinstance(found, str) else "")
    return min(passed, default=None)


def _read(fs: FS, path: str) -> dict[str, Any] | None:
    try:
        fd = fs.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        parts = []
        while part := fs.read(fd, _READ):
            parts.append(part)
    finally:
        fs.close(fd)
    line, _, checksum = b"".join(parts).partition(b"\n")
    if checksum != hashlib.sha256(line).hexdigest().encode() + b"\n":
        return None
    state = msgspec.json.decode(line)
    return state if isinstance(state, dict) else None


def _is_there(fs: FS, path: str) -> bool:
    try:
        fs.lstat(path)
    except FileNotFoundError:
        return False
    return True
