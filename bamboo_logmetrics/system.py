"""Every system call and the clock, in two objects that a test can replace."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from _thread import TIMEOUT_MAX
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from bamboo_logmetrics.errors import PlatformError

try:
    import fcntl
except ImportError as _error:  # pragma: no cover - Linux and macOS have it
    _msg = "bamboo_logmetrics needs fcntl.flock: it runs on Linux and macOS, not on Windows"
    raise PlatformError(_msg) from _error

import time

if TYPE_CHECKING:
    from typing import Protocol

    class Lock(Protocol):
        """A raw lock, as ``_thread.allocate_lock()`` makes."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...  # noqa: D102, FBT001, FBT002
        def release(self) -> None: ...  # noqa: D102
        def locked(self) -> bool: ...  # noqa: D102


_STANDARD = 2  # the last of the descriptors stdin, stdout and stderr


class FS:
    """The system calls on files. A test passes a subclass as ``fs=``."""

    def open(self, path: str, flags: int, mode: int = 0o640) -> int:
        """Open and return a descriptor, closed on exec; never 0 to 2, into which others write when they are free."""
        fd = os.open(path, flags | os.O_CLOEXEC, mode)
        if fd > _STANDARD:
            return fd
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STANDARD + 1)
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def read(self, fd: int, size: int) -> bytes:
        """Read up to ``size`` bytes."""
        return os.read(fd, size)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Read up to ``size`` bytes at ``offset``."""
        return os.pread(fd, size, offset)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write and return how many bytes were taken, which may be fewer than given."""
        return os.write(fd, data)

    def ftruncate(self, fd: int, size: int) -> None:
        """Cut a file to ``size`` bytes."""
        os.ftruncate(fd, size)

    def fchmod(self, fd: int, mode: int) -> None:
        """Set a file's mode."""
        os.fchmod(fd, mode)

    def fsync(self, fd: int) -> None:
        """Bring a file or directory to the disk."""
        os.fsync(fd)

    def fstat(self, fd: int) -> os.stat_result:
        """Return what a descriptor refers to."""
        return os.fstat(fd)

    def stat(self, path: str) -> os.stat_result:
        """Return what a path refers to."""
        return os.stat(path)

    def lstat(self, path: str) -> os.stat_result:
        """Return what is at a path, also when it is a link."""
        return os.lstat(path)

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        """Remove a file."""
        os.unlink(path)

    def makedirs(self, path: str) -> None:
        """Make a directory and its parents."""
        os.makedirs(path, exist_ok=True)

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory."""
        return os.listdir(path)

    def lock(self, fd: int) -> bool:
        """Take the exclusive lock of an open file if it is free; tell whether it was."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            raise
        return True

    def unlock(self, fd: int) -> None:
        """Release the lock of an open file."""
        fcntl.flock(fd, fcntl.LOCK_UN)

    def urandom(self, size: int) -> bytes:
        """Return random bytes."""
        return os.urandom(size)


class Clock:
    """The time, and all waiting. A test passes :class:`bamboo_logmetrics.testing.ManualClock`."""

    time_ns = staticmethod(time.time_ns)  # the system's own function: loggers call it at every plain line
    """Return the wall clock, in nanoseconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes backward; for deadlines and rates."""
        return time.monotonic()

    def wait(self, lock: Lock, timeout: float | None) -> bool:
        """Take ``lock``, waiting up to ``timeout`` seconds (None: for ever); tell whether it was taken."""
        return lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX))


def backoff(first: float, most: float) -> Iterator[float]:
    """Give pauses in seconds that double from ``first`` up to ``most``."""
    pause = first
    while True:
        yield pause
        pause = min(pause * 2, most)


def host() -> str:
    """Return this machine's name, ``""`` where it cannot be read."""
    try:
        return socket.gethostname()
    except (OSError, UnicodeError):
        return ""


def process_started_at(pid: int) -> datetime | None:
    """Return when a living process was started, in UTC, to about a second; None if there is none."""
    try:
        return _started_by_proc(pid)
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return None
        return _started_by_ps(pid)  # pragma: no cover - macOS
    except (OSError, ValueError, LookupError):
        return None


def _started_by_proc(pid: int) -> datetime | None:
    with open(f"/proc/{pid}/stat", "rb") as file:
        # the command's name, in parentheses, may itself hold spaces and parentheses
        state, *numbers = file.read().rpartition(b")")[2].split()
    if state == b"Z":
        return None
    ticks = int(numbers[18])
    # not the boot time of /proc/stat, which is in whole seconds
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age, timezone.utc)


def _started_by_ps(pid: int) -> datetime | None:  # pragma: no cover - macOS
    found = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "TZ": "UTC"},
    )
    if not found.stdout.strip():
        return None
    return datetime.strptime(found.stdout.strip(), "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
