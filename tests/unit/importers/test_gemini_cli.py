"""Gemini CLI sessions become events: both forms, resumed sessions, messages that change, tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import DATA
from support.transcripts import moment, stamp, totals

import bamboo_logmetrics as blm
from bamboo_logmetrics import MessageCountUpdated, RoundCompleted, SessionStarted, ToolCalled
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.importers import IMPORTERS, ImportReport

GEMINI = IMPORTERS["gemini-cli"]
NEWEST = DATA / "newest" / "gemini-cli"
META = {"sessionId": "s1", "projectHash": "h", "startTime": stamp(0), "kind": "main"}
TOKENS = {"input": 100, "output": 10, "cached": 50, "thoughts": 4, "tool": 5, "total": 119}


def said(name, at, kind="gemini", **more):
    """Return a message."""
    return {"id": name, "timestamp": stamp(at), "type": kind, "model": "pro", **more}


def prompt(name, at, text="hello"):
    return said(name, at, "user", content=[{"text": text}])


def imported(folder, *lines, name="session-1.jsonl"):
    """Return the events of a session, and the problems."""
    path = folder / name
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines), "utf-8")
    problems = []
    return list(GEMINI.read([path], ImportReport(problems.append))), problems


def bound_of(pairs, cls):
    return next((event, bound) for event, bound in pairs if isinstance(event, cls))


def test_a_session_that_was_resumed(tmp_path):
    """A resumed session repeats its messages without tokens and with new times: each counts once, at its first time."""
    tool = {
        "id": "t1",
        "name": "run_shell_command",
        "status": "success",
        "timestamp": stamp(4),
        "result": [{"output": "Exit Code: 3"}],
    }
    old = [prompt("c", 0, "<session_context>x"), prompt("u1", 1), said("g1", 3)]
    lines = [
        META, {"$set": {"messages": old[:1]}}, old[1], said("g1", 3, tokens=TOKENS), said("g1", 3, tokens=TOKENS, toolCalls=[tool]),
        {**META, "startTime": stamp(20)}, {"$set": {"messages": [{**one, "timestamp": stamp(20)} for one in old]}}, {"$rewindTo": "u1"},
        prompt("u2", 21), said("g2", 23, tokens=TOKENS), said("i", 24, "info"),
    ]  # fmt: skip
    pairs, problems = imported(tmp_path, *lines)
    assert totals(pairs) == (2, 238)
    event, bound = bound_of(pairs, RoundCompleted)
    assert (
        event.usage.prompt_tokens,
        event.usage.completion_tokens,
        event.usage.cache_read_tokens,
        event.usage.reasoning_tokens,
    ) == (105, 14, 50, 4)
    assert (event.meta.occurred_at, event.latency_ms, bound["model"]) == (moment(3), 2000, "pro")
    call, bound = bound_of(pairs, ToolCalled)
    assert (call.success, call.latency_ms, bound["error_type"]) == (False, 1000, "exit_code")
    assert bound_of(pairs, MessageCountUpdated)[0].message_count == 4
    assert not problems


def test_the_old_form(tmp_path):
    """A session of an older version is one JSON object, on any number of lines."""
    whole = {**META, "messages": [prompt("u1", 1), said("g1", 3, tokens=TOKENS)]}
    pairs, _ = imported(tmp_path, json.dumps(whole, indent=1), name="session.json")
    assert totals(pairs) == (1, 119)
    assert GEMINI.recognises(tmp_path / "session.json")
    pairs, problems = imported(tmp_path, "{torn", name="session.json")
    assert (pairs, len(problems)) == ([], 1)
    assert not GEMINI.recognises(tmp_path / "session.json")
    assert GEMINI.recognises(tmp_path / "gone.json")


def test_thoughts_within_the_output(tmp_path):
    """Where the total says so, thoughts are within the output, as in previews of 2025."""
    pairs, _ = imported(tmp_path, META, said("g1", 3, tokens={**TOKENS, "total": 115}))
    assert bound_of(pairs, RoundCompleted)[0].usage.completion_tokens == 10


def test_what_is_missing(tmp_path):
    """Odd lines and values cost nothing of the others; an answer without tokens is a round whose usage is missing."""
    tools = [
        {"id": 5},
        {"id": "t1", "name": "x", "status": "cancelled", "timestamp": stamp(5)},
        {"id": "t1", "name": "x", "timestamp": stamp(6)},
    ]
    lines = [
        "{torn\n", "[]\n", {**META, "kind": "subagent"}, said("g1", 3, toolCalls=tools), said("g2", 4, tokens={"input": "x", "output": 5}),
        said("g3", 5, tokens={}), said(None, 6, tokens=TOKENS), {**said("g4", 7), "timestamp": "x"},
    ]  # fmt: skip
    pairs, problems = imported(tmp_path, *lines)
    sources = [bound.get("usage_source") for event, bound in pairs if isinstance(event, RoundCompleted)]
    assert sources == ["missing", "partial", "missing"]
    assert len(problems) == 2
    assert bound_of(pairs, ToolCalled)[1]["error_type"] == "cancelled"
    assert bound_of(pairs, SessionStarted)[1]["agent_type"] == "subagent"
    assert imported(tmp_path, {"x": 1})[0] == []
    assert imported(tmp_path, {"id": "x", "timestamp": stamp(1), "type": "gemini", "tokens": TOKENS})[0]


@pytest.mark.parametrize(
    ("args", "agent_type"), [({"agent_name": "explorer"}, "explorer"), ({}, "run_agent"), (5, "run_agent")]
)
@pytest.mark.parametrize("own_first", [True, False])
def test_a_sub_agent(tmp_path, monkeypatch, args, agent_type, own_first):
    """A sub-agent is found in the folder of its session, and has that session and its tool call as parents."""
    tool = {
        "id": "t1",
        "name": "run_agent",
        "status": "success",
        "timestamp": stamp(9),
        "agentId": "k3x9ab",
        "args": args,
    }
    chats = tmp_path / "chats"
    (chats / "s1").mkdir(parents=True)
    (chats / "notes.jsonl").write_text("{}\n", "utf-8")
    own = [
        {**META, "sessionId": "k3x9ab", "startTime": stamp(4), "kind": "subagent"},
        prompt("k1", 4),
        said("k2", 6, tokens=TOKENS),
    ]
    imported(chats / "s1", *own, name="k3x9ab.jsonl")
    imported(chats, META, prompt("u1", 1), said("g1", 3, tokens=TOKENS, toolCalls=[tool]), name="session-1.jsonl")
    files = GEMINI.find([tmp_path])
    assert [file.name for file in files] == ["k3x9ab.jsonl", "session-1.jsonl"]
    pairs = list(GEMINI.read(files if own_first else files[::-1], ImportReport()))
    assert totals(pairs) == (2, 238)
    starts = {event.session_id: bound for event, bound in pairs if isinstance(event, SessionStarted)}
    assert list(starts) == ["s1", "s1:k3x9ab"]
    bound = starts["s1:k3x9ab"]
    assert (bound["parent_session_id"], bound["parent_tool_call_id"]) == ("s1", "t1")
    assert (bound["agent_id"], bound["agent_type"]) == ("k3x9ab", agent_type)
    assert GEMINI.find([chats / "notes.jsonl"]) == [chats / "notes.jsonl"]
    monkeypatch.chdir(chats / "s1")
    assert [file.name for file in GEMINI.find([Path()])] == ["k3x9ab.jsonl"]


def test_a_sub_agent_of_which_only_the_parent_tells(tmp_path):
    """A tool call that names a sub-agent without a file makes no session of it."""
    tool = {"id": "t1", "name": "run_agent", "timestamp": stamp(9), "agentId": "k3x9ab"}
    pairs, _ = imported(tmp_path, META, said("g1", 3, tokens=TOKENS, toolCalls=[tool]))
    assert [event.session_id for event, _ in pairs if isinstance(event, SessionStarted)] == ["s1"]


def test_tokens_that_come_later(tmp_path):
    """An answer whose tokens are not written yet is held back, and has them as soon as they are there."""
    log = tmp_path / "log.jsonl"

    def rounds(*lines):
        """Import a session of these lines, and return the usage of the rounds in the log."""
        imported(tmp_path, *lines)
        args = ["import", "gemini-cli", str(tmp_path / "session-1.jsonl"), "-o", str(log), "--append"]
        assert CliRunner().invoke(cli, args).exit_code == 0
        return [line.event.usage.total_tokens for line in blm.read(log) if isinstance(line.event, RoundCompleted)]

    lines = [META, prompt("u1", 1), said("g1", 3, tokens=None)]
    assert rounds(*lines) == []
    assert rounds(*lines, said("g1", 3, tokens=TOKENS)) == [119]
    assert rounds(*lines, said("g1", 3, tokens=TOKENS), said("g2", 4), prompt("u2", 5)) == [119, 0]


def test_a_growing_file(tmp_path):
    """An unfinished last line is no problem while the file grows."""
    path = tmp_path / "session-1.jsonl"
    path.write_text(json.dumps(META) + '\n{"id"', "utf-8")
    problems = []
    GEMINI.scan(path, ImportReport(problems.append), growing=True)
    assert problems == []


@pytest.mark.skipif(not NEWEST.is_dir(), reason=f"the newest samples are not at {NEWEST}")
def test_the_newest_sample():
    """Three calls of a session that was resumed have the totals of the provider's ledger."""
    pairs = list(GEMINI.read(GEMINI.find([NEWEST]), ImportReport()))
    usages = [event.usage for event, _ in pairs if isinstance(event, RoundCompleted)]
    sums = [
        sum(getattr(usage, f"{name}_tokens") for usage in usages)
        for name in ("prompt", "completion", "cache_read", "reasoning")
    ]
    assert (len(usages), *sums) == (3, 12_024, 369, 9_000, 120)
    assert [event.success for event, _ in pairs if isinstance(event, ToolCalled)] == [False]
