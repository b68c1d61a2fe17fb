"""Descriptors that an application closes while the log still knows their numbers.

Programs that become daemons close all descriptors. The next files that they open have the same numbers: a write, a lock
or a close by number would then reach a file of the application. So the log looks first whether its file is still there.

What remains: while the log is at work in its own thread, another one may close a descriptor and open a file between the
look, or the opening, and the call that follows it. And if the application opens the log's own file, or one that has the
inode of a file removed since, at that very number, it is taken for the log's.
"""

from __future__ import annotations

import errno
import os
import select

from bamboo_logmetrics.system import FS

Identity = tuple[int, int]

NO_FILE: Identity = (-1, -1)


def identity_of(status: os.stat_result) -> Identity:
    """Return the device and inode, which identify a file whatever its name is."""
    return status.st_dev, status.st_ino


def identify(fs: FS, fd: int) -> Identity:
    """Return the identity of a file that has just been opened. Raises OSError, and then the file is closed."""
    try:
        return identity_of(fs.fstat(fd))
    except BaseException:
        fs.close(fd)
        raise


def is_taken(fs: FS, fd: int, identity: Identity) -> bool:
    """Return True if a descriptor is closed, or is that of another file; False also if that cannot be seen."""
    try:
        return identity_of(fs.fstat(fd)) != identity
    except OSError as error:
        return error.errno == errno.EBADF


def close_own(fs: FS, fd: int, identity: Identity) -> None:
    """Close a descriptor, unless it is taken. Raises OSError."""
    taken = False
    try:
        taken = is_taken(fs, fd, identity)
    finally:  # whatever the look raises: nobody else would close it
        if not taken:
            fs.close(fd)


def is_ready(fd: int, seconds: float = 0.0) -> bool:
    """Return True as soon as a read of a descriptor would not wait, False if that takes longer. Raises OSError."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
