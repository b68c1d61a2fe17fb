"""Checking the path of a log at its opening: what can never work is an error there, with its remedy."""

from __future__ import annotations

import errno
import os
import stat
from typing import NoReturn

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.compression import kind_of
from bamboo_logmetrics.logfiles.names import LONGEST_ADDITION, lock_path, log_of, owner_of_side_file
from bamboo_logmetrics.logfiles.repair import LineTests, is_log
from bamboo_logmetrics.logfiles.side_files import open_regular
from bamboo_logmetrics.system import FS

_PERMANENT = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_NAME_MAX, _PATH_MAX = 255, 4096  # bytes, where the system does not say
_ANOTHER_PATH = "give another path"
_NOT_WRITABLE = "it belongs to another user, or the file system is read-only"


def check_path(fs: FS, path: str, tests: LineTests) -> None:
    """Raise ConfigError, with the remedy, if no log can be written at ``path``, or if the file there is not a log.

    Troubles that may pass, such as a full disk, are no error here. Nothing is created.

    Args:
        fs: the system calls.
        path: an absolute path without links.
        tests: how lines of this package are known.
    """
    directory, name = os.path.split(path)
    _check_name(path, name)
    existing = _check_directory(fs, path, directory)
    if existing is not None:
        _check_length(existing, path, name)
    _check_lock(fs, lock_path(path))
    _check_file(fs, path, tests)


def _check_name(path: str, name: str) -> None:
    if kind_of(name):
        refuse(path, f"its suffix {os.path.splitext(name)[1]} is that of a compressed file", "give a name without it")
    if (log := log_of(name)) is not None:
        refuse(path, f"it has the name of a rotated file of {log}", f"give the path of {log}")
    if (log := owner_of_side_file(name)) is not None:
        refuse(path, f"it has the name of a lock or another hidden file of {log}", f"give the path of {log}")


def _check_directory(fs: FS, path: str, directory: str) -> str | None:
    """Return the directory, or the nearest one above it that exists; None if that cannot be seen now."""
    existing = directory
    while True:
        try:
            mode = fs.stat(existing).st_mode
            break
        except FileNotFoundError:
            existing = os.path.dirname(existing)
        except OSError as error:
            if error.errno not in _PERMANENT:
                return None
            refuse(path, f"{existing} cannot be used as a directory: {error.strerror}", _ANOTHER_PATH)
    if not stat.S_ISDIR(mode):
        refuse(path, f"{existing} is not a directory", _ANOTHER_PATH)
    if not fs.access(existing, os.W_OK | os.X_OK):
        files = f"the lock file {os.path.basename(lock_path(path))} and rotated files are created there"
        reason = f"{existing} belongs to another user, or its file system is read-only"
        problem = f"the directory is not writable, and {files}: {reason}"
        refuse(path, problem, "let this user write to the directory, or give a path in another one")
    return existing


def _check_length(existing: str, path: str, name: str) -> None:
    """Raise ConfigError if a rotated file, compressed and unfinished, would have too long a name."""
    limits = (("name", name, "PC_NAME_MAX", _NAME_MAX), ("path", path, "PC_PATH_MAX", _PATH_MAX))
    for noun, text, limit, default in limits:
        try:
            most = os.pathconf(existing, limit) - LONGEST_ADDITION
        except (OSError, ValueError):
            most = default - LONGEST_ADDITION
        size = len(os.fsencode(text))
        if size > most:
            problem = f"its {noun} has {size} bytes, and those of its other files have {LONGEST_ADDITION} bytes more"
            refuse(path, problem, f"give a {noun} of at most {most} bytes")


def _check_lock(fs: FS, path: str) -> None:
    try:
        status = fs.lstat(path)
    except OSError:  # there is none, or it cannot be seen now
        return
    if not stat.S_ISREG(status.st_mode):
        refuse(path, "the lock file is not a regular file, or a symbolic link", "move it away")
    if status.st_nlink > 1:
        refuse(path, "the lock file is a hard link, which may lead to another file", "move it away")
    if not fs.access(path, os.R_OK | os.W_OK):
        remedy = "give it the mode and the group of the log (chmod, chgrp), and all processes the same option mode"
        refuse(path, "the lock file cannot be opened for reading and writing by this user", remedy)


def _check_file(fs: FS, path: str, tests: LineTests) -> None:
    regular = _is_regular(fs, path)
    if regular is None:
        return
    if not regular:
        refuse(path, "it is not a regular file", "give the path of a file, new or existing")
    if not fs.access(path, os.R_OK | os.W_OK):
        problem = f"this user cannot both read and write the file: {_NOT_WRITABLE}"
        refuse(path, problem, f"change that (chmod, chgrp), or {_ANOTHER_PATH}")
    try:
        fd = open_regular(fs, path, os.O_RDONLY)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise ConfigError(str(error)) from None
        return  # trouble that may pass
    try:
        ours = is_log(fs, fd, fs.fstat(fd).st_size, tests)
    except OSError:
        return
    finally:
        fs.close(fd)
    if not ours:
        problem = "the file there is not a log of this package, and is left as it is"
        refuse(path, problem, f"move it away, or {_ANOTHER_PATH}")


def _is_regular(fs: FS, path: str) -> bool | None:
    """Return True for a regular file, False for anything else; None if there is nothing, or it cannot be seen now."""
    try:
        return stat.S_ISREG(fs.lstat(path).st_mode)
    except OSError:
        return None


def refuse(path: str, problem: str, remedy: str) -> NoReturn:
    """Raise ConfigError for a path at which no log can be written."""
    msg = f"{path} cannot be a log: {problem}; {remedy}"
    raise ConfigError(msg)
