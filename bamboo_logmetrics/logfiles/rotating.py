"""The rotating file: whole lines from any number of processes; every lost byte is reported.

Each write takes the lock, checks that the open file is still the one at the path, repairs its last line, rotates the
file if it must be, and then appends all lines with one ``os.write`` on an ``O_APPEND`` descriptor. It never uses a
buffered Python file: a BufferedWriter keeps bytes that it reported as failed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from bamboo_logmetrics.events.times import from_ns
from bamboo_logmetrics.logfiles.archive import Archive
from bamboo_logmetrics.logfiles.descriptors import NO_FILE, close_own, identity_of, is_taken
from bamboo_logmetrics.logfiles.lockfile import LockFile
from bamboo_logmetrics.logfiles.path_check import check_path
from bamboo_logmetrics.logfiles.repair import OWN_LINES, LineTests, end_of_lines, is_log, is_torn
from bamboo_logmetrics.logfiles.side_files import open_regular
from bamboo_logmetrics.logfiles.sink import Sink, count_whole
from bamboo_logmetrics.system import FS, Clock, SystemThread, backoff, threads_are_replaced

_PERIOD = {None: "", "hour": "%Y%m%d%H", "day": "%Y%m%d"}
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0  # seconds until a rotation that failed is tried again
_UNKNOWN = -1  # no size: the next append checks the last line


class RotatingFile(Sink):
    """A file of lines, appended to by any number of processes, rotated by rename and create.

    Args:
        path: an absolute path.
        max_bytes: rotate before the file would grow beyond this size.
        backup_count: how many rotated files to keep; None for all.
        unshipped_backups: how many more to keep while a shipper has not delivered them; None for as many again.
        rotate_every: None, ``"hour"`` or ``"day"`` (UTC).
        compress: None, ``"gzip"`` or ``"zstd"``.
        mode: the mode of new files.
        writer: returns the writer's id, for the names of rotated files.
        fs, clock: the system.
        tests: how lines of this package are known; only these are ever cut away.

    Raises ConfigError if a log at ``path`` could never be written, or if the file there is not a log.
    """

    def __init__(
        self,
        path: str,
        *,
        max_bytes: int,
        backup_count: int | None,
        unshipped_backups: int | None = None,
        rotate_every: str | None,
        compress: str | None,
        mode: int,
        writer: Callable[[], str],
        fs: FS,
        clock: Clock,
        tests: LineTests = OWN_LINES,
    ) -> None:
        check_path(fs, path, tests)
        self.path = path
        self._tests = tests
        self.repaired_bytes = 0
        self._max_bytes = max_bytes
        self._backup_count = backup_count
        self._unshipped = unshipped_backups
        self._period_format = _PERIOD[rotate_every]
        self._compress = compress
        self._mode = mode
        self._writer = writer
        self._fs = fs
        self._clock = clock
        self._lock = LockFile(path, mode=mode, fs=fs, clock=clock)
        self._archive = Archive(path, fs=fs)
        self._fd = -1
        self._identity = NO_FILE  # of the file that was opened, for it may be closed from outside
        self._reset()

    def _reset(self) -> None:
        """Reset to the state before the file was opened."""
        self._whole_size = 0  # bytes; at this size the last line is known to be whole
        self._taken = 0  # bytes written by the append under way, or by the last one
        self._period = ""
        self._rotate_from = 0.0  # after a rotation that failed: none before this monotonic time
        self._retries = backoff(_FIRST_RETRY, _LONGEST_RETRY)
        self._problems: list[str] = []
        self._new_name = False  # opened or renamed since the directory was last synced
        self._tidier: Thread | SystemThread | None = None
        self._tidy_again = False

    # -- the contract of a sink ----------------------------------------------------------

    def open(self, deadline: float | None = None) -> None:
        """Open or create the file and repair its last line. Raises OSError."""
        with self._locked(deadline):
            self._ensure_current()
        self._tidy()

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Append lines, each with its newline, or the first of them if the file is full then: call again for the rest.

        Raises OSError if none could be appended.
        """
        with self._locked(deadline):
            self._ensure_current()
            rotated = self._rotate_if_due(len(lines[0]))
            self._append(self._fitting(lines))
        if rotated:
            self._tidy()

    def sync(self) -> None:
        """Bring the file to the disk, and its directory after opening, creation or rename. Raises OSError."""
        if is_taken(self._fs, self._fd, self._identity):
            self._open_again()
        self._fs.fsync(self._fd)
        if self._new_name:
            self._archive.sync_directory()
            self._new_name = False

    def close(self, deadline: float | None = None) -> None:
        """Close the file, and wait for a compression that is under way.

        Args:
            deadline: on the monotonic clock, when to give up waiting; None for never.
        """
        for close in (self._close_fd, self._lock.close):
            try:
                close()
            except OSError as error:
                self._problems.append(f"close: {error}")
        self._wait_for_tidier(deadline)

    def problems(self) -> list[str]:
        """Return the errors of rotation, compression and closing since the last call."""
        problems, self._problems = self._problems, []
        return problems

    def after_fork(self) -> None:
        """Become an independent sink in a forked child: close, and never unlock, the descriptors of the parent."""
        for close in (self._lock.close, self._archive.close_locked, self._close_fd):
            with suppress(OSError):
                close()
        self._reset()
        self.repaired_bytes = 0

    # -- under the lock ------------------------------------------------------------------

    @contextmanager
    def _locked(self, deadline: float | None) -> Iterator[None]:
        try:
            self._lock.acquire(deadline)
        except FileNotFoundError:  # the directory is gone, or not there yet
            self._fs.makedirs(self._archive.directory)
            self._lock.acquire(deadline)
        try:
            yield
        finally:
            self._lock.release()

    def _ensure_current(self) -> None:
        """Open the file that is now at the path, unless it is open, and repair its last line."""
        if self._fd >= 0 and not self._is_at_path():
            self._close_fd()
        if self._fd < 0:
            self._open_fd()
        size = self._fs.fstat(self._fd).st_size
        if size != self._whole_size:
            self._repair(size)

    def _is_at_path(self) -> bool:
        if is_taken(self._fs, self._fd, self._identity):
            return False
        try:
            there = self._fs.lstat(self.path)
        except FileNotFoundError:
            return False
        return identity_of(there) == self._identity

    def _open_again(self) -> None:
        """Open the file that was written last once more, to sync it. Raises OSError, also if it was rotated since."""
        written = self._identity
        with self._locked(None):
            self._ensure_current()
        if self._identity != written:
            raise OSError(errno.EBADF, "closed from outside, and rotated before it was synced", self.path)

    def _open_fd(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            fd, new = open_regular(self._fs, self.path, flags | os.O_EXCL, self._mode), True
        except FileExistsError:
            fd, new = open_regular(self._fs, self.path, flags, self._mode), False
        try:
            if new:
                self._fs.fchmod(fd, self._mode)  # whatever the umask is
            status = self._fs.fstat(fd)
            if not is_log(self._fs, fd, status.st_size, self._tests):
                raise OSError(errno.EINVAL, "not a log of this package: move it away", self.path)  # noqa: TRY301
            period = self._period_of(status.st_mtime_ns if status.st_size else self._clock.time_ns())
        except BaseException:
            self._fs.close(fd)
            raise
        self._fd = fd
        self._identity = identity_of(status)
        self._new_name = True  # also if another process created it: it may not have synced the directory yet
        self._whole_size = 0
        self._period = period

    def _close_fd(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            close_own(self._fs, fd, self._identity)

    def _repair(self, size: int) -> None:
        """Cut the file back to its last newline: a killed writer may have left half a line.

        What others have left there stays, and a new line is begun behind it.
        """
        if size and self._fs.pread(self._fd, 1, size - 1) == b"\n":
            self._whole_size = size
            return
        end = end_of_lines(self._fs, self._fd, size)
        if end is not None and (end == size or is_torn(self._fs, self._fd, end, size, self._tests)):
            if end < size:
                self._fs.ftruncate(self._fd, end)
                self.repaired_bytes += size - end
            self._whole_size = end
        else:
            self._fs.write(self._fd, b"\n")
            self._problems.append("the last line is not of this package and had no newline: a new line was begun")
            self._whole_size = size + 1

    def _fitting(self, lines: list[bytes]) -> list[bytes]:
        """Return the lines that fit into the file, at least one."""
        if self._clock.monotonic() < self._rotate_from:
            return lines  # it cannot be rotated now
        room = self._max_bytes - self._whole_size
        if sum(map(len, lines)) <= room:
            return lines
        for index, line in enumerate(lines):
            room -= len(line)
            if room < 0:
                return lines[: max(index, 1)]
        return lines

    def _append(self, lines: list[bytes]) -> None:
        """Append lines; whatever is raised, leave whole lines only, and add exactly those to ``stored``."""
        start, count = self._whole_size, len(lines)
        data = b"".join(lines)
        end = start + len(data)
        try:
            error = self._write_all(data)
            if error is not None:
                count, end = count_whole(lines, self._taken)
                self._cut(start + end)
                end = _UNKNOWN
                if not count:
                    self._whole_size = end
                    raise error  # noqa: TRY301 - the handler below is for it as well
            self._whole_size = end
            self.stored += count
        except BaseException:
            if self._whole_size != end:
                left = self._cut(start) - start
                self._whole_size = _UNKNOWN
                self.stored += count_whole(lines, left)[0]
            raise

    def _write_all(self, data: bytes) -> OSError | None:
        """Write until all is taken or a write fails, and return that error; ``_taken`` is how many bytes were taken."""
        self._taken = 0
        view = memoryview(data)
        while self._taken < len(data):
            try:
                self._taken += self._fs.write(self._fd, view[self._taken :])
            except InterruptedError:
                continue
            except OSError as error:
                return error
        return None

    def _cut(self, size: int) -> int:
        """Cut the file back to ``size``; return its size then, as far as that can be known."""
        actual = self._whole_size + self._taken
        if is_taken(self._fs, self._fd, self._identity):
            return actual  # the next append repairs the file
        try:
            actual = self._fs.fstat(self._fd).st_size
            if actual > size:  # else it was truncated from outside meanwhile
                self._fs.ftruncate(self._fd, size)
                actual = size
        except OSError as error:
            self._problems.append(f"truncate: {error}")  # the next append repairs it
        return actual

    # -- rotation ------------------------------------------------------------------------

    def _period_of(self, time_ns: int) -> str:
        return from_ns(time_ns).strftime(self._period_format)

    def _rotate_if_due(self, next_size: int) -> bool:
        """Rotate a file that is full, or of an earlier hour or day; return True if it was rotated."""
        if self._whole_size == 0:
            self._period = self._period_of(self._clock.time_ns())
            return False
        full = self._whole_size + next_size > self._max_bytes
        if not full and self._period_of(self._clock.time_ns()) <= self._period:
            return False  # also when the clock went backward
        if self._clock.monotonic() < self._rotate_from:
            return False
        try:
            self._rotate()
        except OSError as error:
            self._rotate_from = self._clock.monotonic() + next(self._retries)
            self._problems.append(f"rotate: {error}")
            return False
        self._retries = backoff(_FIRST_RETRY, _LONGEST_RETRY)
        return True

    def _rotate(self) -> None:
        target = self._archive.new_path(self._clock.time_ns(), self._writer())
        self._fs.rename(self.path, target)
        old, self._fd = self._fd, -1
        identity = self._identity
        try:
            self._open_fd()
        except BaseException:
            self._fd = old  # no descriptor or no permission: put it back, and continue with it
            self._fs.rename(target, self.path)
            raise
        close_own(self._fs, old, identity)

    # -- housekeeping, off the worker ----------------------------------------------------

    def _tidy(self) -> None:
        """Compress and remove rotated files in a thread, if compression or retention is on."""
        if not self._compress and self._backup_count is None:
            return
        kind = SystemThread if threads_are_replaced() else Thread
        tidier = kind(target=self._tidy_until_done, name="bamboo-logmetrics-tidy", daemon=True)
        self._tidy_again = True
        if self._tidier is None:  # checked and set without a call in between, as in channel.py: it needs no lock
            self._tidier = tidier
            started = False
            try:
                tidier.start()
                started = True
            except (RuntimeError, MemoryError):
                pass  # no thread can be started any more: the next opening tidies
            finally:
                if not started:
                    self._tidier = None

    def _tidy_until_done(self) -> None:
        while True:
            if not self._tidy_again:  # again without a call in between: a later request starts another thread
                self._tidier = None
                return
            self._tidy_again = False
            try:
                self._archive.tidy(
                    compress=self._compress,
                    backup_count=self._backup_count,
                    unshipped=self._unshipped,
                    mode=self._mode,
                )
            except BaseException as error:  # noqa: BLE001 - after any error, the next file must be tidied again
                self._problems.append(f"tidy: {error}")

    def _wait_for_tidier(self, deadline: float | None) -> None:
        tidier = self._tidier
        if tidier is not None:
            tidier.join(None if deadline is None else max(0.0, deadline - self._clock.monotonic()))
