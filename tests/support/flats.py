"""Flat records of every form, for the layouts: fixed ones for the golden files, and strategies for any other."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone

import msgspec
import pytest
from hypothesis import strategies as st

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.layouts import LAYOUTS, flat_of, mapping
from bamboo_logmetrics.format.layouts.mapping import LONG, NUMBER, ROWS
from bamboo_logmetrics.format.strict_json import encode
from support import TESTS
from support.records import AT, NOW, PROOF_FIELDS, RECORDS, REQUEST, ROUND, STARTED_FIELDS, TOOL
from support.strategies import BOUND, EVENTS, JSON, KEYS, UNKNOWN, meta

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def _more():
    """Give what the records of the native golden file do not have: names with a place of their own, and limits."""
    start = {"request_id": "q-1", "model": "gpt-5-mini", "is_stream": False}
    where = {"provider": "openai", "service_name": "shop", "env": "prod"}
    old = blm.EventMeta(event_id="e", occurred_at=datetime(1815, 12, 10, tzinfo=timezone.utc), trace_id="0" * 32)
    yield blm.RequestStarted(meta=meta(1, TRACE_ID), endpoint="/v1/responses?x=1", **start), where
    yield blm.RequestStarted(meta=meta(2), endpoint="/v1/audio", **start), {"provider": 5, "env": None}
    yield blm.RequestCompleted(meta=meta(3), request_id="q", status_code=429, status="error", latency_ms=2**62), {}
    yield blm.SessionCompleted(meta=meta(4), session_id="s", status="cancelled"), {"status": "x", "count": 1}
    yield (
        blm.SessionStarted(meta=old, session_id="s", model="m"),
        {"big": 2**64 - 1, "nested": {"a": [2**63, -0.0, {}]}},
    )

    usage = blm.TokenUsage(prompt_tokens=5, completion_tokens=3, total_tokens=8, cache_write_tokens=2)
    done = {"request_id": "q", "status_code": 200, "status": "success", "latency_ms": 9, "usage": usage}
    yield blm.RequestCompleted(meta=meta(6), **done), WELL_KNOWN
    yield blm.RequestCompleted(meta=meta(7), **done), {"round_id": "r", "session_id": "s", "error_type": "unused"}
    yield blm.RoundStarted(meta=meta(8), round_id="r", session_id="s", model="m"), {"provider": "gcp.gemini"}
    tool = {"tool_call_id": "c", "round_id": "r", "session_id": "s", "tool_name": "t", "latency_ms": 1}
    yield blm.ToolCalled(meta=meta(9), success=False, **tool), {"error_type": "rejected", "wait_ms": 2.5}
    yield blm.RequestCompleted(meta=meta(10), request_id="q", status_code=0, status="error", latency_ms=1), {
        "error_type": "ConnectError", "time_to_first_token_ms": "unknown", "attempt": 1.5
    }  # fmt: skip


WELL_KNOWN = {
    row.key: 7 if row.type is LONG else 12.5 if row.type is NUMBER else f"a {row.key}" for row in mapping.WELL_KNOWN
}
MORE = [flatten.expand(event, bound, seq=number, **AT) for number, (event, bound) in enumerate(_more(), 1)]
FIXED = [*RECORDS, *MORE]


def golden(name):
    """Return the lines of a golden file."""
    with open(os.path.join(TESTS, "golden", name), "rb") as file:
        return file.read().split(b"\n")[:-1]


def fields(name):
    """Return the contents of a list of fields: the words after each name, by name."""
    lines = [line.split() for line in golden(name) if line.strip() and not line.startswith(b"#")]
    return {path.decode(): kind.decode() for path, kind in lines}


def written(layout, flat):
    """Return the object that stands in the line of a record."""
    return json.loads(encode(LAYOUTS[layout].write(flat)), parse_constant=pytest.fail)


def there_and_back(layout, flat):
    """Return a record after the trip through the bytes of a line."""
    return flat_of(msgspec.json.decode(encode(LAYOUTS[layout].write(flat))))


def exact(data):
    """Return plain data as a text that tells 1 from 1.0 and from True, and does not depend on the order of keys."""
    return json.dumps(data, sort_keys=True)


# -- any record -----------------------------------------------------------------------------

_NAMES = KEYS | st.sampled_from([row.key for row in ROWS])
_SPECIAL = st.sampled_from(
    [TRACE_ID, "0" * 32, NOW, NOW[:-1], [], ["a"], ["a", 1], {}, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
     9_223_372_036_854, 9_223_372_036_855, 0, -1, True, 1.0, "", "bamboo.", float("inf"), float("nan")]
)  # fmt: skip
BESIDE = st.dictionaries(_NAMES, JSON | _SPECIAL, max_size=6) | BOUND
_TEXTS = st.none() | st.text(st.characters(exclude_categories=[]), max_size=8)
_OWN = [
    (blm.WorkerStarted(), STARTED_FIELDS),
    (blm.WorkerStarted(), {**STARTED_FIELDS, **PROOF_FIELDS}),
    (blm.WorkerStarted(), {**STARTED_FIELDS, "redact": False}),
    (blm.WorkerStopped(), {"emitted": 2**64 - 1, "written": 3, "dropped": {"queue_full": 17, "storage": 2**64 - 1}}),
    (blm.MetricsDropped(count=2**64 - 1, reason="storage"), {"total": 2**63}),
    (blm.StorageError(error="disk", event_type="file"), {}),
]


def _typed(event, bound, exception, truncated):
    flat = flatten.expand(event, bound, seq=1, exception=exception, **AT)
    return flat | ({"truncated": truncated} if truncated else {})


FLATS = st.one_of(
    st.builds(_typed, EVENTS | UNKNOWN, BESIDE, _TEXTS, st.lists(st.text(max_size=4), max_size=2)),
    st.builds(
        lambda text, bound, exception: flatten.expand_plain(
            text, bound, level="debug", seq=2**63 - 1, exception=exception, **AT
        ),
        st.text(st.characters(exclude_categories=[])) | st.sampled_from(["chat.tool_called", "system.worker_stopped"]),
        BESIDE,
        _TEXTS,
    ),
    st.builds(
        lambda own, bound: flatten.expand(own[0], own[1] | bound, seq=1, own=True, **AT), st.sampled_from(_OWN), BESIDE
    ),
)

__all__ = [
    "BESIDE", "FIXED", "FLATS", "MORE", "NOW", "RECORDS", "REQUEST", "ROUND", "TOOL", "TRACE_ID",
    "exact", "fields", "golden", "there_and_back", "written",
]  # fmt: skip
