from __future__ import annotations

import errno
import hashlib
import os

import pytest
from support.faults import FaultyFS, each_call_failing

from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.names import shipper_file

LOG = "/logs/a.jsonl"


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.fixture
def checkpoint_path(tmp_path):
    return shipper_file(str(tmp_path / "a.jsonl"), "loki", "checkpoint")


def numbered(number):
    return {"number": number, "text": "é" * number}


def test_saved_and_loaded(fs, checkpoint_path):
    """The last checkpoint saved is loaded, and the one before is kept."""
    assert checkpoint.load(fs, checkpoint_path) is None
    assert not checkpoint.exists(fs, checkpoint_path)
    for number in range(4):
        checkpoint.save(fs, checkpoint_path, numbered(number))
        assert checkpoint.load(fs, checkpoint_path) == numbered(number)
        assert checkpoint.exists(fs, checkpoint_path)
    os.unlink(checkpoint_path)
    assert checkpoint.exists(fs, checkpoint_path)
    assert checkpoint.load(fs, checkpoint_path) == numbered(2)
    assert os.stat(checkpoint_path + ".old").st_mode & 0o777 == 0o640


def test_the_order_of_the_steps(fs, checkpoint_path):
    """A checkpoint is on the disk before it takes its place, and the one before is never without a name."""
    checkpoint.save(fs, checkpoint_path, numbered(1))
    fs.calls.clear()
    checkpoint.save(fs, checkpoint_path, numbered(2))
    steps = [call for call, *_ in fs.calls if call in {"write", "fsync", "rename"}]
    assert steps == ["write", "fsync", "rename", "rename"]
    renames = [
        tuple(each.removeprefix(checkpoint_path.removesuffix(".checkpoint")) for each in names)
        for call, *names in fs.calls
        if call == "rename"
    ]
    assert renames == [(".checkpoint", ".checkpoint.old"), (".checkpoint.tmp", ".checkpoint")]


def test_a_torn_one_at_every_byte(fs, checkpoint_path):
    """A checkpoint that is cut at any byte does not count: the one before does, and a new one does not displace that."""
    checkpoint.save(fs, checkpoint_path, numbered(1))
    checkpoint.save(fs, checkpoint_path, numbered(2))
    with open(checkpoint_path, "rb") as file:
        whole = file.read()
    for cut in range(len(whole)):
        with open(checkpoint_path, "wb") as file:
            file.write(whole[:cut])
        assert checkpoint.load(fs, checkpoint_path) == numbered(1)
    checkpoint.save(fs, checkpoint_path, numbered(3))
    assert checkpoint.load(fs, checkpoint_path) == numbered(3)
    os.unlink(checkpoint_path)
    assert checkpoint.load(fs, checkpoint_path) == numbered(1)


def test_any_changed_byte_is_seen(fs, checkpoint_path):
    """A checkpoint with one other byte anywhere does not count."""
    checkpoint.save(fs, checkpoint_path, numbered(1))
    with open(checkpoint_path, "rb") as file:
        whole = file.read()
    for at in range(len(whole)):
        with open(checkpoint_path, "wb") as file:
            file.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert checkpoint.load(fs, checkpoint_path) is None
        assert checkpoint.exists(fs, checkpoint_path)


def test_what_is_no_object_does_not_count(fs, checkpoint_path):
    """A checkpoint that holds something else than an object does not count."""
    checkpoint.save(fs, checkpoint_path, [1])
    assert checkpoint.load(fs, checkpoint_path) is None


@pytest.mark.parametrize("line", [b"[" * 100_000, b"{", b"\xff", b""], ids=["deep", "half", "bytes", "nothing"])
def test_a_right_checksum_of_something_else(fs, checkpoint_path, line):
    """Text that is no JSON, or too deep, does not count, though its checksum is right."""
    checkpoint.save(fs, checkpoint_path, numbered(1))
    with open(checkpoint_path, "wb") as file:
        file.write(line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")
    assert checkpoint.load(fs, checkpoint_path) is None


@pytest.mark.parametrize("call", ["open", "write", "fsync", "close", "read", "rename"])
def test_a_failed_save_leaves_what_counts(tmp_path, call):
    """Whichever call fails, the checkpoint before still counts, or the new one, and the next save works."""
    for number, fs in each_call_failing(call):
        checkpoint_path = str(tmp_path / f".{number}.loki.checkpoint")
        checkpoint.save(FaultyFS(), checkpoint_path, numbered(1))
        failed = True
        try:
            checkpoint.save(fs, checkpoint_path, numbered(2))
            failed = False
        except OSError:
            pass
        assert failed == bool(fs.failed)
        fs.heal()
        assert checkpoint.load(fs, checkpoint_path) == numbered(1 if failed else 2)
        checkpoint.save(fs, checkpoint_path, numbered(3))
        assert checkpoint.load(fs, checkpoint_path) == numbered(3)


def test_a_short_write_is_finished(fs, checkpoint_path):
    """A write that takes only a part is gone on with."""
    fs.plan["write"] = lambda fd, data: os.write(fd, bytes(data)[:3])
    checkpoint.save(fs, checkpoint_path, numbered(5))
    assert checkpoint.load(fs, checkpoint_path) == numbered(5)


def test_what_cannot_be_read_is_no_missing_one(fs, checkpoint_path):
    """An error of the disk is raised, and not taken for a checkpoint that is not there."""
    checkpoint.save(fs, checkpoint_path, numbered(1))
    fs.fail("open", errno.EACCES)
    with pytest.raises(PermissionError):
        checkpoint.load(fs, checkpoint_path)


def test_what_all_have_passed(tmp_path, fs):
    """The slowest shipper counts; one whose checkpoint says nothing, or cannot be read, has passed nothing."""
    log = str(tmp_path / "a.jsonl")

    def save(name, place):
        checkpoint.save(fs, shipper_file(log, name, "checkpoint"), {"place": place})

    assert checkpoint.passed_by_all(fs, log) is None
    save("one", {"passed": "a.jsonl.3"})
    assert checkpoint.passed_by_all(fs, log) == "a.jsonl.3"
    save("two", {"passed": "a.jsonl.2"})
    assert checkpoint.passed_by_all(fs, log) == "a.jsonl.2"
    for place in ({}, {"passed": 3}, [], None):
        save("three", place)
        assert checkpoint.passed_by_all(fs, log) == ""
    save("three", {"passed": "a.jsonl.9"})
    assert checkpoint.passed_by_all(fs, log) == "a.jsonl.2"
    fs.fail("open", errno.EACCES, times=None)
    assert checkpoint.passed_by_all(fs, log) == ""
    fs.heal()
    for suffix in ("", ".old"):
        with open(shipper_file(log, "three", "checkpoint") + suffix, "wb"):
            pass
    assert checkpoint.passed_by_all(fs, log) == ""
