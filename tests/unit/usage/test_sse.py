from __future__ import annotations

import tracemalloc

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


def test_data_without_text_is_bounded():
    """Empty lines of data count too; the event that they make is whole up to the limit."""
    splitter = EventSplitter(limit=1_000)
    for _ in range(500):
        assert splitter.split(b"data:\n" * 100) == []
        assert splitter.kept <= 1_000
    assert splitter.split(b"\n") == [("", b"\n" * 999)]
    assert splitter.kept == 0


@pytest.mark.parametrize("piece", [b"data:\n" * 1_000, b"data: x\n" * 1_000, b"ab"])
def test_what_is_kept_is_what_is_held(piece):
    """The memory that is held is about the bytes that are said to be kept, also of tiny pieces."""
    splitter = EventSplitter(limit=2**20)
    tracemalloc.start()
    try:
        for _ in range(100_000 if piece == b"ab" else 2_000):
            splitter.split(piece)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 100_000 < splitter.kept <= 2**20
    assert held < splitter.kept * 1.25 + 10_000


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([b'{"choices":[{"index":0,"delta":{}}', b'],"usage":{"prompt_tokens":1}}'], 1),
        ([b'{"a":{}', b',"b":"}"}'], 1),
        ([b'{"a":"{}', b'"}'], 1),
        ([b'{"a":' * 5_000 + b"1}", b"}" * 4_999], 1),
        ([b'{"a":1}', b'{"b":2}'], 2),
    ],
)
def test_an_object_over_several_lines_of_data(lines, count):
    """A line that ends with a brace is an event only where it is a whole object."""
    body = b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    expected = [("", line) for line in lines] if count > 1 else [("", b"\n".join(lines))]
    assert EventSplitter().split(body) == expected
    splitter = EventSplitter()
    assert [event for at in range(len(body)) for event in splitter.split(body[at : at + 1])] == expected


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
