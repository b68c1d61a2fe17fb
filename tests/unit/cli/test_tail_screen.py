from __future__ import annotations

import io
import sys

import pytest
from support.log_lines import as_bytes, with_headers

from bamboo_logmetrics.cli.tail_screen import Screen
from bamboo_logmetrics.cli.tail_text import LineText
from bamboo_logmetrics.logfiles.follower import TRUNCATED
from bamboo_logmetrics.logfiles.position import Chunk, Position

LINES = as_bytes(with_headers([{"event": "chat.tool_called", "tool_name": "ls"}] * 3)).splitlines()


class Terminal(io.TextIOWrapper):
    """A terminal that keeps what is written to it."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self):
        return True

    @property
    def written(self):
        return self.buffer.getvalue()


@pytest.fixture
def make_screen(monkeypatch):
    """Make a screen on a terminal in the place of stdout, which pytest sets anew for each phase of a test."""

    def make(text=None, **options):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setattr(sys, "stdout", Terminal())
        return Screen(None, text, **options), sys.stdout

    return make


def chunk(*lines):
    return Chunk(list(lines), Position())


def test_json_that_could_control_a_terminal(make_screen):
    """Raw characters that could control a terminal become JSON's escapes; other lines stay as they are."""
    hostile = LINES[0][:-1] + ', "a": "\u202e\U000e0001é"}'.encode()
    screen, terminal = make_screen()
    screen.show("a", chunk(hostile, LINES[1]))
    assert terminal.written == LINES[0][:-1] + b', "a": "\\u202e\\udb40\\udc01\xc3\xa9"}\n' + LINES[1] + b"\n"


def test_the_last_lines_of_standard_input(make_screen):
    """The last lines of standard input come at its end, and those of logs at once."""
    screen, terminal = make_screen(of_stdin=2)
    screen.show("-", chunk(*LINES))
    screen.show("a", chunk(LINES[0]))
    screen.end()
    assert terminal.written.splitlines() == [LINES[0], *LINES[1:]]


def test_missing_lines(make_screen, capsys):
    """Lines that are missing in a log are reported once in each round, and counted at the end; none of standard input."""
    screen, _ = make_screen()
    screen.show("-", chunk(LINES[0], LINES[2]))
    screen.show("a", chunk(LINES[0]))
    screen.show("a", chunk(LINES[2]))
    screen.end_round()
    screen.end()
    said = "a: 1 line is missing, perhaps removed by retention before being read\n"
    assert capsys.readouterr().err == f"{said}not shown: 1 missing line\n"


def test_an_interrupted_line(make_screen, monkeypatch):
    """A signal within a line leaves the terminal without colour, at the beginning of a line."""
    screen, terminal = make_screen(LineText(zone=None))

    class Interrupted(io.BytesIO):
        def write(self, data):
            terminal.buffer.write(data[:10])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(Interrupted()))
        with pytest.raises(KeyboardInterrupt):
            screen.show("a", chunk(LINES[0]))
    screen.end_early()
    assert terminal.written.endswith(b"\x1b[0m\n")


def test_a_problem_is_printed_once(make_screen, capsys):
    """A problem is printed once, until its log can be read again."""
    screen, _ = make_screen()
    for problem in ("no", "no", "never"):
        screen.note_problem("a", problem)
    screen.show("a", chunk(LINES[0]))
    screen.note_problem("a", "never")
    screen.show("a", Chunk([], Position(), b"", TRUNCATED))
    assert capsys.readouterr().err == f"no\nnever\nnever\na: {TRUNCATED}\n"


def test_nothing_is_printed_without_a_reason(make_screen, capsys):
    """Without other lines nothing is counted; blank ones are nothing."""
    screen, terminal = make_screen()
    screen.show("a", chunk(b"", b" "))
    screen.end()
    assert (terminal.written, capsys.readouterr().err) == (b"", "")
