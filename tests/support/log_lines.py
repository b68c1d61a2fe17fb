"""Random lines of agents and proxies, as a file would hold them: calls of few rounds, in any order, with gaps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

_BEGIN = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
_TOKENS = st.integers(0, 10**6) | st.sampled_from([2**32, 2**64 - 1])
_MODELS = st.sampled_from(["gpt-5", "claude-sonnet-4-5", "m-1", "m-2", "M-1", "", 'm"; DROP TABLE lines; --'])


def _optional(**values):
    return st.fixed_dictionaries({}, optional=values)


_USAGE = st.builds(
    lambda prompt, completion, parts: {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **parts,
    },
    st.integers(0, 10**6),
    st.integers(0, 10**5),
    _optional(cache_read_tokens=_TOKENS, cache_write_tokens=_TOKENS, cache_write_1h_tokens=_TOKENS, reasoning_tokens=_TOKENS),
)  # fmt: skip
_SOURCES = _optional(
    usage_source=st.sampled_from(["reported", "partial", "missing"]),
    latency_source=st.just("missing"),
    model=_MODELS,
    response_model=_MODELS,
    provider=st.sampled_from(["openai", "anthropic"]),
    time_to_first_token_ms=st.integers(0, 900),
    service_tier=st.sampled_from(["default", "batch"]),
    web_searches=st.integers(0, 3),
    cost_usd=st.integers(0, 40).map(lambda quarters: quarters / 4),
    iteration=st.just("advisor"),
    agent=st.sampled_from(["a", "b"]),
    project=st.sampled_from(["p", "q"]),
)
_ROUNDS, _SESSIONS = st.sampled_from(["r-1", "r-2", "r-3"]), st.sampled_from(["s-1", "s-2", ""])
_PLACE = st.fixed_dictionaries({"round_id": _ROUNDS, "session_id": _SESSIONS})
_LATENCY = st.integers(0, 9_000)


def _event(kind, *parts, **fields):
    drawn = st.fixed_dictionaries(fields)
    return st.builds(lambda *maps: {"event": kind} | {k: v for each in maps for k, v in each.items()}, drawn, *parts)


LINES = st.lists(
    st.one_of(
        _event("chat.session_started", session_id=_SESSIONS, model=_MODELS),
        _event("chat.session_completed", session_id=_SESSIONS, status=st.sampled_from(["completed", "error"])),
        _event("chat.round_started", _PLACE, model=_MODELS),
        _event(
            "chat.round_completed", _PLACE, _USAGE, _SOURCES,
            latency_ms=_LATENCY, status=st.sampled_from(["success", "error", "cancelled", "failed"]),
        ),
        _event("forward.request_started", request_id=st.sampled_from("abc"), model=_MODELS, endpoint=st.just("e")),
        _event(
            "forward.request_completed", _USAGE | st.just({}), _SOURCES,
            _optional(round_id=_ROUNDS, session_id=_SESSIONS, side=st.just("server"), client_round_id=_ROUNDS),
            request_id=st.sampled_from("abc"), latency_ms=_LATENCY, status_code=st.just(200),
            status=st.sampled_from(["success", "error", "timeout"]),
        ),
        _event(
            "chat.tool_called", _PLACE, _optional(latency_source=st.just("missing"), mcp_server=st.just("x")),
            tool_call_id=st.just("t"), tool_name=st.sampled_from(["grep", "ls"]), latency_ms=_LATENCY,
            success=st.booleans(),
        ),
        _event("system.metrics_dropped", _optional(source=st.just("app")), count=st.integers(1, 9), reason=st.just("queue_full")),
        _event("chat.round_completed", _optional(session_id=_SESSIONS), plain=st.just(True)),
    ),
    max_size=25,
)  # fmt: skip


def with_headers(events, minutes=None):
    """Return events as native lines of one writer, a minute apart or as ``minutes`` says."""
    lines = []
    for number, event in enumerate(events, 1):
        time = _BEGIN + timedelta(minutes=minutes[number - 1] if minutes else number)
        header = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "level": "info", "event": event["event"], "v": 1}
        lines.append({**header, "writer": "0123456789abcdef0123", "seq": number, **event})
    return lines


def as_bytes(lines):
    """Return lines as the bytes of a file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
