"""Rows 25, 26, 30 and 31: torn lines, unfinished compressions, and processes that meet at one file."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import threading
from itertools import count
from pathlib import Path

import pytest
from support.crashpoints import (
    CrashFS,
    every_point,
    flush_and_tidy,
    join_workers,
    leftovers,
    listen,
    numbers,
    other_process,
    program,
    quick_folder,
    rotated,
    send,
    torn,
    whole_lines,
)
from support.faults import FaultyFS
from support.packing import PACK
from support.tools import physical, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.system import FS

KINDS = {"gzip": ".gz", "zstd": ".zst"}


def events_in(path):
    """Return the numbers of all events of a log, after checking that no line is there twice."""
    return sorted(number for found in numbers(whole_lines(path)).values() for number in found)


def own(path, kind):
    """Return the log's own lines of one kind."""
    return [line for line in whole_lines(path) if line["event"] == f"system.{kind}"]


# -- row 25 --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Return a closed log, and two lines of one, with characters of up to four bytes: a typed and a plain one."""
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    with blm.open_log(path) as log:
        log.emit(tool(1, tool_name="Größe 日本 🎋"))
        log.warning("Grüße, 世界 🎋", who="é")
    typed, plain = physical(path)[1:3]
    assert not typed.isascii()
    assert not plain.isascii()
    return {"closed": path.read_bytes(), "alone": b"", "typed": typed, "plain": plain}


@pytest.mark.parametrize("before", ["closed", "alone"])
@pytest.mark.parametrize("kind", ["typed", "plain"])
def test_row_25_torn_at_opening(lines, path, before, kind):
    """A line that is cut at any byte is cut away at opening, to the byte and counted, and the next line is whole."""
    for cut in range(len(lines[kind]) + 1):
        path.write_bytes(lines[before] + lines[kind][:cut])
        with blm.open_log(path) as log:
            assert log.emit(tool(2))
        data = path.read_bytes()
        assert data.startswith(lines[before])
        started, event, stopped, end = data[len(lines[before]) :].split(b"\n")
        assert (json.loads(event)["tool_call_id"], end) == ("c2", b"")
        assert log.stats().repaired_bytes == json.loads(started)["repaired_bytes"] == cut
        assert json.loads(stopped).get("repaired_bytes", 0) == cut
    assert blm.verify(path).ok


@pytest.mark.parametrize("kind", ["typed", "plain"])
def test_row_25_torn_while_open(lines, path, kind):
    """Whatever part of a line another process leaves while the log is open, the next write cuts it away and counts it."""
    repaired = 0
    with blm.open_log(path, durability="write") as log:
        assert log.flush()  # now it writes nothing of its own accord: this test does not take the lock
        for cut in range(1, len(lines[kind]) + 1):
            with open(path, "ab") as file:
                file.write(lines[kind][:cut])
            repaired += cut
            assert log.emit(tool(cut))
            assert log.stats().repaired_bytes == repaired
    assert events_in(path) == list(range(1, len(lines[kind]) + 1))
    assert json.loads(physical(path)[-1])["repaired_bytes"] == repaired
    assert blm.verify(path).ok


# -- row 26 --------------------------------------------------------------------------------

OLD = 9  # events in the rotated files


def write_rotated(path):
    """Write a closed log of four files, three of them rotated and plain."""
    with blm.open_log(path, max_bytes=1_000) as log:
        for number in range(OLD):
            assert log.emit(tool(number))
    assert len(rotated(path)) == 3
    assert leftovers(path) == []


@pytest.fixture(scope="module")
def folder():
    with quick_folder() as name:
        yield name


@pytest.fixture
def copy(folder):
    """Return a function that copies a log of four files, made once, to a new place, and returns its path."""
    template = os.path.join(folder, "template", "a.jsonl")
    if not os.path.exists(template):
        write_rotated(template)
    copies = tempfile.mkdtemp(dir=folder)

    def copying():
        return os.path.join(
            shutil.copytree(os.path.dirname(template), tempfile.mkdtemp(dir=copies), dirs_exist_ok=True), "a.jsonl"
        )

    yield copying
    shutil.rmtree(copies)


def finish(path, kind):
    """Open the log once more and check that every rotated file but the newest is compressed, and nothing else left."""
    before = events_in(path)
    blm.open_log(path, compress=kind).close()
    assert leftovers(path) == []
    assert [name.endswith(KINDS[kind]) for name in rotated(path)] == [True] * (len(rotated(path)) - 1) + [False]
    assert events_in(path) == before


class ClosingFS(FaultyFS):
    """Closes a descriptor also where it then fails, as Linux does."""

    def close(self, fd):
        try:
            super().close(fd)
        except OSError:
            os.close(fd)
            raise


def in_compression(*_):
    return threading.current_thread().name == "bamboo-logmetrics-tidy"


COMPRESSING = ("listdir", "open", "lock", "fstat", "pread", "fchmod", "write", "fsync", "rename", "unlink", "close")


@pytest.mark.parametrize("times", [1, None], ids=["once", "for_good"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", COMPRESSING)
def test_row_26_compression_fails(copy, kind, call, times):
    """Whichever call of a compression fails, no event is lost or doubled, the log says so, and the next one ends it."""
    for nth in count():
        path = copy()
        fs = ClosingFS()
        fs.fail(call, after=nth, times=times, when=in_compression)
        with blm.open_log(path, compress=kind, fs=fs) as log:
            flush_and_tidy(log)
            assert log.emit(tool(OLD))  # after which the trouble is told
        failed = bool(own(path, "storage_error"))
        assert events_in(path) == [*range(OLD), OLD]
        assert blm.verify(path).ok
        finish(path, kind)
        if not failed:
            assert nth > 1
            return


class Lying(FS):
    """A compressor that reports success although it wrote something else."""

    def __init__(self, lie, other):
        self.lie = lie
        self.other = other

    def write(self, fd, data):
        if not in_compression():
            return super().write(fd, data)
        changed = self.lie(bytes(data))
        if self.lie is instead:
            changed = b"" if os.lseek(fd, 0, os.SEEK_CUR) else self.other
        super().write(fd, changed)
        return len(data)


def instead(_):
    """Write, in place of all the data, what is whole and of something else."""


LIES = {
    "cut": lambda data: data[:-3],
    "nothing": lambda data: b"",
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "instead": instead,
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kind", KINDS)
def test_row_26_verified_before_unlink(copy, kind, lie):
    """A plain file stays when its compressed form does not read back, though the system had reported no error."""
    path = copy()
    plain = rotated(path)
    with blm.open_log(path, compress=kind, fs=Lying(LIES[lie], PACK[kind](b"{}\n"))) as log:
        flush_and_tidy(log)
        assert log.emit(tool(OLD))
    assert (rotated(path), leftovers(path)) == (plain, [])
    assert own(path, "storage_error")
    assert events_in(path) == [*range(OLD), OLD]
    assert blm.verify(path).ok
    finish(path, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_row_26_order_of_the_steps(copy, kind):
    """A compressed file is on the disk, read back, renamed, and that is on the disk too, before the plain one goes."""
    path = copy()
    fs = CrashFS()
    blm.open_log(path, compress=kind, fs=fs).close()
    wanted = ["write@partial", "fsync@partial", "pread@partial", "rename@partial", "fsync@dir", "unlink@plain"]
    steps = [step for step in fs.passed if step in wanted]
    shortened = [step for step, before in zip(steps, ["", *steps], strict=False) if step != before]
    assert shortened == wanted * 2


def damaged(data):
    """Return the forms in which a crash may have left a file."""
    return {"nothing": b"", "half": data[: len(data) // 2], "garbage": b"\0" * 100, "whole": data}


@pytest.mark.parametrize("what", ["nothing", "half", "garbage", "whole"])
@pytest.mark.parametrize("left", ["partial", "both", "both_of_both"])
@pytest.mark.parametrize("kind", KINDS)
def test_row_26_leftovers(copy, kind, left, what):
    """The plain file counts beside whatever lies there in its compressed forms, which is removed and made anew."""
    path = copy()
    folder = Path(path).parent
    for plain in map(os.path.basename, rotated(path)):
        for each in KINDS if left == "both_of_both" else [kind]:
            name = f".{plain}{KINDS[each]}.tmp" if left == "partial" else plain + KINDS[each]
            (folder / name).write_bytes(damaged(PACK[each]((folder / plain).read_bytes()))[what])
    assert leftovers(path)
    assert len(list(blm.read(path))) == len(whole_lines(path)) == OLD + 2
    assert events_in(path) == list(range(OLD))
    assert blm.verify(path).ok
    finish(path, kind)
    assert len(list(blm.read(path))) == OLD + 4
    assert blm.verify(path).ok


def compress(path, kind, point, tell):
    """Open a log, which compresses its rotated files, and close it."""
    fs = CrashFS(point, tell=tell)
    log = blm.open_log(path, compress=kind, fs=fs)
    flush_and_tidy(log)
    log.close()
    send(tell, *fs.passed)
    send(tell, "done")


def kill_in_compression(folder, kind):
    """Kill a process at each step of a compression in turn; return at which steps they died."""
    template = os.path.join(folder, "template")
    write_rotated(os.path.join(template, "a.jsonl"))
    join_workers()
    gc.freeze()  # forking is faster then
    died, points = [], [None]
    while points:
        path = os.path.join(shutil.copytree(template, os.path.join(folder, "log")), "a.jsonl")
        point = points.pop()
        told = listen(compress, path, kind, point)
        assert (told.at or None) == point, told
        if not point:
            points = every_point(told.others[0].split())
        else:
            died.append(point)
        check_kill_in_compression(path, kind)
        shutil.rmtree(os.path.dirname(path))
    return died


def check_kill_in_compression(path, kind):
    """Check that the old events are all there once, before and after another process has finished the compression."""
    assert events_in(path) == list(range(OLD))
    tail = ["broken_line"] if torn(path) else []
    open_ended = sum(line["event"] == "system.worker_started" for line in whole_lines(path))
    open_ended -= sum(line["event"] == "system.worker_stopped" for line in whole_lines(path))
    assert [finding.kind for finding in blm.verify(path).problems] == tail + ["unclean_end"] * open_ended
    finish(path, kind)
    join_workers()
    assert [finding.kind for finding in blm.verify(path).problems] == ["unclean_end"] * open_ended


@pytest.mark.parametrize("kind", KINDS)
def test_row_26_compression_is_killed(run_python, kind):
    """A process killed at any step of a compression leaves every event there once, and the next process ends it."""
    with quick_folder() as folder:
        done = run_python(program(kill_in_compression), folder, kind, timeout=100)
    assert done.returncode == 0, done.stderr
    steps = {":".join(point.split(":")[::2]) for point in json.loads(done.stdout)}
    both = {
        "open@plain",
        "open@partial",
        "write@partial",
        "fsync@partial",
        "rename@partial",
        "fsync@dir",
        "unlink@plain",
    }
    wanted = {f"{step}:{when}" for step in both for when in ("before", "after")} | {"write@partial:within"}
    assert wanted <= steps, wanted - steps


# -- rows 30 and 31: another process stands still at a crash point ---------------------------

MEETING = {"max_bytes": 4_000, "durability": "write"}
OURS = 1_000  # the numbers of this process's events begin there


def emit_up_to(path, point):
    """Emit until the point was reached and left."""
    fs = CrashFS(point, tell=1, go_on=0)
    log = blm.open_log(path, fs=fs, **MEETING)
    send(1, log.stats().writer)
    for number in range(100):
        send(1, "emitting", number)
        if log.emit(tool(number)):
            send(1, "acknowledged", number)
        if fs.reached:
            break
    log.close()
    send(1, "done")


def contents(path):
    """Return every file of a log but for the lock, with what it holds."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith(".lock")}


WHILE_ROTATING = ["rename@log:1:before", "rename@log:1:after", "open@new:2:after"]


@pytest.mark.parametrize("point", WHILE_ROTATING)
def test_row_30_two_rotate(path, open_log, point):
    """While one process is between its check and its new file, others change nothing and keep their lines."""
    ours = open_log(block_timeout=0.05, **MEETING)
    with other_process(emit_up_to, path, point) as other:
        before = contents(path)
        assert not ours.emit(tool(OURS))  # in vain, for as long as a caller would wait
        late = open_log(block_timeout=0.05, **MEETING)
        assert not late.emit(tool(OURS + 1))
        assert [log.stats().queued for log in (ours, late)] == [1, 1]
        assert contents(path) == before
        other.go_on()
    assert [log.flush() for log in (ours, late)] == [True, True]
    assert len(rotated(path)) == 1
    assert ours.emit(tool(OURS + 2))
    assert [log.close() for log in (ours, late)] == [True, True]
    assert len(rotated(path)) == 1
    found = numbers(whole_lines(path))
    assert found[other.writer] == list(range(other.told.emitted + 1))
    assert (found[ours.stats().writer], found[late.stats().writer]) == ([OURS, OURS + 2], [OURS + 1])
    assert blm.verify(path).ok


def test_row_30_queued_lines_wait(path, open_log):
    """With durability queue, emits go on while another process rotates, and their lines follow in the new file."""
    ours = open_log(max_bytes=MEETING["max_bytes"])
    assert ours.flush()
    with other_process(emit_up_to, path, "rename@log:1:before") as other:
        before = contents(path)
        assert all(ours.emit(tool(OURS + number)) for number in range(3))
        assert not ours.flush(0.05)
        assert contents(path) == before
        other.go_on()
    assert ours.close()
    assert len(rotated(path)) == 1
    assert numbers(whole_lines(path))[ours.stats().writer] == [OURS, OURS + 1, OURS + 2]
    assert blm.verify(path).ok


HOLDING = ["write@log:3:within", "write@log:3:after", *WHILE_ROTATING]


@pytest.mark.parametrize("point", HOLDING)
def test_row_31_holder_is_killed(path, open_log, point):
    """After the holder of the lock is killed the others go on, and one of them cuts away its half line and says so."""
    ours = open_log(block_timeout=0.05, **MEETING)
    also = open_log(block_timeout=0.05, **MEETING)
    with other_process(emit_up_to, path, point) as other:
        half = torn(path)
        assert bool(half) == point.endswith("within")
        assert [log.emit(tool(OURS)) for log in (ours, also)] == [False, False]
        assert torn(path) == half
        other.kill()
    assert [log.flush() for log in (ours, also)] == [True, True]
    late = open_log(**MEETING)
    assert late.emit(tool(OURS))
    logs = (ours, also, late)
    assert [log.close() for log in logs] == [True, True, True]
    assert sum(log.stats().repaired_bytes for log in logs) == half
    assert sum(line.get("repaired_bytes", 0) for line in own(path, "worker_stopped")) == half
    found = numbers(whole_lines(path))
    assert [found[log.stats().writer] for log in logs] == [[OURS]] * 3
    assert found[other.writer] == list(range(len(found[other.writer])))
    assert other.told.acknowledged < len(found[other.writer]) <= other.told.emitted + 1
    assert torn(path) == 0
    assert [(each.kind, each.writer) for each in blm.verify(path).problems] == [("unclean_end", other.writer)]


def test_row_31_opened_after_the_kill(path, open_log):
    """Who opens the log after the kill cuts the half line away, and its first line says how much that was."""
    with other_process(emit_up_to, path, "write@log:3:within") as other:
        half = torn(path)
        assert half > 0
        other.kill()
    log = open_log(**MEETING)
    assert log.emit(tool(OURS))
    assert log.close()
    started = own(path, "worker_started")[-1]
    assert (started["writer"], started["repaired_bytes"]) == (log.stats().writer, half)
    assert numbers(whole_lines(path))[log.stats().writer] == [OURS]
    assert [(each.kind, each.writer) for each in blm.verify(path).problems] == [("unclean_end", other.writer)]
