from __future__ import annotations

import datetime as dt
import json
import logging

import pytest
import structlog
from support.strategies import EXAMPLES
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten, parse
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.processors import Cap, expand, redact

KEY = "sk-proj-abcdefghijklmnop1234567890"
NAMES = [event.kind for event in EXAMPLES]


def run(event_dict, *steps, method="info"):
    for step in steps:
        event_dict = step(None, method, event_dict)
    return event_dict


@pytest.fixture
def logger():
    """Return a structlog logger of somebody's own configuration, whose lines end in a list."""
    lines = []

    class Keeping:
        def msg(self, text):
            lines.append(json.loads(text))

        debug = info = warning = error = critical = exception = msg

    log = structlog.wrap_logger(
        Keeping(),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            expand,
            redact,
            Cap(1_000),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return log, lines


def test_typed_events_in_anybody_s_own_chain(logger):
    """In a structlog chain of the user's own, an event becomes its typed line, with what was bound beside it."""
    log, lines = logger
    event = tool(1)
    log.bind(project="p").info(event, api_key="x")
    (line,) = lines
    assert parse.parse_line(json.dumps(line)).event == event
    assert (line["level"], line["project"], line["api_key"]) == ("info", "p", "[redacted]")
    assert "plain" not in line
    assert "writer" not in line


def test_plain_lines_in_anybody_s_own_chain(logger):
    """A plain call becomes a plain line with the level and timestamp that earlier processors gave it."""
    log, lines = logger
    log.warning("cache %s", "warmed", entries=3)
    with structlog.contextvars.bound_contextvars(session="s"):
        log.error("text", timestamp="2026-01-01T00:00:00.000000Z")
    first, second = (parse.parse_line(json.dumps(line)) for line in lines)
    assert (first.level, first.bound["entries"]) == ("warning", 3)
    assert (second.text, second.bound["session"]) == ("text", "s")
    assert second.timestamp == dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize("exc_info", [True, ZeroDivisionError("x"), (ZeroDivisionError, ZeroDivisionError("x"), None)])
def test_exceptions_are_the_renderer_s_to_show(logger, exc_info):
    """``exc_info`` passes through our steps as it came, also where a long line is cut."""
    log, lines = logger
    try:
        1 / 0
    except ZeroDivisionError:
        log.error("failed " + "x" * 5_000, exc_info=exc_info)
    (line,) = lines
    assert "ZeroDivisionError" in line["exception"]
    assert line["truncated"] == ["event"]


def test_expand_takes_its_time_from_the_clock():
    """A line without a timestamp of its own has the time of the call, an event its own."""
    before = dt.datetime.now(dt.timezone.utc)
    lines = [run({"event": event}, expand) for event in ("text", blm.WorkerStarted(), tool(1))]
    after = dt.datetime.now(dt.timezone.utc)
    times = [parse.parse_line(encode(line)).timestamp for line in lines]
    assert all(before - dt.timedelta(microseconds=1) <= time <= after for time in times)


def test_expand_never_raises_because_of_a_value():
    """Every bound value becomes plain data; an event of another type is written as its text."""
    flat = run({"event": 5, "bad": object(), 7: {1}, "level": None}, expand)
    assert (flat["event"], flat["level"], flat["7"]) == ("5", "None", [1])
    assert flat["bad"].startswith("<object object")
    assert run({}, expand, method="warning")["level"] == "warning"


@pytest.mark.parametrize("event", EXAMPLES, ids=NAMES)
def test_redact_leaves_the_fields_of_an_event(event):
    """Ids, counts and names of an event are left as they are, even where they look like a secret."""
    flat = run({"event": event, "note": KEY}, expand, redact)
    expected = flatten.expand(event, {"note": "[redacted]"}, timestamp=flat["timestamp"])
    assert flat == expected


def test_redact_masks_text_and_values():
    """Plain texts, errors, reasons, exceptions and bound values are masked, nested ones too."""
    event = blm.StorageError(error=f"key {KEY}", event_type=KEY)
    flat = run({"event": event, "a": {"b": [KEY], KEY: 1}, "exception": f"ValueError: {KEY}"}, expand, redact)
    assert (flat["error"], flat["event_type"], flat["exception"]) == ("key [redacted]", KEY, "ValueError: [redacted]")
    assert flat["a"] == {"b": ["[redacted]"], "[redacted]": 1}
    assert run({"event": blm.MetricsDropped(count=1, reason=KEY)}, expand, redact)["reason"] == "[redacted]"
    assert run({"event": f"text {KEY}"}, expand, redact)["event"] == "text [redacted]"
    named = blm.SessionStarted(session_id=KEY, model=KEY, meta=blm.EventMeta(event_id=KEY, trace_id=KEY))
    flat = run({"event": named, "session_id": "other " + KEY}, expand, redact)
    assert [flat[name] for name in ("event_id", "trace_id", "session_id", "model")] == [KEY] * 4
    assert flat["bound_session_id"] == "other [redacted]"


def test_redact_masks_the_text_of_a_plain_line_named_like_an_event():
    """A plain line named like a kind has no fields of that kind: all of it is masked."""
    flat = run({"event": "chat.tool_called", "tool_name": KEY}, expand, redact)
    assert flat["tool_name"] == "[redacted]"


def test_redact_alone_masks_too():
    """Before or without ``expand`` the text is masked as well, and what is no text passes."""
    assert run({"event": KEY, "n": 1}, redact) == {"event": "[redacted]", "n": 1}
    assert run({"event": ["x"]}, redact) == {"event": ["x"]}
    assert run({"password": "x"}, redact) == {"password": "[redacted]"}


def test_unknown_kinds_are_masked_as_bound_values():
    """Of an unknown kind nothing is known to be free of secrets: all of it is masked."""
    event = blm.UnknownEvent(family="Chat", variant="Odd", payload=json.dumps({"prompt": KEY, "usage": {"n": 1}}))
    flat = run({"event": event}, expand, redact)
    assert (flat["event"], flat["prompt"], flat["n"]) == ("chat.odd", "[redacted]", 1)


def test_cap_cuts_what_is_too_long():
    """Cap leaves a short record as it is and cuts a long one to its limit, also where values are not JSON's."""
    short = run({"event": "text", "when": dt.date(2026, 1, 1)}, expand, Cap())
    assert (short["when"], "truncated" in short) == ("2026-01-01", False)
    flat = run({"event": "x" * 40_000, "plain": True, "bad": object(), "exc_info": ValueError("kept")}, Cap())
    assert isinstance(flat.pop("exc_info"), ValueError)
    assert len(encode(flat)) <= 32_000
    assert (flat["truncated"], flat["bad"][:8]) == (["event"], "<object ")
    record = {"event": "y" * 5_000, "plain": True}
    assert len(run(record, Cap(1_000))["event"]) < 1_000
    assert record == {"event": "y" * 5_000, "plain": True}


@pytest.mark.parametrize("to", ["message", "msg", "headline"])
def test_a_renamed_event_is_expanded(to):
    """An event that EventRenamer moved is found, and so is a text under a usual name."""
    renamed = structlog.processors.EventRenamer(to)
    flat = expand(None, "info", renamed(None, "info", {"event": tool(1), "a": 1}))
    assert (flat["event"], flat["a"], to in flat) == ("chat.tool_called", 1, False)
    flat = expand(None, "info", renamed(None, "info", {"event": "text", "a": 1}))
    assert flat["event"] == ("text" if to != "headline" else "")
    assert flat.get("headline") == ("text" if to == "headline" else None)


def test_expand_in_a_processor_formatter():
    """Within structlog's ProcessorFormatter events of stdlib loggers are typed; its own keys are left alone."""
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            expand,
            redact,
            Cap(),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ]
    )
    record = logging.getLogger("x").makeRecord("x", logging.WARNING, "f.py", 1, tool(1), (), None)
    flat = json.loads(formatter.format(record))
    assert (flat["event"], flat["tool_call_id"]) == ("chat.tool_called", "c1")
    record = logging.getLogger("x").makeRecord("x", logging.WARNING, "f.py", 1, "%s!", ("text",), None)
    flat = json.loads(formatter.format(record))
    assert (flat["event"], flat["level"], flat["plain"]) == ("text!", "warning", True)
    assert not {"_record", "_from_structlog"} & flat.keys()


@pytest.mark.parametrize(
    ("method", "values", "level", "name"),
    [
        ("exception", {}, "error", None),
        ("warn", {}, "warning", None),
        ("msg", {}, "info", None),
        ("loud", {}, "loud", None),
        ("info", {"level": "critical"}, "critical", None),
        ("info", {"level": 25}, "info", "Level 25"),
        ("info", {"level": 25, "level_name": "mine"}, "info", "mine"),
    ],
)
def test_levels_of_expanded_lines(method, values, level, name):
    """A plain line has one of the five levels wherever the method's name or number is that of a level."""
    flat = expand(None, method, {"event": "x", **values})
    assert (flat["level"], flat.get("level_name")) == (level, name)
