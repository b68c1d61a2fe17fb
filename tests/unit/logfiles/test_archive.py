from __future__ import annotations

import errno
import gzip
import os
import re
import stat

import pytest
from support.crashpoints import flush_and_tidy
from support.faults import FaultyFS
from support.rotated import LOOK_ALIKES, WRITER, rotated_name
from support.stub_server import StubServer
from support.tools import of_kind, tool

from bamboo_logmetrics.logfiles import RotatingFile, checkpoint, compression
from bamboo_logmetrics.logfiles.archive import Archive
from bamboo_logmetrics.logfiles.names import list_rotated, shipper_file
from bamboo_logmetrics.ship import Shipper, status
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock

SECOND = 10**9
START = 1_795_362_433 * SECOND


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.fixture
def archive(tmp_path, fs):
    return Archive(str(tmp_path / "a.jsonl"), fs=fs)


def put(folder, *names, content=b"line\n"):
    for each in names:
        (folder / each).write_bytes(content)


def tidy(archive, **options):
    archive.tidy(**({"compress": None, "backup_count": None, "mode": 0o640} | options))


def names(folder):
    return sorted(os.listdir(folder))


def test_new_names_follow_the_last(tmp_path, archive):
    """A new rotated name sorts after every one there, also when the clock stands still or is behind."""
    put(tmp_path, rotated_name(33))
    path = archive.new_path(0, WRITER)
    assert os.path.basename(path) == f"a.jsonl.20261122T154733000001Z-{WRITER}"
    assert list_rotated([os.path.basename(path)], "a.jsonl")


def test_retention_removes_the_oldest(tmp_path, archive):
    """backup_count keeps the newest rotated files, counts both forms of one as one, and touches nothing else."""
    put(
        tmp_path,
        *LOOK_ALIKES,
        rotated_name(1),
        rotated_name(2, ".gz"),
        rotated_name(3),
        rotated_name(3, ".gz"),
        rotated_name(4),
    )
    tidy(archive, backup_count=2)
    assert names(tmp_path) == sorted([*LOOK_ALIKES, rotated_name(3), rotated_name(4)])


def test_retention_of_none_keeps_none(tmp_path, archive):
    """backup_count 0 removes every rotated file."""
    put(tmp_path, rotated_name(1), rotated_name(2, ".gz"))
    tidy(archive, backup_count=0)
    assert names(tmp_path) == []


def shipped(folder, shipper, passed):
    """Save a shipper's checkpoint: it has passed a rotated file and those before."""
    place = {"passed": passed and rotated_name(passed)}
    path = shipper_file(str(folder / "a.jsonl"), shipper, "checkpoint")
    checkpoint.save(FS(), path, {"place": place})
    return path


def kept(folder):
    """Return the numbers of the rotated files that are there."""
    return [int(item.base[21:23]) for item in list_rotated(os.listdir(folder), "a.jsonl")]


def test_retention_waits_for_a_shipper(tmp_path, archive):
    """Files that a shipper has still to deliver are kept, up to unshipped_backups more; files it has passed are removed."""
    put(tmp_path, *(rotated_name(number) for number in range(1, 10)))
    shipped(tmp_path, "loki", 5)
    tidy(archive, backup_count=2, unshipped=3)
    assert kept(tmp_path) == [6, 7, 8, 9]
    shipped(tmp_path, "loki", 7)
    tidy(archive, backup_count=2, unshipped=3)
    assert kept(tmp_path) == [8, 9]


@pytest.mark.parametrize(("unshipped", "left"), [(None, 4), (0, 2), (1, 3), (100, 9)])
def test_retention_waits_no_longer_than_it_may(tmp_path, archive, unshipped, left):
    """A file that is removed undelivered is named in the error; without unshipped_backups, backup_count files wait."""
    put(tmp_path, *(rotated_name(number) for number in range(1, 10)))
    shipped(tmp_path, "loki", 0)
    if left == 9:
        tidy(archive, backup_count=2, unshipped=unshipped)
    else:
        text = f"{rotated_name(9 - left)} and older files are removed, though a shipper has not delivered them"
        with pytest.raises(OSError, match=re.escape(text)):
            tidy(archive, backup_count=2, unshipped=unshipped)
    assert kept(tmp_path) == list(range(10 - left, 10))
    tidy(archive, backup_count=2, unshipped=unshipped)
    assert len(kept(tmp_path)) == left


def test_the_slowest_of_several_shippers_counts(tmp_path, archive):
    """With several shippers a file waits for each of them, until the checkpoint of a retired one is removed."""
    put(tmp_path, *(rotated_name(number) for number in range(1, 10)))
    shipped(tmp_path, "loki", 7)
    slow = shipped(tmp_path, "es", 3)
    tidy(archive, backup_count=1, unshipped=100)
    assert kept(tmp_path) == [4, 5, 6, 7, 8, 9]
    os.unlink(slow)
    tidy(archive, backup_count=1, unshipped=100)
    assert kept(tmp_path) == [8, 9]


@pytest.mark.parametrize("how", ["torn", "unreadable"])
def test_a_checkpoint_that_says_nothing_has_passed_nothing(tmp_path, fs, archive, how):
    """A checkpoint that is torn or cannot be read keeps as many files as allowed, and the others are treated."""
    put(tmp_path, *(rotated_name(number) for number in range(1, 7)))
    path = shipped(tmp_path, "loki", 6)
    if how == "torn":
        os.truncate(path, 20)
    else:
        fs.fail("open", errno.EACCES, times=None, when=lambda name, *_: str(name).endswith(".checkpoint"))
    tidy(archive, backup_count=1, unshipped=5, compress="gzip")
    assert names(tmp_path)[1:] == [*(rotated_name(number, ".gz") for number in range(1, 6)), rotated_name(6)]


def test_the_checkpoint_before_counts(tmp_path, archive):
    """Where the last checkpoint is torn, the one before counts."""
    put(tmp_path, *(rotated_name(number) for number in range(1, 7)))
    shipped(tmp_path, "loki", 2)
    os.truncate(shipped(tmp_path, "loki", 4), 20)
    tidy(archive, backup_count=1, unshipped=10)
    assert kept(tmp_path) == [3, 4, 5, 6]


def test_no_shipper_and_shippers_elsewhere_change_nothing(tmp_path, archive):
    """Without a checkpoint in the log's directory nothing waits; another log's shippers do not count."""
    put(tmp_path, *(rotated_name(number) for number in range(1, 7)))
    other = shipper_file(str(tmp_path / "b.jsonl"), "loki", "checkpoint")
    checkpoint.save(FS(), other, {"place": {"passed": ""}})
    put(tmp_path, ".a.jsonl.loki.shipper", ".a.jsonl.loki.dead-letter")
    tidy(archive, backup_count=2, unshipped=10)
    assert kept(tmp_path) == [5, 6]


def test_retention_and_a_shipper_end_to_end(tmp_path, open_log):
    """A log keeps the files that a shipper has not delivered, and reports those it must remove in a line of its own."""
    path = tmp_path / "a.jsonl"

    def write(count):
        log = open_log(max_bytes=1_000, backup_count=1, unshipped_backups=3, durability="write")
        for number in range(count):
            log.emit(tool(number))
            flush_and_tidy(log)
        log.close()
        return len(list_rotated(os.listdir(tmp_path), "a.jsonl"))

    with StubServer() as stub:
        assert write(3) == 1
        assert Shipper(path, to="loki", url=stub.url).run().lost == 0
        assert write(11) == 4
        assert not of_kind(path, "system.storage_error")
        assert Shipper(path, to="loki", url=stub.url).run().lost == 0
        assert write(3) <= 3
        assert write(20) == 4
        assert (
            "are removed, though a shipper has not delivered them" in of_kind(path, "system.storage_error")[0]["error"]
        )
        done = Shipper(path, to="loki", url=stub.url).run()
    (entry,) = status(path)
    assert entry.lost == done.lost > 0
    last = {}
    for writer, seq in stub.kept:
        last[writer] = max(seq, last.get(writer, 0))
    assert sum(last.values()) == len(stub.stored) + entry.lost


@pytest.mark.parametrize(("kind", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_all_but_the_newest_are_compressed(tmp_path, archive, kind, suffix):
    """Rotated files but the newest are compressed, with the mode of the log, and read back the same."""
    put(tmp_path, rotated_name(1), rotated_name(2), content=b"line\n" * 100_000)
    put(tmp_path, rotated_name(3))
    tidy(archive, compress=kind)
    assert names(tmp_path) == [rotated_name(1, suffix), rotated_name(2, suffix), rotated_name(3)]
    fs = FS()
    fd = fs.open(str(tmp_path / rotated_name(1, suffix)), os.O_RDONLY)
    assert b"".join(compression.decompress(fs, fd, kind)) == b"line\n" * 100_000
    fs.close(fd)
    assert stat.S_IMODE((tmp_path / rotated_name(1, suffix)).stat().st_mode) == 0o640


def test_gzip_is_gzip(tmp_path, archive):
    """gzip reads a file with the suffix .gz."""
    put(tmp_path, rotated_name(1), rotated_name(2))
    tidy(archive, compress="gzip")
    assert gzip.decompress((tmp_path / rotated_name(1, ".gz")).read_bytes()) == b"line\n"


def test_an_unfinished_compression_is_done_again(tmp_path, archive):
    """A compressed file whose plain one still exists, and a partial one, are removed, and the compression is done again."""
    put(tmp_path, rotated_name(1), rotated_name(2))
    put(
        tmp_path,
        rotated_name(1, ".gz"),
        f".{rotated_name(1, '.gz')}.tmp",
        f".{rotated_name(0, '.gz')}.tmp",
        content=b"half",
    )
    tidy(archive, compress="gzip")
    assert names(tmp_path) == [rotated_name(1, ".gz"), rotated_name(2)]
    assert gzip.decompress((tmp_path / rotated_name(1, ".gz")).read_bytes()) == b"line\n"


def test_a_file_that_another_process_compresses_is_left_alone(tmp_path, archive):
    """A file that another process has locked is not compressed, and its partial file stays."""
    put(tmp_path, rotated_name(1), rotated_name(2), f".{rotated_name(1, '.gz')}.tmp")
    other = FS()
    fd = other.open(str(tmp_path / rotated_name(1)), os.O_RDONLY)
    other.lock(fd)
    tidy(archive, compress="gzip")
    assert names(tmp_path) == sorted([rotated_name(1), rotated_name(2), f".{rotated_name(1, '.gz')}.tmp"])
    other.close(fd)
    tidy(archive, compress="gzip")
    assert names(tmp_path) == [rotated_name(1, ".gz"), rotated_name(2)]


@pytest.mark.parametrize("call", ["open", "pread", "write", "fchmod", "fsync", "rename", "unlink", "lock", "listdir"])
def test_no_failure_at_any_call_loses_a_rotated_file(tmp_path, fs, archive, call):
    """Failing any call of the compression once leaves the plain or a whole compressed file; the next run ends it."""
    for nth in range(30):
        for each in os.listdir(tmp_path):
            os.unlink(tmp_path / each)
        put(tmp_path, rotated_name(1), rotated_name(2), rotated_name(3))
        fs.heal()
        fs.fail(call, errno.EIO, after=nth)
        try:
            tidy(archive, compress="gzip")
            failed = False
        except OSError:
            failed = True
        for item in list_rotated(os.listdir(tmp_path), "a.jsonl"):
            data = (tmp_path / item.name).read_bytes()
            assert (gzip.decompress(data) if item.suffix else data) == b"line\n"
        assert len(list_rotated(os.listdir(tmp_path), "a.jsonl")) == 3
        fs.heal()
        tidy(archive, compress="gzip")
        assert names(tmp_path) == [rotated_name(1, ".gz"), rotated_name(2, ".gz"), rotated_name(3)]
        if not failed:
            return
    raise AssertionError("no clean run")


def test_one_bad_file_does_not_stop_the_others(tmp_path, fs, archive):
    """A file that cannot be treated is reported after the others were."""
    put(tmp_path, rotated_name(1), rotated_name(2), rotated_name(3))
    fs.fail("open", errno.EACCES, times=None, when=lambda path, *_: path.endswith(rotated_name(1)))
    with pytest.raises(PermissionError):
        tidy(archive, compress="gzip")
    assert names(tmp_path) == [rotated_name(1), rotated_name(2, ".gz"), rotated_name(3)]


def test_a_file_that_vanishes_is_no_fault(tmp_path, fs, archive):
    """A file that another process removed meanwhile is passed over."""
    put(tmp_path, rotated_name(1), rotated_name(2))
    fs.fail("open", errno.ENOENT)
    tidy(archive, compress="gzip")
    assert names(tmp_path) == [rotated_name(1), rotated_name(2)]


def test_what_does_not_read_back_is_not_kept(tmp_path, fs, archive):
    """A compressed file that does not read back the same never replaces the plain one."""
    put(tmp_path, rotated_name(1), rotated_name(2))
    answers = iter([None, None, gzip.compress(b"other\n")])
    fs.plan["pread"] = lambda *_: next(answers, None)
    with pytest.raises(OSError, match="does not read back"):
        tidy(archive, compress="gzip")
    assert names(tmp_path) == [rotated_name(1), rotated_name(2)]


def test_a_file_just_compressed_by_another_process_is_kept(tmp_path, fs, archive):
    """When another process finishes a compression between the look and the treatment, its file stays."""
    put(tmp_path, rotated_name(1), rotated_name(1, ".gz"), rotated_name(2))
    plain = str(tmp_path / rotated_name(1))
    fs.plan["open"] = lambda path, *_: os.unlink(plain) if path == plain and os.path.exists(plain) else None
    tidy(archive, compress="gzip")
    assert names(tmp_path) == [rotated_name(1, ".gz"), rotated_name(2)]


def test_a_lock_on_a_file_that_is_gone_is_none(tmp_path, fs, archive):
    """When the plain file goes between its opening and its locking, the compressed one stays."""
    put(tmp_path, rotated_name(1), rotated_name(1, ".gz"), rotated_name(2))
    plain = str(tmp_path / rotated_name(1))
    fs.plan["lock"] = lambda _: os.unlink(plain) if os.path.exists(plain) else None
    tidy(archive, compress="gzip")
    assert names(tmp_path) == [rotated_name(1, ".gz"), rotated_name(2)]


def test_a_child_closes_the_locks_of_its_parent(tmp_path, fs, archive):
    """After a fork no descriptor with a lock on a rotated file is left."""
    put(tmp_path, rotated_name(1))
    assert archive._lock(rotated_name(1)) is not None
    archive.close_locked()
    assert fs.count("close") == 1
    other = FS()
    fd = other.open(str(tmp_path / rotated_name(1)), os.O_RDONLY)
    assert other.lock(fd)
    other.close(fd)
    archive._release(-1)
    assert fs.count("close") == 1


@pytest.fixture
def sink(tmp_path, fs):
    rotating = RotatingFile(
        str(tmp_path / "a.jsonl"),
        max_bytes=5,
        backup_count=3,
        rotate_every=None,
        compress="gzip",
        mode=0o640,
        writer=lambda: WRITER,
        fs=fs,
        clock=ManualClock(START),
    )
    yield rotating
    fs.heal()
    rotating.close()


def write(sink, count):
    for _ in range(count):
        sink.write([b"line\n"])


def test_rotation_compresses_and_removes(tmp_path, sink):
    """After rotations the newest rotated file is plain, older ones are compressed, and backup_count are left."""
    write(sink, 8)
    sink.close()
    left = list_rotated(os.listdir(tmp_path), "a.jsonl")
    assert [item.suffix for item in left] == [".gz", ".gz", ""]


def test_opening_tidies(tmp_path, sink):
    """Opening a log finishes the work that an earlier process left."""
    put(tmp_path, rotated_name(1), rotated_name(2))
    sink.open()
    sink.close()
    assert rotated_name(1, ".gz") in names(tmp_path)


def test_an_error_while_tidying_is_reported(tmp_path, fs, sink):
    """A compression that fails is a problem that the sink reports, and the plain files stay."""
    fs.fail("rename", errno.EIO, times=None, when=lambda _, new: new.endswith(".gz"))
    write(sink, 3)
    sink.close()
    assert any("tidy" in problem for problem in sink.problems())
    assert [item.suffix for item in list_rotated(os.listdir(tmp_path), "a.jsonl")] == ["", ""]


def test_without_threads_tidying_waits(tmp_path, sink, monkeypatch):
    """Where no thread can be started, rotation works and the next opening tidies."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        write(sink, 3)
    assert [item.suffix for item in list_rotated(os.listdir(tmp_path), "a.jsonl")] == ["", ""]
    sink.open()
    sink.close()
    assert [item.suffix for item in list_rotated(os.listdir(tmp_path), "a.jsonl")] == [".gz", ""]


def test_closing_waits_for_a_compression_up_to_its_deadline(fs, sink):
    """Close does not wait beyond its deadline for a compression that hangs; one more rotation starts no second."""
    import threading

    reached, go_on = threading.Event(), threading.Event()
    fs.plan["fsync"] = lambda _: (reached.set(), go_on.wait())[2:] or None
    write(sink, 3)
    assert reached.wait(30)
    write(sink, 1)
    sink.close(sink._clock.monotonic())
    assert sink._tidier is not None
    go_on.set()
    sink._wait_for_tidier(None)
