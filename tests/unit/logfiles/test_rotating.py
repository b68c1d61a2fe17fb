from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat

import pytest
from support.faults import FaultyFS, oserror

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles import RotatingFile, Sink
from bamboo_logmetrics.logfiles.lockfile import LockTimeoutError
from bamboo_logmetrics.logfiles.repair import LineTests
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock

WRITER = "0123456789abcdef0123"
ANY_LINES = LineTests(lambda _: True, lambda _: True)  # most tests need no real lines
ROTATED = re.compile(r"a\.jsonl\.\d{8}T\d{12}Z-[0-9a-f]{20}")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.fixture
def make(tmp_path, fs, clock):
    sinks = []

    def making(name="a.jsonl", **options):
        values = {
            "max_bytes": 100,
            "backup_count": None,
            "rotate_every": None,
            "compress": None,
            "mode": 0o640,
            "writer": lambda: WRITER,
            "fs": fs,
            "clock": clock,
            "tests": ANY_LINES,
        }
        sinks.append(RotatingFile(str(tmp_path / name), **(values | options)))
        return sinks[-1]

    yield making
    fs.heal()
    for sink in sinks:
        sink.close()


def store(sink, batch, deadline=None):
    """Write once and return how many lines were stored."""
    before = sink.stored
    sink.write(batch, deadline)
    return sink.stored - before


def lines(*texts):
    return [text.encode() + b"\n" for text in texts]


def rotated(folder):
    return sorted(name for name in os.listdir(folder) if ROTATED.match(name))


def write_all(sink, batch):
    while batch:
        batch = batch[store(sink, batch) :]


def test_lines_are_appended(tmp_path, make):
    """Lines stand in the file in order, after what was there."""
    (tmp_path / "a.jsonl").write_bytes(b"old\n")
    sink = make()
    assert store(sink, lines("one", "two")) == 2
    assert store(sink, lines("three")) == 1
    assert (tmp_path / "a.jsonl").read_bytes() == b"old\none\ntwo\nthree\n"


def test_one_write_per_call(fs, make):
    """Any number of lines are written with one system call."""
    sink = make(max_bytes=10_000)
    sink.write(lines(*map(str, range(500))))
    assert fs.count("write") == 1


def test_the_directory_is_made(tmp_path, make):
    """A missing directory is created."""
    make("deep/er/a.jsonl").write(lines("one"))
    assert (tmp_path / "deep/er/a.jsonl").read_bytes() == b"one\n"


def test_the_mode_is_exact(tmp_path, make):
    """New files have the mode asked for, whatever the umask."""
    previous = os.umask(0o077)
    try:
        make(mode=0o664).write(lines("one"))
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.jsonl").stat().st_mode) == 0o664


def test_an_existing_file_keeps_its_mode(tmp_path, make):
    """The mode of a file that was there is its owner's affair."""
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "a.jsonl").chmod(0o600)
    make(mode=0o664).write(lines("one"))
    assert stat.S_IMODE((tmp_path / "a.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_only_a_regular_file_will_do(tmp_path, make, kind):
    """Where something else than a regular file is, opening is a ConfigError that says so."""
    path = tmp_path / "a.jsonl"
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    with pytest.raises(ConfigError, match="is not a regular file"):
        make()


def test_rotation_by_bytes(tmp_path, make):
    """No file grows beyond max_bytes, and the files in order hold every line once."""
    sink = make(max_bytes=40)
    batch = lines(*(f"line {n:02}" for n in range(20)))
    write_all(sink, batch)
    names = [*rotated(tmp_path), "a.jsonl"]
    assert len(names) == 4
    assert all((tmp_path / name).stat().st_size <= 40 for name in names)
    assert b"".join((tmp_path / name).read_bytes() for name in names) == b"".join(batch)


def test_a_line_longer_than_a_file_stands_alone(tmp_path, make):
    """A line above max_bytes is written to a file of its own."""
    sink = make(max_bytes=10)
    write_all(sink, lines("a", "b" * 50, "c"))
    files = [(tmp_path / name).read_bytes() for name in [*rotated(tmp_path), "a.jsonl"]]
    assert files == lines("a", "b" * 50, "c")


def test_an_empty_file_is_never_rotated(tmp_path, make):
    """Even a line too long for any file does not rotate an empty one."""
    make(max_bytes=3).write(lines("long line"))
    assert rotated(tmp_path) == []


@pytest.mark.parametrize(("every", "seconds"), [("hour", 3600), ("day", 86400)])
def test_rotation_by_time(tmp_path, clock, make, every, seconds):
    """The first write of a new hour or day goes to a new file."""
    sink = make(rotate_every=every)
    sink.write(lines("one"))
    sink.write(lines("two"))
    assert rotated(tmp_path) == []
    clock.advance(seconds)
    sink.write(lines("three"))
    assert [(tmp_path / name).read_bytes() for name in rotated(tmp_path)] == [b"one\ntwo\n"]
    assert (tmp_path / "a.jsonl").read_bytes() == b"three\n"


def test_rotation_by_time_after_a_restart(tmp_path, clock, make):
    """A file last written yesterday is rotated by today's first write."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"old\n")
    yesterday = clock.time_ns() / 1e9 - 86400
    os.utime(path, (yesterday, yesterday))
    make(rotate_every="day").write(lines("new"))
    assert path.read_bytes() == b"new\n"
    assert len(rotated(tmp_path)) == 1


def test_a_clock_that_goes_back_rotates_nothing(tmp_path, clock, make):
    """An hour that comes again is no new hour."""
    sink = make(rotate_every="hour")
    sink.write(lines("one"))
    clock.set_wall(clock.time_ns() - 7200 * 10**9)
    sink.write(lines("two"))
    assert rotated(tmp_path) == []


def test_rotations_in_one_tick_have_names_of_their_own(tmp_path, make):
    """With a clock that stands still, nothing is overwritten and names sort in the order of rotation."""
    sink = make(max_bytes=2)
    batch = lines(*"abcdefgh")
    write_all(sink, batch)
    assert [(tmp_path / name).read_bytes() for name in rotated(tmp_path)] == batch[:-1]


def test_names_sort_though_the_clock_goes_back(tmp_path, clock, make):
    """A rotation after the clock was set back still sorts last."""
    sink = make(max_bytes=2)
    write_all(sink, lines("a", "b"))
    clock.set_wall(clock.time_ns() - 10**12)
    write_all(sink, lines("c"))
    assert [(tmp_path / name).read_bytes() for name in rotated(tmp_path)] == lines("a", "b")


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_torn_last_line_is_cut_away(tmp_path, make, cut):
    """Whatever part of a line a killed writer left, it is cut back to the last newline and counted."""
    (tmp_path / "a.jsonl").write_bytes(b"whole\n" + b"torn line"[:cut])
    sink = make()
    sink.open()
    assert sink.repaired_bytes == cut
    sink.write(lines("next"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"whole\nnext\n"


def test_a_torn_line_of_any_length_is_cut_away(tmp_path, make):
    """A torn line longer than a block is cut; a file with nothing else is emptied."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"whole\n" + b"x" * 200_000)
    sink = make(max_bytes=1000)
    sink.open()
    assert path.read_bytes() == b"whole\n"
    path.write_bytes(b"y" * 200_000)
    sink.write(lines("next"))
    assert path.read_bytes() == b"next\n"
    assert sink.repaired_bytes == 400_000


def test_a_tail_torn_by_another_process_is_cut_away(tmp_path, make):
    """Half a line that somebody else leaves while the file is open is repaired by the next write."""
    sink = make()
    sink.write(lines("one"))
    with open(tmp_path / "a.jsonl", "ab") as other:
        other.write(b'{"half')
    sink.write(lines("two"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"
    assert sink.repaired_bytes == 6


def test_a_file_moved_away_is_opened_anew(tmp_path, make):
    """After a rename from outside, lines go to a new file at the path."""
    sink = make()
    sink.write(lines("one"))
    os.rename(tmp_path / "a.jsonl", tmp_path / "moved")
    sink.write(lines("two"))
    assert (tmp_path / "moved").read_bytes() == b"one\n"
    assert (tmp_path / "a.jsonl").read_bytes() == b"two\n"


def test_a_removed_file_is_opened_anew(tmp_path, make):
    """After an unlink from outside, lines go to a new file at the path."""
    sink = make()
    sink.write(lines("one"))
    os.unlink(tmp_path / "a.jsonl")
    sink.write(lines("two"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"two\n"


def test_a_removed_directory_is_made_again(tmp_path, make):
    """When the whole directory goes, the next write makes it again."""
    sink = make("logs/a.jsonl")
    sink.write(lines("one"))
    shutil.rmtree(tmp_path / "logs")
    sink.write(lines("two"))
    assert (tmp_path / "logs/a.jsonl").read_bytes() == b"two\n"


def test_truncation_from_outside_leaves_no_hole(tmp_path, make):
    """After copy-and-truncate the file starts at its beginning, without NUL bytes."""
    sink = make()
    sink.write(lines("one", "two"))
    os.truncate(tmp_path / "a.jsonl", 0)
    sink.write(lines("three"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"three\n"


def test_a_second_sink_sees_the_first_ones_rotation(tmp_path, make):
    """Of two sinks on one path, the second neither writes to the rotated file nor rotates again."""
    first, second = make(max_bytes=20), make(max_bytes=20)
    first.write(lines("first"))
    second.write(lines("second"))
    write_all(first, lines("1234567"))
    write_all(second, lines("x"))
    assert len(rotated(tmp_path)) == 1
    assert (tmp_path / "a.jsonl").read_bytes() == b"1234567\nx\n"


def test_a_failed_write_leaves_nothing(tmp_path, fs, make):
    """When the disk is full, the call raises and no part of a line remains."""
    sink = make()
    sink.write(lines("one"))
    fs.fail("write", errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        sink.write(lines("two"))
    sink.write(lines("three"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\nthree\n"


def short_then_full(sink_fs, size):
    """Let the next write take ``size`` bytes, and the one after it fail."""

    def answer(fd, data):
        if len(done) == 0:
            done.append(FS.write(sink_fs, fd, data[:size]))
            return done[0]
        sink_fs.heal()
        raise oserror(errno.ENOSPC)

    done = []
    sink_fs.plan["write"] = answer


@pytest.mark.parametrize(("size", "kept"), [(4, 1), (6, 1), (8, 2), (11, 2)])
def test_a_short_write_keeps_whole_lines(tmp_path, fs, make, size, kept):
    """Of a write that stops in the middle, the whole lines count and the half one is cut away."""
    sink = make()
    short_then_full(fs, size)
    assert store(sink, lines("one", "two", "tree")) == kept
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"[: kept * 4]


def test_a_short_write_of_half_a_line_is_none(tmp_path, fs, make):
    """When not even the first line is whole, the call raises and the file is as before."""
    sink = make()
    short_then_full(fs, 2)
    with pytest.raises(OSError, match="No space left"):
        sink.write(lines("one"))
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_a_short_write_is_gone_on_with(tmp_path, fs, make):
    """A short write is finished by the next."""
    sink = make()
    fs.plan["write"] = lambda fd, data: FS.write(fs, fd, data[:3])
    assert store(sink, lines("one", "two")) == 2
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"


def test_an_interrupted_write_is_repeated(tmp_path, fs, make):
    """EINTR is no failure, and doubles nothing."""
    sink = make()
    fs.fail("write", errno.EINTR)
    sink.write(lines("one"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\n"


def test_a_half_line_that_cannot_be_cut_is_cut_later(tmp_path, fs, make):
    """When even the cutting fails, the next write repairs the tail first."""
    sink = make()
    short_then_full(fs, 6)
    fs.heal = lambda: fs.plan.pop("write", None)
    fs.fail("ftruncate", errno.EIO)
    assert store(sink, lines("one", "two")) == 1
    assert any("truncate" in problem for problem in sink.problems())
    sink.write(lines("two"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_exit_within_the_write_leaves_nothing_to_double(tmp_path, fs, make, when):
    """A SystemExit before or after the bytes went out leaves the file as it was, so a retry doubles nothing."""

    def answer(fd, data):
        fs.heal()
        if when == "after":
            FS.write(fs, fd, data)
        raise SystemExit

    sink = make()
    sink.write(lines("one"))
    fs.plan["write"] = answer
    with pytest.raises(SystemExit):
        sink.write(lines("two"))
    sink.write(lines("two"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("call", ["rename", "open"])
def test_a_rotation_that_fails_goes_on_with_the_old_file(tmp_path, fs, clock, make, call):
    """Without a descriptor or the permission to rename, lines go on into the old file; it is tried again later."""
    sink = make(max_bytes=8)
    sink.write(lines("one", "two"))
    fs.fail(call, errno.EMFILE, times=None, when=lambda *args: not args[0].endswith(".lock"))
    write_all(sink, lines("three", "four"))
    assert rotated(tmp_path) == []
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\nthree\nfour\n"
    assert [p for p in sink.problems() if "rotate" in p]
    assert sink.problems() == []
    fs.heal()
    clock.advance(1)
    write_all(sink, lines("five"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"five\n"
    assert len(rotated(tmp_path)) == 1


def test_no_failure_at_any_call_loses_or_doubles_a_line(tmp_path, fs, clock, make):
    """Failing each single system call of a run with rotations once, every line is there once in the end."""
    n = 0
    while True:
        n += 1
        name = f"run{n}.jsonl"
        fs.heal()
        seen, failed = [], []

        def fail_nth(*_, at=n, seen=seen, failed=failed):
            seen.append(True)
            if len(seen) == at:
                failed.append(True)
                raise oserror(errno.EIO)

        for call in (
            "open",
            "write",
            "fstat",
            "stat",
            "lstat",
            "rename",
            "lock",
            "ftruncate",
            "pread",
            "listdir",
            "fchmod",
        ):
            fs.plan[call] = fail_nth
        sink = make(name, max_bytes=12)
        batch = lines(*(f"{x}" * 4 for x in range(8)))
        rest = list(batch)
        for _ in range(200):
            try:
                rest = rest[store(sink, rest) :]
            except OSError:
                clock.advance(1)
            if not rest:
                break
        fs.heal()
        sink.close()
        names = sorted(x for x in os.listdir(tmp_path) if x.startswith(name + "."))
        assert b"".join((tmp_path / x).read_bytes() for x in [*names, name]) == b"".join(batch), f"call {n}"
        if not failed:
            break
    assert n > 40


def test_fsync_of_file_and_directory(fs, make):
    """sync brings the file to the disk each time, and the directory after the file was made or rotated."""
    sink = make(max_bytes=8)
    sink.write(lines("one"))
    sink.sync()
    assert fs.count("fsync") == 2
    sink.write(lines("two"))
    sink.sync()
    assert fs.count("fsync") == 3
    sink.write(lines("three"))
    sink.sync()
    assert fs.count("fsync") == 5


def test_who_holds_the_lock_too_long_is_given_up_on(tmp_path, clock, make):
    """A holder that does not let go costs the write its deadline, not for ever."""
    holder = FS()
    sink = make()
    fd = holder.open(str(tmp_path / ".a.jsonl.lock"), os.O_CREAT | os.O_RDWR)
    try:
        assert holder.lock(fd)
        with pytest.raises(LockTimeoutError, match="held by another process"):
            sink.write(lines("one"), clock.monotonic())
    finally:
        holder.close(fd)
    sink.write(lines("one"))
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\n"


def test_a_lock_that_comes_free_is_taken(make, fs):
    """A lock that is held at first is asked for again after a pause."""
    answers = iter([False, False])
    fs.plan["lock"] = lambda _: next(answers, None)

    class Moving(ManualClock):
        def wait(self, lock, timeout):
            self.advance(timeout)
            return False

    sink = make(clock=Moving())
    assert store(sink, lines("one")) == 1
    assert fs.count("lock") == 3


def test_a_removed_lock_file_is_made_again(tmp_path, make):
    """A lock that others can no longer see is not relied on."""
    sink = make()
    sink.write(lines("one"))
    os.unlink(tmp_path / ".a.jsonl.lock")
    sink.write(lines("two"))
    assert (tmp_path / ".a.jsonl.lock").exists()


def test_an_error_at_close_is_told(fs, make):
    """An error when the file is closed is reported as a problem, not raised."""
    sink = make()
    sink.write(lines("one"))
    fd = sink._fd
    fs.fail("close", errno.EIO, when=lambda closed: closed == fd)
    sink.close()
    assert "close" in sink.problems()[0]
    os.close(fd)


def test_an_unreadable_path_is_no_config_error(make, fs):
    """A path that cannot be looked at now may be all right later."""
    fs.fail("lstat", errno.EACCES)
    assert store(make(), lines("one")) == 1


# the process of a test may have a thread of pytest-xdist
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_closes_what_it_inherited(make, tmp_path):
    """After a fork the sink holds no descriptor of the parent's, and the parent's lock stays locked."""
    sink = make()
    sink.write(lines("one"))
    sink._lock.acquire(None)
    other = FS()
    probe = other.open(str(tmp_path / ".a.jsonl.lock"), os.O_RDWR)
    pid = os.fork()
    if pid == 0:
        sink.after_fork()
        os._exit(10 + (sink._fd == -1) + 2 * (not other.lock(probe)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 13
    assert not other.lock(probe)
    sink._lock.release()
    assert other.lock(probe)
    other.close(probe)


def test_a_child_does_not_stumble_over_closing(fs, make):
    """A descriptor that cannot be closed in a forked child is left alone."""
    sink = make()
    sink.write(lines("one"))
    fds = [sink._fd, sink._lock._fd]
    fs.fail("close", errno.EIO, times=None)
    sink.after_fork()
    fs.heal()
    for fd in fds:
        os.close(fd)
    assert store(sink, lines("two")) == 1


def test_a_write_that_fails_after_all_is_taken_back(tmp_path, fs, make):
    """When a call fails though all its bytes went out, they are taken back, so that trying again doubles nothing."""

    def answer(fd, data):
        fs.heal()
        FS.write(fs, fd, data)
        raise oserror(errno.EIO)

    sink = make()
    fs.plan["write"] = answer
    with pytest.raises(OSError, match="Input/output"):
        sink.write(lines("one", "two"))
    assert store(sink, lines("one", "two")) == 2
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("call", ["unlock", "stat", "fstat"])
def test_a_failure_around_the_write_doubles_nothing(tmp_path, fs, make, call):
    """Whichever call of the locking fails once, before or after the write, each line is in the file once."""
    for nth in range(6):
        sink = make(f"{call}{nth}.jsonl")
        rest = lines("one", "two")
        fs.fail(call, errno.EIO, after=nth)
        while rest:
            before = sink.stored
            with contextlib.suppress(OSError):
                sink.write(rest)
            rest = rest[sink.stored - before :]
        fs.heal()
        assert (tmp_path / f"{call}{nth}.jsonl").read_bytes() == b"one\ntwo\n"


def test_a_renamed_directory_is_left_behind(tmp_path, make):
    """After the directory was renamed, lines go to a new one at the path, under a lock that all others see."""
    sink = make("logs/a.jsonl")
    sink.write(lines("one"))
    os.rename(tmp_path / "logs", tmp_path / "old")
    sink.write(lines("two"))
    assert (tmp_path / "old/a.jsonl").read_bytes() == b"one\n"
    assert (tmp_path / "logs/a.jsonl").read_bytes() == b"two\n"
    assert os.stat(tmp_path / "logs/.a.jsonl.lock").st_ino == os.fstat(sink._lock._fd).st_ino


def test_rotations_that_keep_failing_are_tried_less_and_less(fs, clock, make):
    """A rotation that fails for good is tried again after growing pauses, of a minute in the end."""
    sink = make(max_bytes=4)
    sink.write(lines("one"))
    fs.fail("rename", errno.EACCES, times=None)
    for _ in range(600):
        sink.write(lines("two"))
        clock.advance(1)
    assert 8 <= fs.count("rename") <= 17


def test_a_released_lock_can_be_released_again(make):
    """Releasing after the lock file was closed, as a fork in between would have it, does nothing."""
    sink = make()
    sink.write(lines("one"))
    sink._lock.close()
    sink._lock.release()
    assert store(sink, lines("two")) == 1


def test_a_sink_needs_two_methods(tmp_path):
    """A sink with write and close inherits the other methods."""

    class Two(Sink):
        def write(self, batch, deadline=None):
            self.stored += len(batch)

        def close(self, deadline=None):
            pass

    sink = Two()
    sink.open()
    sink.sync()
    sink.after_fork()
    assert (sink.problems(), sink.repaired_bytes) == ([], 0)


def test_a_foreign_file_that_comes_to_the_path(tmp_path, make):
    """A file that is no log is not appended to while it is at the path."""
    path = tmp_path / "a.jsonl"
    tests = LineTests(lambda line: line.startswith(b"ours"), lambda line: line.startswith(b"ou"))
    sink = make(tests=tests)
    sink.write(lines("ours 1"))
    path.unlink()
    path.write_bytes(b"somebody's")
    with pytest.raises(OSError, match="not a log of this package: move it away"):
        sink.write(lines("ours 2"))
    assert path.read_bytes() == b"somebody's"
    path.unlink()
    sink.write(lines("ours 2"))
    assert path.read_bytes() == b"ours 2\n"


def test_a_foreign_last_line(tmp_path, make):
    """Half a line of another program stays, a new line is begun, and that is a problem of the file."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"ours 1\nfor")
    tests = LineTests(lambda line: line.startswith(b"ours"), lambda line: line.startswith(b"ou"))
    sink = make(tests=tests)
    sink.write(lines("ours 2"))
    assert path.read_bytes() == b"ours 1\nfor\nours 2\n"
    assert sink.repaired_bytes == 0
    assert [problem for problem in sink.problems() if "not of this package" in problem]
