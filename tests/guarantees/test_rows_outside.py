"""Rows 21 to 24, 27 and 28 of the fault matrix: what others do to the files, the directory, the descriptors, the clock."""

from __future__ import annotations

import contextlib
import errno
import gzip
import itertools
import json
import os
import shutil
import threading
from datetime import datetime, timedelta, timezone

import pytest
from support import TESTS
from support.faults import FaultyFS, HurriedClock, assert_balanced, ids, oserror, until_threads_end
from support.tools import balanced, of_kind, physical, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logfiles.names import list_rotated
from bamboo_logmetrics.testing import ManualClock

PATIENT = 10_000  # seconds of a HurriedClock, ten of ours


@pytest.fixture
def standing(path):
    """Open logs on clocks that stand still; whatever the test did, they are ended."""
    made = []

    def opening(clock=None, **options):
        clock = clock or ManualClock()
        made.append((blm.open_log(path, clock=clock, **options), clock, options.get("fs")))
        return made[-1][0]

    yield opening
    for log, clock, fs in made:
        if fs is not None:
            fs.heal()
        closing = threading.Thread(target=log.close)
        closing.start()
        while closing.is_alive():
            clock.advance(0.5)
            closing.join(0.01)


def flushed(log, clock):
    """Flush a log whose clock stands still, which has to move when something fails."""
    for _ in range(1000):
        if log.flush(timeout=0):
            return True
        clock.advance(0.01)
    return False


def rotated(path):
    """Return the names of the rotated files, the oldest first."""
    return [item.name for item in list_rotated(os.listdir(path.parent), path.name)]


def whole(file):
    """Return the lines of one file as strict JSON."""
    data = file.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    assert b"\0" not in data
    return [json.loads(line) for line in data.splitlines()]


def every_line(folder):
    """Return the lines of all files of a directory but the hidden ones; of two forms, of the plain one."""
    lines = []
    for name in sorted(os.listdir(folder)):
        if name.startswith(".") or (name.endswith(".gz") and (folder / name[:-3]).exists()):
            continue
        data = (folder / name).read_bytes()
        plain = gzip.decompress(data) if name.endswith(".gz") else data
        assert plain == b"" or plain.endswith(b"\n")
        lines += [json.loads(line) for line in plain.splitlines()]
    return lines


def names_in(lines):
    return [line["tool_call_id"] for line in lines if line["event"] == "chat.tool_called"]


# -- rotation: row 21 --------------------------------------------------------------------


def new_file(_, flags, *__):
    return flags & os.O_EXCL


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["open", "rename", "listdir"])
def test_row_21_rotation_cannot(path, standing, call, code):
    """While rotation fails the old file is written on, tried ever less often, and rotated when it can be."""
    clock, fs = ManualClock(), FaultyFS()
    log = standing(clock, fs=fs, max_bytes=1000)
    fs.fail(call, code, times=None, when=new_file if call == "open" else lambda *_: True)
    for n in range(120):
        assert log.emit(tool(n))
        assert flushed(log, clock)
        clock.advance(30)
    assert rotated(path) == []
    assert len(names_in(whole(path))) == 120
    assert 30 <= fs.failed <= 66  # in an hour: after 1, 2, 4 ... 32 seconds, then once a minute
    fs.heal()
    clock.advance(60)
    log.emit(tool("later"))
    assert log.close()
    assert len(rotated(path)) == 1
    assert names_in(whole(path)) == ["clater"]
    assert assert_balanced(path, log, 121).written == 121
    said = of_kind(path, "system.storage_error")
    assert len(said) == fs.failed
    assert all(os.strerror(code) in line["error"] for line in said)
    assert blm.verify(path, complete=True).ok


def test_row_21_really_no_descriptors(run_python, path):
    """A process that has no descriptor left writes on in the old file, and rotates when it has one."""
    code = """
import os, resource, sys
sys.path.insert(0, sys.argv[2])
from support.faults import HurriedClock, assert_balanced
from support.tools import tool
import bamboo_logmetrics as blm

path = sys.argv[1]
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
log = blm.open_log(path, clock=HurriedClock(), max_bytes=1000)
log.emit(tool("first"))
assert log.flush(timeout=10_000)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
taken = []
try:
    while True:
        taken.append(os.dup(2))
except OSError as error:
    print(error.strerror)
before = os.stat(path).st_ino
for n in range(20):
    assert log.emit(tool(n))
    assert log.flush(timeout=10_000)
print(os.stat(path).st_ino == before)
for fd in taken:
    os.close(fd)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
n = 0
while os.stat(path).st_ino == before:
    assert log.emit(tool(f"later{n}"))
    assert log.flush(timeout=10_000)
    n += 1
    assert n < 100_000
print(log.close(timeout=10_000))
assert_balanced(path, log, 21 + n)
"""
    done = run_python(code, path, TESTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [os.strerror(errno.EMFILE), "True", "True"]
    assert any(os.strerror(errno.EMFILE) in line["error"] for line in of_kind(path, "system.storage_error"))
    assert blm.verify(path, complete=True).ok


# -- the file: row 22 --------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["queue", "write"])
@pytest.mark.parametrize("how", ["renamed", "unlinked"])
def test_row_22_moved_between_flushes(path, open_log, how, durability):
    """A file that was renamed or unlinked from outside is left; the next line begins a new file at the path."""
    log = open_log(durability=durability)
    files = []
    for n in range(10):
        assert log.emit(tool(n))
        assert log.flush()
        files.append(path.open("rb"))  # so that what was unlinked can be read
        os.rename(path, f"{path}.away{n}") if how == "renamed" else os.unlink(path)
    assert log.close()
    read = [json.loads(line) for file in files for line in file] + whole(path)
    for file in files:
        file.close()
    assert names_in(read) == [f"c{n}" for n in range(10)]
    assert [line["seq"] for line in read] == list(range(1, 13))
    assert log.stats().written == 10


@pytest.mark.parametrize("how", ["rename", "unlink"])
def test_row_22_moved_while_others_write(run_python, tmp_path, path, how):
    """With two processes at work on it, a file that is moved away again and again loses no line and doubles none."""
    code = """
import json, os, sys
sys.path.insert(0, sys.argv[3])
from support.tools import tool
import bamboo_logmetrics as blm

path, how = sys.argv[1:3]
WRITERS, EVENTS = 2, 600
progress, tell = os.pipe()
pids = []
for writer in range(WRITERS):
    pids.append(os.fork())
    if pids[-1] == 0:
        log = blm.open_log(path, durability="write", max_bytes=20_000)
        for n in range(EVENTS):
            assert log.emit(tool(f"{writer}-{n}"))
            os.write(tell, b".")
        os._exit(0 if log.close() else 1)
os.close(tell)
kept, moves = [], 0
while os.read(progress, 20):
    try:
        if how == "unlink":
            fd = os.open(path, os.O_RDONLY)
            kept.append(fd)
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                os.unlink(path)
        else:
            os.rename(path, f"{path}.away{moves}")
        moves += 1
    except FileNotFoundError:
        continue
codes = [os.waitpid(pid, 0)[1] for pid in pids]
folder = os.path.dirname(path)
lines = {}  # by inode, since one that is kept may have a name
for fd in kept + [os.open(f"{folder}/{name}", os.O_RDONLY) for name in os.listdir(folder) if name[0] != "."]:
    with open(fd, "rb") as file:
        lines[os.fstat(fd).st_ino] = [json.loads(line) for line in file]
found = [line["tool_call_id"] for each in lines.values() for line in each if line["event"] == "chat.tool_called"]
assert len(found) == len(set(found)) == WRITERS * EVENTS, (len(found), len(set(found)))
numbers = [(line["writer"], line["seq"]) for each in lines.values() for line in each]
assert len(numbers) == len(set(numbers))
print(codes, moves > 2)
"""
    done = run_python(code, path, how, TESTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 0] True\n"


# -- the directory: row 23 ---------------------------------------------------------------


def test_row_23_the_directory_is_removed(tmp_path, open_log):
    """A directory that was removed is made again with the next lines; the counts go on."""
    path = tmp_path / "sub" / "logs" / "a.jsonl"
    log = open_log("sub/logs/a.jsonl", max_bytes=1500, compress="gzip")
    for n in range(30):
        if n % 10 == 5:
            gone = path.parent if n < 10 else path.parent.parent
            gone.rename(tmp_path / "gone")  # at once: a compression under way puts new files into one that is emptied
            shutil.rmtree(tmp_path / "gone")
        assert log.emit(tool(n))
        assert log.flush()
    assert log.close()
    until_threads_end()
    stats = log.stats()
    assert balanced(stats)
    assert (stats.emitted, stats.written) == (30, 30)
    assert ids(path) == [f"c{n}" for n in range(25, 30)]


def test_row_23_the_directory_is_moved_under_load(tmp_path):
    """While a directory is renamed from outside over and over, every line is in one of the directories, once."""
    folder = tmp_path / "logs"
    log = blm.open_log(folder / "a.jsonl", durability="write", max_bytes=5000, compress="gzip")
    moves, emitted = 0, []

    def write():
        while moves < 8 or len(emitted) < 500:
            assert log.emit(tool(len(emitted)))
            emitted.append(f"c{len(emitted)}")

    writing = threading.Thread(target=write)
    writing.start()
    while writing.is_alive():
        before = log.stats().written
        while log.stats().written < before + 10 and writing.is_alive():
            pass
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, tmp_path / f"away{moves}")
            moves += 1
    assert log.close()
    until_threads_end()
    assert log.stats().written == len(emitted)
    lines = [line for each in tmp_path.iterdir() for line in every_line(each)]
    assert sorted(names_in(lines)) == sorted(emitted)
    assert sorted(line["seq"] for line in lines) == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("healed", [True, False])
@pytest.mark.parametrize("how", ["makedirs fails", "a file is in its place"])
def test_row_23_the_directory_cannot_be_made(tmp_path, how, healed):
    """Records that cannot be written because there can be no directory wait, and are counted when the log ends without one."""
    path, fs = tmp_path / "logs" / "a.jsonl", FaultyFS()
    log = blm.open_log(path, fs=fs, clock=HurriedClock(), queue_size=20)
    assert log.emit(tool("before"))
    assert log.flush(timeout=PATIENT)
    shutil.rmtree(path.parent)
    if how == "makedirs fails":
        fs.fail("makedirs", errno.EACCES, times=None)
    else:
        path.parent.write_text("in the way")
    answers = []
    while answers.count(False) < 10:
        answers.append(log.emit(tool(len(answers))))
    fs.heal()
    if healed and how != "makedirs fails":
        path.parent.unlink()
    elif not healed:
        fs.fail("makedirs", errno.EACCES, times=None)
    assert log.close(timeout=PATIENT if healed else 20) == healed
    until_threads_end()
    stats = log.stats()
    assert balanced(stats)
    assert stats.emitted == 1 + len(answers)
    assert stats.dropped["queue_full"] == 10
    assert stats.written == 1 + (answers.count(True) if healed else 0)
    assert stats.queued == 0
    if healed:
        assert ids(path) == [f"c{n}" for n, answer in enumerate(answers) if answer]


# -- copy and truncate: row 24 -----------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "lines", "half a line"])
def test_row_24_copied_and_truncated(path, open_log, left):
    """After copy-and-truncate from outside the next line stands at the new end, and the size counts from there."""
    log = open_log(max_bytes=100_000)
    for n in range(50):
        assert log.emit(tool(n))
    assert log.flush()
    copy = shutil.copy(path, path.parent / "copy")
    ends = [len(line) + 1 for line in path.read_bytes().split(b"\n")]
    size = {"nothing": 0, "lines": sum(ends[:10]), "half a line": sum(ends[:10]) + 99}[left]
    os.truncate(path, size)
    for n in range(50, 1000):
        assert log.emit(tool(n))
        if n % 5 == 0:
            assert log.flush()
        if rotated(path):
            break
    assert log.close()
    (old,) = rotated(path)
    lines = whole(path.parent / old) + whole(path)
    assert 99_000 < (path.parent / old).stat().st_size <= 100_000
    kept = 0 if left == "nothing" else 10
    assert names_in(lines) == [f"c{n}" for n in [*range(kept and kept - 1), *range(50, n + 1)]]
    assert names_in(whole(copy)) == [f"c{n}" for n in range(50)]
    stats = log.stats()
    assert balanced(stats)
    assert stats.written == n + 1
    assert stats.repaired_bytes == (99 if left == "half a line" else 0)


def test_row_24_truncated_under_load(path):
    """A file that is copied and truncated again and again while lines are written never holds a NUL byte."""
    log = blm.open_log(path, durability="write", max_bytes=50_000)
    copies, emitted = [], []

    def write():
        while len(copies) < 8 or len(emitted) < 800:
            emitted.append(log.emit(tool(len(emitted))))

    writing = threading.Thread(target=write)
    writing.start()
    while writing.is_alive():
        before = log.stats().written
        while log.stats().written < before + 10 and writing.is_alive():
            pass
        with contextlib.suppress(FileNotFoundError):  # between the rename and the create of a rotation
            copies.append(path.read_bytes())
            os.truncate(path, 0)
    writing.join()
    assert log.close()
    assert log.stats().written == len(emitted)
    assert not any(b"\0" in copy for copy in copies)
    found = names_in(json.loads(line) for line in physical(path))
    assert len(found) == len(set(found))


@pytest.mark.parametrize("taken", ["half a line", "a line and a half", "nothing"])
def test_row_24_truncated_under_a_write_that_fails(path, open_log, taken):
    """A file that is truncated while a full disk stops a write is cut to its lines, never made longer: no NUL bytes."""
    fs = FaultyFS()
    log = open_log(fs=fs, clock=HurriedClock(), flush_interval=1e8)
    for n in range(20):
        log.emit(tool(n))
    assert log.flush(timeout=PATIENT)
    shutil.copy(path, path.parent / "copy")
    steps = ["truncate", "full"]

    def answer(fd, data):
        step = steps.pop(0) if steps else ""
        if step == "truncate":
            os.truncate(path, 0)
            first = bytes(data).index(b"\n") + 1
            size = {"half a line": first // 2, "a line and a half": first * 3 // 2, "nothing": 0}[taken]
            if size:
                return os.write(fd, data[:size])
        if step:
            raise oserror(errno.ENOSPC)
        return None

    fs.plan["write"] = answer
    for n in range(20, 25):
        log.emit(tool(n))
    assert log.flush(timeout=PATIENT)
    assert log.close(timeout=PATIENT)
    assert names_in(whole(path)) == [f"c{n}" for n in range(20, 25)]
    assert log.stats().written == 25


# -- the clock: row 27 -------------------------------------------------------------------

START = datetime(2026, 11, 22, 15, 30, tzinfo=timezone.utc)


def nanoseconds(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000


def assert_in_order(path, log, emitted):
    """Check that nothing was overwritten, and that the names of the files sort as their lines do."""
    lines = [line for name in [*rotated(path), path.name] for line in whole(path.parent / name)]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert names_in(lines) == [f"c{n}" for n in range(emitted)]
    assert balanced(log.stats())
    assert log.stats().written == emitted
    assert blm.verify(path, complete=True).ok


@pytest.mark.parametrize("year", [1970, 1999, 2026, 2262])
def test_row_27_rotations_in_the_same_tick(path, standing, year):
    """On a clock that stands still, whatever it shows, each rotated file has a name of its own, in order."""
    clock = ManualClock(nanoseconds(START.replace(year=year)))
    log = standing(clock, max_bytes=1000)
    for n in range(40):
        assert log.emit(tool(n))
        assert flushed(log, clock)
    assert log.close()
    assert len(rotated(path)) >= 13
    assert_in_order(path, log, 40)


@pytest.mark.parametrize("step", [timedelta(microseconds=-1), timedelta(hours=-1), timedelta(days=-400)])
def test_row_27_clock_backwards(path, standing, step):
    """On a clock that goes back with each event, rotation goes by size alone, and the names keep the order."""
    clock = ManualClock(nanoseconds(START))
    log = standing(clock, max_bytes=1000, rotate_every="hour")
    for n in range(30):
        clock.set_wall(nanoseconds(START + n * step))
        assert log.emit(tool(n))
        assert flushed(log, clock)
    assert log.close()
    assert 9 < len(rotated(path)) <= 30 // 2
    assert_in_order(path, log, 30)


@pytest.mark.parametrize("every", ["hour", "day"])
def test_row_27_clock_jumps_far_ahead_and_back(path, standing, every):
    """A clock that jumps to and fro rotates once for the first jump ahead, and no more: no storm."""
    clock = ManualClock(nanoseconds(START))
    log = standing(clock, rotate_every=every)
    for n in range(60):
        clock.set_wall(nanoseconds(START.replace(year=2226 if n % 2 else 2026)))
        assert log.emit(tool(n))
        assert flushed(log, clock)
    assert log.close()
    assert len(rotated(path)) == 1
    assert_in_order(path, log, 60)


def test_row_27_the_last_name_of_all(path, open_log):
    """Beside a rotated file whose name no later one could follow, nothing is overwritten."""
    last = path.parent / f"{path.name}.29991231T235959999999Z-{'a' * 20}"
    last.write_bytes(b"")
    log = open_log(max_bytes=1000)
    for n in range(20):
        assert log.emit(tool(n))
        assert log.flush()
    assert log.close()
    lines = every_line(path.parent)
    assert sorted(names_in(lines)) == sorted(f"c{n}" for n in range(20))
    assert last.read_bytes() == b""


@pytest.mark.parametrize("night", ["2025-10-25", "2026-03-28"])
def test_row_27_daylight_saving(run_python, tmp_path, night):
    """In a night when the local hour changes, and when TZ itself does, hours and days still end with those of UTC."""
    code = """
import os, sys, time
sys.path.insert(0, sys.argv[3])
from datetime import datetime, timedelta, timezone
from support.tools import tool
import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import ManualClock

folder, night = sys.argv[1:3]
start = datetime.fromisoformat(night + "T20:00:00+00:00")
seconds = [int(start.timestamp()) + 600 * n for n in range(60)]  # ten hours
os.environ["TZ"] = "Europe/Berlin"
time.tzset()
if not 0 < sum(time.localtime(moment).tm_isdst for moment in seconds) < 60:
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"  # no table of time zones here: the rule itself
    time.tzset()
assert 0 < sum(time.localtime(moment).tm_isdst for moment in seconds) < 60
for every in ("hour", "day"):
    clock = ManualClock(seconds[0] * 10**9)
    log = blm.open_log(f"{folder}/{every}.jsonl", clock=clock, rotate_every=every)
    for moment in seconds:
        clock.set_wall(moment * 10**9)
        if moment == seconds[30]:
            os.environ["TZ"] = "Pacific/Auckland" if every == "hour" else "NZST-12"
            time.tzset()
        log.emit(tool(datetime.fromtimestamp(moment, timezone.utc).strftime("%d-%H")))
        assert log.flush()
    assert log.close()
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
"""
    done = run_python(code, tmp_path, night, TESTS)
    assert done.returncode == 0, done.stderr
    for every, count, part in (("hour", 10, slice(None)), ("day", 2, slice(1, 3))):
        path = tmp_path / f"{every}.jsonl"
        files = [names_in(whole(tmp_path / name)) for name in [*rotated(path), path.name]]
        assert len(files) == count
        assert sum(map(len, files)) == 60
        periods = [{name[part] for name in names} for names in files]
        assert [len(period) for period in periods] == [1] * count
        assert len(set.union(*periods)) == count


# -- retention: row 28 -------------------------------------------------------------------

STAMP, WRITER = "20250101T000000000000Z", "0123456789abcdef0123"
LOOK_ALIKES = [
    "a.jsonl.1",
    "a.jsonl.bak",
    "a.jsonl.gz",
    f"a.jsonl.{STAMP}",
    f"a.jsonl.{STAMP}-",
    f"a.jsonl.{STAMP}-{WRITER[:-1]}",
    f"a.jsonl.{STAMP}-{WRITER}4",
    f"a.jsonl.{STAMP}-{WRITER.upper()}",
    f"a.jsonl.{STAMP}-{WRITER}.bz2",
    f"a.jsonl.{STAMP}-{WRITER}.gz.bak",
    f"a.jsonl.{STAMP}-{WRITER}.gz.gz",
    f"a.jsonl.{STAMP}-{WRITER}\n",
    f"a.jsonl\n.{STAMP}-{WRITER}",
    f"a.jsonl.{STAMP}-{WRITER}.gz\n",
    f"a.jsonl.\n{STAMP}-{WRITER}",
    f"A.jsonl.{STAMP}-{WRITER}",
    f"aXjsonl.{STAMP}-{WRITER}",
    f"a.jsonl2.{STAMP}-{WRITER}",
    f"a.jsonl.b.{STAMP}-{WRITER}",
    f"b.a.jsonl.{STAMP}-{WRITER}",
    f"a.jsonl..{STAMP}-{WRITER}",
    f"a.jsonl.20251301T000000000000Z-{WRITER}",  # no such month
    f"a.jsonl.20250230T000000000000Z-{WRITER}",
    f"a.jsonl.20250101T250000000000Z-{WRITER}",
    f"a.jsonl.2025010\u0661T000000000000Z-{WRITER}",  # a digit, but not of ASCII
    f".a.jsonl.{STAMP}-{WRITER}",
    f".a.jsonl.{STAMP}-{WRITER}.tmp.bak",
    f".a.jsonl2.{STAMP}-{WRITER}.gz.tmp",
    f".b.jsonl.{STAMP}-{WRITER}.gz.tmp",
    "a.jsonl.tmp",
    ".a.jsonl.tmp",
]


def rotate_often(log, events=16):
    """Emit, and so rotate at every second or third event, and close."""
    for n in range(events):
        assert log.emit(tool(n))
        assert log.flush(timeout=PATIENT)
    assert log.close(timeout=PATIENT)
    until_threads_end()


def assert_only_ours_went(folder, before, count=2):
    """Check that of the writer's rotated files the newest are left, and of everything else all."""
    ours = sorted(name for name in os.listdir(folder) if name not in before and not name.startswith("."))
    active, *kept = ours
    assert active == "a.jsonl"
    assert len(kept) == count
    assert [name.endswith(".gz") for name in kept] == [True] * (count - 1) + [False]
    found = names_in(line for name in [*kept, active] for line in every_line_of(folder / name))
    assert found == [f"c{n}" for n in range(16 - len(found), 16)]
    assert len(found) >= count


def every_line_of(file):
    data = file.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if file.suffix == ".gz" else data).splitlines()]


def test_row_28_look_alikes_stay(path, open_log, capsys):
    """Retention and compression touch no file whose name only looks like that of a rotated one."""
    for name in LOOK_ALIKES:
        (path.parent / name).write_text(f"foreign {name}")
    rotate_often(open_log(clock=HurriedClock(), max_bytes=1000, backup_count=2, compress="gzip"))
    for name in LOOK_ALIKES:
        assert (path.parent / name).read_text() == f"foreign {name}"
    assert_only_ours_went(path.parent, set(LOOK_ALIKES))
    assert capsys.readouterr().err == ""


def test_row_28_other_logs_stay(path, open_log):
    """Logs whose names begin alike, in one directory, keep to their own rotated files."""
    others = ["a.jsonl2", "a.jsonl.b", "a", "a.json", f"a.jsonl.{STAMP}"]
    options = {"clock": HurriedClock(), "max_bytes": 1000, "compress": "gzip"}
    for name in others:
        rotate_often(open_log(name, **options))
    before = {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)}
    rotate_often(open_log(backup_count=2, **options))
    assert {name: (path.parent / name).read_bytes() for name in before} == before
    assert_only_ours_went(path.parent, set(before))


KINDS = ["directory", "symlink", "dangling symlink", "symlink to the log", "fifo"]
ENDS = [STAMP, "29991231T000000000000Z"]  # the oldest of all, the newest of all


@pytest.mark.parametrize("what", list(itertools.product(KINDS, ENDS)), ids=" ".join)
def test_row_28_what_is_no_file_stays(path, open_log, tmp_path_factory, capsys, what):
    """A directory, a symbolic link or a FIFO named as a rotated file stays, counts for nothing and disturbs nothing."""
    kind, stamp = what
    odd = path.parent / f"a.jsonl.{stamp}-{WRITER}"
    target = tmp_path_factory.mktemp("elsewhere") / "precious"
    target.write_text("precious")
    if kind == "directory":
        odd.mkdir()
        (odd / "inside").write_text("precious")
    elif kind == "fifo":
        os.mkfifo(odd)
    else:
        odd.symlink_to({"symlink": target, "dangling symlink": target.parent / "none"}.get(kind, path))
    before = os.lstat(odd)
    # whoever opens a FIFO for reading is not to wait for ever, should the test fail
    end = os.open(odd, os.O_RDWR | os.O_NONBLOCK) if kind == "fifo" else None
    try:
        rotate_often(open_log(clock=HurriedClock(), max_bytes=1000, backup_count=2, compress="gzip"))
    finally:
        if end is not None:
            os.close(end)
    assert os.lstat(odd)[:3] == before[:3]
    assert target.read_text() == "precious"
    assert_only_ours_went(path.parent, {odd.name})
    assert blm.verify(path).ok
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("count", [0, 1, 5])
def test_row_28_the_right_ones_go(path, open_log, count):
    """Retention keeps exactly the newest, also those that an earlier opening left, compressed or not."""
    for _ in range(2):
        rotate_often(open_log(clock=HurriedClock(), max_bytes=1000, compress="gzip"), events=8)
    before = rotated(path)
    assert len(before) > 5
    log = open_log(clock=HurriedClock(), backup_count=count)
    assert log.close(timeout=PATIENT)
    until_threads_end()
    assert rotated(path) == before[len(before) - count :]
