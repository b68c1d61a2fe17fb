from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from bamboo_logmetrics.cli.terminal import check_stdout, cut, pad, paint, terminal_width, use_colour, visible
from bamboo_logmetrics.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("日本語 é", "日本語 é"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\u202egnp.exe\u2066", r"a\u202egnp.exe\u2066"),
        ("\u200b\u200d\ufeff\u2028\ud800", r"\u200b\u200d\ufeff\u2028\ud800"),
        ("☁\ufe0f", "☁"),
    ],
)
def test_visible(text, expected):
    """Characters that could control the terminal, or hide text, are escaped."""
    assert visible(text) == expected


@given(st.lists(st.tuples(st.text(), st.sampled_from(["", "31", "1;31"]))), st.integers(1, 40), st.booleans())
def test_paint_is_never_wider(parts, width, colour):
    """A line is never wider than the terminal, whatever is in it; colour changes nothing but the colour."""
    parts = [(visible(text), style) for text, style in parts]
    line = paint(parts, width=width, colour=False)
    assert cell_len(line) <= width
    assert Text.from_ansi(paint(parts, width=width, colour=colour)).plain.rstrip() == line
    whole = "".join(text for text, _ in parts).rstrip()
    assert paint(parts, width=None, colour=False) == whole
    assert line == whole or line.endswith("…")


def test_cut_and_pad():
    """A text that is too wide ends with an ellipsis, and a short one is filled with spaces."""
    assert [cut("日本語", width) for width in (6, 5, 4, 1, 0)] == ["日本語", "日本…", "日…", "…", ""]
    assert [pad("日", 4), pad("日本語", 4)] == ["日  ", "日本語"]


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
    ],
)
def test_colour(monkeypatch, environment, terminal, expected):
    """There is colour on a terminal and where it is forced, but for NO_COLOR."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert use_colour() is expected


def test_without_standard_output(monkeypatch):
    """A command that was started without standard output has an error with the remedy."""
    check_stdout()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ConfigError, match="standard output is closed; send it to a file or a program"):
        check_stdout()


def test_width(monkeypatch):
    """A terminal has a width, a pipe has none."""
    monkeypatch.setenv("COLUMNS", "93")
    for terminal, expected in ((True, 93), (False, None)):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
        assert terminal_width() == expected
