from __future__ import annotations

import os

import pytest
from support.faults import FaultyFS
from support.rotated import LOOK_ALIKES, rotated_name

from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.names import (
    Rotated,
    is_shipper_name,
    list_rotated,
    list_shippers,
    log_of,
    rotated_files,
    shipper_file,
)

LOG = "/logs/a.jsonl"


@pytest.fixture
def fs():
    return FaultyFS()


def test_names_are_recognised():
    """Of a directory's names only rotated files of this log count, in the order of time."""
    items = list_rotated([rotated_name(2), rotated_name(1, ".gz"), rotated_name(3, ".zst"), *LOOK_ALIKES], "a.jsonl")
    assert [item.name for item in items] == [rotated_name(1, ".gz"), rotated_name(2), rotated_name(3, ".zst")]


def test_the_plain_form_wins():
    """Where a plain and a compressed form exist, the plain one counts."""
    items = list_rotated([rotated_name(1, ".gz"), rotated_name(1), rotated_name(1, ".zst")], "a.jsonl")
    assert items == [Rotated(rotated_name(1), "")]


def test_the_log_of_a_rotated_file():
    """A rotated file's name tells its log's, any other name tells none."""
    assert log_of(rotated_name(1)) == log_of(rotated_name(1, ".gz")) == "a.jsonl"
    assert [log_of(each) for each in LOOK_ALIKES if each[0] in "an"] == [None] * 11


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("loki", True),
        ("a-B_9", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a.b", False),
        ("a/b", False),
        ("é", False),
        ("a\n", False),
    ],
)
def test_shipper_names(name, good):
    """A shipper's name is letters, digits, _ and -, so that it is part of a file's name and of no pattern."""
    assert is_shipper_name(name) is good


def test_files_are_hidden_beside_the_log():
    """A shipper's files stand beside the log under hidden names."""
    assert shipper_file(LOG, "loki", "checkpoint") == "/logs/.a.jsonl.loki.checkpoint"


def test_logs_of_one_name_do_not_meet_in_a_directory():
    """In a directory for checkpoints, logs of the same name from two directories have files of their own."""
    first = shipper_file("/one/a.jsonl", "loki", "checkpoint", "/var/ship")
    second = shipper_file("/two/a.jsonl", "loki", "checkpoint", "/var/ship")
    assert first != second
    assert os.path.dirname(first) == "/var/ship"
    assert os.path.basename(first).startswith(".a.jsonl-")


def test_the_shippers_of_a_log(tmp_path, fs):
    """Shippers are listed by their checkpoints, of one log only, also if only the previous checkpoint is left."""
    log, other = str(tmp_path / "a.jsonl"), str(tmp_path / "a.jsonl.x")
    for each, name in [(log, "loki"), (log, "es"), (other, "otlp"), (str(tmp_path / "b.jsonl"), "loki")]:
        checkpoint.save(fs, shipper_file(each, name, "checkpoint"), {})
    es = shipper_file(log, "es", "checkpoint")
    os.rename(es, es + ".old")
    (tmp_path / ".a.jsonl.third.shipper").write_bytes(b"")
    assert list_shippers(fs, log) == ["es", "loki"]
    assert list_shippers(fs, log, str(tmp_path)) == []
    checkpoint.save(fs, shipper_file(log, "far", "checkpoint", str(tmp_path)), {})
    assert list_shippers(fs, log, str(tmp_path)) == ["far"]
    assert list_shippers(fs, log, str(tmp_path / "no")) == []
    assert list_shippers(fs, log, log + "/x") == []


def test_a_directory_that_is_missing_has_no_rotated_files(tmp_path, fs):
    """A log whose directory is missing, or is a file, has no rotated files."""
    (tmp_path / "file").write_bytes(b"")
    for folder in ("none", "file"):
        assert rotated_files(fs, str(tmp_path / folder / "a.jsonl")) == []
