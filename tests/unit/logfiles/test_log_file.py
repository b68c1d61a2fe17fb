from __future__ import annotations

import os

import pytest
from support.faults import FaultyFS
from support.shiplog import HandLog, compress

from bamboo_logmetrics.logfiles.log_file import CompressedFile, PlainFile, open_file
from bamboo_logmetrics.logfiles.position import HEAD, fingerprint

BIG = 1024 * 1024


@pytest.fixture
def log(tmp_path):
    return HandLog(tmp_path)


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.mark.parametrize("kind", [None, "gzip", "zstd"])
def test_a_file_is_read_from_any_line_on(log, fs, kind):
    """A plain file and a compressed one are read alike: peeked at, skipped in, and found again by the beginning."""
    log.write(50)
    name = log.rotate()
    with open(name, "rb") as file:
        data = file.read()
    path = compress(name, kind) if kind else name
    file = open_file(fs, path, os.path.basename(name))
    assert type(file) is (CompressedFile if kind else PlainFile)
    assert file.size_ahead() == os.path.getsize(path)
    assert file.begins_with(fingerprint(data[:HEAD]), HEAD)
    assert not file.begins_with(fingerprint(data[:HEAD]), HEAD + 1)
    assert not file.begins_with(fingerprint(data + b"x"), len(data) + 1)
    end = data.index(b"\n", 2_000) + 1
    assert file.seek(end)
    assert file.peek(10) == data[end : end + 10]
    file.skip(10)
    assert (file.offset, file.peek(BIG)) == (end + 10, data[end + 10 :])
    file.close()
    file = open_file(fs, path)
    assert not file.seek(end + 1)
    file.close()
    file = open_file(fs, path)
    assert not file.seek(len(data) + 1)
    file.close()


def test_a_beginning_has_no_newline_before_it(log, fs):
    """The beginning of a file can be gone to, though no newline stands before it."""
    log.write(1)
    file = open_file(fs, log.path)
    assert file.seek(0)
    file.close()
