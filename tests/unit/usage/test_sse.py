from __future__ import annotations

import pytest

from bamboo_logmetrics.usage.sse import EventSplitter


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_fields_of_events(line_end):
    """An event has its name and its data, whatever ends the lines; other fields and comments are passed over."""
    lines = [
        b": comment",
        b"event: a",
        b"id: 1",
        b'data: {"x": 1}',
        b"",
        b"data: one",
        b"data:two",
        b"",
        b"event: b",
        b"",
        b"data",
        b"data: [DONE]",
        b"",
    ]
    body = line_end.join(lines) + line_end
    expected = [("a", b'{"x": 1}'), ("", b"one\ntwo"), ("", b"[DONE]")]
    assert EventSplitter().split(body) == expected
    splitter = EventSplitter()
    assert [event for at in range(len(body)) for event in splitter.split(body[at : at + 1])] == expected
    assert splitter.kept == 0


def test_a_long_line():
    """A line or data of several lines beyond the limit is passed over; what follows is read."""
    for chunks in (
        [b"data: " + b"x" * 200 + b"\n"],
        [b"data: ", b"x" * 99, b"y" * 99, b"\n"],
        [b"data: xxx\n" * 60 + b"\n"],
    ):
        splitter = EventSplitter(limit=100)
        events = []
        for chunk in chunks:
            events += splitter.split(chunk)
            assert splitter.kept <= 500
        events += splitter.split(b'\ndata: {"x": 1}\n\n')
        assert events[-1] == ("", b'{"x": 1}')
        assert splitter.kept == 0
        assert all(len(data) <= 200 for _, data in events)


def test_the_line_that_has_not_ended():
    """The last line is looked at without being taken."""
    splitter = EventSplitter()
    assert splitter.last() is None
    assert splitter.split(b'event: a\ndata: {"x"') == []
    assert splitter.last() is None
    assert splitter.split(b": 1}") == []
    assert splitter.last() == splitter.last() == ("a", b'{"x": 1}')
    assert splitter.split(b"\n") == [("a", b'{"x": 1}')]
    splitter.split(b"id: 5")
    assert splitter.last() is None
    splitter.split(b"\ndata: x\ndata: y")
    assert splitter.last() is None
