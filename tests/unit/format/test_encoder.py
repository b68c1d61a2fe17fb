from __future__ import annotations

import json
import re
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import BOUND, EVENTS, UNKNOWN
from support.tools import record, text_record, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.format.parse import parse_line
from bamboo_logmetrics.record.packed import fit, longest_text, pack
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock

NOW = 1_795_362_433_417_696_999
SECRET = "sk-proj-abcdefghijklmnop1234567890"


class CountedFS(FS):
    """Gives bytes that count up, in place of random ones."""

    def __init__(self):
        self.calls = 0

    def urandom(self, size):
        self.calls += 1
        return bytes([self.calls] * size)


def line_encoder(limit=32_000):
    return LineEncoder(layout="native", max_line_bytes=limit, fs=CountedFS(), clock=ManualClock(NOW))


def test_lines_are_numbered_from_1():
    """The lines of one writer, of records and of its own events, are numbered from 1 without a gap; each ends in a newline."""
    encoder = line_encoder()
    rows = [
        encoder.encode_internal(blm.WorkerStarted(), {}),
        encoder.encode(record(tool())),
        encoder.encode(text_record("text")),
    ]
    assert all(row.endswith(b"\n") and row.count(b"\n") == 1 for row in rows)
    read = [parse_line(row) for row in rows]
    assert [(line.writer, line.seq) for line in read] == [("01" * 10, 1), ("01" * 10, 2), ("01" * 10, 3)]
    assert [line.own for line in read] == [True, False, False]


def test_each_start_is_another_writer():
    """A reset draws 20 hex digits again and numbers from 1."""
    encoder = line_encoder()
    encoder.encode(record(tool()))
    encoder.reset_writer()
    assert (encoder.writer, encoder.seq) == ("02" * 10, 0)
    real = {LineEncoder(layout="native", max_line_bytes=1_000, fs=FS(), clock=ManualClock()).writer for _ in range(100)}
    assert len(real) == 100
    assert all(re.fullmatch("[0-9a-f]{20}", writer) for writer in real)


def test_bound_values_and_the_call_s_own():
    """The values that a call binds win over its context; level, time and exception of a plain call are its own."""
    item = QueuedRecord("text", {"a": 2, "c": 3}, {"a": 1, "b": 1}, "error", NOW, "Traceback")
    line = parse_line(line_encoder().encode(item))
    assert (line.text, line.level, line.exception) == ("text", "error", "Traceback")
    assert line.bound == {"a": 2, "b": 1, "c": 3}
    assert line.timestamp == datetime.fromisoformat("2026-11-22T15:47:13.417696+00:00")
    assert parse_line(line_encoder().encode(QueuedRecord("text", {}, {}, time_ns=NOW))).level == "info"


def test_own_lines_have_the_clock_s_time_and_no_source():
    """One of the log's own lines has the clock's time and its further fields."""
    line = parse_line(
        line_encoder().encode_internal(blm.MetricsDropped(count=2, reason="storage"), {"total": 5, "level": "x"})
    )
    assert (line.event, line.own, line.level) == (blm.MetricsDropped(count=2, reason="storage"), True, "warning")
    assert line.bound == {"total": 5, "bound_level": "x"}
    assert line.timestamp == datetime(2026, 11, 22, 15, 47, 13, 417_696, timezone.utc)


def test_secrets_are_masked_and_long_lines_cut():
    """Masking comes before cutting, so that no half of a secret is left at the cut."""
    for padding in range(700, 900, 7):
        line = line_encoder(1_000).encode(text_record("x" * padding + " " + SECRET + " y" * 500))
        assert b"sk-proj" not in line
        assert b"abcdefgh" not in line
        assert len(line) <= 1_000


@pytest.mark.parametrize("size", [1, 300, 900, 1_000, 5_000])
def test_the_limit_includes_the_newline(size):
    """No line, with its newline, is longer than ``max_line_bytes``."""
    encoder = line_encoder(1_000)
    for item in (text_record("漢" * size), record(tool(), {"note": "x" * size})):
        assert len(encoder.encode(item)) <= 1_000


def test_the_limit_is_used_to_the_last_byte():
    """A line of exactly ``max_line_bytes`` is left whole, one byte more is cut."""
    bare = len(line_encoder(1_000).encode(text_record("")))
    whole, cut = (line_encoder(1_000).encode(text_record("x" * (1_000 - bare + more))) for more in (0, 1))
    assert (len(whole), parse_line(whole).truncated) == (1_000, ())
    assert len(cut) <= 1_000
    assert parse_line(cut).truncated == ("event",)


def test_every_value_that_was_cut_is_named():
    """``truncated`` names each value that is shorter than the call gave it, also within a list or a dict."""
    bound = {"text": "t" * 60_000, "items": ["i" * 50_000], "deep": {"key": {"more": "d" * 70_000}}, "short": "s"}
    packed, _ = pack(bound, longest_text(32_000))
    line = parse_line(line_encoder(32_000).encode(record(tool(), packed)))
    assert sorted(line.truncated) == ["deep", "items", "text"]
    assert line.bound["short"] == "s"


def test_a_record_that_stays_too_long_has_no_line_and_no_number():
    """A record whose ids alone are too long gives None, and the next line has the next number."""
    encoder = line_encoder(1_000)
    assert encoder.encode(record(tool(session_id="s" * 2_000, tool_name="t"))) is None
    assert parse_line(encoder.encode(record(tool()))).seq == 1
    assert encoder.encode_internal(blm.StorageError(error="e", event_type="t" * 2_000), {}) == b""
    assert encoder.seq == 1


class Unencodable:
    """Not plain data: nothing that reaches the worker should be like this."""


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (record(tool(), {"bad": Unencodable()}), "chat.tool_called could not be encoded"),
        (text_record("text", bad=Unencodable()), "a plain line could not be encoded"),
        (record(blm.UnknownEvent(family="Chat", variant="Odd", payload="{")), "chat.odd could not be encoded"),
        (record(blm.ChatEvent()), "ChatEvent could not be encoded"),
        (record(blm.MetricsEvent()), "MetricsEvent could not be encoded"),
    ],
    ids=range(5),
)
def test_a_record_that_cannot_be_encoded_leaves_a_marker(item, text):
    """Its place in the log is not empty: a plain line at level error names the record and the error."""
    encoder = line_encoder()
    line = parse_line(encoder.encode(item))
    assert (line.text, line.level, line.seq) == (text, "error", 1)
    assert set(line.bound) == {"encode_error"}
    assert line.timestamp == datetime(2026, 11, 22, 15, 47, 13, 417_696, timezone.utc)
    assert parse_line(encoder.encode(record(tool()))).seq == 2


@given(EVENTS | UNKNOWN | st.text(), BOUND, BOUND, st.none() | st.text(), st.sampled_from([1_000, 32_000]))
@settings(deadline=None, max_examples=200)
def test_any_record_is_one_strict_line(event, bound, context, exception, limit):
    """Any record gives one strict JSON line within the limit, with the kind or text that was emitted."""
    line = line_encoder(limit).encode(QueuedRecord(event, bound, context, "info", NOW, exception))
    assert len(line) <= limit
    assert len(line.decode().splitlines()) == 1
    flat = json.loads(line, parse_constant=pytest.fail)
    assert list(flat)[:6] == ["timestamp", "level", "event", "v", "writer", "seq"]
    read = parse_line(line)
    assert (read.text is None) == isinstance(event, blm.MetricsEvent)
    if isinstance(event, blm.MetricsEvent):
        assert read.event.kind == event.kind
        assert "encode_error" not in read.bound


def test_a_text_that_was_cut_at_the_call_is_marked():
    """A text that fits once its secrets are masked, but had lost its end at the call, ends with the mark of a cut."""
    encoder = line_encoder()
    text = "password=hunter2hunter2hunter2 " * 2_000
    record = QueuedRecord(text, {}, {}, "info", 1)
    fit(record, longest_text(32_000))
    line = json.loads(encoder.encode(record))
    assert len(record.event) == 40_001
    assert line["event"].endswith("…")
    assert len(line["event"]) < 31_000
    assert "hunter2" not in line["event"]


def test_own_lines_are_not_masked_by_the_applications_patterns(path):
    """The lines of the log itself, by which verify goes, are left alone by patterns that would match them."""
    with blm.open_log(path, redact=blm.Redact(patterns=[r"[a-z0-9-]{6,}", r"\d"])) as log:
        log.info("secret 12345", key="abcdefgh")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert "[redacted]" not in json.dumps([lines[0], lines[-1]])
    assert "[redacted]" in json.dumps(lines[1])
    assert blm.verify(str(path)).ok
