"""Flat records of fixed events, at a fixed time."""

from __future__ import annotations

import json

import pytest

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten, parse
from bamboo_logmetrics.format.strict_json import encode
from support.strategies import EXAMPLES, ROUND_OF_AN_HOUR, meta

WRITER = "9f3c21d07a55e8b04c1d"


NOW = "2026-11-22T15:47:16.000000Z"


AT = {"writer": WRITER, "timestamp": NOW}


TOOL = next(event for event in EXAMPLES if isinstance(event, blm.ToolCalled))


ROUND = next(event for event in EXAMPLES if isinstance(event, blm.RoundCompleted))


REQUEST = blm.RequestCompleted(meta=meta(1), request_id="q", status_code=200, status="success", latency_ms=1)


STARTED_FIELDS = {"version": "0.1.0", "pid": 4711, "host": "web-1", "started_at": NOW, "repaired_bytes": 0}
PROOF_FIELDS = {"boot_id": "6c2a7a34-4f0e-4d3c-9d0b-6f6f0c1b2a3d", "pid_namespace": "4026531836"}


TRACE = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nZeroDivisionError: division by zero'


def line_of(event, bound=None, **more):
    """Return the keys and values of an event's line."""
    return json.loads(encode(flatten.expand(event, bound or {}, seq=1, **AT, **more)), parse_constant=pytest.fail)


def parsed(event, bound=None, **more):
    """Return an event's line as it is read."""
    return parse.parse_line(encode(flatten.expand(event, bound or {}, seq=1, **AT, **more)))


def golden_records():
    """Return the records of the golden lines: each kind as emitted, own system lines, plain lines, bound values."""
    records = [flatten.expand(event, {}, seq=number, **AT) for number, event in enumerate(EXAMPLES, 1)]

    def expand(event, bound, **more):
        records.append(flatten.expand(event, bound, seq=len(records) + 1, **AT, **more))

    def plain(text, bound, level="info", **more):
        records.append(flatten.expand_plain(text, bound, level=level, seq=len(records) + 1, **AT, **more))

    expand(blm.WorkerStarted(), STARTED_FIELDS, own=True)
    expand(blm.MetricsDropped(count=17, reason="queue_full"), {"total": 17}, own=True)
    expand(blm.StorageError(error="disk", event_type="chat.tool_called"), {"attempts": 3}, own=True)
    expand(blm.WorkerStopped(), {"emitted": 20, "written": 3, "dropped": {"queue_full": 17}}, own=True)
    expand(TOOL, {"project": "p", "session_id": "s-1", "level": "x", "bound_level": 1, "usage": {"a": [1, None]}})
    expand(TOOL, {"last": "x", "truncated": True}, exception=TRACE)
    expand(ROUND, {"prompt_tokens": 1234, "latency_ms": 2345.0, "model": "m", "reasoning_tokens": "64"})
    expand(REQUEST, {"trace_id": "req-9", "prompt_tokens": 5, "error": None, "occurred_at": "x", "meta": 1})
    plain("cache warmed", {"session_id": "s-1", "entries": 312, "ratio": 0.5, "tags": ["a", {"b": None}]})
    plain("failed: “é”\u2028\n", {"plain": False, "seq": 1, "v": 1}, level="critical", exception=TRACE)
    records.append(flatten.expand(TOOL, {"logger": "app"}))
    records.append(flatten.expand_plain("no writer", {}, level="debug", timestamp=NOW))
    expand(ROUND_OF_AN_HOUR, {"model": "m"})
    expand(blm.WorkerStarted(), {**STARTED_FIELDS, **PROOF_FIELDS}, own=True)
    expand(blm.WorkerStarted(), {**STARTED_FIELDS, "redact": False}, own=True)
    return records


RECORDS = golden_records()
