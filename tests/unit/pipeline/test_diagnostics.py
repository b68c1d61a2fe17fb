from __future__ import annotations

import os
import sys

import pytest

from bamboo_logmetrics.pipeline.diagnostics import Diagnostics, stderr
from bamboo_logmetrics.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def said(capsys):
    """Return the lines on stderr since the last call; on stdout there is none."""

    def lines():
        out, err = capsys.readouterr()
        assert out == ""
        return err.splitlines()

    return lines


def test_one_line_a_minute_for_the_whole_process(clock, said):
    """However many logs report, one line a minute is written, and the next one counts those that were left out."""
    one, two = Diagnostics("/one", clock), Diagnostics("/two", clock)
    for _ in range(10):
        one.report("bad")
        two.report("bad")
        two.report("worse")
    assert said() == ["bamboo_logmetrics: /one: bad"]
    clock.advance(59.9)
    one.report("bad")
    assert said() == []
    clock.advance(0.1)
    two.report("bad")
    assert said() == ["bamboo_logmetrics: /two: bad (2 more not shown)"]
    clock.advance(60)
    one.report("bad")
    assert said() == ["bamboo_logmetrics: /one: bad"]


def test_what_is_owed_is_said_in_the_end(clock, said):
    """An owed report is written at once where the minute allows, else with the next line, or at the end of the process."""
    log = Diagnostics("/a", clock)
    log.report("lost 1", owed=True)
    assert said() == ["bamboo_logmetrics: /a: lost 1"]
    log.report("lost 2", owed=True)
    clock.advance(60)
    log.report("bad")
    assert said() == ["bamboo_logmetrics: /a: lost 2; /a: bad"]
    log.report("lost 3", owed=True)
    log.report("lost 4", owed=True)
    stderr.report_owed()
    stderr.report_owed()
    assert said() == ["bamboo_logmetrics: /a: lost 3; /a: lost 4"]


def test_a_forked_child_owes_nothing(clock, said):
    """The parent writes the reports it owes, and the current minute goes on in the child."""
    log = Diagnostics("/a", clock)
    log.report("bad")
    log.report("lost", owed=True)
    stderr.after_fork()
    stderr.report_owed()
    log.report("bad")
    assert said() == ["bamboo_logmetrics: /a: bad"]


def test_a_line_is_one_line_without_secrets(clock, said):
    """Breaks in a text become spaces, and secrets are masked."""
    Diagnostics("/a", clock).report("token sk-abcdefghijklmnopqrstuvwxyz012345\nnext")
    (line,) = said()
    assert line.startswith("bamboo_logmetrics: /a: token ")
    assert line.endswith(" next")
    assert "abcdefgh" not in line


def test_what_is_not_shown_is_bounded(clock, said):
    """However many different texts are not shown, no more than 1,000 are kept for the count."""
    log = Diagnostics("/a", clock)
    for number in range(2_000):
        log.report(f"bad {number}")
    clock.advance(60)
    log.report("last")
    assert said() == ["bamboo_logmetrics: /a: bad 0", "bamboo_logmetrics: /a: last (1000 more not shown)"]


def test_a_pipe_that_nobody_reads_is_not_waited_for(clock, monkeypatch):
    """Where stderr is a full pipe nothing is written, and the log goes on."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb"), open(writing, "w", buffering=1, encoding="utf-8") as pipe:
        while True:
            try:
                os.write(writing, bytes(4096))
            except BlockingIOError:
                break
        os.set_blocking(writing, True)
        monkeypatch.setattr(sys, "stderr", pipe)
        Diagnostics("/a", clock).report("bad")
        filled = os.read(reading, 1 << 20)
        Diagnostics("/a", clock).report("lost", owed=True)
        stderr.report_owed()
        assert set(filled) == {0}
        assert os.read(reading, 1 << 20) == b"bamboo_logmetrics: /a: lost\n"


def test_a_long_line_is_cut(clock, said):
    """A line is no longer than what a pipe with room takes at once."""
    Diagnostics("/a", clock).report("bad " * 5_000)
    (line,) = said()
    assert len(line) == 4_000
