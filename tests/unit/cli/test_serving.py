"""The common part of commands that run a server."""

from __future__ import annotations

import sys

import pytest

from bamboo_logmetrics.cli import serving
from bamboo_logmetrics.live.traffic import Passed


def test_a_line_for_a_request(capsys):
    """A line has the status, the method, the path without what could control the terminal, and the time."""
    serving.show(Passed("POST", "/openai/\x1b[31mv1" + "x" * 300, 200, 1234, is_whole=True))
    serving.show(Passed("POST", "/openai/v1", 0, 5, is_whole=False))
    first, second = capsys.readouterr().err.splitlines()
    assert " 200 POST /openai/\\x1b[31mv1" in first
    assert first.endswith("x 1,234 ms")
    assert len(first) < 300
    assert second.endswith(" - cut off POST /openai/v1 5 ms")


@pytest.mark.parametrize(("terminal", "quiet", "lines"), [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_lines_on_a_terminal_only(capsys, monkeypatch, terminal, quiet, lines):
    """Requests are shown on a terminal, unless --quiet is given."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    serving.reporter(quiet=quiet)(Passed("GET", "/v1", 200, 1, is_whole=True))
    assert len(capsys.readouterr().err.splitlines()) == lines
