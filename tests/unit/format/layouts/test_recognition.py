"""Which bytes are known as lines of this package, whole and torn."""

from __future__ import annotations

import pytest
from support import ROOT

from bamboo_logmetrics.format.layouts.recognition import is_own_line, is_torn_line

GOLDEN = ROOT / "tests" / "golden"
LINES = {
    layout: (GOLDEN / f"{name}.jsonl").read_bytes().splitlines()
    for layout, name in (("native", "lines"), ("ecs", "ecs"), ("otel", "otel"))
}

FOREIGN = [
    b"",
    b"x",
    b"[",
    b"{}",
    b"{\n",
    b'{"a"',
    b'{"timestamp":"2026-11-30',
    b'{"timestamp":"2026-11-30T12:00:00Z"',
    b'{"timestamp":"2026-11-30T12:00:00.123456Z","msg"',
    b'{"timestamp":"2026-11-30T12:00:00.123456Z","level":"info","event":"x","user"',
    b'{"timestamp":"2026-11-30T12:00:00.123456Z","level":"info","event":"a \\" b","user"',
    b'{"@timestamp":"2026-11-30T12:00:00.123456Z","log.level":"info","message":"x","ecs.version":"1.6.0","process"',
    b'{"resourceLogs":[{"',
    b'{"at":"2026-11-30T12:00:00.123456Z","reason":"x"',
    b"\0" * 100,
    b"\x7fELF",
]


@pytest.mark.parametrize("layout", LINES)
def test_each_beginning_of_a_line(layout):
    """A line that is cut at any byte is known as torn, alone and with zeros behind it; a whole one as whole."""
    for line in LINES[layout]:
        if b"9f3c21d07a55e8b04c1d" not in line:  # made outside a log
            assert not is_own_line(line)
            continue
        assert is_own_line(line)
        for cut in range(1, len(line)):
            assert is_torn_line(line[:cut])
            assert is_torn_line(line[:cut] + b"\0" * 50)
            assert not is_own_line(line[:cut])


@pytest.mark.parametrize("layout", LINES)
def test_long_texts_and_escapes(layout):
    """A text of any length, with escapes in it, does not hide whose line it is."""
    for line in LINES[layout]:
        if b'"event":"' in line and layout == "native":
            head, _, rest = line.partition(b'"event":"')
            long = head + b'"event":"' + b'\\"\\\\ text' * 20_000 + rest
            assert is_own_line(long)
            for cut in range(60, 200):
                assert is_torn_line(long[:cut])


@pytest.mark.parametrize("data", [text for text in FOREIGN if text not in (b'{"timestamp":"2026-11-30',)], ids=str)
def test_foreign_texts(data):
    """Nothing of another program is known as a line, whole or torn."""
    assert not is_torn_line(data)
    assert not is_own_line(data)


def test_a_text_that_may_be_either():
    """A text that agrees with a line's fixed beginning as far as it goes, and holds nothing else, counts as torn."""
    assert is_torn_line(b'{"timestamp":"2026-11-30')
    assert is_torn_line(b"{")
    assert not is_own_line(b"{")


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"x","v":1}',
        b'{"event":"x","v":1,"writer":5}',
        b'{"event":"x","v":1,"writer":"short"}',
        b"[" * 5_000,
        b"x" * 100_000,
        b"\xff\xfe",
    ],
)
def test_lines_that_only_resemble(line):
    """JSON without a writer's id, deep JSON and long texts are no lines of this package."""
    assert not is_own_line(line)


def test_a_layout_of_an_application():
    """A torn line of a layout without a fixed beginning is known once the writer's id and the number are in it."""
    line = b'["toy","2026-11-30T12:00:00.123456Z","info","x",1,"writer":"0123456789abcdef0123","seq":7,'
    assert is_torn_line(line)
    assert not is_torn_line(line[:40])
