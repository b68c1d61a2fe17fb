from __future__ import annotations

import random

import pytest
from support.logs import put, write_log
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading import verify
from bamboo_logmetrics.reading.verification import tallies


def test_numbers_against_a_set():
    """The ranges hold what a plain set holds, whatever the order of the numbers."""
    chance = random.Random(1)
    for _ in range(300):
        numbers, known = tallies.IntervalSet(), set()
        for _ in range(40):
            number = chance.randrange(1, 30)
            assert numbers.add(number) is (number not in known)
            known.add(number)
        there = {n for low, high in zip(numbers.starts, numbers.ends, strict=True) for n in range(low, high + 1)}
        missing = {n for low, high in numbers.gaps(1) for n in range(low, high + 1)}
        assert there == known
        assert missing == set(range(1, max(known))) - known


def test_limits_of_what_is_remembered(path, monkeypatch):
    """More writers, gaps and reasons than are remembered are a problem of the report, and no traceback."""
    for _ in range(3):
        write_log(path, 5)
    lines = path.read_bytes().splitlines(keepends=True)
    put(path, [line for number, line in enumerate(lines) if number % 7 not in (2, 4)])
    monkeypatch.setattr(tallies, "MOST_GAPS", 1)
    report = verify(path)
    assert not report.ok
    assert [found for found in report.problems if "gaps" in found.text]
    monkeypatch.setattr(tallies, "MOST_WRITERS", 1)
    report = verify(path)
    assert not report.ok
    assert [found for found in report.problems if "writers" in found.text]


def test_texts_and_reasons_that_are_shared(monkeypatch):
    """Equal texts are one object; with too many of them all are forgotten, and further reasons are refused."""
    limits = tallies.Limits()
    assert limits.shared(None) is None
    first = limits.shared("aaa")
    assert limits.shared(str(b"aaa", "ascii")) is first
    monkeypatch.setattr(tallies, "_MOST_TEXTS", 1)
    assert limits.shared("b") == "b"
    limits.reasons = 1
    assert limits.take_reasons(1)
    assert not limits.take_reasons(1)


def test_reasons_beyond_the_limit_are_counted_together(path, monkeypatch):
    """Drops of more reasons than are remembered are counted under one name."""
    log = blm.open_log(path, queue_size=1)
    log.emit(tool(tool_name="x" * 50_000))
    assert log.flush()
    log.close()
    monkeypatch.setattr(tallies, "_MOST_REASONS", 0)
    report = verify(path)
    assert sum(report.writers[0].dropped.values()) == 1
    assert set(report.writers[0].dropped) == {tallies.OTHER_REASONS}


def test_empty_lines_are_counted_at_once(path):
    """Empty lines among those of a log are broken lines; only the first few are listed."""
    write_log(path, 2)
    with path.open("ab") as file:
        file.write(b"\n" * 50)
    report = verify(path)
    assert not report.ok
    assert len([found for found in report.problems if found.kind == "broken_line"]) < 10
    assert any("45 more" in found.text for found in report.problems)


def test_a_file_of_empty_lines(path):
    """A file of nothing but newlines is named, with the number of its lines."""
    path.write_bytes(b"\n" * 3_000_000)
    report = verify(path)
    assert not report.ok
    assert any("2,999,995 more" in found.text or "2999995 more" in found.text for found in report.problems)


def test_a_loss_of_standard_input():
    """A loss of standard input has no file beside which it could be noted."""
    with pytest.raises(blm.ConfigError, match="a loss of standard input cannot be acknowledged"):
        verify("-", acknowledge=["a" * 20])
