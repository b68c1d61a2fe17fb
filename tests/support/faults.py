"""An FS whose calls fail, stop short or are watched as a test says, a clock in a hurry, and the books of a log."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import threading
import time

from bamboo_logmetrics.system import FS, Clock
from support.tools import balanced, dropped, flat, typed

WATCHED = (
    "open",
    "close",
    "read",
    "pread",
    "write",
    "ftruncate",
    "fchmod",
    "fsync",
    "fstat",
    "stat",
    "lstat",
    "rename",
    "unlink",
    "makedirs",
    "listdir",
    "lock",
    "unlock",
)


def oserror(code):
    """Return the OSError of an errno."""
    return OSError(code, os.strerror(code))


class FaultyFS(FS):
    """Counts its calls; ``plan[name]`` is a function of the call's number and arguments that may raise or answer."""

    def __init__(self):
        self.calls = []
        self.plan = {}
        self.failed = 0  # calls that `fail` let fail
        self.refused = set()  # (call, thread): what the system itself has refused, by the name of the thread

    def count(self, name):
        return sum(call[0] == name for call in self.calls)

    def fail(self, name, code=errno.EIO, *, times=1, after=0, when=lambda *_: True):
        """Let calls of ``name`` fail, ``times`` of them, after the first ``after``; None: for good."""
        seen = [0]

        def answer(*args):
            if not when(*args):
                return
            seen[0] += 1
            if seen[0] > after and (times is None or seen[0] <= after + times):
                self.failed += 1
                raise oserror(code) if isinstance(code, int) else code
            return

        self.plan[name] = answer

    def fail_really(self, name, code=errno.EIO, **how):
        """Let calls fail as ``fail`` does, and as the kernel does: a close that fails has closed."""
        self.fail(name, code, **how)
        planned = self.plan[name]

        def answer(*args):
            try:
                return planned(*args)
            except OSError:
                if name == "close":
                    os.close(*args)
                raise

        self.plan[name] = answer

    def heal(self):
        self.plan.clear()


def _watched(name, real):
    def call(self, *args):
        self.calls.append((name, *args))
        if (answer := self.plan.get(name)) is not None:
            result = answer(*args)
            if result is not None:
                return result
        try:
            return real(self, *args)
        except OSError:
            self.refused.add((name, threading.current_thread().name))
            raise

    return call


for _name in WATCHED:
    setattr(FaultyFS, _name, _watched(_name, getattr(FS, _name)))


class QuickFS(FaultyFS):
    """A FaultyFS whose fsync does not wait for the disk, for many short runs."""

    fsync = _watched("fsync", lambda self, fd: None)


class PowerFS(QuickFS):
    """Knows what a power cut would leave: what was synced of each file, under the names that were synced."""

    def __init__(self):
        super().__init__()
        self._synced = {}  # by inode: [bytes]; a list, because the names hold the same one
        self._names = {}
        self._guard = threading.Lock()  # no number of an inode is free for another file while it is held

    def fsync(self, fd):
        super().fsync(fd)
        here = os.fstat(fd)
        with self._guard:
            if stat.S_ISDIR(here.st_mode):
                inodes = {name: os.stat(name, dir_fd=fd).st_ino for name in os.listdir(fd)}
                self._names = {name: self._synced.setdefault(inode, [b""]) for name, inode in inodes.items()}
            else:
                self._synced.setdefault(here.st_ino, [b""])[0] = os.pread(fd, here.st_size, 0)

    def rename(self, old, new):
        with self._guard:
            inode = os.stat(new).st_ino if os.path.exists(new) else None
            super().rename(old, new)
            self._synced.pop(inode, None)

    def unlink(self, path):
        with self._guard:
            inode = os.stat(path).st_ino
            super().unlink(path)
            self._synced.pop(inode, None)  # the next file may get the same number

    def after_a_power_cut(self):
        """Return the lines in the files that would be there."""
        lines = []
        for name, (data,) in self._names.items():
            if not name.startswith("."):
                lines += (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()
        return lines


def each_call_failing(name, code=errno.EIO, *, times=1, most=1000, make=QuickFS):
    """Give an FS whose first call of ``name`` fails, one whose second does, and so on, until one has come through clean.

    ``times=None``: from that call on all fail, until ``heal()``. What is given is (number of the call, FS).
    """
    for nth in range(most):
        fs = make()
        fs.fail_really(name, code, times=times, after=nth)
        yield nth + 1, fs
        if not fs.failed:
            return
    raise AssertionError(f"there is always one more call of {name}")


class HurriedClock(Clock):
    """A clock on which a thousand seconds pass in one: the pauses between two tries take no time."""

    SPEED = 1000

    def monotonic(self):
        return time.monotonic() * self.SPEED

    def wait(self, lock, timeout):
        return super().wait(lock, None if timeout is None else timeout / self.SPEED)


def until_threads_end(name="bamboo"):
    """Wait until the logs' threads whose names begin with ``name`` have ended: what they had in hand is then counted."""
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread._started.wait(30)  # one that is being started is among them, and cannot be joined yet
            thread.join(30)
            assert not thread.is_alive()


def ids(path):
    """Return the ids of the events in the files, which need not be there."""
    return [line["tool_call_id"] for line in typed(path)] if os.path.exists(path) else []


def assert_balanced(path, log, emitted):
    """Check L, F, U, W and A of a closed log with one writer, of which ``emitted`` events were asked; return its stats."""
    stats, lines = log.stats(), flat(path) if os.path.exists(path) else []
    assert balanced(stats)
    assert stats.emitted == emitted
    numbers = [(line["writer"], line["seq"]) for line in lines]
    assert len(set(numbers)) == len(numbers)
    identities = ids(path)
    assert len(identities) == len(set(identities)) == stats.written
    if lines and lines[-1]["event"] == "system.worker_stopped":
        assert [seq for _, seq in sorted(numbers, key=lambda number: number[1])] == list(range(1, len(lines) + 1))
        assert dropped(path) == {reason: count for reason, count in stats.dropped.items() if reason != "closed"}
        assert stats.queued == 0
    return stats
