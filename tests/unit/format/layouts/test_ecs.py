from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given, settings
from support.flats import FIXED, FLATS, NOW, RECORDS, fields, there_and_back, written
from support.records import AT, REQUEST, ROUND, TOOL
from support.strategies import EXAMPLES, meta

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.layouts.mapping import ROWS

FIELDS = fields("ecs-fields.txt")


def ecs(event, bound=None, **more):
    return written("ecs", flatten.expand(event, bound or {}, seq=1, **AT, **more))


def plain(text, **bound):
    return written("ecs", flatten.expand_plain(text, bound, level="info", seq=1, **AT))


def _whole(bits):
    return lambda value: type(value) is int and -(2**bits) <= value < 2**bits


def _text(value):
    return type(value) is str


RIGHT = {
    "keyword": _text,
    "keyword[]": lambda value: type(value) is list and all(map(_text, value)),
    "match_only_text": _text,
    "wildcard": _text,
    "long": _whole(63),
    "integer": _whole(31),
    "double": lambda value: type(value) is float or _whole(63)(value),
    "boolean": lambda value: type(value) is bool,
    "date": lambda value: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value),
    "flattened": lambda value: type(value) is dict,
}


def leaves(data, before=""):
    """Give (path, value) of a document, down to what is a field."""
    for name, value in data.items():
        path = before + name
        if type(value) is dict and FIELDS.get(path) != "flattened":
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def hold_to_the_fields(document):
    for path, value in leaves(document):
        assert path in FIELDS, path
        assert RIGHT[FIELDS[path]](value), (path, value)


@pytest.mark.parametrize("flat", FIXED, ids=range(len(FIXED)))
def test_fields_and_types(flat):
    """Every field of a line is one of the published list, or of our own, and its value is of that field's type."""
    hold_to_the_fields(written("ecs", flat))


@given(FLATS)
@settings(deadline=None, max_examples=300)
def test_fields_and_types_of_anything(flat):
    """Whatever is bound, no field gets a value that Elasticsearch would refuse."""
    hold_to_the_fields(written("ecs", flat))


def test_the_list_of_fields():
    """The list has each field of the table, of the same type, and none that is never written."""
    for row in ROWS:
        path = row.ecs or row.otel
        assert FIELDS[path].removesuffix("[]") == row.type.elastic, path
    used = {path for flat in FIXED for path, _ in leaves(written("ecs", flat))}
    assert {*FIELDS} - {row.ecs or row.otel for row in ROWS} <= used


@pytest.mark.parametrize("flat", FIXED, ids=range(len(FIXED)))
def test_the_header_comes_first(flat):
    """Four names with dots come first, in the order of ECS; everything else is an object, ours the first of them."""
    document = written("ecs", flat)
    assert list(document)[:5] == ["@timestamp", "log.level", "message", "ecs.version", "bamboo"]
    assert document["@timestamp"] == flat["timestamp"]
    assert document["log.level"] == flat["level"]
    assert document["ecs.version"] == "9.4.0"
    assert all(type(value) is dict and "." not in name for name, value in list(document.items())[4:])
    if "writer" in flat:
        assert list(document["bamboo"])[:3] == ["v", "writer", "seq"]


def test_an_event():
    """The parts of an event stand where ECS and OpenTelemetry have them; a kind is the action and the message."""
    document = ecs(
        dataclasses.replace(ROUND, error="e"),
        {"model": "m", "project": "p", "colour": "c", "service_name": "x", "env": "e"},
    )
    assert document["message"] == "chat.round_completed"
    assert document["bamboo"] == {
        "v": 1, "writer": AT["writer"], "seq": 1, "round": {"id": "r-1", "status": "success"},
        "usage": {"total_tokens": 1801}, "project": "p", "bound": {"colour": "c"},
    }  # fmt: skip
    assert document["event"] == {
        "kind": "event", "id": ROUND.meta.event_id, "dataset": "bamboo.events", "action": "chat.round_completed",
        "duration": 2_345_000_000, "category": ["api"], "type": ["end"], "outcome": "success",
    }  # fmt: skip
    assert document["gen_ai"] == {
        "conversation": {"id": "s-1"}, "request": {"model": "m"}, "operation": {"name": "chat"},
        "usage": {
            "input_tokens": 1234, "output_tokens": 567, "cache_read": {"input_tokens": 1000},
            "cache_write": {"input_tokens": 0}, "reasoning": {"output_tokens": 64},
        },
    }  # fmt: skip
    assert document["trace"] == {"id": "req-1"}
    assert document["error"] == {"message": "e"}
    assert document["service"] == {"name": "x", "environment": "e"}


def test_a_plain_line():
    """A plain line has its text as message, and no action; what is bound to it goes by its name."""
    document = plain("cache warmed", session_id="s", status="x", host="h", count=3)
    assert document["message"] == "cache warmed"
    assert document["event"] == {"kind": "event", "dataset": "bamboo.events"}
    assert document["bamboo"]["plain"] is True
    assert document["gen_ai"] == {"conversation": {"id": "s"}}
    assert document["bamboo"]["bound"] == {"status": "x", "host": "h", "count": 3}
    assert "action" not in plain("system.worker_stopped", emitted=1)["event"]
    assert plain("system.worker_stopped", emitted=1)["bamboo"]["bound"] == {"emitted": 1}


def test_what_the_log_says_itself():
    """The facts of a worker stand in the fields of process and host, its counts with ours."""
    started = next(flat for flat in RECORDS if "pid" in flat)
    document = written("ecs", started)
    assert document["process"] == {"pid": 4711, "start": NOW}
    assert document["host"] == {"name": "web-1"}
    assert document["bamboo"]["worker"] == {"version": "0.1.0", "repaired_bytes": 0}
    stopped = next(flat for flat in RECORDS if "emitted" in flat)
    assert written("ecs", stopped)["bamboo"]["worker"] == {"emitted": 20, "written": 3, "dropped": {"queue_full": 17}}


def status(cls, value):
    return dataclasses.replace(next(event for event in EXAMPLES if isinstance(event, cls)), status=value)


STARTED = blm.RequestStarted(meta=meta(1), request_id="q", endpoint="x", model="m", is_stream=False)
ABOUT = [
    (blm.SessionStarted(session_id="s", model="m"), "session", "start", None, None),
    (status(blm.SessionCompleted, "completed"), "session", "end", "success", None),
    (status(blm.SessionCompleted, "error"), "session", "end", "failure", "error"),
    (status(blm.SessionCompleted, "cancelled"), "session", "end", "unknown", None),
    (status(blm.SessionCompleted, "running"), "session", "end", None, None),
    (blm.RoundStarted(round_id="r", session_id="s", model="m"), "api", "start", None, None),
    (status(blm.RoundCompleted, "success"), "api", "end", "success", None),
    (status(blm.RoundCompleted, "error"), "api", "end", "failure", "error"),
    (status(blm.RoundCompleted, "cancelled"), "api", "end", "unknown", None),
    (status(blm.RoundCompleted, "running"), "api", "end", None, None),
    (TOOL, "api", "end", "success", None),
    (dataclasses.replace(TOOL, success=False), "api", "end", "failure", "_OTHER"),
    (blm.MessageCountUpdated(session_id="s", message_count=1), "session", "info", None, None),
    (STARTED, "api", "start", "unknown", None),
    (REQUEST, "api", "end", "success", None),
    (dataclasses.replace(REQUEST, status="timeout", status_code=0), "api", "end", "failure", "timeout"),
    (dataclasses.replace(REQUEST, status="timeout", status_code=504), "api", "end", "failure", "504"),
    (dataclasses.replace(REQUEST, status="error", status_code=399), "api", "end", "failure", "error"),
    (dataclasses.replace(REQUEST, status="error", status_code=400), "api", "end", "failure", "400"),
    (blm.MetricsDropped(count=1, reason="storage"), "process", "info", None, None),
    (blm.StorageError(error="e", event_type="file"), "database", "error", "failure", None),
    (blm.WorkerStarted(), "process", "start", None, None),
    (blm.WorkerStopped(), "process", "end", None, None),
]


@pytest.mark.parametrize(("event", "category", "kind_of_event", "outcome", "error_type"), ABOUT, ids=range(len(ABOUT)))
def test_category_type_and_outcome(event, category, kind_of_event, outcome, error_type):
    """Each kind has its category and type, and an outcome where there is one; what failed has an error type."""
    document = ecs(event)
    fields = document["event"]
    assert (fields["category"], fields["type"], fields.get("outcome")) == ([category], [kind_of_event], outcome)
    assert document.get("error", {}).get("type") == error_type
    assert fields["kind"] == ("metric" if isinstance(event, blm.MessageCountUpdated) else "event")
    reason = "cancelled" if outcome == "unknown" and event is not STARTED else getattr(event, "reason", None)
    assert fields.get("reason") == reason


@pytest.mark.parametrize("event", [event for event, *_ in ABOUT], ids=range(len(ABOUT)))
@pytest.mark.parametrize("layout", ["ecs", "otel"])
def test_a_record_with_wrong_fields(event, layout):
    """A record of a file that somebody has changed is laid out as far as it goes, and comes back as it was."""
    flat = flatten.expand(event, {}, seq=1, **AT)
    names = set(flat) - {"timestamp", "level", "event", "v"}
    for changed in (
        dict.fromkeys(names),
        dict.fromkeys(names, 500),
        dict.fromkeys(names, "x"),
        {name: ["x"] for name in names},
    ):
        assert there_and_back(layout, flat | changed) == flat | changed
        assert written("ecs", flat | changed)["event"].get("outcome") in {None, "unknown", "failure"}
    without = {key: value for key, value in flat.items() if key not in names}
    assert there_and_back(layout, without) == without


def test_unknown_kinds():
    """Of an unknown kind nothing is known but its name; status, success and the like are not taken for ours."""
    payload = '{"meta":{"event_id":7},"status":"error","success":false,"endpoint":"openai.responses","reason":"x"}'
    document = ecs(blm.UnknownEvent(family="Chat", variant="ToolFailed", payload=payload))
    assert document["event"] == {"kind": "event", "dataset": "bamboo.events", "action": "chat.tool_failed"}
    assert document["bamboo"]["bound"] == {"event_id": 7, "status": "error", "success": False, "reason": "x"}
    assert "error" not in document
    assert "gen_ai" not in document
