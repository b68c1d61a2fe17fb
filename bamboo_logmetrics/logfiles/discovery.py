"""Which files make up a log, and in which order they are read.

A log is at work while it is read. Its active file is opened before the rotated ones are listed, so a rotation in
between shows as that same file (by its inode) among the rotated ones: it is read there, once.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.archive import Rotated, is_there, list_rotated, log_of
from bamboo_logmetrics.logfiles.compression import SUFFIX, SUFFIXES, decompressed
from bamboo_logmetrics.system import FS

AnyPath = str | os.PathLike[str]
Identity = tuple[int, int]

_KIND = {suffix: kind for kind, suffix in SUFFIX.items()}
_CHUNK = 1024 * 1024
_LONGEST_LINE = 64 * 1024 * 1024  # a file without newlines must not fill the memory
_TORN = b"\0"  # stands for what was left out of a longer line; no JSON holds it
_TRIES = 100
_AHEAD = 64  # files opened together, so that retention, which removes the oldest, cannot overtake the reading


class FileGoneError(Exception):
    """A rotated file was removed, by the log's retention, before it could be opened."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """One open file of a log.

    Args:
        path: its path when it was opened.
        fd: its descriptor, at its beginning.
        active: True for the file that is being appended to.
        oldest: True for the first file of its log.
    """

    path: str
    fd: int
    active: bool
    oldest: bool

    @property
    def kind(self) -> str | None:
        """``"gzip"``, ``"zstd"``, or None for a plain file."""
        return _KIND.get(os.path.splitext(self.path)[1])


# -- from what was given to logs ---------------------------------------------------------


def find_log(path: AnyPath) -> str:
    """Return the real path of the log that ``path`` names: of a rotated file, the log it belongs to.

    Raises FileNotFoundError when neither it nor a rotated file of it exists, ConfigError when it is not a regular file.
    """
    real = os.path.realpath(os.fsdecode(path))
    try:
        regular = stat.S_ISREG(os.stat(real).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        if not _rotated(FS(), real):
            msg = f"no such log: {os.fsdecode(path)}; give the path of a log file, or a pattern such as 'logs/*.jsonl'"
            raise FileNotFoundError(msg) from None
        regular = True
    if not regular:
        msg = f"{os.fsdecode(path)} is not a regular file; give the path of a log file"
        raise ConfigError(msg)
    directory, name = os.path.split(real)
    return os.path.join(directory, log_of(name) or name)


def find_logs(paths: AnyPath | Iterable[AnyPath]) -> list[str]:
    """Return the logs that paths and patterns name, each once; raises as :func:`find_log`."""
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not given:
        msg = "give at least one log file or pattern"
        raise ValueError(msg)
    return list(dict.fromkeys(log for path in given for log in _matching(os.fsdecode(path))))


def _matching(path: str) -> list[str]:
    if os.path.lexists(path) or not glob.has_magic(path):
        return [find_log(path)]
    found = [find_log(item) for item in sorted(glob.glob(path, recursive=True)) if os.path.isfile(item)]
    if not found:
        msg = f"no file matches {path}"
        raise FileNotFoundError(msg)
    return found


def service_of(log: str) -> str:
    """Return the service of a log that nobody named: ``agent`` of ``logs/agent.jsonl``."""
    return os.path.splitext(os.path.basename(log))[0]


def size_of(log: str, fs: FS) -> int:
    """Return the bytes of all files of a log; of those removed meanwhile, none."""
    directory = os.path.dirname(log)
    names = [item.name for item in _rotated(fs, log)]
    sizes = 0
    for path in [log, *(os.path.join(directory, name) for name in names)]:
        try:
            sizes += fs.stat(path).st_size
        except FileNotFoundError:
            continue
    return sizes


def _rotated(fs: FS, log: str) -> list[Rotated]:
    directory, name = os.path.split(log)
    try:
        found = list_rotated(fs.listdir(directory), name)
        return [item for item in found if is_there(fs, directory, item)]
    except (FileNotFoundError, NotADirectoryError):
        return []


# -- the files of a log ------------------------------------------------------------------


def open_files(log: str, fs: FS, *, all_of_them: bool) -> Iterator[LogFile]:
    """Give the files of a log, the oldest first; each is closed some time after the next was asked for.

    Args:
        log: the path of the log.
        fs: the system calls.
        all_of_them: what to do about a file that retention removes meanwhile: raise FileGoneError, or leave it out.
    """
    with ExitStack() as stack:
        active, held, rotated = _snapshot(log, fs)
        if active is not None:
            stack.callback(fs.close, active)
        oldest = True
        for start in range(0, len(rotated), _AHEAD):
            with ExitStack() as ahead:
                found: list[tuple[str, int]] = []
                for item in rotated[start : start + _AHEAD]:
                    if item == held and active is not None:
                        found.append((_path(log, item.name), active))
                    elif opened := _open_rotated(log, item, fs):
                        ahead.callback(fs.close, opened[1])
                        found.append(opened)
                    elif all_of_them and (found or start):  # else it was the oldest, and there is no gap
                        raise FileGoneError
                for path, fd in found:
                    yield LogFile(path, fd, active=False, oldest=oldest)
                    oldest = False
        if active is not None and held is None:
            yield LogFile(log, active, active=not log.endswith(SUFFIXES), oldest=oldest)


def _snapshot(log: str, fs: FS) -> tuple[int | None, Rotated | None, list[Rotated]]:
    """Return the open active file, which of the rotated it has become if it has, and the rotated ones."""
    for _ in range(_TRIES):
        active = _open(log, fs)
        rotated = _rotated(fs, log)
        if active is None:
            if identity_at(log, fs) is None:
                return None, None, rotated
            continue
        opened = identity(fs.fstat(active))
        if opened == identity_at(log, fs):
            return active, None, rotated
        for item in reversed(rotated):
            if opened == identity_at(_path(log, item.name), fs):
                return active, item, rotated
        fs.close(active)  # rotated, and compressed or removed since
    msg = f"the files of {log} change faster than they can be listed"
    raise OSError(msg)


def _open_rotated(log: str, item: Rotated, fs: FS) -> tuple[str, int] | None:
    """Open a rotated file in the form that counts now: a plain one may have been compressed since it was listed."""
    for suffix in ("", *SUFFIXES):
        path = _path(log, item.base + suffix)
        if (fd := _open(path, fs)) is not None:
            return path, fd
    return None


def _open(path: str, fs: FS) -> int | None:
    try:
        return fs.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None


def _path(log: str, name: str) -> str:
    return os.path.join(os.path.dirname(log), name)


def identity(found: os.stat_result) -> Identity:
    """Return what tells one file from another, whatever their names."""
    return found.st_dev, found.st_ino


def identity_at(path: str, fs: FS) -> Identity | None:
    """Return the identity of the file at ``path``, or None."""
    try:
        return identity(fs.stat(path))
    except FileNotFoundError:
        return None


# -- the lines of a file -----------------------------------------------------------------


def blocks(file: LogFile, fs: FS) -> Iterator[bytes]:
    """Give a file's bytes in blocks that end in a newline; what stands behind the last newline comes last.

    Raises OSError where a file cannot be read, or is damaged or cut off.
    """
    parts: list[bytes] = []
    size = 0
    for chunk in _chunks(file, fs):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join((*parts, chunk[:cut]))
            parts, size = [chunk[cut:]], len(chunk) - cut
        elif size <= _LONGEST_LINE:
            size += len(chunk)
            parts.append(chunk if size <= _LONGEST_LINE else _TORN)
    if size:
        yield b"".join(parts)


def _chunks(file: LogFile, fs: FS) -> Iterator[bytes]:
    if file.kind is not None:
        yield from decompressed(fs, file.fd, file.kind)
        return
    while chunk := fs.read(file.fd, _CHUNK):
        yield chunk
