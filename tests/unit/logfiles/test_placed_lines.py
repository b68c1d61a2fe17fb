from __future__ import annotations

import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamboo_logmetrics.logfiles import placed_lines
from bamboo_logmetrics.logfiles.log_file import open_file
from bamboo_logmetrics.logfiles.placed_lines import PlacedLine, lines_backward, lines_forward
from bamboo_logmetrics.system import FS


def lines_of(path, direction):
    """Return the lines of a file, in the order of the file."""
    file = open_file(FS(), str(path))
    try:
        found = list(direction(file))
    finally:
        file.close()
    return found if direction is lines_forward else found[::-1]


def expected(data):
    """Return the lines of data that have a newline, with their places, by Python's own split."""
    end, found = 0, []
    for line in data.split(b"\n")[:-1]:
        found.append(PlacedLine(end, end + len(line) + 1, line))
        end += len(line) + 1
    return found


@given(data=st.binary(max_size=200).map(lambda data: data.replace(b"\0", b"\n").replace(b"\1", b"\n")))
def test_both_directions_give_the_same_lines(tmp_path_factory, data):
    """From either end the lines are those of the file, with their places; a last one without newline is left out."""
    path = tmp_path_factory.getbasetemp() / "placed.txt"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placed_lines, "_BLOCK", 7)
        assert lines_of(path, lines_backward) == expected(data)
    assert lines_of(path, lines_forward) == expected(data)


def test_a_compressed_file_is_read_forward(tmp_path):
    """The places are those of the plain data."""
    data = b"".join(b"%d\n" % number for number in range(300_000))  # several chunks of 1 MiB
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(data))
    assert lines_of(path, lines_forward) == expected(data)


@pytest.mark.parametrize("direction", [lines_forward, lines_backward])
def test_a_line_that_is_too_long(tmp_path, monkeypatch, direction):
    """Of a line that is too long a part is given, which is no JSON; its place and the other lines are right."""
    monkeypatch.setattr(placed_lines, "LONGEST_LINE", 1_000)
    monkeypatch.setattr(placed_lines, "_BLOCK", 700)
    data = b'"a"\n"' + b"x" * 3_000_000 + b'"\n"b"\n'
    path = tmp_path / "a"
    path.write_bytes(data)
    first, long, last = lines_of(path, direction)
    assert [first, last] == [expected(data)[0], expected(data)[2]]
    assert long[:2] == expected(data)[1][:2]
    assert b"\0" in long.line
    assert len(long.line) < 2_100_000


def test_truncated_while_it_is_read_backward(tmp_path, monkeypatch):
    """A file that is truncated meanwhile gives no line that was never in it."""
    monkeypatch.setattr(placed_lines, "_BLOCK", 4)
    path = tmp_path / "a"
    path.write_bytes(b"a\nb\nc\nd\ne\n")
    file = open_file(FS(), str(path))
    lines = lines_backward(file)
    assert next(lines).line == b"e"
    os.truncate(path, 1)
    assert [placed.line for placed in lines] in ([], [b"d"])
    file.close()
