"""A stream as the log: stdout, stderr or another descriptor, without rotation, lock and retention.

Nothing is written but whole lines, at most 4,096 bytes at once to a pipe or a socket: a pipe takes so many as one, so
that the lines of several processes never mix. A write never waits for the reader, and never raises SIGPIPE.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import signal
import stat
import sys
from _thread import allocate_lock
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from weakref import WeakSet

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.descriptors import close_own, identify, is_taken
from bamboo_logmetrics.logfiles.path_check import refuse
from bamboo_logmetrics.logfiles.sink import Sink, count_whole
from bamboo_logmetrics.system import FS, Clock, backoff

PIPE_LINE = 4096  # bytes that a pipe takes as one: PIPE_BUF of Linux

_NAMES = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?P<process>self|thread-self|\d+)(?:/task/\d+)?)/fd/(?P<fd>\d{1,9})", re.ASCII)
_MOST_LINKS = 40
_FIRST_PAUSE, _LONGEST_PAUSE = 0.000_2, 0.02  # seconds between two tries at a full pipe
_READER_TIMEOUT = 1.0  # seconds that a write waits for the reader, unless it is given a deadline
_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE})
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
_CLOSED = "the application has closed the descriptors, the log's too: open the log after that"
_FIRST_OWN = 3  # the lowest descriptor that is not stdin, stdout or stderr


# -- which paths are streams ---------------------------------------------------------------


def find_stream(path: str) -> str | None:
    """Return the path of the stream that ``path`` names, in one form for each; None for the path of a file.

    ``-`` is stdout. Links are followed: images of containers link a log's path to ``/dev/stdout``.
    """
    path = "/dev/stdout" if path == "-" else os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        if (stream := _named_stream(path)) is not None:
            return stream
        directory, name = os.path.split(path)
        path = os.path.join(os.path.realpath(directory), name)
        if (stream := _named_stream(path)) is not None:
            return stream
        if not os.path.islink(path):
            return None
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return None


def _named_stream(path: str) -> str | None:
    if path in _NAMES:
        return path
    match = _DESCRIPTOR.fullmatch(path)
    if match is None:
        return None
    if match["process"] not in {None, "self", "thread-self", os.path.basename(os.path.realpath("/proc/self"))}:
        return path  # of another process, such as /proc/1/fd/1
    fd = int(match["fd"])
    return next((name for name, number in _NAMES.items() if number == fd), f"/dev/fd/{fd}")


def is_stream(path: str) -> bool:
    """Return True for a path that :func:`find_stream` has returned."""
    return _named_stream(path) == path


def is_pipe(path: str) -> bool:
    """Return True if a stream is a pipe or a socket, on which the lines of several processes may mix."""
    try:
        fd = _own_descriptor(path)
        return _is_pipe(os.stat(path) if fd is None else os.fstat(fd))
    except OSError:
        return False  # opening it says what is wrong


def _own_descriptor(path: str) -> int | None:
    """Return the number of a descriptor of this process; None for one of another process."""
    if path in _NAMES:
        return _NAMES[path]
    return int(path.rpartition("/")[2]) if path.startswith("/dev/fd/") else None


def _is_pipe(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)


# -- the sink ------------------------------------------------------------------------------


class StreamSink(Sink):
    """A sink that writes to a stream.

    Args:
        path: a path that :func:`find_stream` has returned.
        max_line_bytes: the length of the longest line.
        sync: True if :meth:`sync` is going to be called, which only a regular file can do.
        fs, clock: the system.

    Raises ConfigError if the stream is closed, cannot be written to, or cannot be used in this way.
    """

    _opened: ClassVar[WeakSet[StreamSink]] = WeakSet()

    def __init__(self, path: str, *, max_line_bytes: int, sync: bool, fs: FS, clock: Clock) -> None:
        self.path = path
        self._max_line_bytes = max_line_bytes
        self._fs = fs
        self._clock = clock
        self._sleep_lock = allocate_lock()  # always held: waiting for it is a pause
        self._sleep_lock.acquire()
        self._taken = [0]  # bytes that the stream has of the lines that are not stored yet, in parts
        self._refusal = ""  # why nothing may be written
        fd = _open(path, fs)
        self._identity = identify(fs, fd)
        self._fd = fd
        try:
            status = os.fstat(fd)
            self._regular = stat.S_ISREG(status.st_mode)
            self._pipe = _is_pipe(status)
            self._flags: int | None = getattr(os, "RWF_APPEND" if self._regular else "RWF_NOWAIT", None)
            if sync and not self._regular:
                refuse(path, "durability='fsync' needs a file", "use 'write', with which the stream has each line")
            self._behind_half_a_line = self._regular and _ends_within_a_line(self._fd)
            self._check_length()
        except BaseException:
            self.close()
            raise
        self._opened.add(self)

    def _check_length(self) -> None:
        """Raise ConfigError if another log of this process is on the same pipe, and one of them has long lines."""
        others = [sink for sink in self._opened if sink._fd >= 0 and sink._identity == self._identity]
        longest = max(sink._max_line_bytes for sink in (self, *others))
        if self._pipe and others and longest > PIPE_LINE:
            problem = f"another log of this process is on this pipe, and max_line_bytes={longest} of one is too long"
            refuse(self.path, f"{problem}: their lines would mix", f"leave out max_line_bytes, or use {PIPE_LINE}")

    # -- the contract of a sink ----------------------------------------------------------

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Write lines, each with its newline, as many as the stream takes in time.

        Raises OSError if it took none: BlockingIOError if the reader is slow, BrokenPipeError if it is gone.
        """
        if self._refusal:
            raise OSError(errno.EINVAL, self._refusal, self.path)
        self._ensure_own()
        until = self._clock.monotonic() + _READER_TIMEOUT if deadline is None else deadline
        before = self.stored
        left = lines[self._count(lines) :]  # what an interrupted call has written counts now
        with _without_sigpipe():
            self._end_half_a_line()
            while left:
                group = left[: self._group_size(left)]
                try:
                    self._write_group(group, until)
                except OSError:
                    if self.stored == before:
                        raise
                    return
                left = left[len(group) :]

    def sync(self) -> None:
        """Bring a regular file to the disk. Raises OSError."""
        self._ensure_own()
        os.fsync(self._fd)

    def close(self, deadline: float | None = None) -> None:  # noqa: ARG002 - nothing to wait for
        """Close the sink's descriptor; the stream stays open for the process."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            close_own(self._fs, fd, self._identity)

    def after_fork(self) -> None:
        """Go on beside the parent, unless lines are too long to be written by two processes."""
        self._taken = [0]
        if self._pipe and self._max_line_bytes > PIPE_LINE:
            self._refusal = (
                f"max_line_bytes={self._max_line_bytes} is for one process, and this one was forked: "
                f"use at most {PIPE_LINE} on a pipe"
            )

    def _ensure_own(self) -> None:
        """Open the stream again if the descriptor was closed from outside. Raises OSError if the stream is gone."""
        if self._fd < 0 or not is_taken(self._fs, self._fd, self._identity):
            return
        try:
            fd = _open(self.path, self._fs)
        except ConfigError as error:
            raise OSError(errno.EBADF, f"{_CLOSED} ({error})", self.path) from None
        if is_taken(self._fs, fd, self._identity):  # the number stands for another file by now
            self._fs.close(fd)
            raise OSError(errno.EBADF, _CLOSED, self.path)
        self._fd = fd

    # -- writing -------------------------------------------------------------------------

    def _group_size(self, lines: list[bytes]) -> int:
        """Return how many lines go into one write, at least one."""
        if self._regular:
            return len(lines)
        size = -sum(self._taken)
        for index, line in enumerate(lines):
            size += len(line)
            if size > PIPE_LINE:
                return max(index, 1)
        return len(lines)

    def _write_group(self, group: list[bytes], until: float) -> None:
        data = memoryview(b"".join(group))
        pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while unsent := data[sum(self._taken) :]:
            try:
                self._send(unsent)
            except InterruptedError:
                continue
            except BlockingIOError as error:
                left = until - self._clock.monotonic()
                if left <= 0:
                    self._count(group)
                    raise BlockingIOError(error.errno, "full, because its reader is slow", self.path) from None
                self._clock.wait(self._sleep_lock, min(next(pauses), left))
            except OSError as error:
                self._count(group)
                raise OSError(error.errno, error.strerror, self.path) from None
        self._count(group)

    def _end_half_a_line(self) -> None:
        """Begin a line of a file that ended within one when it was opened, once. Raises OSError."""
        if self._behind_half_a_line:
            if self._flags is None:
                os.write(self._fd, b"\n")
            else:
                os.pwritev(self._fd, (b"\n",), -1, self._flags)
            self._behind_half_a_line = False

    def _send(self, data: memoryview) -> None:
        """Write as much of ``data`` as the stream takes now, and note it. Raises OSError if it takes nothing.

        The list is extended in C, so that no interrupt comes between the write and its note.
        """
        if self._flags is not None:
            try:
                self._taken.extend(map(os.pwritev, (self._fd,), ((data,),), (-1,), (self._flags,)))
                return  # noqa: TRY300
            except OSError as error:
                if error.errno not in _NOT_SUPPORTED:
                    raise
                self._flags = None  # a terminal, or an old kernel
        if not self._regular:
            data = data[:PIPE_LINE]  # for which there is room wherever there is any
            if not _has_room(self._fd):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._taken.extend(map(os.write, (self._fd,), (data,)))

    def _count(self, lines: list[bytes]) -> int:
        """Count the lines that the stream has whole, of those that begin with the first one not stored."""
        taken = sum(self._taken)
        count, end = count_whole(lines, taken)
        remaining = [taken - end]
        # one run without a call, see channel.py
        self.stored += count
        self._taken = remaining
        return count


def _open(path: str, fs: FS) -> int:
    """Return a descriptor of its own for a stream. Raises ConfigError."""
    fd = _own_descriptor(path)
    try:
        if fd is None:
            opened = fs.open(path, _FLAGS)
        elif os.isatty(_checked(fd)):  # a write to it may wait though it has room, and its flags are the shell's too
            opened = fs.open(f"/dev/fd/{fd}", _FLAGS)
        else:
            opened = fcntl.fcntl(_checked(fd), fcntl.F_DUPFD_CLOEXEC, _FIRST_OWN)
    except OSError as error:
        refuse(path, f"it cannot be opened ({error.strerror})", "redirect it, or give the path of a file")
    mode = os.fstat(opened).st_mode
    if stat.S_ISDIR(mode) or fcntl.fcntl(opened, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        os.close(opened)
        refuse(path, "it is open for reading only", "redirect it, or give the path of a file")
    return opened


def _checked(fd: int) -> int:
    """Return a descriptor; raise OSError for stdout or stderr if the process was started without it.

    Another file may have its number by now.
    """
    if {1: sys.__stdout__, 2: sys.__stderr__}.get(fd, sys) is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return fd


def _ends_within_a_line(fd: int) -> bool:
    """Return True if a regular file ends without a newline; False also where it must not be read."""
    try:
        size = os.fstat(fd).st_size
        reader = os.open(f"/dev/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return size > 0 and os.pread(reader, 1, size - 1) != b"\n"
    finally:
        os.close(reader)


def _has_room(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


@contextmanager
def _without_sigpipe() -> Iterator[None]:
    """Keep SIGPIPE from this thread: an application may have given it back the action that kills."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        yield
    finally:
        if signal.SIGPIPE not in before and signal.SIGPIPE in signal.sigpending():
            signal.sigwait({signal.SIGPIPE})
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
