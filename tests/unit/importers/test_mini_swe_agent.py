"""Trajectories of mini-swe-agent become events: calls, tools, failures, and what a recount says."""

from __future__ import annotations

import json

import pytest
from support import DATA
from support.transcripts import totals

from bamboo_logmetrics import (
    MessageCountUpdated,
    RequestCompleted,
    RoundCompleted,
    SessionCompleted,
    ToolCalled,
)
from bamboo_logmetrics.importers import IMPORTERS, ImportReport

MINI = IMPORTERS["mini-swe-agent"]
REAL = DATA / "mini-swe-agent"
START = 1_775_890_955


def answer(at, *tools, name="r1", **usage):
    """Return an answer of the model at this many seconds."""
    response = {
        "id": name,
        "model": "m",
        "created": START,
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, **usage},
    }
    uses = [{"id": tool, "function": {"name": "bash"}} for tool in tools]
    return {
        "role": "assistant",
        "tool_calls": uses,
        "extra": {"response": response, "timestamp": START + at, "cost": 0.5},
    }


def result(at, tool, code=0):
    return {"role": "tool", "tool_call_id": tool, "extra": {"returncode": code, "timestamp": START + at}}


def imported(folder, *messages, status="Submitted", **more):
    """Return the events of a trajectory."""
    path = folder / "a.traj.json"
    whole = {
        "info": {"exit_status": status, "mini_version": "2.2.7"},
        "messages": messages,
        "instance_id": "i1",
        **more,
    }
    path.write_text(json.dumps(whole, indent=1), "utf-8")
    assert MINI.recognises(path)
    return list(MINI.read([path], ImportReport()))


def one(pairs, cls):
    return next((event, bound) for event, bound in pairs if isinstance(event, cls))


def test_a_trajectory(tmp_path):
    """Calls and tools have their times and usage; the cost is the agent's own estimate."""
    details = {"prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 4}}
    messages = [
        {"role": "system"}, {"role": "user"}, answer(3, "t1", "t2", **details), result(4, "t1"), result(6, "t2", 1), result(7, "t9"),
        answer(9, name="r2"), {"role": "exit", "extra": {"exit_status": "Submitted"}},
    ]  # fmt: skip
    pairs = imported(tmp_path, *messages)
    assert totals(pairs) == (2, 220)
    event, bound = one(pairs, RoundCompleted)
    assert (event.latency_ms, event.usage.cache_read_tokens, event.usage.reasoning_tokens) == (3000, 60, 4)
    assert (bound["cost_usd_estimate"], bound["model"], bound["response_id"]) == (0.5, "m", "r1")
    tools = [(event.latency_ms, event.success) for event, _ in pairs if isinstance(event, ToolCalled)]
    assert tools == [(1000, True), (3000, False)]
    assert one(pairs, MessageCountUpdated)[0].message_count == 3
    assert one(pairs, SessionCompleted)[0].status == "completed"


def test_a_run_that_failed_before_its_first_answer(tmp_path):
    """A provider's failure is a failed request and a session in error, at the time of the file."""
    pairs = imported(tmp_path, {"role": "user"}, {"role": "exit", "extra": {}}, status="InternalServerError")
    assert one(pairs, RequestCompleted)[0].error == "InternalServerError"
    completed, bound = one(pairs, SessionCompleted)
    assert (completed.status, bound["error"]) == ("error", "InternalServerError")
    assert not [event for event, _ in pairs if isinstance(event, RoundCompleted)]
    assert not [
        event for event, _ in imported(tmp_path, status="LimitsExceeded") if isinstance(event, RequestCompleted)
    ]


def test_values_that_are_missing(tmp_path):
    """Without usage, times or ids what is there still counts."""
    bare = answer(5)
    bare["extra"]["response"]["usage"] = None
    untimed = answer(6, name="r3", prompt_tokens="x")
    untimed["extra"]["timestamp"] = None
    nothing = {"role": "assistant"}
    odd = answer(8, name="r4")
    odd["extra"]["response"]["usage"] = {}
    odd["extra"]["response"]["id"] = None
    odd["extra"]["cost"] = "x"
    odd["tool_calls"] = [{"id": 5}, {"id": "t1"}]
    pairs = imported(tmp_path, bare, untimed, nothing, odd, info=None, instance_id=None)
    rounds = [(event, bound.get("usage_source")) for event, bound in pairs if isinstance(event, RoundCompleted)]
    assert sorted(str(source) for _, source in rounds) == ["missing", "missing", "partial"]
    assert {event.session_id for event, _ in rounds} == {"a"}


def test_a_file_that_is_no_trajectory(tmp_path):
    """A file that cannot be read as a trajectory is a problem, and is not recognised."""
    path = tmp_path / "a.traj.json"
    path.write_text("[torn", "utf-8")
    problems = []
    assert list(MINI.read([path], ImportReport(problems.append))) == []
    assert [problem.message for problem in problems] == ["not a trajectory"]
    assert not MINI.recognises(path)
    assert MINI.recognises(tmp_path / "gone.traj.json")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the shared trajectories are not at {REAL}")
@pytest.mark.parametrize("path", sorted(REAL.glob("*.traj.json")), ids=lambda path: path.name.split(".")[0])
def test_real_trajectories_add_up(path):
    """Calls, tokens and failed tools are those of a recount."""
    pairs = list(MINI.read([path], ImportReport()))
    messages = json.loads(path.read_text("utf-8"))["messages"]
    usages = [m["extra"]["response"]["usage"] for m in messages if m["role"] == "assistant"]
    codes = [m["extra"]["returncode"] for m in messages if m["role"] == "tool"]
    assert totals(pairs) == (len(usages), sum(usage["total_tokens"] for usage in usages))
    tools = [event.success for event, _ in pairs if isinstance(event, ToolCalled)]
    assert (len(tools), sum(tools)) == (len(codes), codes.count(0))
