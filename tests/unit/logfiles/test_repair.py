"""The end of a file's whole lines, and whether a file is a log."""

from __future__ import annotations

import os

import pytest
from support.faults import FaultyFS

from bamboo_logmetrics.logfiles import repair
from bamboo_logmetrics.logfiles.repair import LineTests, end_of_lines, is_log, is_torn
from bamboo_logmetrics.system import FS

TESTS = LineTests(lambda line: line.startswith(b"ours"), lambda line: line.startswith(b"ou"))


@pytest.fixture
def opened(tmp_path):
    """Open a file with some contents; return its descriptor and size."""
    fds = []

    def opening(data):
        (tmp_path / "file").write_bytes(data)
        fds.append(os.open(tmp_path / "file", os.O_RDONLY))
        return fds[-1], len(data)

    yield opening
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"x", 0),
        (b"a\n", 2),
        (b"a\nx", 2),
        (b"a\n" + b"x" * 200_000, 2),
        (b"x" * 65_536 + b"\n" + b"y" * 65_535, 65_537),
    ],
)
def test_the_end_of_the_lines(opened, data, end):
    """The offset behind the last newline is found in any number of blocks; without a newline it is 0."""
    assert end_of_lines(FS(), *opened(data)) == end


def test_a_line_that_is_too_long(opened, monkeypatch):
    """The search for a newline ends where no line can be so long."""
    monkeypatch.setattr(repair, "_LONGEST_LINE", 100_000)
    fs = FaultyFS()
    assert end_of_lines(fs, *opened(b"a\n" + b"x" * 10_000_000)) is None
    assert fs.count("pread") == 2
    assert not is_log(fs, *opened(b"a\n" + b"x" * 10_000_000), TESTS)
    assert not is_log(fs, *opened(b"foreign\n" + b"x" * 10_000_000 + b"\n"), TESTS)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", True),
        (b"ou", True),
        (b"x", False),
        (b"ours\n", True),
        (b"ours\nx\n", True),
        (b"x\nours\n", True),
        (b"x\nours\nx", True),
        (b"x\nours\nx\n", False),
        (b"x\nou", False),
        (b"\n", False),
        (b"ours" + b"x" * 100_000 + b"\nx\n", True),
        (b"x" * 100_000 + b"\nx\n", False),
        (b"x\n" + b"ours" + b"x" * 100_000 + b"\n", True),
    ],
)
def test_what_is_a_log(opened, data, expected):
    """A file is a log if it is empty, or if its first or last whole line is one; without any, if a torn one is."""
    assert is_log(FS(), *opened(data), TESTS) is expected


@pytest.mark.parametrize(
    ("data", "end", "expected"),
    [(b"ours\nou", 5, True), (b"ours\nx", 5, False), (b"ours\n\0\0", 5, True), (b"\0\0", 0, False), (b"ou", 0, True)],
)
def test_what_is_torn(opened, data, end, expected):
    """Half a line is torn, and so are zeros behind a whole line."""
    fd, size = opened(data)
    assert is_torn(FS(), fd, end, size, TESTS) is expected
