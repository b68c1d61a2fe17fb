"""From paths and patterns to logs, and from a log to its open files.

A log is written to while it is read. Its active file is opened before the rotated ones are listed, so that a rotation
in between shows the same file (by its inode) among the rotated ones: it is read there, once.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.log_file import STDIN, LogFile, StandardInput, identity_at, open_file, open_rotated
from bamboo_logmetrics.logfiles.names import Rotated, log_of, rotated_exists, rotated_files
from bamboo_logmetrics.system import FS

AnyPath = str | os.PathLike[str]

_TRIES = 100
_AHEAD = 64  # files opened together, so that retention, which removes the oldest, cannot overtake the reader


class FileGoneError(Exception):
    """Retention removed a rotated file before it could be opened."""


# -- from paths to logs ------------------------------------------------------------------


def find_log(path: AnyPath) -> str:
    """Return the real path of the log that ``path`` names; a rotated file names the log it belongs to.

    ``-`` is standard input: a saved stream.

    Raises FileNotFoundError if neither the file nor a rotated file of it exists, and ConfigError if it is not a
    regular file.
    """
    if os.fsdecode(path) == STDIN:
        return STDIN
    real = os.path.realpath(os.fsdecode(path))
    try:
        mode = os.stat(real).st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not _existing(FS(), real):
            msg = f"no such log: {os.fsdecode(path)}; give the path of a log file, or a pattern such as 'logs/*.jsonl'"
            raise FileNotFoundError(msg) from None
        mode = stat.S_IFREG
    if stat.S_ISFIFO(mode):
        msg = f"{os.fsdecode(path)} is not a regular file, but a pipe; give - and send it to standard input"
        raise ConfigError(msg)
    if not stat.S_ISREG(mode):
        msg = f"{os.fsdecode(path)} is not a regular file; give the path of a log file"
        raise ConfigError(msg)
    directory, name = os.path.split(real)
    return os.path.join(directory, log_of(name) or name)


def find_logs(paths: AnyPath | Iterable[AnyPath]) -> list[str]:
    """Return the real paths of the logs that paths and patterns name, each once. Errors as of :func:`find_log`."""
    patterns = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not patterns:
        msg = "give at least one log file or pattern"
        raise ValueError(msg)
    return list(dict.fromkeys(log for pattern in patterns for log in _matching(os.fsdecode(pattern))))


def _matching(pattern: str) -> list[str]:
    if pattern == STDIN or os.path.lexists(pattern) or not glob.has_magic(pattern):
        return [find_log(pattern)]
    logs = [find_log(path) for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
    if not logs:
        msg = f"no file matches {pattern}; give a path or a quoted pattern that does, such as 'logs/*.jsonl'"
        raise FileNotFoundError(msg)
    return logs


def service_of(log: str) -> str:
    """Return the default service name for a log: ``agent`` for ``logs/agent.jsonl``."""
    return os.path.splitext(os.path.basename(log))[0]


def _existing(fs: FS, log: str) -> list[Rotated]:
    return [item for item in rotated_files(fs, log) if rotated_exists(fs, log, item)]


# -- sizes -------------------------------------------------------------------------------


def size_of(fs: FS, log: str) -> int:
    """Return the bytes in all files of a log; of those removed meanwhile, 0."""
    return sum(size_at(fs, path) for path in paths_of(fs, log))


def paths_of(fs: FS, log: str) -> list[str]:
    """Return the paths of all files of a log, the active one first."""
    directory = os.path.dirname(log)
    return [log, *(os.path.join(directory, item.name) for item in _existing(fs, log))]


def size_at(fs: FS, path: str) -> int:
    """Return the size of the file at ``path`` in bytes; 0 if there is none. Raises OSError."""
    try:
        return fs.stat(path).st_size
    except FileNotFoundError:
        return 0


# -- the files of a log ------------------------------------------------------------------


def open_files(fs: FS, log: str, *, skip_removed: bool) -> Iterator[LogFile]:
    """Yield the open files of a log, the oldest first; a file is closed some time after the next is asked for.

    Args:
        fs: the system calls.
        log: the path of the log.
        skip_removed: True to leave out a file that retention removes meanwhile; False to raise FileGoneError.

    Raises OSError if a file cannot be opened.
    """
    if log == STDIN:
        yield StandardInput(fs)
        return
    with ExitStack() as stack:
        active, rotated = _snapshot(fs, log)
        if active is not None:
            stack.callback(active.close)
        for start in range(0, len(rotated), _AHEAD):
            with ExitStack() as ahead:
                files: list[LogFile] = []
                for item in rotated[start : start + _AHEAD]:
                    if active is not None and item.base == active.base:
                        files.append(active)
                    elif (file := open_rotated(fs, log, item)) is not None:
                        ahead.callback(file.close)
                        files.append(file)
                    elif not skip_removed and (files or start):  # else it was the oldest, and there is no gap
                        raise FileGoneError
                yield from files
        if active is not None and not active.base:
            yield active


def open_newest_first(fs: FS, log: str) -> Generator[tuple[LogFile, str], None, None]:
    """Yield the open files of a log, the newest first, each with the base name of the one before it; ``""`` for none.

    A file is closed when the next is asked for. What retention removes meanwhile is left out. Raises OSError.
    """
    active, rotated = _snapshot(fs, log)
    before = ["", *(item.base for item in rotated)]
    if active is not None:
        with closing(active):
            if not active.base:
                yield active, before[-1]
    for item in reversed(rotated):
        before.pop()
        file = open_rotated(fs, log, item)
        if file is None:
            return
        with closing(file):
            yield file, before[-1]


def _snapshot(fs: FS, log: str) -> tuple[LogFile | None, list[Rotated]]:
    """Open the active file and list the rotated ones; the open file has a ``base`` if it was rotated meanwhile."""
    for _ in range(_TRIES):
        active = open_file(fs, log)
        rotated = _existing(fs, log)
        if active is None:
            if identity_at(fs, log) is None:
                return None, rotated
            continue
        if active.identity == identity_at(fs, log):
            return active, rotated
        for item in reversed(rotated):
            path = os.path.join(os.path.dirname(log), item.name)
            if active.identity == identity_at(fs, path):
                active.path, active.base = path, item.base
                return active, rotated
        active.close()  # rotated, and compressed or removed since
    msg = f"the files of {log} change faster than they can be listed"
    raise OSError(msg)
