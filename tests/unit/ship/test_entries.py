from __future__ import annotations

import json

import pytest
from support.shiplog import line
from support.tools import physical, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.ship.entries import IDS, entry_of, time_ns

GOOD = json.loads(line("a", 7))


def bytes_of(**changes):
    return json.dumps(GOOD | changes).encode()


def with_value(text):
    """Return a line with a value that is given as JSON text."""
    return json.dumps(GOOD).encode()[:-1] + b',"x":' + text + b"}"


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_a_line_of_any_layout(tmp_path, layout):
    """A line in each layout gives the same entry: its identity, family, time, ids and flat record."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path, layout=layout) as log:
        log.emit(tool(1))
        log.bind(service_name="shop", env="production").info("héllo", who="é", trace_id="t-1")
    started, event, text, stopped = map(entry_of, physical(path))
    assert [each.family for each in (started, event, text, stopped)] == ["system", "chat", "plain", "system"]
    assert [each.head.seq for each in (started, event, text, stopped)] == [1, 2, 3, 4]
    assert event.id == f"{event.head.writer}-2"
    assert (event.head.tool_call_id, event.head.session_id, text.head.trace_id) == ("c1", "s", "t-1")
    assert event.native is (layout == "native")
    flat = text.flat()
    assert (flat["event"], flat["who"], flat["service_name"], flat["env"]) == ("héllo", "é", "shop", "production")
    assert event.time_ns == time_ns(event.head.timestamp) > 1_700_000_000 * 10**9


def test_ids_are_known():
    """The ids that a destination may ask for are fields of the head."""
    entry = entry_of(bytes_of(**{name: name.upper() for name in IDS}))
    assert [getattr(entry.head, name) for name in IDS] == [name.upper() for name in IDS]


BAD = {
    "empty": b"",
    "no JSON": b"hello",
    "half": line("a", 1)[:40],
    "a list": b"[1]",
    "a number": b"17",
    "somebody else's": b'{"message": "hello"}',
    "another version": bytes_of(v=2),
    "no writer": json.dumps({key: value for key, value in GOOD.items() if key != "writer"}).encode(),
    "no writer of ours": bytes_of(writer="somebody"),
    "writer with a newline": bytes_of(writer="a" * 20 + "\n"),
    "number 0": bytes_of(seq=0),
    "negative number": bytes_of(seq=-1),
    "number that is none": bytes_of(seq=True),
    "a number that could not be counted": bytes_of(seq=2**53 + 1),
    "number as text": bytes_of(seq="7"),
    "no time": bytes_of(timestamp="yesterday"),
    "no such day": bytes_of(timestamp="2026-02-30T00:00:00.000000Z"),
    "no such second": bytes_of(timestamp="2026-02-20T00:00:99.000000Z"),
    "digits of another script": bytes_of(timestamp="2026-02-20T00:00:00.00000\u0661Z").replace(
        b"\\u0661", "\u0661".encode()
    ),
    "a level that is no text": bytes_of(level=3),
    "bytes that are no UTF-8": with_value(b'"\xff"'),
    "half a surrogate": with_value(b'"\\ud800"'),
    "NaN": with_value(b"NaN"),
    "a control character": with_value(b'"\x00"'),
    "deep": with_value(b"[" * 1_000_000 + b"]" * 1_000_000),
    "deep, of another form": b'{"v":2,"x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
    "two in one": line("a", 1).strip() + line("a", 2).strip(),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_a_line(name):
    """A line of another program raises ValueError, whatever it is."""
    with pytest.raises(ValueError):
        entry_of(BAD[name])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00.000000Z", 0),
        ("1970-01-01T00:00:01.000001Z", 1_000_001_000),
        ("2026-11-22T15:47:13.417691Z", 1_795_362_433_417_691_000),
        ("2026-11-22T15:47:13Z", 1_795_362_433_000_000_000),
        ("2026-11-22T16:47:13.4+01:00", 1_795_362_433_400_000_000),
        ("1969-12-31T23:59:59.999999Z", -1_000),
    ],
)
def test_times_in_nanoseconds(text, expected):
    """A time is given in whole nanoseconds, without a rounding error, in any form that a line may have."""
    assert time_ns(text) == expected
    assert entry_of(bytes_of(timestamp=text)).time_ns == expected
