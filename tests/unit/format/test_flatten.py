from __future__ import annotations

import dataclasses
import json
import os

import pytest
from hypothesis import given, settings
from support import TESTS
from support.records import AT, NOW, RECORDS, REQUEST, ROUND, TOOL, TRACE, line_of, parsed
from support.strategies import (
    EVENT_CLASSES,
    EVENTS,
    EXAMPLES,
    HEADER,
    fields_in_line,
    meta,
)

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten, parse
from bamboo_logmetrics.format.strict_json import encode

GOLDEN = os.path.join(TESTS, "golden", "lines.jsonl")
with open(GOLDEN, "rb") as _file:
    LINES = _file.read().split(b"\n")[:-1]


# -- the line -------------------------------------------------------------------------------


@pytest.mark.parametrize(("flat", "line"), list(zip(RECORDS, LINES, strict=True)), ids=range(1, len(LINES) + 1))
def test_golden(flat, line):
    """Each record is written as the golden line byte for byte; writing the record that was read gives it again."""
    assert encode(flat) == line
    read = parse.parse_line(line)
    bound = dict(read.bound)
    common = {"writer": read.writer, "seq": read.seq, "timestamp": flat["timestamp"], "exception": read.exception}
    if read.event is None:
        again = flatten.expand_plain(read.text, bound, level=read.level, **common)
    else:
        again = flatten.expand(read.event, bound, own=read.own, **common)
    assert encode(again) == line


def test_golden_file_holds_each_kind():
    """The golden file has lines of every kind, emitted by the application and by the log itself."""
    lines = [json.loads(line) for line in LINES]
    assert set(EVENT_CLASSES) <= {line["event"] for line in lines if "plain" not in line}
    system = [line for line in lines if line["event"].startswith("system.")]
    assert [line.get("source") for line in system] == ["app"] * 4 + [None] * 6


def test_keys_come_in_order():
    """Header, event id, trace id, fields, bound values, exception: always in this order."""
    event = dataclasses.replace(ROUND, error="e")
    assert list(line_of(event, {"b": 1, "a": 2, "seq": 9}, exception="x")) == [
        "timestamp", "level", "event", "v", "writer", "seq", "event_id", "trace_id", "round_id", "session_id", "status",
        "prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens",
        "reasoning_tokens", "latency_ms", "error", "b", "a", "bound_seq", "exception",
    ]  # fmt: skip
    plain = flatten.expand_plain("t", {"b": 1, "exception": "x", "a": 2}, level="info", seq=1, **AT)
    assert list(plain) == ["timestamp", "level", "event", "v", "writer", "seq", "plain", "b", "a", "exception"]


def test_timestamp_is_when_it_happened():
    """A chat or forward event has its own time, everything else the call's."""
    assert line_of(TOOL)["timestamp"] == "2026-11-22T15:47:13.417697Z"
    assert line_of(blm.WorkerStarted())["timestamp"] == NOW
    assert line_of(EXAMPLES[-1])["timestamp"] == NOW


@pytest.mark.parametrize(
    ("cls", "level", "others"),
    [
        (blm.SessionCompleted, {"error": "error"}, blm.SessionStatus),
        (blm.RoundCompleted, {"error": "error"}, blm.RoundStatus),
        (blm.RequestCompleted, {"error": "error", "timeout": "error"}, blm.ForwardStatus),
    ],
)
def test_levels_of_statuses(cls, level, others):
    """A failed session, round or request and a timeout are errors; any other status is info."""
    event = next(event for event in EXAMPLES if isinstance(event, cls))
    for status in others:
        line = line_of(dataclasses.replace(event, status=status))
        assert line["level"] == level.get(status.value, "info")
        assert line["status"] == status.value


def test_levels_of_kinds():
    """A failed tool and MetricsDropped are warnings, StorageError an error, every other kind info."""
    levels = {(event.kind, line_of(event)["level"]) for event in EXAMPLES if not hasattr(event, "status")}
    not_info = {
        ("chat.tool_called", "warning"),
        ("system.metrics_dropped", "warning"),
        ("system.storage_error", "error"),
    }
    assert {item for item in levels if item[1] != "info"} == not_info
    assert flatten.level_of(TOOL) == "info"


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_none_is_left_out(event):
    """An optional field that is None has no key; a bound None is kept, as null."""
    assert None not in line_of(event).values()
    assert line_of(event, {"note": None})["note"] is None


@given(EVENTS)
@settings(deadline=None, max_examples=300)
def test_line_and_tagged_form_hold_the_same_values(event):
    """The line and the tagged form hold the same values, field by field."""
    ((_, inner),) = json.loads(event.to_json()).items()
    fields = {} if isinstance(inner, str) else next(iter(inner.values()))
    line = line_of(event)
    if "meta" in fields:
        fields |= fields.pop("meta")
        assert line["timestamp"] == fields.pop("occurred_at")
    fields |= fields.pop("usage", None) or {}
    expected = {name: value for name, value in fields.items() if value is not None}
    written = {name: value for name, value in line.items() if name not in {*HEADER, "source"}}
    assert written == expected
    assert {name: type(value) for name, value in written.items()} == {n: type(v) for n, v in expected.items()}


# -- reserved names -------------------------------------------------------------------------

NAMES = [(event, name) for event in EXAMPLES[:16] for name in sorted({*HEADER, *fields_in_line(type(event))})]


def test_reserved_names_become_bound():
    """Each header name and each field of a kind, present or not, is written as ``bound_<key>`` when it was bound."""
    for event, name in NAMES:
        plain = line_of(event)
        assert line_of(event, {name: ["other"]}) == plain | {f"bound_{name}": ["other"]}, (event.kind, name)
        assert dict(parsed(event, {name: ["other"]}).bound) == {f"bound_{name}": ["other"]}, (event.kind, name)
    assert len(NAMES) > 200


def test_equal_values_are_left_out():
    """A bound value that equals the event's own is not written twice, nor is None for a field that is absent."""
    for event, name in NAMES:
        plain = line_of(event)
        assert line_of(event, {name: plain.get(name)}) == plain, (event.kind, name)
        if name in plain:
            assert line_of(event, {name: None}) == plain | {f"bound_{name}": None}, (event.kind, name)


@pytest.mark.parametrize(
    ("event", "name", "value"),
    [
        (dataclasses.replace(TOOL, latency_ms=0), "latency_ms", False),
        (dataclasses.replace(TOOL, latency_ms=1), "latency_ms", 1.0),
        (dataclasses.replace(TOOL, latency_ms=1), "latency_ms", True),
        (TOOL, "success", 1),
        (blm.WorkerStarted(), "v", True),
        (TOOL, "seq", 1.0),
    ],
)
def test_equal_is_of_the_same_type(event, name, value):
    """0 is not False, 1 is neither True nor 1.0: such a bound value is kept next to the event's own."""
    line = line_of(event, {name: value})
    assert line[f"bound_{name}"] is value or type(line[f"bound_{name}"]) is type(value)
    assert type(line[name]) is type(line_of(event)[name])


def test_names_of_other_kinds_are_free():
    """A name that is no field of this kind is bound as it is, an unknown kind has header names only."""
    assert line_of(TOOL, {"model": "m", "source": "s", "prompt_tokens": 1})["model"] == "m"
    assert line_of(EXAMPLES[0], {"source": "s"})["source"] == "s"
    assert line_of(blm.WorkerStarted(), {"source": "web", "event_id": "e"})["bound_source"] == "web"
    assert line_of(EXAMPLES[-1], {"level": 1, "usage": 2, "trace_id": "t"}).items() >= {
        "bound_level": 1, "usage": 2, "trace_id": "t"
    }.items()  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "keys"),
    [
        ({"level": 1, "bound_level": 2}, {"bound_level": 1, "bound_bound_level": 2}),
        ({"bound_level": 2, "level": 1}, {"bound_level": 2, "bound_bound_level": 1}),
        (
            {"bound_level": 1, "bound_bound_level": 2, "level": 3},
            {"bound_level": 1, "bound_bound_level": 2, "bound_bound_bound_level": 3},
        ),
        ({"truncated": ["x"], "bound_truncated": 1}, {"bound_truncated": ["x"], "bound_bound_truncated": 1}),
        ({"exception": {"type": "E"}}, {"bound_exception": {"type": "E"}}),
        ({"exception": 5, "bound_exception": 6}, {"bound_exception": 5, "bound_bound_exception": 6}),
    ],
)
def test_names_that_collide_lose_nothing(bound, keys):
    """Where ``bound_<key>`` is taken as well, one more ``bound_`` is put before it; no value is lost."""
    assert dict(parsed(TOOL, bound).bound) == keys
    plain = encode(flatten.expand_plain("t", bound, level="info", seq=1, **AT))
    assert dict(parse.parse_line(plain).bound) == keys


def test_exception_is_the_call_s():
    """The exception of a call is ``exception``; a text bound under that name replaces a missing one, or is renamed."""
    assert parsed(TOOL, {"exception": "made"}).exception == "made"
    line = parsed(TOOL, {"exception": "bound"}, exception=TRACE)
    assert (line.exception, dict(line.bound)) == (TRACE, {"bound_exception": "bound"})
    plain = flatten.expand_plain("t", {"exception": "bound"}, level="info", exception=TRACE, seq=1, **AT)
    assert (plain["exception"], plain["bound_exception"]) == (TRACE, "bound")


def test_bound_trace_id_fills_a_missing_one():
    """A bound trace id becomes the event's when it has none, is renamed if there is another, and must be text."""
    without = dataclasses.replace(TOOL, meta=meta(1))
    assert parsed(without, {"trace_id": "t-1"}).event.meta.trace_id == "t-1"
    assert "bound_trace_id" not in line_of(without, {"trace_id": "t-1"})
    assert line_of(without, {"trace_id": 5}).get("trace_id") is None
    assert line_of(without, {"trace_id": 5})["bound_trace_id"] == 5
    assert line_of(TOOL, {"trace_id": "other"})["trace_id"] == "req-1"
    assert line_of(TOOL, {"trace_id": "other"})["bound_trace_id"] == "other"
    assert line_of(blm.WorkerStarted(), {"trace_id": "t-1"})["trace_id"] == "t-1"


def test_an_absent_field_is_never_forged():
    """Bound token counts do not become the usage of a request that reported none."""
    line = parsed(REQUEST, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "error": "e"})
    assert line.event == REQUEST
    assert dict(line.bound)["bound_prompt_tokens"] == 1


def test_unknown_kinds_keep_their_fields():
    """Of an unknown kind, meta and usage are spread out too; header names in it become ``bound_``."""
    payload = {"meta": {"event_id": "e", "trace_id": None}, "usage": {"n": 1}, "level": 3, "x": None, "y": [None]}
    event = blm.UnknownEvent(family="Chat", variant="Odd_Name", payload=json.dumps(payload))
    line = line_of(event)
    assert [(key, line[key]) for key in list(line)[6:]] == [
        ("event_id", "e"), ("n", 1), ("bound_level", 3), ("y", [None])
    ]  # fmt: skip
    assert parsed(event).event.kind == line["event"] == event.kind
    assert line_of(dataclasses.replace(event, payload="[1]"))["payload"] == [1]


def test_unknown_keys_of_an_event_stand_beside_it():
    """Keys that an event was read with are written in its line, as if they had been bound."""
    event = dataclasses.replace(TOOL).with_extra('{"later":[1],"level":2,"exception":"x","truncated":1}')
    assert dict(parsed(event, {"later": 3}, exception="boom").bound) == {
        "later": [1], "bound_level": 2, "bound_exception": "x", "bound_truncated": 1, "bound_later": 3
    }  # fmt: skip
