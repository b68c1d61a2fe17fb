from __future__ import annotations

import pytest
from support.shiplog import line

from bamboo_logmetrics.reading import gaps
from bamboo_logmetrics.reading.gaps import GapCounter
from bamboo_logmetrics.reading.lines import flat_line

LINES = [line("a", number).rstrip(b"\n") for number in range(1, 10)]


def missing(lines, counter=None, log="a"):
    counter = counter or GapCounter()
    return [counter.count(log, line, flat_line(line)) for line in lines]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        pytest.param([0, 1, 2], [0, 0, 0], id="none"),
        pytest.param([4, 5, 8], [0, 0, 2], id="before the first line, and a gap"),
        pytest.param([3, 0, 1, 3, 5], [0, 0, 0, 0, 1], id="lines that come again"),
    ],
)
def test_gaps(numbers, expected):
    """The lines between two of a writer are missing; those before its first, and repeated ones, are not."""
    assert missing([LINES[number] for number in numbers]) == expected


def test_a_broken_line_is_not_missing():
    """A broken line counts as such; a number in it that is far from the last is not believed."""
    assert missing([LINES[0], LINES[1][:-5], LINES[2]]) == [0, 0, 0]
    assert missing([LINES[0], LINES[8][:-5], LINES[2]]) == [0, 0, 1]


def test_logs_apart():
    """The same writer's lines in two logs are counted apart, and lines without a number never."""
    counter = GapCounter()
    assert missing([LINES[0]], counter) + missing([LINES[8]], counter, "b") + missing([b"text"], counter) == [0, 0, 0]
    no_number = {key: value for key, value in flat_line(LINES[0]).items() if key != "seq"}
    assert counter.count("a", LINES[0], no_number) == 0


def test_few_writers_are_kept(monkeypatch):
    """Of more writers than are kept, the one that wrote longest ago is forgotten, and begins anew."""
    monkeypatch.setattr(gaps, "_MOST_WRITERS", 1)
    counter = GapCounter()
    assert missing([LINES[0]], counter, "a") + missing([LINES[0]], counter, "b") == [0, 0]
    assert missing([LINES[3]], counter, "a") == [0]


def test_a_number_that_no_line_has():
    """A number beyond those of writers is no gap, and hides none."""
    far = LINES[1].replace(b'"seq":2', b'"seq":99999999999999999999')
    assert far != LINES[1]
    assert missing([LINES[0], far, LINES[3]]) == [0, 0, 2]
