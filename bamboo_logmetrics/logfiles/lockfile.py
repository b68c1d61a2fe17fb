"""The lock of a log's writers: one at a time, over all processes, by an exclusive flock on a hidden file."""

from __future__ import annotations

import os
from _thread import allocate_lock
from contextlib import suppress

from bamboo_logmetrics.logfiles.descriptors import NO_FILE, close_own, identify, identity_of, is_taken
from bamboo_logmetrics.logfiles.names import lock_path
from bamboo_logmetrics.logfiles.side_files import mode_of, open_side_file
from bamboo_logmetrics.system import FS, Clock, backoff

_FIRST_PAUSE = 0.000_2  # seconds
_LONGEST_PAUSE = 0.02
_TIMEOUT = 5.0  # seconds; a stopped holder must not stop the others for ever


class LockTimeoutError(OSError):
    """Another process has held the lock for too long."""


class LockFile:
    """The lock file beside a log.

    The lock is taken without blocking, with growing pauses, so that a stopped holder cannot make anyone wait beyond
    the deadline.

    Args:
        path: the path of the log.
        mode: the mode of the lock file while the log does not exist; else it has the log's.
        fs, clock: the system.
    """

    def __init__(self, path: str, *, mode: int, fs: FS, clock: Clock) -> None:
        self.path = lock_path(path)
        self._log = path
        self._mode = mode
        self._fs = fs
        self._clock = clock
        self._fd = -1
        self._identity = NO_FILE  # of the file that was opened, for it may be closed from outside
        self._sleep_lock = allocate_lock()  # always held: waiting for it is a pause
        self._sleep_lock.acquire()

    def acquire(self, deadline: float | None) -> None:
        """Take the lock. Raises LockTimeoutError at ``deadline`` (monotonic; None: after 5 s), or OSError."""
        until = self._clock.monotonic() + _TIMEOUT if deadline is None else deadline
        pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            if self._fd >= 0 and is_taken(self._fs, self._fd, self._identity):
                self._fd = -1
            if self._fd < 0:
                self._open()
            if self._fs.lock(self._fd):
                if self._is_at_path():
                    return
                self.close()  # moved or removed from outside: the other writers do not see this lock
                continue
            left = until - self._clock.monotonic()
            if left <= 0:
                msg = f"{self.path} is held by another process that does not release it"
                raise LockTimeoutError(msg)
            self._clock.wait(self._sleep_lock, min(next(pauses), left))

    def _open(self) -> None:
        mode = mode_of(self._fs, self._log, self._mode)
        fd = open_side_file(self._fs, self.path, os.O_RDWR | os.O_CREAT, mode)
        self._identity = identify(self._fs, fd)
        self._fd = fd

    def _is_at_path(self) -> bool:
        try:
            there = self._fs.lstat(self.path)
        except FileNotFoundError:
            return False
        except BaseException:  # it is locked, and nobody would release it
            self.close()
            raise
        return identity_of(there) == self._identity

    def release(self) -> None:
        """Release the lock. It never raises: the work that the lock guarded is done."""
        if self._fd < 0:
            return
        taken = False
        try:
            taken = is_taken(self._fs, self._fd, self._identity)
        finally:  # whatever the look raises: nobody else would release it
            if taken:
                self._fd = -1  # closed from outside, which has released it
            else:
                self._unlock()

    def _unlock(self) -> None:
        try:
            self._fs.unlock(self._fd)
        except OSError:
            with suppress(OSError):
                self.close()

    def close(self) -> None:
        """Close the descriptor, which releases the lock; in a forked child it does not release the parent's."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            close_own(self._fs, fd, self._identity)
