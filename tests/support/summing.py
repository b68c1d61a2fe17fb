"""A summary of lines, made without DuckDB and without the package's own code for it."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta

TOKENS = (
    "prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "reasoning_tokens",
)  # fmt: skip
_FAILED = ("error", "timeout", "failed")


class _Call:
    """A completed round or request."""

    def __init__(self, line):
        self.line = line
        self.is_round = line["event"] == "chat.round_completed"
        self.session, self.round = line.get("session_id"), line.get("round_id")
        self.whole = "iteration" not in line
        self.failed = line["status"] in _FAILED
        self.known = "prompt_tokens" in line and line.get("usage_source") != "missing"
        self.latency = None if line.get("latency_source") == "missing" else line["latency_ms"]
        self.attempt = self.error = self.counted = self.missing = False
        self.model = line.get("model")


def _calls(lines):
    """Return the calls of typed lines, each with whether it is an attempt, an error, and counted."""
    owners, asked, requested = {}, {}, {}
    for line in lines:
        if line["event"] in ("chat.round_started", "chat.round_completed"):
            owners[line["round_id"]] = max(owners.get(line["round_id"], ""), line["session_id"])
        if line["event"] == "chat.round_started":
            key = line["session_id"], line["round_id"]
            asked[key] = max(asked.get(key, ""), line["model"])
        if line["event"] == "forward.request_started":
            requested[line["request_id"]] = max(requested.get(line["request_id"], ""), line["model"])
    calls = [_Call(line) for line in lines if line["event"] in ("chat.round_completed", "forward.request_completed")]
    calls = [call for call in calls if call.line.get("side") != "server"]
    rounds = defaultdict(list)
    for call in calls:
        if not call.is_round and call.session is None:
            name = call.round if call.round is not None else call.line.get("client_round_id")
            if name in owners:
                call.session, call.round = owners[name], name
        if call.session is not None and call.round is not None:
            rounds[call.session, call.round].append(call)
    for call in calls:
        others = rounds.get((call.session, call.round), [])
        requests = [other for other in others if not other.is_round]
        completed = [other for other in others if other.is_round and other.whole]
        whole = [other for other in requests if other.whole]
        if call.is_round:
            call.attempt = call.whole and not whole
            call.error = call.whole and call.line["status"] in ("error", "failed")
            call.error = call.error and not any(other.failed for other in whole)
            call.counted = call.known
            call.missing = call.whole and not call.known and not any(other.known for other in requests)
            call.missing = call.missing and call.line["status"] not in ("error", "failed")
            call.model = call.model or asked.get((call.session, call.round))
        else:
            call.attempt, call.error = call.whole, call.whole and call.failed
            call.counted = call.known and not any(other.known for other in completed)
            call.missing = call.whole and not completed and not call.known and call.line["status"] == "success"
            call.model = call.model or requested.get(call.line["request_id"])
        call.model = call.model or call.line.get("response_model")
    return calls


def _total(values):
    values = [value for value in values if value is not None]
    return sum(values) if values else None


def _quantile(values, point):
    values = sorted(value for value in values if value is not None)
    return values[max(0, math.ceil(len(values) * point) - 1)] if values else None


def _ratio(part, whole, factor=1):
    return None if part is None or not whole else factor * part / whole


def _row(calls, tools, sessions, dropped):
    counted = [call for call in calls if call.counted]
    attempts = [call for call in calls if call.attempt]
    of_part = {name: [call.line.get(name) for call in counted] for name in TOKENS}
    cached = [call.line for call in counted if "cache_read_tokens" in call.line]
    timed = [call for call in counted if call.latency and "completion_tokens" in call.line]
    costs = [call.line["cost_usd"] for call in counted if "cost_usd" in call.line]
    errors = sum(call.error for call in calls)
    first = [call.line.get("time_to_first_token_ms") for call in attempts]
    latencies = {"latency": [call.latency for call in attempts]}
    latencies["tool_latency"] = [
        None if line.get("latency_source") == "missing" else line["latency_ms"] for line in tools
    ]
    return {
        "sessions": len(sessions),
        "rounds": sum(call.is_round and call.whole for call in calls),
        "requests": sum(not call.is_round and call.whole for call in calls),
        "tool_calls": len(tools),
        "tool_errors": sum(not line["success"] for line in tools),
        "calls": len(attempts),
        "errors": errors,
        "error_rate": _ratio(errors, len(attempts)),
        **{name: _total(values) for name, values in of_part.items()},
        "cache_hit_ratio": _ratio(
            _total(line["cache_read_tokens"] for line in cached), _total(line["prompt_tokens"] for line in cached)
        ),
        **{
            f"{name}_p{round(point * 100)}_ms": _quantile(values, point)
            for name, values in latencies.items()
            for point in (0.5, 0.95, 0.99)
        },
        **{f"time_to_first_token_p{round(point * 100)}_ms": _quantile(first, point) for point in (0.5, 0.95)},
        "tokens_per_second": _ratio(
            _total(call.line["completion_tokens"] for call in timed), _total(call.latency for call in timed), 1000
        ),
        "reported_cost_usd": _total(costs),
        "reported_calls": len(costs),
        "usage_calls": len(counted),
        "partial_usage": sum(call.line.get("usage_source") == "partial" for call in counted),
        "missing_usage": sum(call.missing for call in calls),
        "dropped": _total(dropped),
    }


def _time(line):
    return datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00"))


def _tool_model(line, calls, lines):
    if line.get("model"):
        return line["model"]
    same = [call for call in calls if (call.session, call.round) == (line["session_id"], line["round_id"])]
    models = [call.line["model"] for call in same if call.is_round and call.whole and call.line.get("model")]
    started = [
        other["model"]
        for other in lines
        if other["event"] == "chat.round_started"
        and (other["session_id"], other["round_id"]) == (line["session_id"], line["round_id"])
    ]
    return max(models or started, default=None) or None


def calls_of(lines):
    """Return the lines of the calls whose usage counts, each with the model and provider that its call has."""
    typed = [line for line in lines if line.get("plain") is not True]
    providers = {}
    for line in typed:
        if line["event"].startswith("chat.") and line.get("provider") and "round_id" in line:
            key = line["session_id"], line["round_id"]
            providers[key] = max(providers.get(key, ""), line["provider"])
    calls = []
    for call in _calls(typed):
        provider = call.line.get("provider") or providers.get((call.session, call.round))
        if call.counted:
            calls.append(call.line | {"model": call.model} | ({"provider": provider} if provider else {}))
    return calls


def recount(lines, by=None):
    """Return the totals of lines, decoded native ones, and their rows by ``model``, ``tool`` or ``session``."""
    typed = [line for line in lines if line.get("plain") is not True]
    calls = _calls(typed)
    tools = [line for line in typed if line["event"] == "chat.tool_called"]
    sessions = {line["session_id"]: line for line in typed if line["event"].startswith("chat.")}
    sessions |= {call.session: call.line for call in calls if call.session is not None}
    drops = [line["count"] for line in typed if line["event"] == "system.metrics_dropped" and "source" not in line]
    totals = _row(calls, tools, sessions, [0, *drops])
    last = max(map(_time, lines), default=None)
    ended = {line["session_id"] for line in typed if line["event"] == "chat.session_completed"}
    seen = {}
    for line in lines:
        if "session_id" in line:
            seen[line["session_id"]] = max(seen.get(line["session_id"], _time(line)), _time(line))
    recent = {name for name, time in seen.items() if time >= last - timedelta(minutes=30)}
    totals["active_sessions"] = len((recent & set(sessions)) - ended)
    keyed = {
        "model": (lambda call: call.model, lambda line: _tool_model(line, calls, typed)),
        "tool": (lambda _: None, lambda line: line["tool_name"]),
        "session": (lambda call: call.session, lambda line: line["session_id"]),
    }
    if by is None:
        return totals, {}
    of_call, of_tool = keyed[by]
    groups = defaultdict(lambda: ([], []))
    for call in calls:
        groups[of_call(call)][0].append(call)
    for line in tools:
        groups[of_tool(line)][1].append(line)
    rows = {key: _row(*group, (), []) for key, group in groups.items() if key is not None or by != "tool"}
    return totals, {key: {**row, "sessions": None} for key, row in rows.items()}
