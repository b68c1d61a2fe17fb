"""The system calls on files, and the clock: two objects that a test can replace."""

from __future__ import annotations

import _thread
import errno
import os
import socket
import subprocess
from _thread import TIMEOUT_MAX, allocate_lock, start_new_thread
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import chain, repeat
from typing import TYPE_CHECKING

from bamboo_logmetrics.errors import PlatformError

try:
    import fcntl
except ImportError as _error:  # pragma: no cover - Linux and macOS have it
    _msg = "bamboo_logmetrics needs fcntl.flock, which Windows lacks: use Linux, macOS, or WSL 2 on Windows"
    raise PlatformError(_msg) from _error

import time

if TYPE_CHECKING:
    from typing import Protocol

    class Lock(Protocol):
        """A raw lock, as ``_thread.allocate_lock()`` returns it."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...  # noqa: D102, FBT001, FBT002
        def release(self) -> None: ...  # noqa: D102
        def locked(self) -> bool: ...  # noqa: D102


_start_new_thread = start_new_thread  # as it was when the locks of the package were imported

_STANDARD = 2  # the highest descriptor of stdin, stdout and stderr


class FS:
    """The system calls on files. A test passes a subclass as the option ``fs``. All methods raise OSError."""

    def open(self, path: str, flags: int, mode: int = 0o640) -> int:
        """Open a file and return its descriptor, which is closed on exec.

        It is never 0 to 2: where those are free, other code may write to them as stdout or stderr.
        """
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
        """Write, and return the number of bytes written, which may be smaller than that of ``data``."""
        return os.write(fd, data)

    def ftruncate(self, fd: int, size: int) -> None:
        """Cut a file to ``size`` bytes."""
        os.ftruncate(fd, size)

    def fchmod(self, fd: int, mode: int) -> None:
        """Set a file's mode."""
        os.fchmod(fd, mode)

    def fsync(self, fd: int) -> None:
        """Force a file or a directory to the disk."""
        os.fsync(fd)

    def fstat(self, fd: int) -> os.stat_result:
        """Return the status of an open file."""
        return os.fstat(fd)

    def stat(self, path: str) -> os.stat_result:
        """Return the status of the file at a path; follow a link."""
        return os.stat(path)

    def lstat(self, path: str) -> os.stat_result:
        """Return the status of the file at a path; of a link, its own."""
        return os.lstat(path)

    def access(self, path: str, mode: int) -> bool:
        """Return True if this process may access a path as ``mode``, of ``os.R_OK`` and so on, says."""
        return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        """Remove a file."""
        os.unlink(path)

    def makedirs(self, path: str) -> None:
        """Create a directory and its parents, unless they exist."""
        os.makedirs(path, exist_ok=True)

    def listdir(self, path: str) -> list[str]:
        """Return the names in a directory."""
        return os.listdir(path)

    def lock(self, fd: int) -> bool:
        """Acquire the exclusive lock of an open file without waiting; return True if it is acquired."""
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
    """The time, and all waiting. A test passes :class:`~bamboo_logmetrics.testing.ManualClock` as option ``clock``."""

    time_ns = staticmethod(time.time_ns)  # the stdlib's own function, since loggers call it for every plain line
    """Return the wall clock, in nanoseconds since the epoch."""

    monotonic = staticmethod(time.monotonic)  # not looked up at each call: a frozen time would freeze all deadlines
    """Return the seconds of a clock that never goes backward, for deadlines and rates."""

    def wait(self, lock: Lock, timeout: float | None) -> bool:
        """Acquire ``lock``, waiting up to ``timeout`` seconds (None: without limit); return True if it is acquired."""
        return lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX))


def write_all(fs: FS, fd: int, data: bytes) -> None:
    """Write all of ``data``, continuing after short writes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[fs.write(fd, view) :]


class SystemThread:
    """A thread of the system with the interface of ``threading.Thread``, which gevent replaces by a greenlet.

    The package's locks may be real ones, imported before the replacement: a greenlet that waits for one would hold up
    the only thread there is.
    """

    def __init__(self, *, target: Callable[[], None], name: str, daemon: bool) -> None:
        self._target = target
        self.name = name
        self.daemon = daemon
        self._running: Lock = allocate_lock()

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if that is not possible."""
        self._running.acquire()
        try:
            _start_new_thread(self._run, ())
        except BaseException:
            self._running.release()
            raise

    def _run(self) -> None:  # pragma: no cover - coverage does not see a thread that threading has not started
        try:
            self._target()
        finally:
            self._running.release()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, or for ``timeout`` seconds."""
        if self._running.acquire(timeout=-1 if timeout is None else min(timeout, TIMEOUT_MAX)):
            self._running.release()


def threads_are_replaced() -> bool:
    """Return True if gevent has replaced threads since this module was imported."""
    return _thread.start_new_thread is not _start_new_thread


def backoff(first: float, most: float) -> Iterator[float]:
    """Return pauses in seconds that double from ``first`` up to ``most``; several threads may take from them."""
    pauses = [first]
    while pauses[-1] < most:
        pauses.append(min(pauses[-1] * 2, most))
    return chain(pauses, repeat(most))


def host() -> str:
    """Return the host name of this machine; ``""`` if it cannot be read."""
    try:
        return socket.gethostname()
    except (OSError, UnicodeError):
        return ""


def boot_id() -> str | None:
    """Return the id that the kernel drew when this machine was started; None where ``/proc`` does not have it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip() or None
    except (OSError, ValueError):
        return None


def pid_namespace(process: int | str = "self") -> str | None:
    """Return the number of the pid namespace that a process lives in, as text: each container has one of its own.

    Args:
        process: the name of its directory in ``/proc``.

    Return None where ``/proc`` does not show it: on other systems than Linux, and of another user's process.
    """
    try:
        return str(os.stat(f"/proc/{process}/ns/pid").st_ino)
    except OSError:
        return None


def process_started_at(pid: int | str) -> datetime | None:
    """Return the start of a running process, in UTC, to about a second; None if there is no such process.

    Args:
        pid: its id, or ``"self"``: ``/proc`` may be that of another pid namespace, where the id is another one.
    """
    try:
        return _started_by_proc(pid)
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return None
        return _started_by_ps(os.getpid() if pid == "self" else pid)  # pragma: no cover - macOS
    except (OSError, ValueError, LookupError):
        return None


def _started_by_proc(pid: int | str) -> datetime | None:
    with open(f"/proc/{pid}/stat", "rb") as file:
        # the command's name, in parentheses, may itself hold spaces and parentheses
        state, *numbers = file.read().rpartition(b")")[2].split()
    if state == b"Z":
        return None
    ticks = int(numbers[18])
    # not the boot time of /proc/stat, which is in whole seconds
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age, timezone.utc)


def _started_by_ps(pid: int | str) -> datetime | None:  # pragma: no cover - macOS
    output = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "TZ": "UTC"},
    ).stdout
    if not output.strip():
        return None
    return datetime.strptime(output.strip(), "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
