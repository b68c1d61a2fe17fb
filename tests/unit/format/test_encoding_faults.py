"""Errors while a batch is encoded: each costs one record at most, and never the batch."""

from __future__ import annotations

import socket

import pytest
from support.strategies import EXAMPLES
from support.tools import balanced, dropped, flat, of_kind, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics import system
from bamboo_logmetrics.format import encoder, fast_path, flatten
from bamboo_logmetrics.format.layouts import ECS
from bamboo_logmetrics.pipeline import step
from bamboo_logmetrics.testing import FailingSink, ManualClock, open_log_on

ERRORS = (ValueError, AttributeError, RecursionError, MemoryError, KeyError)


class HostileError(Exception):
    """An exception whose own text cannot be had."""

    def __str__(self):
        raise RuntimeError


def is_bad(flat_record):
    """Return True for the one record that shall fail, not for its marker."""
    return flat_record.get("tool_name") == "bad" or flat_record["event"] == "bad"


def failing(original, error):
    def fails(flat_record, *args, **kw):
        if is_bad(flat_record):
            raise error
        return original(flat_record, *args, **kw)

    return fails


def expanding(original, error):
    def fails(event, *args, **kw):
        if getattr(event, "tool_name", event) == "bad":
            raise error
        return original(event, *args, **kw)

    return fails


STAGES = {
    "expand": (flatten, "expand", expanding),
    "expand_plain": (flatten, "expand_plain", expanding),
    "redact": (encoder, "redact_flat", failing),
    "cap": (encoder, "cap", failing),
}


@pytest.mark.parametrize("first", [True, False], ids=["first of its batch", "in the middle"])
@pytest.mark.parametrize("error", [*ERRORS, HostileError])
@pytest.mark.parametrize("stage", STAGES)
def test_one_record_that_cannot_be_encoded(tmp_path, monkeypatch, stage, error, first):
    """An error in any stage costs the one record: a marker stands in its place, and all other records are there."""
    where, name, make = STAGES[stage]
    monkeypatch.setattr(where, name, make(getattr(where, name), error()))
    monkeypatch.setattr(fast_path.FastPath, "line", lambda *_: None)
    monkeypatch.setattr(encoder, "is_clean_flat", lambda _: False)  # as of a record that may have secrets
    log = blm.open_log(tmp_path / "a.jsonl")
    if not first:
        log.emit(tool(0))
    if stage == "expand_plain":
        log.info("bad")
    else:
        log.emit(tool(1, tool_name="bad"))
    assert all(log.emit(tool(number)) for number in range(2, 50))
    assert log.close()
    assert log.stats().dropped == {}
    [marker] = [line for line in flat(tmp_path / "a.jsonl") if "encode_error" in line]
    assert marker["event"] in {"chat.tool_called could not be encoded", "a plain line could not be encoded"}
    assert (marker["encode_error"], marker["level"], marker["plain"]) == (error.__name__, "error", True)
    assert sum("tool_name" in line for line in flat(tmp_path / "a.jsonl")) == 48 + (not first)
    assert blm.verify(tmp_path / "a.jsonl").ok


def test_a_marker_that_cannot_be_encoded(tmp_path, monkeypatch):
    """Where the marker itself fails, a line with no more than the kind and the error takes its place."""
    original = encoder.redact_flat

    def fails(flat_record):
        if is_bad(flat_record) or "encode_error" in flat_record:
            raise ValueError
        original(flat_record)

    monkeypatch.setattr(encoder, "redact_flat", fails)
    monkeypatch.setattr(encoder, "is_clean_flat", lambda _: False)
    monkeypatch.setattr(encoder.LineEncoder, "encode", encoder.LineEncoder._encode_generally)
    log = blm.open_log(tmp_path / "a.jsonl")
    assert log.emit(tool(1, tool_name="bad"))
    assert log.emit(tool(2))
    assert log.close()
    assert [line["event"] for line in flat(tmp_path / "a.jsonl")][1:-1] == [
        "chat.tool_called could not be encoded",
        "chat.tool_called",
    ]


def test_an_event_whose_kind_raises(tmp_path, monkeypatch):
    """A kind that cannot be read, as of a class that is broken, costs that record, also first of its batch."""
    log = blm.open_log(tmp_path / "a.jsonl")
    unknown = blm.UnknownEvent(family="Audit", variant="Read")

    def fails(_):
        raise HostileError

    monkeypatch.setattr(blm.UnknownEvent, "kind", property(fails))
    assert log.emit(unknown)
    assert all(log.emit(tool(number)) for number in range(100))
    assert log.close()
    assert [line["event"] for line in flat(tmp_path / "a.jsonl")][1] == "UnknownEvent could not be encoded"
    assert len(flat(tmp_path / "a.jsonl")) == 103


@pytest.mark.parametrize("error", [*ERRORS, HostileError, SystemExit])
def test_a_failing_file_is_tried_again_whatever_it_raises(tmp_path, error):
    """Whatever the file raises, also an exception without a text, the lines are kept and written when it works again."""
    clock, sink = ManualClock(), FailingSink()
    log = open_log_on(sink, tmp_path / "a.jsonl", clock=clock)
    assert log.flush()
    sink.failures.append(error())
    log.emit(tool(1))
    while not log.flush(0):
        clock.advance(1)
    log.close()
    assert [line["event"] for line in flat(tmp_path / "a.jsonl")] == [
        "system.worker_started", "chat.tool_called", "system.storage_error", "system.worker_stopped",
    ]  # fmt: skip


def test_drops_whose_line_cannot_be_made_are_announced_later(tmp_path, monkeypatch):
    """A MetricsDropped that raises while it is encoded is announced with the next; the sum is exact."""
    original, failures = encoder.LineEncoder.encode_internal, [MemoryError()]

    def fails(self, event, *args):
        if isinstance(event, blm.MetricsDropped) and failures:
            raise failures.pop()
        return original(self, event, *args)

    monkeypatch.setattr(encoder.LineEncoder, "encode_internal", fails)
    clock = ManualClock()
    log = blm.open_log(tmp_path / "a.jsonl", clock=clock, max_line_bytes=1_000)
    log.emit(tool(1, tool_name="n" * 2_000))
    while not log.flush(0):
        clock.advance(1)
    log.emit(tool(2, tool_name="n" * 2_000))
    while not log.close(0):
        clock.advance(1)
    assert failures == []
    assert dropped(tmp_path / "a.jsonl") == {"too_large": 2}
    assert balanced(log.stats())
    assert blm.verify(tmp_path / "a.jsonl").ok


def test_a_start_that_cannot_be_said_is_said_later(tmp_path, monkeypatch):
    """A worker_started that raises while it is encoded is encoded at the next attempt, and is still the first line."""
    original, failures = step.worker_started_fields, [MemoryError()]

    def fails(*args):
        if failures:
            raise failures.pop()
        return original(*args)

    log = blm.open_log(tmp_path / "a.jsonl")
    assert log._pipeline.flush_and_mark_stopped()
    monkeypatch.setattr(step, "worker_started_fields", fails)
    log.emit(tool(1))
    assert log.close()
    assert failures == []
    assert [line["event"] for line in flat(tmp_path / "a.jsonl")][2:] == [
        "system.worker_started", "chat.tool_called", "system.storage_error", "system.worker_stopped",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [OSError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")], ids=repr)
def test_a_machine_without_a_name(tmp_path, monkeypatch, error):
    """A host name that cannot be read is empty, and keeps no log from starting."""

    def fails():
        raise error

    monkeypatch.setattr(socket, "gethostname", fails)
    blm.open_log(tmp_path / "a.jsonl").close()
    assert system.host() == ""
    assert [line["host"] for line in of_kind(tmp_path / "a.jsonl", "system.worker_started")] == [""]


def test_ordinary_records_take_the_fast_path_without_an_error(tmp_path):
    """No event of any kind and no ordinary plain line raises on the fast path: an error there is a bug."""
    log = blm.open_log(tmp_path / "a.jsonl", processors=[])
    bound = log.bind(project="p", trace_id="t", count=3)
    for event in EXAMPLES:
        for logger in (log, bound):
            logger.emit(event)
            logger.emit(event, model="m", ratio=0.5, note=None, ok=True)
            logger.info(event)
    for logger in (log, bound):
        logger.info("text", entries=312, ratio=0.5, note=None, ok=True, items=[1], mapping={"a": 1})
        logger.warning("password=hunter2 %s", "x")
        logger.error("long " * 5_000)
    log.close()
    assert log._pipeline._encoder.fast_path_errors == 0
    assert log.stats().dropped == {}


def test_errors_of_the_fast_path_are_counted(tmp_path, monkeypatch):
    """A record that raises on the fast path is written by the general path, and counted."""

    def fails(*_):
        raise ValueError

    monkeypatch.setattr(fast_path.FastPath, "line", fails)
    log = blm.open_log(tmp_path / "a.jsonl")
    log.emit(tool(1))
    log.info("text")
    log.close()
    assert log._pipeline._encoder.fast_path_errors == 2
    assert [line["event"] for line in flat(tmp_path / "a.jsonl")][1:-1] == ["chat.tool_called", "text"]


def test_a_layout_that_fails_on_plain_lines(tmp_path, monkeypatch):
    """Where a layout cannot write the marker either, the marker is a native line, and the batch is written."""

    def fails(flat_record):
        return {}["plain"] if "plain" in flat_record else original(flat_record)

    original = ECS.write
    monkeypatch.setattr(type(ECS), "write", lambda _, flat_record: fails(flat_record))
    log = blm.open_log(tmp_path / "a.jsonl", layout="ecs")
    log.emit(tool(1))
    log.info("text")
    log.emit(tool(2))
    assert log.close()
    lines = [line for line in blm.read(tmp_path / "a.jsonl") if not line.own]
    assert [line.text for line in lines] == [None, "a plain line could not be encoded", None]
    assert blm.verify(tmp_path / "a.jsonl").ok
