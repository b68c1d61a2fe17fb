from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import AT, REQUEST, ROUND, TOOL, WRITER, line_of, parsed
from support.strategies import BOUND, EVENTS, FULL_USAGE, HEADER, UNKNOWN, USAGE, fields_in_line

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.format import flatten, parse
from bamboo_logmetrics.format.strict_json import encode


def expected_bound(event, bound, header=HEADER):
    """Return the bound values and the exception that a line should hold, by the rules of the design and not by the code."""
    fields = fields_in_line(type(event))
    own = {name: value for name, value in line_of(event).items() if name in {*header, *fields}}
    exception, expected = None, {}
    for key, value in bound.items():
        name = key
        if key == "trace_id" and "meta" in fields and event.meta.trace_id is None and isinstance(value, str):
            continue
        if key in {*header, *fields}:
            if own.get(key) == value and type(own.get(key)) is type(value):
                continue
            name = f"bound_{key}"
        elif key == "exception" and isinstance(value, str):
            exception = value
            continue
        elif key in {"exception", "truncated"}:
            name = f"bound_{key}"
        while name in expected or name in own:
            name = f"bound_{name}"
        expected[name] = value
    return expected, exception


@given(EVENTS, BOUND, st.none() | st.text(min_size=1))
@settings(deadline=None, max_examples=300)
def test_round_trip(event, bound, exception):
    """Any event comes back from its line as itself, with its bound values."""
    line = parsed(event, bound, exception=exception)
    expected, bound_text = expected_bound(event, bound)
    if exception is not None and bound_text is not None:
        names = [f"{'bound_' * n}exception" for n in range(1, 9)]
        assert bound_text in [line.bound.get(name) for name in names]
        return
    filled = bound.get("trace_id")
    if isinstance(filled, str) and hasattr(event, "meta") and event.meta.trace_id is None:
        event = dataclasses.replace(event, meta=dataclasses.replace(event.meta, trace_id=filled))
    assert line.event == event
    assert dict(line.bound) == expected
    assert json.dumps(dict(line.bound)) == json.dumps(expected)
    assert line.exception == (bound_text if exception is None else exception)
    assert (line.text, line.writer, line.seq, line.truncated) == (None, WRITER, 1, ())
    assert line.level == flatten.level_of(event)


@given(st.text(), BOUND, st.sampled_from(["debug", "info", "warning", "error", "critical"]))
@settings(deadline=None, max_examples=100)
def test_plain_round_trip(text, bound, level):
    """A plain line comes back with its text, level, time and bound values; its event is None."""
    bound = {key: value for key, value in bound.items() if key not in HEADER}
    flat = flatten.expand_plain(text, bound, level=level, seq=1, **AT)
    line = parse.parse_line(encode(flat).decode())
    assert (line.event, line.text, line.level) == (None, text, level)
    assert line.timestamp == datetime(2026, 11, 22, 15, 47, 16, tzinfo=timezone.utc)
    exception = bound.pop("exception", None) if isinstance(bound.get("exception"), str) else None
    assert line.exception == exception
    assert list(line.bound.values()) == list(bound.values())
    assert {key for key in line.bound if not key.startswith("bound_")} <= set(bound)


def test_plain_tells_plain_from_typed():
    """A plain line whose text is the name of a kind is still a plain line."""
    flat = flatten.expand_plain("system.worker_stopped", {"count": 1}, level="info", seq=1, **AT)
    line = parse.parse_line(encode(flat))
    assert (line.event, line.text, line.own) == (None, "system.worker_stopped", False)


def test_own_lines_are_told_from_the_application_s():
    """A system event of the application has ``source: app`` and is never taken for one of the log's own."""
    own, app = parsed(blm.WorkerStopped(), {"emitted": 1}, own=True), parsed(blm.WorkerStopped(), {"emitted": 1})
    assert (own.own, own.source, dict(own.bound)) == (True, None, {"emitted": 1})
    assert (app.own, app.source, dict(app.bound)) == (False, "app", {"emitted": 1})
    assert not parsed(TOOL).own


@given(UNKNOWN, BOUND)
@settings(deadline=None, max_examples=100)
def test_unknown_kinds_read_as_unknown_events(event, bound):
    """A line of an unknown kind reads as UnknownEvent of that kind, whose payload holds all other keys of the line."""
    line = parsed(event, bound)
    assert isinstance(line.event, blm.UnknownEvent)
    assert line.event.kind == event.kind
    flat = line_of(event, bound)
    rest = {key: value for key, value in flat.items() if key not in {*HEADER, "exception"}}
    assert json.loads(line.event.payload or "{}") == rest
    assert not line.own


def test_failed_is_read_as_error():
    """A line with the status ``failed`` reads as ``error``, as in the tagged form."""
    line = encode(line_of(dataclasses.replace(ROUND, status="error")) | {"status": "failed"})
    assert parse.parse_line(line).event.status is blm.RoundStatus.ERROR


def test_usage_that_was_reported_is_read():
    """A request's usage is read when its parts are there, and is None when none is."""
    used = dataclasses.replace(REQUEST, usage=FULL_USAGE)
    assert parsed(used).event.usage == FULL_USAGE
    assert parsed(dataclasses.replace(REQUEST, usage=USAGE)).event.usage == USAGE
    assert parsed(REQUEST).event.usage is None


BROKEN = [
    ("", "not JSON"), ("{", "not JSON"), (b"\xff", "not JSON"), ('"\ud800"', "not JSON"), ("[" * 9000, "not JSON"),
    ('{"event":"x","v":1,"n":NaN}', "not JSON"), ('{"event":"x","v":1,"n":1e999}', "not JSON"),
    ("[]", "not a line of this log"), ("5", "not a line"), ('"x"', "not a line"), ("null", "not a line"),
    ("{}", "not a line"), ('{"event":5,"v":1}', "not a line"), ('{"event":"x"}', "not a line"),
    ('{"level":"info","message":"hi","@timestamp":"2026-11-22T15:47:16Z"}', "not a line"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "fault"), BROKEN, ids=range(len(BROKEN)))
def test_foreign_lines(data, fault):
    """Text that is not strict JSON, or not a line of this log, is a DecodeError with the reason."""
    with pytest.raises(DecodeError, match=f"^{fault}"):
        parse.parse_line(data)


@pytest.mark.parametrize("version", [0, 2, 1.0, True, "1", None, [1]])
def test_other_versions(version):
    """A line of another version is a DecodeError with the advice to update."""
    with pytest.raises(DecodeError, match="a line of version .*; this package reads version 1: update it"):
        parse.parse_line(encode(line_of(TOOL) | {"v": version}))


@pytest.mark.parametrize(
    "changed",
    [
        {"timestamp": None}, {"timestamp": 5}, {"timestamp": "now"}, {"level": None}, {"level": 5}, {"writer": 5},
        {"seq": "1"}, {"seq": 1.5}, {"seq": True}, {"exception": {}}, {"truncated": 5}, {"truncated": "exception"},
        {"event_id": None}, {"event_id": ""}, {"event_id": 5}, {"trace_id": 5}, {"latency_ms": "12"},
        {"latency_ms": -1}, {"latency_ms": None}, {"latency_ms": 2**64}, {"success": "true"}, {"success": 1},
        {"tool_name": None}, {"event": "chat.round_completed"}, {"event": "forward.request_completed"},
        {"event": "System.WorkerStarted"},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_broken_values(changed):
    """A line with a value of another type than its key holds is a DecodeError that names the kind."""
    with pytest.raises(DecodeError, match=rf"^{changed.get('event', 'chat.tool_called')}: "):
        parse.parse_line(json.dumps(line_of(TOOL) | changed))


@pytest.mark.parametrize("name", ["event_id", "timestamp", "level", "tool_call_id", "success", "latency_ms"])
def test_missing_keys(name):
    """A line without a key that its kind needs is a DecodeError; without writer and seq it is another log's."""
    flat = line_of(TOOL)
    del flat[name]
    with pytest.raises(DecodeError, match="chat.tool_called: "):
        parse.parse_line(json.dumps(flat))
    line = parse.parse_line(encode(flatten.expand(TOOL, {})))
    assert (line.event, line.writer, line.seq) == (TOOL, None, None)


def test_partial_usage():
    """A usage with a part missing is a DecodeError, not a usage with made-up zeros."""
    flat = line_of(ROUND)
    del flat["total_tokens"]
    with pytest.raises(DecodeError, match="chat.round_completed: .*total_tokens"):
        parse.parse_line(json.dumps(flat))


def test_a_line_cannot_be_changed():
    """A Line and its bound values are read-only."""
    line = parsed(TOOL, {"a": 1})
    with pytest.raises(TypeError):
        line.bound["a"] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.seq = 2
