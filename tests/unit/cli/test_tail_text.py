from __future__ import annotations

from datetime import timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from bamboo_logmetrics.cli.tail_text import LineText

HEADER = {
    "timestamp": "2026-11-22T15:47:13.417696Z", "level": "info", "event": "x", "v": 1, "writer": "9f3c21d07a55e8b04c1d",
    "seq": 2,
}  # fmt: skip
IDS = {"session_id": "s-1", "round_id": "7d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a77"}
USAGE = {"prompt_tokens": 41_234, "completion_tokens": 567, "total_tokens": 41_801, "cache_read_tokens": 40_000}
MODEL = "claude-sonnet-4-5"

# an event, its text at 80 columns, and its text at 160; without time, level, and the spaces at the end
EVENTS = [
    (
        {"event": "chat.session_started", "session_id": "s-1", "model": MODEL, "project": "shop"},
        "session_started   s-1                      claude-sonnet-4-5   proje…",
        "session_started   s-1                                  claude-sonnet-4-5          project=shop",
    ),
    (
        {"event": "chat.session_completed", "session_id": "s-1", "status": "completed"},
        "session_completed s-1      completed",
        "session_completed s-1               completed",
    ),
    (
        {"event": "chat.round_started", **IDS, "model": MODEL},
        "round_started     s-1                      claude-sonnet-4-5",
        "round_started     s-1      …f1f9a77                    claude-sonnet-4-5",
    ),
    (
        {"event": "chat.round_completed", **IDS, "status": "success", **USAGE, "latency_ms": 2345, "model": MODEL},
        "round_completed   s-1      success   2.3 s 41.2k→567   claude-sonnet…",
        "round_completed   s-1      …f1f9a77 success      2.3 s claude-sonnet-4-5        41,234 (40,000 cached) → 567 tokens",
    ),
    (
        {
            "event": "chat.round_completed", **IDS, "status": "error", **USAGE, "usage_source": "missing",
            "latency_ms": 0, "latency_source": "missing", "error": "overloaded", "level": "error",
        },
        "round_completed   s-1      error         - overloaded no usage",
        "round_completed   s-1      …f1f9a77 error            -                          overloaded no usage",
    ),
    (
        {"event": "chat.tool_called", **IDS, "tool_name": "read_file", "latency_ms": 12, "success": True},
        "tool_called       s-1      ok        12 ms read_file",
        "tool_called       s-1      …f1f9a77 ok           12 ms read_file",
    ),
    (
        {"event": "chat.tool_called", **IDS, "tool_name": "ls", "latency_ms": 1_500_000, "success": False},
        "tool_called       s-1      failed   25 min ls",
        "tool_called       s-1      …f1f9a77 failed      25 min ls",
    ),
    (
        {"event": "chat.message_count_updated", "session_id": "s-1", "message_count": 1234},
        "message_count     s-1                      1,234 messages",
        "message_count     s-1                                                           1,234 messages",
    ),
    (
        {"event": "forward.request_started", "request_id": "q", "endpoint": "openai.chat", "model": "m", "is_stream": True},
        "request_started                            m openai.chat stream",
        "request_started                                        m                        openai.chat stream",
    ),
    (
        {
            "event": "forward.request_completed", "request_id": "q", "status_code": 529, "status": "error",
            "latency_ms": 20, "error": "try later", "time_to_first_token_ms": 12.7, "cost_usd": 0.25,
        },
        "request_completed          error     20 ms HTTP 529 try later $0.2500",
        "request_completed                   error        20 ms                          HTTP 529 try later $0.2500 first token 13 ms",
    ),
    (
        {"event": "forward.request_completed", "request_id": "q", "status_code": 0, "status": "timeout", "latency_ms": 5},
        "request_completed          timeout    5 ms no answer",
        "request_completed                   timeout       5 ms                          no answer",
    ),
    (
        {"event": "shop.order_placed", "order": {"id": [1]}},
        'order_placed                                 order={"id":[1]}',
        'order_placed                                                                      order={"id":[1]}',
    ),
    (
        {"event": "system.metrics_dropped", "count": 17, "reason": "queue_full", "total": 1020, "level": "warning"},
        "!! 17 DROPPED: queue_full (1,020 in all)",
        "!! 17 DROPPED: queue_full (1,020 in all)",
    ),
    (
        {"event": "system.metrics_dropped", "count": 17, "reason": "queue_full", "source": "app"},
        "metrics_dropped                              count=17  reason=queue_…",
        "metrics_dropped                                                                   count=17  reason=queue_full  source=app",
    ),
    (
        {"event": "system.storage_error", "error": "No space left", "event_type": "chat.tool_called", "level": "error"},
        "!! STORAGE ERROR: No space left",
        "!! STORAGE ERROR: No space left",
    ),
    (
        {"event": "system.worker_started", "pid": 4711, "host": "web-1", "version": "0.1.0"},
        "-- writer started: process 4711 on web-1",
        "-- writer started: process 4711 on web-1  version=0.1.0",
    ),
    (
        {"event": "system.worker_stopped", "emitted": 20, "written": 3, "dropped": {"queue_full": 17}},
        "-- writer stopped: 3 written, 17 dropped",
        "-- writer stopped: 3 written, 17 dropped",
    ),
    ({"event": "system.news", "a": 1}, "system.news  a=1", "system.news  a=1"),
    (
        {"event": "cache warmed", "plain": True, "entries": 312, "nested": [{"a": None}]},
        'cache warmed  entries=312  nested=[{"a":null}]',
        'cache warmed  entries=312  nested=[{"a":null}]',
    ),
    (
        {"event": "failed", "plain": True, "level": "critical", "exception": "Traceback\n  x\nValueError: no\n"},
        "failed  ValueError: no",
        "failed  ValueError: no",
    ),
]  # fmt: skip


def text_of(width, *, colour=False, names=None, zone=timezone.utc):
    text = LineText(zone=zone)
    text.width, text.colour, text.names = width, colour, names or {}
    return text


@pytest.mark.parametrize(("event", "narrow", "wide"), EVENTS, ids=[event["event"] for event, *_ in EVENTS])
def test_each_kind(event, narrow, wide):
    """Each kind of event has its columns, at 80 and at 160."""
    level = event.get("level", "info")
    short = {"warning": "warn", "critical": "crit"}.get(level, level)
    heading = "-- Sun 2026-11-22 UTC --\n"
    assert text_of(80).line(HEADER | event, "a") == f"{heading}15:47:13 {short[0].upper()} {narrow}"
    assert text_of(160).line(HEADER | event, "a") == f"{heading}15:47:13.417 {short:5} {wide}"


def test_in_a_pipe():
    """In a pipe each line has its date and its zone, ids are whole, and nothing is cut."""
    line = HEADER | IDS | {"event": "chat.tool_called", "tool_name": "t" * 300}
    text = text_of(None, zone=ZoneInfo("Europe/Berlin")).line(line, "a")
    assert text.startswith(
        "2026-11-22 16:47:13.417+01:00 info  tool_called       s-1      7d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a77 "
    )
    assert text.endswith("t" * 300)


def test_days():
    """On a terminal a heading stands before the first line of each day."""
    text = text_of(80, zone=ZoneInfo("Europe/Berlin"))
    times = ["2026-11-22T15:00:00Z", "2026-11-22T22:59:59Z", "2026-11-22T23:00:00Z"]
    lines = [text.line(HEADER | {"timestamp": time, "plain": True}, "a") for time in times]
    assert lines == [
        "-- Sun 2026-11-22 CET --\n16:00:00 I x",
        "23:59:59 I x",
        "-- Mon 2026-11-23 CET --\n00:00:00 I x",
    ]
    for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        for zone in (ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York"), None):
            assert text_of(80, zone=zone).line(HEADER | {"timestamp": time}, "a").endswith("I x")


def test_names_of_logs():
    """Of several logs each line has the name of its log, also the lines of other programs."""
    text = text_of(80, names={"/a": "a", "/b": "long"})
    assert text.line(HEADER | {"plain": True}, "/a").endswith("15:47:13 a    I x")
    assert text.other(b"Listening\r", "/b") == "long Listening"


def test_the_model_of_a_call():
    """A call that ends without its model has that with which it began, and so many are remembered."""
    text = text_of(160)
    text.line(HEADER | IDS | {"event": "chat.round_started", "model": "m-1"}, "a")
    end = HEADER | IDS | {"event": "chat.round_completed", "status": "success"}
    assert " m-1" in text.line(end, "a")
    assert " m-1" not in text.line(end, "a")
    for number in range(1_001):
        text.line(HEADER | {"event": "chat.round_started", "round_id": f"r{number}", "model": f"m-{number}"}, "a")
    assert " m-0" not in text.line(end | {"round_id": "r0"}, "a")
    assert " m-1" in text.line(end | {"round_id": "r1"}, "a")


def test_colours():
    """Drops are bright red, statuses and levels have their colours, other programs are dimmed."""
    text = text_of(80, colour=True)
    assert "\x1b[1;31m!! 17 DROPPED: q\x1b[0m" in text.line(
        HEADER | {"event": "system.metrics_dropped", "count": 17, "reason": "q"}, "a"
    )
    stopped = HEADER | {"event": "system.worker_stopped", "written": 1}
    assert "\x1b[1;31m-- writer stopped" in text.line(stopped | {"dropped": {"shutdown": 1}}, "a")
    assert "\x1b[1;36m-- writer stopped" in text.line(stopped | {"dropped": {}}, "a")
    assert "\x1b[31merror   \x1b[0m" in text.line(HEADER | {"event": "chat.round_completed", "status": "error"}, "a")
    assert text.other(b"foreign \x1b[5m", "a") == "\x1b[2mforeign \\x1b[5m\x1b[0m"


_NAMES = sorted({key for event, *_ in EVENTS for key in event} | {"cost_usd", "model", "status", "success", "dropped"})
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\x1b]0;x\x07", "\u202e", "é" * 99]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(
    st.sampled_from([event for event, *_ in EVENTS]),
    st.dictionaries(st.sampled_from(_NAMES) | st.text(), _VALUES),
    st.sampled_from([None, 1, 20, 80, 160]),
    st.booleans(),
)
def test_hostile_values(event, values, width, colour):
    """Whatever the values are, a line is one line, no wider than the terminal, with nothing that could control it."""
    flat = HEADER | values | {key: value for key, value in (HEADER | event).items() if key in {*HEADER, "plain"}}
    text = text_of(width, colour=colour).line(flat, "a")
    for line in text.split("\n"):
        plain = Text.from_ansi(line).plain
        assert plain.isprintable()
        assert "\x1b" not in plain
        assert width is None or cell_len(plain) <= width
    assert text.count("\n") == (width is not None)
    assert ("\x1b" in text) <= colour
