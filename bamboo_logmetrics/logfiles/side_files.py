"""Opening the files of a log: regular files only, never through a link, never waiting; side files with the log's mode.

Others may be able to create files in the directory of a log. So nothing at a path is trusted: a FIFO would block, a
device or a huge file would fill the memory, and a link, symbolic or hard, would lead to a file of somebody else.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from bamboo_logmetrics.system import FS

MODE = 0o640  # of files of a log that does not exist
_PERMISSIONS = 0o777
_CHUNK = 1024 * 1024  # bytes
_NOT_REGULAR = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})  # of a link, a directory, a socket


def open_regular(fs: FS, path: str, flags: int, mode: int = MODE) -> int:
    """Open a regular file and return its descriptor. Raises OSError, also for a link and anything else at the path."""
    try:
        fd = fs.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, mode)
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            raise not_regular(path) from error
        raise
    regular = False
    try:
        regular = stat.S_ISREG(fs.fstat(fd).st_mode)
    finally:
        if not regular:
            fs.close(fd)
    if not regular:
        raise not_regular(path)
    return fd


def not_regular(path: str) -> OSError:
    """Return the error for a path at which something else than a regular file is."""
    return OSError(errno.EINVAL, "not a regular file, or a symbolic link: move it away", path)


def open_alone(fs: FS, path: str, flags: int, mode: int = MODE) -> int:
    """Open a file beside a log that has no other name, and return its descriptor. Raises OSError.

    A hard link would be somebody else's file. A log itself may have several names.
    """
    fd = open_regular(fs, path, flags, mode)
    alone = False
    try:
        alone = fs.fstat(fd).st_nlink <= 1  # 0: it has just been replaced
    finally:
        if not alone:
            fs.close(fd)
    if not alone:
        raise OSError(errno.EINVAL, "a hard link, which may lead to another file: move it away", path)
    return fd


def open_side_file(fs: FS, path: str, flags: int, mode: int) -> int:
    """Open a file beside a log, or create it, and give it the log's mode, whatever the umask is. Raises OSError.

    A file of another user keeps its mode.
    """
    fd = open_alone(fs, path, flags, mode)
    try:
        if stat.S_IMODE(fs.fstat(fd).st_mode) != mode:
            with suppress(PermissionError):
                fs.fchmod(fd, mode)
    except BaseException:
        fs.close(fd)
        raise
    return fd


def create_side_file(fs: FS, path: str, mode: int) -> int:
    """Create an empty file beside a log, with the log's mode, in place of what a crash has left there. Raises OSError.

    The old file is removed, not emptied: its name may be a link to another file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    try:
        fd = open_regular(fs, path, flags, mode)
    except FileExistsError:
        fs.unlink(path)
        fd = open_regular(fs, path, flags, mode)
    try:
        fs.fchmod(fd, mode)
    except BaseException:
        fs.close(fd)
        raise
    return fd


def read_side_file(fs: FS, path: str, limit: int) -> bytes:
    """Return the contents of a file beside a log. Raises OSError, also if it is larger than ``limit`` bytes."""
    fd = open_alone(fs, path, os.O_RDONLY)
    try:
        parts, size = [], 0
        while part := fs.read(fd, _CHUNK):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise OSError(errno.EFBIG, f"larger than {limit} bytes: it is not a file of this package", path)
        return b"".join(parts)
    finally:
        fs.close(fd)


def mode_of(fs: FS, log: str, default: int) -> int:
    """Return the mode of a log, or ``default`` while there is none."""
    try:
        mode = fs.lstat(log).st_mode
    except OSError:  # it is not created yet, or is being rotated at this moment
        return default
    return mode & _PERMISSIONS if stat.S_ISREG(mode) else default
