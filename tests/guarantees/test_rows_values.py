"""Rows 34 and 35: whatever is logged gives one strict line, and what is written is the value at the call."""

from __future__ import annotations

import json
import logging

import pytest
import structlog
from hypothesis import given, settings
from support.tools import balanced, flat, physical, tool
from support.values import ANY, BREAKS, VALUES, Broken, Point

import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import GateSink, open_log_on


class Unspeakable(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value


def by_emit(log, value):
    assert log.emit(tool(), value=value)


def by_bind(log, value):
    assert log.bind(value=value).emit(tool())


def by_text(log, value):
    log.info("plain", value=value)


def as_text(log, value):
    log.warning(value)


def by_context_variable(log, value):
    with structlog.contextvars.bound_contextvars(value=value):
        assert log.emit(tool())


def by_exception(log, value):
    try:
        raise Unspeakable(value)
    except Unspeakable:
        log.exception("failed", value=value)


def by_stdlib(log, value):
    logger = logging.Logger("stdlib")  # noqa: LOG001 - of its own, so that pytest's handlers do not see the value
    logger.addHandler(blm.MetricsHandler(log))
    logger.info("plain", extra={"value": value})


WAYS = [by_emit, by_bind, by_text, as_text, by_context_variable, by_exception, by_stdlib]


def log_each_way(log, value):
    for way in WAYS:
        way(log, value)


def strict(line):
    """Return the object in a line; fail if it is not one line of strict JSON within the limit."""
    assert len(line) < 32_000
    assert len(line.decode("utf-8").splitlines()) == 1
    return json.loads(line, parse_constant=pytest.fail)


# an event as the text of a line is an event line, which tests/test_logger.py has
@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"event"}))
def test_row_34_bad_values(open_log, name):
    """Whatever is given in any way, no call raises, and each gives one strict line that holds the value or a marker."""
    value, expected = VALUES[name]
    log = open_log()
    log_each_way(log, value)
    assert log.flush(30)
    assert balanced(log.stats())
    assert log.stats().written == len(WAYS)
    assert log.close()
    lines = [strict(line) for line in physical(log.path)]
    assert [line["seq"] for line in lines] == list(range(1, len(WAYS) + 3))
    for way, line in zip(WAYS, lines[1:-1], strict=True):
        if way is as_text:
            assert isinstance(line["event"], str)
        elif way is not by_exception or "truncated" not in line:  # a long exception leaves less room for the value
            assert expected(line["value"]) if callable(expected) else line["value"] == expected, way.__name__
    assert blm.verify([log.path]).ok


@given(ANY)
@settings(deadline=None, max_examples=60)
def test_row_34_any_value(tmp_path_factory, value):
    """Any value at all gives one strict line for each way in."""
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    with blm.open_log(path) as log:
        log_each_way(log, value)
    lines = [strict(line) for line in physical(path)]
    assert len(lines) == len(WAYS) + 2
    assert log.stats().written == len(WAYS)


TEXTS = ["a\ud800b", BREAKS, "\x00\x01\x7f", "x" * 10_000_000, "\U0001f600" * 9_000, '"\\/', "\ufeff\u202e"]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_row_34_bad_texts_in_events(open_log, text):
    """An event whose texts and keys hold anything gives one strict line, or is counted as too large, never an error."""
    log = open_log()
    event = blm.RoundCompleted(
        round_id="r",
        session_id="s",
        status=blm.RoundStatus.ERROR,
        usage=blm.TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2),
        latency_ms=1,
        error=text,
    )
    assert log.emit(event)
    log.emit(tool(tool_name=text[:200]))
    log.emit(tool(), **{text[:50]: 1})
    log.info(text)
    assert log.close()
    assert [strict(line)["seq"] for line in physical(log.path)] == list(range(1, 7))
    error = flat(log.path)[1]["error"]
    assert error == text.replace("\ud800", "\ufffd") if len(text) < 5_000 else error.startswith(text[:1_000])


def test_row_35_changed_after_the_call(tmp_path):
    """A value that is changed after the call is written as it was at the call, for each way in."""
    sink = GateSink()
    log = open_log_on(sink, tmp_path / "a.jsonl")
    assert sink.wait_for_writer()
    inner, raw = {"a": [1]}, bytearray(b"abc")
    value = [inner, raw, Point(inner)]
    log_each_way(log, value)
    inner["a"].append(2)
    inner["b"] = Broken()
    raw[:] = b"xyz"
    value.clear()
    sink.open_gate()
    assert log.close()
    lines = [line for line in flat(log.path) if not line["event"].startswith("system.")]
    assert len(lines) == len(WAYS)
    as_it_was = [{"a": [1]}, "abc", {"x": {"a": [1]}, "y": None}]
    for way, line in zip(WAYS, lines, strict=True):
        if way is not as_text:
            assert line["value"] == as_it_was, way.__name__


def test_row_35_arguments_become_text_at_the_call(tmp_path):
    """The arguments of a stdlib record are made into its text when it is logged."""
    sink = GateSink()
    log = open_log_on(sink, tmp_path / "a.jsonl")
    assert sink.wait_for_writer()
    logger, items = logging.Logger("stdlib"), [1]  # noqa: LOG001
    logger.addHandler(blm.MetricsHandler(log))
    logger.info("items %s", items)
    items.append(2)
    sink.open_gate()
    assert log.close()
    assert [line["event"] for line in flat(log.path) if "plain" in line] == ["items [1]"]


BREAKING = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("character", BREAKING, ids=ascii)
def test_row_35_breaks_stay_inside_the_line(open_log, character):
    """A newline, U+2028 or any other break inside a text leaves the line one line, and the text reads back as it was."""
    text = f"before{character}after"
    log = open_log()
    log_each_way(log, {text: text})
    log.emit(tool(tool_name=text), **{text: text})
    log.info(text)
    assert log.close()
    lines = [strict(line) for line in physical(log.path)]
    assert lines[-3]["tool_name"] == lines[-3][text] == lines[-2]["event"] == text
    with open(log.path, encoding="utf-8", newline="") as file:
        assert len(file.read().splitlines()) == len(lines)
