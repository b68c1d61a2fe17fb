"""Codex rollouts become events: usage in two forms, forks that replay and forks that do not, tools, turns, copies."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import DATA
from support.strategies import JSON
from support.transcripts import moment, stamp, totals

from bamboo_logmetrics import (
    MessageCountUpdated,
    RoundCompleted,
    SessionCompleted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.importers import IMPORTERS, ImportReport

CODEX = IMPORTERS["codex"]
NEWEST, OLDER = DATA / "newest" / "codex", DATA / "codex"


def line(at, kind, **payload):
    """Return a line of a rollout."""
    return {"timestamp": stamp(at), "type": kind, "payload": payload}


def event(at, kind, **payload):
    return line(at, "event_msg", **{"type": kind, **payload})


def said(at, kind="message", **payload):
    return line(at, "response_item", **{"type": kind, "role": "assistant", **payload})


def meta(at=0, name="t1", **payload):
    return line(
        at, "session_meta", id=name, cwd="/home/ann/app", cli_version="0.171.0", originator="codex_cli_rs", **payload
    )


def tokens(prompt, output, **more):
    return {
        "input_tokens": prompt,
        "cached_input_tokens": 10,
        "output_tokens": output,
        "reasoning_output_tokens": 1,
        **more,
    }


def counted(at, total, usage):
    """Return a token_count with a running total and the usage of the last call."""
    return event(at, "token_count", info={"total_token_usage": {"total_tokens": total}, "last_token_usage": usage})


def turn(start=0, name="turn-1"):
    return [
        event(start, "task_started", turn_id=name),
        line(start, "turn_context", model="gpt"),
        event(start, "user_message"),
    ]


class Imported:
    """The events and problems of rollouts, imported in one run."""

    def __init__(self, folder, **files):
        self.problems = []
        paths = []
        for name, lines in files.items():
            paths.append(folder / f"rollout-2026-01-01T00-00-00-{name}.jsonl")
            paths[-1].write_text(
                "".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in lines), "utf-8"
            )
        self.pairs = list(CODEX.read(paths, ImportReport(self.problems.append)))

    def all(self, cls):
        return [(event, bound) for event, bound in self.pairs if isinstance(event, cls)]


def test_a_turn_of_two_calls(tmp_path):
    """Each usage is a round with what the model said before it; tools, times, turn and names come out."""
    lines = [
        meta(model_provider="openai", git={"branch": "main"}),
        *turn(1),
        said(3, "reasoning"),
        said(4, "function_call", call_id="c1", name="exec_command"),
        counted(4.5, 110, tokens(100, 10)),
        event(6, "exec_command_end", call_id="c1", exit_code=3),
        said(6, "function_call_output", call_id="c1", output="Process exited with code 3"),
        said(8, "function_call", call_id="c2", name="mcp__github__get"),
        counted(8, 330, tokens(200, 20)),
        said(9, "function_call_output", call_id="c2", output="fine"),
        event(10, "task_complete", duration_ms=9000, time_to_first_token_ms=700),
    ]
    imported = Imported(tmp_path, t1=lines)
    assert totals(imported.pairs) == (2, 330)
    (first, one), (second, two) = imported.all(RoundCompleted)
    assert (first.latency_ms, second.latency_ms) == (3000, 2000)
    assert (first.usage.cache_read_tokens, first.usage.reasoning_tokens) == (10, 1)
    assert (one["model"], one["provider"], one["turn_id"], one["time_to_first_token_ms"]) == (
        "gpt",
        "openai",
        "turn-1",
        700,
    )
    assert (two["turn_duration_ms"], two["project"], two["git_branch"], two["client_version"]) == (
        9000,
        "app",
        "main",
        "0.171.0",
    )
    calls = [
        (call.tool_name, call.round_id == first.round_id, call.success, bound.get("error_type"))
        for call, bound in imported.all(ToolCalled)
    ]
    assert calls == [("exec_command", True, False, "exit_code"), ("mcp__github__get", False, True, None)]
    assert imported.all(ToolCalled)[1][1]["mcp_server"] == "github"
    assert imported.all(MessageCountUpdated)[0][0].message_count == 3
    assert imported.all(SessionCompleted)[0][0].status == "completed"


def test_a_record_and_a_count_are_one_call(tmp_path):
    """A token_usage_record and the token_count behind it, and a count that is repeated, are one call."""
    usage = tokens(100, 10, cache_write_input_tokens=7)
    lines = [
        meta(), *turn(1), said(2),
        line(3, "token_usage_record", response_id="resp-1", usage=usage), counted(3.1, 110, usage), counted(3.2, 110, usage),
        event(4, "token_count", info=None),
        said(5), counted(6, 220, usage),
    ]  # fmt: skip
    imported = Imported(tmp_path, t1=lines)
    assert totals(imported.pairs) == (2, 220)
    (first, bound), _ = imported.all(RoundCompleted)
    assert (first.round_id, bound["response_id"], first.usage.cache_write_tokens) == ("resp-1", "resp-1", 7)


def test_an_old_fork_replays_its_parent(tmp_path):
    """The history that an old fork repeats with new times counts for the parent alone."""
    parent = [meta(), *turn(1), said(2), counted(3, 110, tokens(100, 10))]
    replay = [
        meta(50, "t2", forked_from_id="t1", source={"subagent": {"thread_spawn": {"parent_thread_id": "t1"}}}, agent_role="explorer"),
        meta(50), *turn(50), said(50), counted(50, 110, tokens(100, 10)),
        said(50, "function_call_output", call_id="x", output="You are the newly spawned agent. The prior conversation"),
        *turn(51, "turn-2"), counted(52, 110, tokens(100, 10)), said(53), counted(54, 222, tokens(101, 11)),
    ]  # fmt: skip
    imported = Imported(tmp_path, t1=parent, t2=replay)
    assert totals(imported.pairs) == (2, 222)
    started = {event.session_id: bound for event, bound in imported.all(SessionStarted)}
    assert (started["t2"]["parent_session_id"], started["t2"]["agent_type"]) == ("t1", "explorer")
    assert "forked_from" not in started["t2"]
    assert {event.session_id: event.message_count for event, _ in imported.all(MessageCountUpdated)} == {
        "t1": 2,
        "t2": 2,
    }


def test_a_replay_without_its_end(tmp_path):
    """A replayed history that no line ends is told by its times, which are all the same."""
    lines = [
        meta(50, "t2", forked_from_id="t1"), meta(50), *turn(50), said(50), counted(50, 110, tokens(100, 10)),
        *turn(60, "turn-2"), said(62), counted(63, 222, tokens(101, 11)),
    ]  # fmt: skip
    imported = Imported(tmp_path, t2=lines)
    assert totals(imported.pairs) == (1, 112)
    assert imported.all(SessionStarted)[0][1]["forked_from"] == "t1"


def test_a_new_fork_does_not_replay(tmp_path):
    """A new fork counts all of its calls; its running totals, which include the parent's, are never used."""
    lines = [meta(50, "t2", forked_from_id="t1"), *turn(50), said(51), counted(52, 9_999, tokens(101, 11))]
    assert totals(Imported(tmp_path, t2=lines).pairs) == (1, 112)


def test_an_aborted_turn(tmp_path):
    """An answer that was cut off is a cancelled round without usage, and ends the session as cancelled."""
    lines = [meta(), *turn(1), said(2), event(3, "turn_aborted", reason="interrupted")]
    imported = Imported(tmp_path, t1=lines)
    ((done, bound),) = imported.all(RoundCompleted)
    assert (done.status, bound["usage_source"]) == ("cancelled", "missing")
    assert imported.all(SessionCompleted)[0][0].status == "cancelled"


@pytest.mark.parametrize(
    ("ends", "success", "error"),
    [
        ([event(3, "patch_apply_end", call_id="c1", success=False)], False, "tool_error"),
        ([event(3, "item_completed", item={"type": "CommandExecution", "id": "c1", "status": "failed", "exit_code": 3})], False, "exit_code"),
        ([event(3, "item_completed", item={"type": "CommandExecution", "id": "c1", "status": "declined"})], False, "rejected"),
        ([event(3, "item_completed", item={"type": "CommandExecution", "id": "c1", "status": "completed", "exit_code": 0}), said(4, "function_call_output", call_id="c1", output="Process exited with code 9 (a quote)")], True, None),
        ([said(4, "function_call_output", call_id="c1", output="Process exited with code 0")], True, None),
        ([said(4, "function_call_output", call_id="c1", output="Exit code: 1")], False, "exit_code"),
        ([said(4, "function_call_output", call_id="c1", output="exec command rejected by user")], False, "rejected"),
    ],
)  # fmt: skip
def test_how_a_tool_ends(tmp_path, ends, success, error):
    """Exit codes, the status of an item, and the text of the output tell whether a tool failed."""
    lines = [
        meta(),
        *turn(1),
        said(2, "custom_tool_call", call_id="c1", name="apply_patch"),
        counted(2.5, 110, tokens(100, 10)),
        *ends,
    ]
    lines.append(said(5, "custom_tool_call_output", call_id="c1", output="done"))
    ((call, bound),) = Imported(tmp_path, t1=lines).all(ToolCalled)
    assert (call.success, bound.get("error_type")) == (success, error)


def test_copies_of_a_thread(tmp_path):
    """An archived and a compressed copy of a thread count once."""
    lines = [
        meta(),
        *turn(1),
        said(2, "function_call", call_id="c1", name="x"),
        counted(3, 110, tokens(100, 10)),
        said(4, "function_call_output", call_id="c1", output=""),
    ]
    once = Imported(tmp_path, t1=lines).pairs
    path = tmp_path / "rollout-2026-01-01T00-00-00-t1.jsonl"
    (tmp_path / "archived_sessions").mkdir()
    copy = tmp_path / "archived_sessions" / f"{path.name}.gz"
    copy.write_bytes(gzip.compress(path.read_bytes()))
    files = CODEX.find([tmp_path])
    assert len(files) == 2
    assert list(CODEX.read(files, ImportReport())) == once


def test_lines_that_cannot_be_read(tmp_path):
    """Odd lines cost nothing of the others; without its first line a thread has the id in the name of its file."""
    usage = {"input_tokens": "x", "output_tokens": 5}
    lines = [
        *turn(1), said(2), "{torn\n", json.dumps(line(2, "event_msg", type=["x"])) + "\n", '{"type":"event_msg","payload":5}\n',
        json.dumps({"timestamp": "x", "type": "event_msg", "payload": {}}) + "\n",
        counted(3, 5, usage), counted(4, 6, {}), counted(5, 7, None),
        said(6, "function_call", call_id=None, name="x"), said(7, "function_call_output", call_id=5, output=7),
        event(8, "item_completed", item={"type": "X", "id": "none"}), line(9, "world_state"),
    ]  # fmt: skip
    imported = Imported(tmp_path, t9=lines)
    ((done, bound),) = imported.all(RoundCompleted)
    assert (done.usage.total_tokens, bound["usage_source"], done.session_id) == (5, "partial", "t9")
    assert len(imported.problems) == 2
    assert imported.all(SessionCompleted)[0][0].meta.occurred_at == moment(9)
    assert Imported(tmp_path, empty=[]).pairs == []


WHOLE = [
    meta(source={"subagent": {"thread_spawn": 5}}), *turn(1), said(2, "function_call", call_id="c1", name="x"),
    line(3, "token_usage_record", response_id="r", usage=tokens(1, 1)), counted(3, 1, tokens(1, 1)),
    said(4, "function_call_output", call_id="c1", output="x"),
    event(5, "item_completed", item={"type": "CommandExecution", "id": "c1", "status": "x", "exit_code": 0}),
    event(6, "task_complete", duration_ms=1, time_to_first_token_ms=1),
]  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 30), JSON), max_size=6),
    st.integers(0, 200),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere(tmp_path, changes, cut):
    """Whatever stands in a field, and wherever the file ends, a rollout is read without an error."""
    lines = json.loads(json.dumps(WHOLE))
    for number, place, value in changes:
        where = [
            (holder, key)
            for holder in (lines[number], lines[number]["payload"])
            if isinstance(holder, dict)
            for key in holder
        ]
        holder, key = where[place % len(where)]
        holder[key] = value
        lines[number].setdefault("payload", {})
        if not isinstance(lines[number]["payload"], dict):
            lines[number]["payload"] = {}
    text = "".join(json.dumps(one) + "\n" for one in lines)
    Imported(tmp_path, t1=[text[: len(text) - cut]])


def test_which_files_are_rollouts(tmp_path):
    """A rollout is recognised by its first lines; one that cannot be opened is left to be reported."""
    path = tmp_path / "rollout-x.jsonl"
    path.write_text(json.dumps(meta()) + "\n", "utf-8")
    assert CODEX.recognises(path)
    path.write_text('{"type": "user", "sessionId": "s"}\n', "utf-8")
    assert not CODEX.recognises(path)
    assert CODEX.recognises(tmp_path / "gone.jsonl")
    assert IMPORTERS["claude-code"].recognises(tmp_path / "gone.jsonl")


@pytest.mark.skipif(not NEWEST.is_dir(), reason=f"the newest samples are not at {NEWEST}")
def test_the_newest_samples():
    """Six calls of three threads, one of them a fork and one archived twice, have the totals of the provider's ledger."""
    pairs = list(CODEX.read(CODEX.find([NEWEST]), ImportReport()))
    usages = [event.usage for event, _ in pairs if isinstance(event, RoundCompleted)]
    sums = [
        sum(getattr(usage, f"{name}_tokens") for usage in usages)
        for name in ("prompt", "completion", "cache_read", "reasoning")
    ]
    assert (len(usages), *sums) == (6, 12_084, 444, 9_084, 120)
    assert Counter(event.success for event, _ in pairs if isinstance(event, ToolCalled)) == {False: 2}


@pytest.mark.skipif(not OLDER.is_dir(), reason=f"the shared rollouts are not at {OLDER}")
@pytest.mark.parametrize("rollout", sorted(OLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_running_totals_of_real_rollouts(rollout):
    """The sum of the calls is Codex's own running total, less what a fork has of its parent."""
    pairs = list(CODEX.read([rollout], ImportReport()))
    infos = [
        json.loads(raw)["payload"].get("info")
        for raw in rollout.read_text("utf-8").splitlines()
        if '"token_count"' in raw
    ]
    known = [info["total_token_usage"]["total_tokens"] for info in infos if info]
    before = 0
    if rollout.stem == "forked-replay":
        marker = next(
            number
            for number, raw in enumerate(rollout.read_text("utf-8").splitlines())
            if "You are the newly spawned agent" in raw
        )
        replayed = [
            json.loads(raw)["payload"].get("info")
            for raw in rollout.read_text("utf-8").splitlines()[:marker]
            if '"token_count"' in raw
        ]
        before = [info["total_token_usage"]["total_tokens"] for info in replayed if info][-1]
    assert totals(pairs)[1] == known[-1] - before
    times = [event.meta.occurred_at for event, _ in pairs]
    assert times == sorted(times)


def test_a_growing_rollout(tmp_path):
    """An unfinished last line is no problem while the file grows, and one afterwards."""
    path = tmp_path / "rollout-x.jsonl"
    path.write_text(json.dumps(meta()) + '\n{"timestamp"', "utf-8")
    for growing in (True, False):
        problems = []
        CODEX.scan(path, ImportReport(problems.append), growing=growing)
        assert len(problems) == (0 if growing else 1)
