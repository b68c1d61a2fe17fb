"""Crash points: named moments around a storage call at which a process dies, or stops and waits.

A point is ``<call>[@<subject>]:<number>:<when>``; for example ``rename@log:1:after`` is the moment just after the first
rename of the active file.

* call: the name of a method of FS (``write``, ``rename``, ``lock``, ...).
* subject: what the call is about: ``log`` (the active file), ``plain`` (a rotated file), ``packed`` (a compressed one),
  ``partial`` (one that is being compressed), ``lock`` (the lock file), ``dir`` (the directory); for an open, ``new``
  (an active file that must not exist yet). A rename is about the old name. Without it, calls about anything count.
* number: from 1 on, counted per call and subject.
* when: ``before``, ``after``, or, for a write, ``within``: a byte more than half is written.

The number of a call about one thing is the same in each run, since one thread makes them all; so a loop over what a
clean pass has passed (:func:`every_point`) reaches every step.

Also here: what tests of crashes share, to fork, to report over a pipe, and to read what a crash has left.
"""

from __future__ import annotations

import glob
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

from bamboo_logmetrics.system import FS
from support import TESTS, tools
from support.packing import unpack_zstd

STEPS = ("makedirs", "open", "fchmod", "write", "ftruncate", "fsync", "rename", "unlink")
CALLS = (*STEPS, "close", "pread", "listdir", "lock", "unlock")
_SUFFIXES = {".lock": "lock", ".tmp": "partial", ".gz": "packed", ".zst": "packed"}


class CrashFS(FS):
    """The real calls, with at most one crash point; ``passed`` lists the calls, and ``reached`` tells of the point.

    Args:
        point: the point; None only lists.
        tell: a descriptor to which ``at <point>`` is written, as a line, at the point; the point's most exact name.
        go_on: a descriptor on which a byte is waited for at the point; without it, the process kills itself there.
    """

    def __init__(self, point: str | None = None, *, tell: int | None = None, go_on: int | None = None):
        self.passed = []
        self.reached = False
        self._point = point
        self._tell = tell
        self._go_on = go_on
        self._counts = Counter()
        self._guard = threading.Lock()
        self._subject = {}  # by descriptor

    def points(self, call, subject):
        """Return the names that this call has, the most exact one first, and count it."""
        names = [f"{call}@{subject}", call]
        with self._guard:
            self._counts.update(names)
            self.passed.append(names[0])
            return [f"{name}:{self._counts[name]}" for name in names]

    def reach(self, points, when):
        """Die or wait if one of these points is the one."""
        if self._point not in [f"{point}:{when}" for point in points]:
            return
        self.reached = True
        if self._tell is not None:
            os.write(self._tell, f"at {points[0]}:{when}\n".encode())
        if self._go_on is None:
            os.kill(os.getpid(), signal.SIGKILL)
        os.read(self._go_on, 1)

    def about(self, call, args):
        """Return the file that a call concerns."""
        if isinstance(args[0], int):
            return self._subject.get(args[0], "log")
        subject = _subject(args[0])
        return "new" if call == "open" and subject == "log" and args[1] & os.O_EXCL else subject

    def opened(self, path, fd):
        self._subject[fd] = _subject(path)

    def half(self, points, fd, data):
        """Write a half of ``data`` if the point is within this write; None if it is not."""
        if self._point not in [f"{point}:within" for point in points]:
            return None
        taken = FS.write(self, fd, bytes(data)[: len(data) // 2 + 1])  # not at the end of a line
        self.reach(points, "within")
        return taken


def _subject(path):
    name = os.path.basename(path)
    for suffix, subject in _SUFFIXES.items():
        if name.endswith(suffix):
            return subject
    if re.search(r"\.2\d{7}T\d{12}Z-[0-9a-f]{20}$", name):
        return "plain"
    return "dir" if os.path.isdir(path) else "log"


def _around(call):
    real = getattr(FS, call)

    def calling(self, *args):
        points = self.points(call, self.about(call, args))
        self.reach(points, "before")
        try:
            answer = self.half(points, *args) if call == "write" else None
            if answer is None:
                answer = real(self, *args)
            if call == "open":
                self.opened(args[0], answer)
            return answer
        finally:
            self.reach(points, "after")  # also of a call that failed

    return calling


for _call in CALLS:
    setattr(CrashFS, _call, _around(_call))


def every_point(passed):
    """Return every point of a clean pass: each call that changes something in the storage, before, within and after."""
    steps = Counter(name for name in passed if name.partition("@")[0] in STEPS)
    return [
        f"{name}:{number}:{when}"
        for name, count in steps.items()
        for number in range(1, count + 1)
        for when in ("before", "within", "after")
        if when != "within" or name.startswith("write@")
    ]


# -- processes ---------------------------------------------------------------------------


def program(function):
    """Return a program that calls a function of a test module with its arguments and prints what it returns, if any."""
    folders = [TESTS, os.path.dirname(function.__code__.co_filename)]
    module = os.path.splitext(os.path.basename(function.__code__.co_filename))[0]
    name = function.__name__
    return f"""
import json, sys
sys.path[:0] = {folders!r}
from {module} import {name}
answer = {name}(*sys.argv[1:])
if answer is not None:
    print(json.dumps(answer))
"""


def fork(work, *args):
    """Call ``work`` in a forked child, whose interpreter has no orderly end; return the child's id."""
    with warnings.catch_warnings():  # of the threads of pytest-xdist; the child ends without using them
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work(*args)
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def exit_code(pid):
    """Wait for a child; return its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@dataclass
class ChildReport:
    """The messages of a child over its pipe, and how it ended: see :func:`send` and :func:`listen`."""

    emitted: int = 0  # the number of the last event that it was about to emit
    acknowledged: int = 0  # the number of the last event that was acknowledged
    at: str = ""  # the crash point that it reached
    done: bool = False
    code: int = 0
    others: list = field(default_factory=list)

    def take(self, line):
        word, _, value = line.partition(" ")
        if word == "emitting":
            self.emitted = int(value)
        elif word == "acknowledged":
            self.acknowledged = int(value)
        elif word == "at":
            self.at = value
        elif word == "done":
            self.done = True
        else:
            self.others.append(line)


def send(fd, *words):
    """Write one line to a pipe, whole, so that a reader gets it although a kill follows."""
    os.write(fd, (" ".join(map(str, words)) + "\n").encode())


def listen(work, *args):
    """Fork ``work(*args, tell)`` and return what it says on the descriptor ``tell`` until it ends."""
    reading, tell = os.pipe()
    pid = fork(work, *args, tell)
    os.close(tell)
    told = ChildReport()
    with open(reading, encoding="utf-8") as pipe:
        for line in pipe:
            told.take(line.rstrip("\n"))
    told.code = exit_code(pid)
    return told


class Other:
    """Another process that has reached its crash point, where it waits."""

    def __init__(self, process):
        self._process = process
        self.told = ChildReport()
        self.writer = self._hear()
        while not self.told.at:
            self.told.take(self._hear())

    def _hear(self):
        line = self._process.stdout.readline()
        assert line, "the other process has ended"
        return line.rstrip("\n")

    def go_on(self):
        """Let it go on until it has closed its log."""
        self._process.stdin.write("x")
        self._process.stdin.close()
        while not self.told.done:
            self.told.take(self._hear())
        assert self._process.wait() == 0

    def kill(self):
        self._process.kill()
        self._process.wait()


@contextmanager
def other_process(function, path, point):
    """Start a process that calls a function with path and point; give it once it stands at the point.

    The function says its writer on descriptor 1, and waits on descriptor 0.
    """
    command = [sys.executable, "-c", program(function), path, point]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Other(process)
        finally:
            process.kill()


# -- what is left -------------------------------------------------------------------------


def flush_and_tidy(log):
    """Flush, and wait until the compression thread has done its work, so that the steps come in the same order."""
    assert log.flush()
    for thread in threading.enumerate():
        if thread.name == "bamboo-logmetrics-tidy":
            thread.join()


def quick_folder():
    """Return a new folder, to be used with ``with``; in memory where possible: a kill takes nothing from any disk."""
    memory = "/dev/shm"
    return tempfile.TemporaryDirectory(prefix="pytest-", dir=memory if os.access(memory, os.W_OK) else None)


def join_workers():
    """Wait for the end of the threads of logs that were closed, so that this process can fork."""
    for thread in threading.enumerate():
        if thread.name.startswith("bamboo"):
            thread.join()


def _content(path):
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zst"):
        return unpack_zstd(data)
    return data


def rotated(path):
    """Return the paths of the rotated files, the oldest first; of two forms the plain one."""
    names = sorted(glob.glob(f"{glob.escape(str(path))}.2*"))
    return [
        name for name in names if name in (base := name.removesuffix(".gz").removesuffix(".zst")) or base not in names
    ]


def leftovers(path):
    """Return the names of what an unfinished compression leaves: partial files, and the second of two forms."""
    folder, name = os.path.split(path)
    twice = set(glob.glob(f"{glob.escape(str(path))}.2*")) - set(rotated(path))
    return sorted(
        [each for each in os.listdir(folder) if each.startswith(f".{name}.2")] + [*map(os.path.basename, twice)]
    )


def torn(path):
    """Return how many bytes follow the last newline of the active file."""
    data = _content(str(path)) if os.path.exists(path) else b""
    return len(data) - (data.rfind(b"\n") + 1)


def whole_lines(path, after=""):
    """Return the whole lines of a log, the oldest first, as strict JSON objects; only the active file may be torn.

    With ``after``, leave out the files before that path.
    """
    data = []
    for name in [each for each in rotated(path) if each > after]:
        data.append(_content(name))
        assert data[-1].endswith(b"\n"), name
    if os.path.exists(path):
        active = _content(str(path))
        data.append(active[: active.rfind(b"\n") + 1])
    return [json.loads(line, parse_constant=tools._strict) for line in b"".join(data).split(b"\n")[:-1]]


def numbers(lines):
    """Return the numbers of the events by writer, in the order of the lines, after checking that no line is doubled."""
    seen = {(line["writer"], line["seq"]) for line in lines}
    assert len(seen) == len(lines), "a line is there twice"
    by_writer = {line["writer"]: [] for line in lines}
    for line in lines:
        if line["event"] == "chat.tool_called":
            by_writer[line["writer"]].append(int(line["tool_call_id"][1:]))
    return by_writer
