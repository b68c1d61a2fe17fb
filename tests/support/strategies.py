"""Hypothesis strategies for every event, and one fixed event of each kind for the golden files."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone

from hypothesis import strategies as st

import bamboo_logmetrics as blm
from bamboo_logmetrics.events import registry

EVENT_CLASSES = {kind: cls for kind, cls in registry.EVENT_CLASSES.items() if registry.is_builtin(cls)}

U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
TIMES = st.datetimes(timezones=st.just(timezone.utc))

BY_TYPE = {
    "str": st.text(max_size=12),
    "str | None": st.none() | st.text(max_size=12),
    "Id": st.text(min_size=1, max_size=12),
    "bool": st.booleans(),
    "U64": U64,
    "U64 | None": st.none() | U64,
    "U32": U32,
    "U16": U16,
    "Millis": U64,
    "datetime": TIMES,
    "SessionStatus": st.sampled_from(blm.SessionStatus),
    "RoundStatus": st.sampled_from(blm.RoundStatus),
    "ForwardStatus": st.sampled_from(blm.ForwardStatus),
}


def models(cls):
    """Give objects of one model, each field of its type's values."""
    return st.builds(cls, **{item.name: BY_TYPE[item.type] for item in dataclasses.fields(cls)})


METAS = BY_TYPE["EventMeta"] = models(blm.EventMeta)
USAGES = BY_TYPE["TokenUsage"] = models(blm.TokenUsage)
BY_TYPE["TokenUsage | None"] = st.none() | USAGES

EVENTS = st.one_of([models(cls) for cls in EVENT_CLASSES.values()])

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def fields_in_line(cls):
    """Return the names that a kind's fields have in a line, and those of the objects they stand in."""
    names = [item.name for item in dataclasses.fields(cls)]
    for part, model in (("meta", blm.EventMeta), ("usage", blm.TokenUsage)):
        if part in names:
            names += [item.name for item in dataclasses.fields(model)]
    return {*names, "source"} if issubclass(cls, blm.SystemEvent) else set(names)


HEADER = ("timestamp", "level", "event", "v", "writer", "seq", "plain")
_TAKEN = sorted({*HEADER, "exception", "truncated"}.union(*map(fields_in_line, EVENT_CLASSES.values())))
KEYS = st.one_of(
    st.sampled_from(_TAKEN),
    st.sampled_from(_TAKEN).map("bound_{}".format),
    st.sampled_from(["bound_bound_level", "project", "", "…"]),
    st.text(max_size=8),
)
BOUND = st.dictionaries(KEYS, JSON, max_size=5)

UNKNOWN = st.builds(
    blm.UnknownEvent,
    family=st.sampled_from(["Chat", "Forward", "System", "Audit", "BatchJob"]),
    variant=st.sampled_from(["SessionPaused", "Started", "X", "KeyRotated2"]),
    payload=st.none() | JSON.map(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))),
)


def meta(number, trace_id=None):
    """Return a fixed meta, numbered in its event id and its microseconds."""
    occurred_at = datetime(2026, 11, 22, 15, 47, 13, 417_690 + number, timezone.utc)
    event_id = f"6d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a{number:02}"
    return blm.EventMeta(event_id=event_id, occurred_at=occurred_at, trace_id=trace_id)


USAGE = blm.TokenUsage(prompt_tokens=1234, completion_tokens=567, total_tokens=1801)
FULL_USAGE = dataclasses.replace(USAGE, cache_read_tokens=1000, cache_write_tokens=0, reasoning_tokens=64)

ROUND_OF_AN_HOUR = blm.RoundCompleted(
    meta=meta(13), round_id="r-3", session_id="s-1", status="success", latency_ms=2345,
    usage=dataclasses.replace(USAGE, cache_write_tokens=500, cache_write_1h_tokens=300),
)  # fmt: skip

# one of each kind, and one more where optional fields are absent or the level is another
EXAMPLES = [
    blm.SessionStarted(meta=meta(1), session_id="s-1", model="gpt-5-mini"),
    blm.SessionCompleted(meta=meta(2, "req-1"), session_id="s-1", status="completed"),
    blm.SessionCompleted(meta=meta(3), session_id="s-1", status="error"),
    blm.RoundStarted(meta=meta(4), round_id="r-1", session_id="s-1", model="gpt-5-mini"),
    blm.RoundCompleted(
        meta=meta(5, "req-1"), round_id="r-1", session_id="s-1", status="success", usage=FULL_USAGE, latency_ms=2345
    ),
    blm.RoundCompleted(
        meta=meta(6), round_id="r-2", session_id="s-1", status="error", usage=USAGE, latency_ms=0, error="429: “slow”\n"
    ),
    blm.ToolCalled(
        meta=meta(7, "req-1"), tool_call_id="c-1", round_id="r-1", session_id="s-1", tool_name="read_file",
        latency_ms=12, success=True,
    ),
    blm.ToolCalled(
        meta=meta(8), tool_call_id="c-2", round_id="r-1", session_id="s-1", tool_name="grep", latency_ms=2**64 - 1,
        success=False,
    ),
    blm.MessageCountUpdated(meta=meta(9), session_id="s-1", message_count=2**32 - 1),
    blm.RequestStarted(
        meta=meta(10), request_id="q-1", endpoint="openai.chat_completions", model="gpt-5-mini", is_stream=True
    ),
    blm.RequestCompleted(
        meta=meta(11, "req-1"), request_id="q-1", status_code=200, status="success", usage=USAGE, latency_ms=812
    ),
    blm.RequestCompleted(
        meta=meta(12), request_id="q-2", status_code=0, status="timeout", latency_ms=30_000, error="no answer"
    ),
    blm.MetricsDropped(count=17, reason="queue_full"),
    blm.StorageError(error="[Errno 28] No space left on device", event_type="chat.tool_called"),
    blm.WorkerStarted(),
    blm.WorkerStopped(),
    blm.UnknownEvent(family="Chat", variant="SessionPaused", payload='{"meta":{"event_id":"e-1"},"session_id":"s-1"}'),
    blm.UnknownEvent(family="Audit", variant="KeyRotated"),
]  # fmt: skip
