"""Rows 16 to 20 of the fault matrix: a disk that is full, stops short, is interrupted, fails to sync, has a limit."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import subprocess
import sys
import threading

import pytest
from support import TESTS
from support.faults import (
    FaultyFS,
    HurriedClock,
    PowerFS,
    assert_balanced,
    each_call_failing,
    ids,
    oserror,
    until_threads_end,
)
from support.tools import dropped, flat, of_kind, physical, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import ManualClock

FULL = {16: [errno.ENOSPC], 20: [errno.EDQUOT, errno.EFBIG]}
PATIENT = 10_000  # seconds of a HurriedClock, ten of ours
BY_WORKER = ("write", "bamboo-logmetrics")  # a write of the log itself that was refused


def each_error(row):
    return pytest.mark.parametrize("code", FULL[row], ids=errno.errorcode.get)


def storage_errors(path):
    return [line["error"] for line in of_kind(path, "system.storage_error")]


# -- full: rows 16 and 20 ----------------------------------------------------------------


def close_in_its_time(log, clock):
    """Close a log whose clock stands still, moving it while close waits; return what close says."""
    answers = []
    closing = threading.Thread(target=lambda: answers.append(log.close(timeout=5)))
    closing.start()
    while closing.is_alive():
        clock.advance(0.5)
        closing.join(0.01)
    until_threads_end()
    return answers[0]


class Slow:
    """A log on a clock that the test moves."""

    def __init__(self, path):
        self.path = path
        self.clock, self.fs = ManualClock(), FaultyFS()
        self.log = blm.open_log(path, fs=self.fs, clock=self.clock, queue_size=20)
        self._tried = threading.Semaphore(0)

    def fail(self, code):
        def failing(*_):
            self._tried.release()
            raise oserror(code)

        self.fs.plan["write"] = failing

    def until_next_try(self, seconds=0.0):
        """Let ``seconds`` pass, and more until a write is tried."""
        self.clock.until_waiting()
        self.clock.advance(seconds)
        while not self._tried.acquire(timeout=0.05):
            self.clock.advance(1)

    def flush(self):
        while not self.log.flush(timeout=0):
            self.clock.advance(1)

    def close(self):
        return close_in_its_time(self.log, self.clock)


@pytest.fixture
def slow(path):
    made = Slow(path)
    yield made
    made.fs.heal()
    made.close()


def full_once(path, code, capsys):
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs)
    assert log.flush()
    fs.fail("write", code)
    for n in range(50):
        assert log.emit(tool(n))
    assert log.close()
    assert assert_balanced(path, log, 50).written == 50
    (said,) = of_kind(path, "system.storage_error")
    assert said["error"] == f"OSError: [Errno {code}] {os.strerror(code)}"
    assert said["event_type"] == "chat.tool_called"
    assert blm.verify(path, complete=True).ok
    assert capsys.readouterr().err.count("\n") == 1


def full_for_long(slow, code, capsys):
    log = slow.log
    slow.flush()
    slow.fail(code)
    assert log.emit(tool("in hand"))
    slow.until_next_try()
    answers = [log.emit(tool(n)) for n in range(50)]
    assert answers == [True] * 20 + [False] * 30
    for _ in range(5):
        slow.until_next_try(60)
    said = capsys.readouterr().err.count("\n")
    assert 5 <= said <= 1 + slow.clock.monotonic() // 60
    assert log.stats().queued == 21
    slow.fs.heal()
    slow.flush()
    assert log.emit(tool("after"))
    assert slow.close()
    stats = assert_balanced(slow.path, log, 52)
    assert (stats.written, dict(stats.dropped)) == (22, {"queue_full": 30})
    assert dropped(slow.path) == {"queue_full": 30}
    assert len(storage_errors(slow.path)) == 1
    assert blm.verify(slow.path, complete=True).ok


def full_to_the_end(slow, code, capsys):
    log = slow.log
    log.emit(tool("before"))
    slow.flush()
    slow.fail(code)
    answers = [log.emit(tool(n)) for n in range(50)]
    assert not slow.close()
    stats = assert_balanced(slow.path, log, 51)
    assert (stats.written, stats.dropped_total, stats.queued) == (1, 50, 0)
    assert stats.dropped["queue_full"] == answers.count(False)
    assert set(stats.dropped) <= {"storage", "shutdown", "queue_full"}
    assert ids(slow.path) == ["cbefore"]
    assert capsys.readouterr().err.count("\n") == 1


@each_error(16)
def test_row_16_disk_full_once(path, code, capsys):
    """A disk that is full once costs nothing but a StorageError line and a line on stderr."""
    full_once(path, code, capsys)


@each_error(16)
def test_row_16_disk_full_for_long(slow, code, capsys):
    """While the disk is full the queue is kept, what it refuses is counted to the event, and stderr gets a line a minute."""
    full_for_long(slow, code, capsys)


@each_error(16)
def test_row_16_disk_full_to_the_end(slow, code, capsys):
    """On a disk that stays full, close says no, and every event that is not in the file is counted."""
    full_to_the_end(slow, code, capsys)


@each_error(20)
def test_row_20_limit_once(path, code, capsys):
    """A quota or a limit on files that is met once costs what a full disk costs."""
    full_once(path, code, capsys)


@each_error(20)
def test_row_20_limit_for_long(slow, code, capsys):
    """A quota or a limit on files that lasts is borne as a full disk is."""
    full_for_long(slow, code, capsys)


@each_error(20)
def test_row_20_limit_to_the_end(slow, code, capsys):
    """A quota or a limit on files to the end is counted as a full disk is."""
    full_to_the_end(slow, code, capsys)


@contextlib.contextmanager
def small_disk(folder):
    """Mount a real file system of 1 MB."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("mounting a tmpfs needs root on Linux")
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        if subprocess.run(["umount", folder], capture_output=True, check=False).returncode:
            subprocess.run(["umount", "-l", folder], check=True)  # a test that failed may have left files open


@pytest.mark.parametrize("max_bytes", [64 * 1024 * 1024, 100_000])
def test_row_16_real_tmpfs(tmp_path, capsys, max_bytes):
    """A log fills a real disk, overflows, and goes on when there is space again, with every event in a line or counted."""
    folder = tmp_path / "disk"
    with small_disk(folder):
        filler = folder / "filler"
        filler.write_bytes(bytes(500_000))
        path = folder / "a.jsonl"
        fs = FaultyFS()
        log = blm.open_log(path, fs=fs, clock=HurriedClock(), queue_size=200, max_bytes=max_bytes, compress="gzip")
        try:
            emitted = refused = 0
            while refused < 100:
                refused += not log.emit(tool(emitted), text="x" * 500)
                emitted += 1
                if BY_WORKER not in fs.refused:
                    log.flush(timeout=200)
                assert emitted < 20_000
            filler.unlink()
            assert log.flush(timeout=PATIENT)
            for n in range(20):
                assert log.emit(tool(f"later {n}"))
            assert log.close(timeout=PATIENT)
        finally:
            filler.unlink(missing_ok=True)
            log.close(timeout=PATIENT)
        stats = assert_balanced(path, log, emitted + 20)
        assert dropped(path) == dict(stats.dropped) == {"queue_full": refused}
        assert any("No space left" in error for error in storage_errors(path))
        assert blm.verify(path, complete=True).ok


@pytest.mark.parametrize("healed", [True, False])
def test_row_20_real_limit_on_files(run_python, path, healed):
    """At a real RLIMIT_FSIZE the log keeps whole lines and waits; what is not written in the end is counted."""
    code = """
import fcntl, os, resource, signal, sys
sys.path.insert(0, sys.argv[3])
from support.faults import FaultyFS, HurriedClock, assert_balanced, until_threads_end
from support.tools import tool
import bamboo_logmetrics as blm

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # as Python has it; else the kernel would kill
path, healed = sys.argv[1], sys.argv[2] == "True"
fs = FaultyFS()
log = blm.open_log(path, fs=fs, clock=HurriedClock(), queue_size=100)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
answers = []
while answers.count(False) < 50:
    answers.append(log.emit(tool(len(answers))))
    if ("write", "bamboo-logmetrics") not in fs.refused:
        log.flush(timeout=200)
with open(os.path.join(os.path.dirname(path), ".a.jsonl.lock")) as lock, open(path, "rb") as file:
    fcntl.flock(lock, fcntl.LOCK_EX)  # while it is free, no half line stands in the file
    data = file.read()
if healed:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
closed = log.close(timeout=10_000 if healed else 20)
until_threads_end()
stats = assert_balanced(path, log, len(answers))
print(closed, stats.written == sum(answers), stats.dropped["queue_full"] == 50, 19_000 < len(data) <= 20_000, data[-1:] == b"\\n")
"""
    done = run_python(code, path, healed, TESTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(healed), str(healed), "True", "True", "True"]
    if healed:
        assert any("File too large" in error for error in storage_errors(path))
        assert blm.verify(path, complete=True).ok
    assert physical(path)


# -- stopping short: rows 17 and 18 ------------------------------------------------------


class ShortWrites(FaultyFS):
    """The write of a batch of three takes ``size`` bytes; the next call raises ``error``, ``times`` times."""

    def __init__(self, path, error, times=1):
        super().__init__()
        self.path = path
        self.error = error
        self.times = times
        self.size = None  # None: the next batch is written as it is
        self.whole = False  # the last batch was no longer than that
        self.torn = 0  # batches that were split within a line
        self.halves = 0  # times the lock was released with half a line in the file
        self._left = []  # what the next writes do
        self.plan = {"write": self._write, "unlock": self._look}

    def _write(self, fd, data):
        if self.size is not None and bytes(data).count(b"\n") == 3:
            size, self.size = self.size, None
            self.whole = size >= len(data)
            self.torn += bytes(data[:size])[-1:] not in {b"", b"\n"}
            self._left = [size] * (size > 0) + [self.error] * self.times * (not self.whole)
        if not self._left:
            return None
        step = self._left.pop(0)
        if isinstance(step, int):
            return os.write(fd, data[:step])
        raise step

    def _look(self, _):
        self.halves += self.path.read_bytes()[-1:] not in {b"", b"\n"}


def split_everywhere(path, fs, step=1):
    """Write batches of three lines, the first split at byte 0, the next at byte ``step`` and so on; check all lines."""
    # with so long an interval three events are one batch: the flush is what wakes the worker
    log = blm.open_log(path, fs=fs, clock=HurriedClock(), flush_interval=1e8)
    given = ["begin"]
    log.emit(tool("begin"))
    assert log.flush(timeout=PATIENT)
    for split in itertools.count(0, step):
        fs.size = split
        batch = [f"{split}-{n}" for n in range(3)]
        assert [log.emit(tool(name)) for name in batch] == [True] * 3
        given += batch
        assert log.flush(timeout=PATIENT)
        assert fs.size is None  # it was one batch
        if fs.whole:
            break
    assert log.close(timeout=PATIENT)
    assert assert_balanced(path, log, len(given)).written == len(given)
    assert ids(path) == [f"c{name}" for name in given]
    assert blm.verify(path, complete=True).ok
    return log


def test_row_17_every_split_point(path):
    """A batch that a full disk splits at any byte is cut back to whole lines before the lock is free, then finished."""
    fs = ShortWrites(path, oserror(errno.ENOSPC))
    log = split_everywhere(path, fs)
    assert fs.torn > 500
    assert fs.halves == 0
    assert log.stats().repaired_bytes == 0


def test_row_17_every_split_point_that_cannot_be_cut(path):
    """A half line that could not be cut back is cut by the next write, and nothing is appended to it."""
    fs = ShortWrites(path, oserror(errno.ENOSPC))
    failed = set()

    def fail_the_first(*_):
        if fs.torn not in failed:
            failed.add(fs.torn)
            raise oserror(errno.EIO)

    fs.plan["ftruncate"] = fail_the_first
    log = split_everywhere(path, fs)
    assert fs.halves == fs.torn > 500
    assert log.stats().repaired_bytes > fs.torn


@pytest.mark.parametrize("code", [errno.EINTR, errno.EAGAIN], ids=errno.errorcode.get)
def test_row_18_interrupted_anywhere(path, code):
    """A write that is interrupted, or told to come again, within any line doubles nothing and loses nothing."""
    fs = ShortWrites(path, oserror(code), times=2)
    split_everywhere(path, fs, step=7)
    assert fs.torn > 70
    assert fs.halves == 0
    assert (storage_errors(path) == []) == (code == errno.EINTR)


@pytest.mark.parametrize("call", ["open", "lock", "lstat", "fstat", "fsync", "rename", "unlink", "listdir", "pread"])
@pytest.mark.parametrize("code", [errno.EINTR, errno.EAGAIN], ids=errno.errorcode.get)
def test_row_18_other_calls_interrupted(path, call, code):
    """Any other call that is interrupted again and again is repeated in the end, and no line is there twice."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs, clock=HurriedClock(), max_bytes=1000, compress="gzip")
    for n in range(12):
        if n == 6:
            fs.fail_really(call, code, times=3)
        assert log.emit(tool(n))
        assert log.flush(timeout=PATIENT)
    assert log.close(timeout=PATIENT)
    assert fs.failed  # up to three times: a rotation is tried again after a while only
    assert assert_balanced(path, log, 12).written == 12
    assert blm.verify(path, complete=True).ok


# -- syncing and closing: row 19 ---------------------------------------------------------


def test_row_19_a_failed_fsync(path, capsys):
    """While fsync fails no emit is acknowledged; the next that can be synced is, and one StorageError tells of it."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs, clock=HurriedClock(), durability="fsync", block_timeout=PATIENT)
    assert log.emit(tool(0))
    fs.fail("fsync", errno.EIO, times=2)
    assert [log.emit(tool(n)) for n in range(1, 5)] == [False, False, True, True]
    assert log.close(timeout=PATIENT)
    stats = assert_balanced(path, log, 5)
    assert stats.written == 5  # they are in the file; only, nobody may rely on it
    assert storage_errors(path) == [f"OSError: [Errno {errno.EIO}] fsync: {os.strerror(errno.EIO)}"]
    assert blm.verify(path, complete=True).ok


@pytest.mark.parametrize("call", ["fsync", "open", "fchmod", "close", "rename"])
@pytest.mark.parametrize("times", [1, 4])
def test_row_19_acknowledged_survives_a_power_cut(tmp_path, call, times):
    """Whatever fails before it, an emit that fsync acknowledges is in what a power cut would leave at that moment."""
    acknowledged = 0
    for number, fs in each_call_failing(call, errno.EIO, times=times, make=PowerFS):
        path = tmp_path / str(number) / "a.jsonl"
        options = {"max_bytes": 1000, "compress": "gzip", "durability": "fsync", "block_timeout": 5}
        log = blm.open_log(path, fs=fs, clock=HurriedClock(), **options)
        with log:
            for n in range(8):
                if log.emit(tool(n)):
                    acknowledged += 1
                    assert f"c{n}" in [json.loads(line).get("tool_call_id") for line in fs.after_a_power_cut()]
            assert log.close(timeout=PATIENT)
        assert assert_balanced(path, log, 8).written == 8
    assert acknowledged > 8


def test_row_19_eio_at_close_in_rotation(path):
    """A rotated file whose close fails is a StorageError in the log; nothing is missing."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs, clock=HurriedClock(), max_bytes=1000)
    for n in range(8):
        if n == 1:
            fs.fail_really("close", errno.EIO)
        assert log.emit(tool(n))
        assert log.flush(timeout=PATIENT)
    assert log.close(timeout=PATIENT)
    assert fs.failed == 1
    assert assert_balanced(path, log, 8).written == 8
    assert [error for error in storage_errors(path) if os.strerror(errno.EIO) in error]
    assert blm.verify(path, complete=True).ok


def test_row_19_eio_at_the_last_close(path, capsys):
    """A close that fails at the very end, after the last line, is said on stderr; the log is complete."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs)
    log.emit(tool(0))
    assert log.flush()
    fs.fail_really("close", errno.EIO, times=None)
    assert log.close()
    assert fs.failed
    assert assert_balanced(path, log, 1).written == 1
    assert [line["event"] for line in flat(path)].count("system.worker_stopped") == 1
    assert blm.verify(path, complete=True).ok
    assert os.strerror(errno.EIO) in capsys.readouterr().err
