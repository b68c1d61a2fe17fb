"""Each system call fails once, and for good, at every place where it is made: SQLite's way.

A run opens a log, emits with rotation and compression under way, and closes. Call number 1 of a kind fails, in the
next run number 2, and so on, until a run passes in which there was no such call any more.
"""

from __future__ import annotations

import errno
import itertools
import os

import pytest
from support.faults import HurriedClock, assert_balanced, each_call_failing, ids, oserror, until_threads_end
from support.tools import of_kind, tool

import bamboo_logmetrics as blm

EVENTS = {"queue": 24, "write": 6, "fsync": 6}
IN_A_FILE = {"queue": 2_500, "write": 1_000, "fsync": 1_000}  # bytes; two files are compressed
IN_A_FLUSH = 6
PATIENT, SHORT, IMPATIENT = 10_000, 0.5, 5  # seconds of a clock that is a thousand times as fast

# each call with the errors that make sense for it; the first of them for every durability
FAULTS = [
    ("write", errno.ENOSPC, errno.EIO),
    ("open", errno.EMFILE, errno.EACCES),
    ("rename", errno.EACCES, errno.ENOSPC),
    ("fsync", errno.EIO),
    ("pread", errno.EIO),
    ("unlink", errno.EACCES),
    ("fstat", errno.EIO),
    ("lstat", errno.EACCES),
    ("close", errno.EIO),
    ("lock", errno.ENOLCK),
    ("unlock", errno.EIO),
    ("listdir", errno.EMFILE),
    ("makedirs", errno.ENOSPC),
    ("fchmod", errno.EPERM),
    ("ftruncate", errno.EIO),  # called where a write stops in the middle: see stumbling
]
ALL = [
    (name, code, durability)
    for name, first, *more in FAULTS
    for durability in EVENTS
    for code in [first, *(more if durability == "queue" else [])]
]


def each_case(*durabilities, without=()):
    """Parametrize a test by call, error and durability."""
    cases = [case for case in ALL if case[2] in durabilities and case[0] not in without]
    return pytest.mark.parametrize(
        "case", cases, ids=[f"{name}-{errno.errorcode[code]}-{durability}" for name, code, durability in cases]
    )


class Run:
    """One life of a log on an FS."""

    def __init__(self, folder, fs, durability):
        self.path = folder / "logs" / "a.jsonl"  # the directory has to be made
        self.fs = fs
        self.log = blm.open_log(
            self.path,
            fs=fs,
            clock=HurriedClock(),
            durability=durability,
            max_bytes=IN_A_FILE[durability],
            compress="gzip",
            flush_interval=0,
            block_timeout=SHORT,
        )
        self.emitted = EVENTS[durability]
        self.answers = {}

    def emit(self):
        for n in range(self.emitted):
            self.answers[f"c{n}"] = self.log.emit(tool(n))
            if n % IN_A_FLUSH == IN_A_FLUSH - 1:
                self.log.flush(SHORT)
        while not self.fs.failed and not self.log.flush(SHORT):
            pass
        until_threads_end("bamboo-logmetrics-tidy")  # the fault may strike there

    def close(self, timeout):
        closed = self.log.close(timeout)
        until_threads_end()
        return closed

    def acknowledged(self):
        return {name for name, answer in self.answers.items() if answer}


def stumbling():
    """Return a plan for write in which six times one is half written, and then the disk is full."""
    turns = itertools.chain(["all", "half", "none"] * 6, itertools.repeat("all"))

    def answer(fd, data):
        turn = next(turns)
        if turn == "none":
            raise oserror(errno.ENOSPC)
        return os.write(fd, data[: len(data) // 2]) if turn == "half" else None

    return answer


def runs(tmp_path, case, times):
    """Give a run for each place where the fault can strike, up to one that it does not reach."""
    name, code, durability = case
    number = 0
    for number, fs in each_call_failing(name, code, times=times):
        if name == "ftruncate":
            fs.plan["write"] = stumbling()
        yield Run(tmp_path / str(number), fs, durability)
    assert number > 1


@each_case("queue", "write", "fsync")
def test_nth_call_fails_once(tmp_path, case):
    """One failing call anywhere costs nothing: every event is in the files once, and the log ends clean."""
    for run in runs(tmp_path, case, 1):
        run.emit()
        assert run.close(PATIENT)
        stats = assert_balanced(run.path, run.log, run.emitted)
        assert stats.written == run.emitted
        assert case[2] != "queue" or len(run.acknowledged()) == run.emitted
        assert blm.verify(run.path, complete=True).ok
        assert of_kind(run.path, "system.worker_stopped")


@each_case("queue", "fsync")
def test_nth_call_fails_until_healed(tmp_path, case):
    """Calls that fail from some moment on, and work again before close, cost nothing either."""
    for run in runs(tmp_path, case, None):
        run.emit()
        run.fs.heal()
        assert run.close(PATIENT)
        stats = assert_balanced(run.path, run.log, run.emitted)
        assert stats.written == run.emitted
        assert blm.verify(run.path, complete=True).ok


@each_case("queue", "fsync", without={"ftruncate"})  # nobody could cut the half line away
def test_nth_call_fails_for_good(tmp_path, case):
    """With calls that fail to the end, close returns, and what is not in the files is counted as lost."""
    for run in runs(tmp_path, case, None):
        run.emit()
        closed = run.close(IMPATIENT)
        run.fs.heal()
        stats = assert_balanced(run.path, run.log, run.emitted)
        assert set(stats.dropped) <= {"storage", "shutdown"}
        assert not closed or stats.written == run.emitted
        assert stats.queued == 0
        if case[2] != "queue":
            assert run.acknowledged() <= set(ids(run.path))
