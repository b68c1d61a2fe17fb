"""One call counts once over all files of a run: copies, forks, sub-agents, gateways, cuts."""

from __future__ import annotations

import itertools
import json
import uuid

import pytest
from support import DATA
from support.transcripts import (
    Imported,
    answer,
    message,
    moment,
    nested,
    record,
    tool_result,
    tool_use,
    usage,
    user,
    write,
)

from bamboo_logmetrics import (
    MessageCountUpdated,
    RoundCompleted,
    SessionCompleted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.importers import catalog, timeline

NEWEST = DATA / "newest"


def two_calls(session="s1", ids=("m1", "m2"), start=0, mark="", *, requests=True):
    """Return a session of two prompts and two answers, of 153 and 373 tokens."""
    lines = []
    for number, (name, output) in enumerate(zip(ids, (40, 260), strict=True)):
        at = start + 10 * number
        more = {"requestId": f"req-{mark}{session}-{number}"} if requests else {}
        lines += [
            user(f"{mark}{session}-u{number}", at + 1, sessionId=session),
            answer(
                f"{mark}{session}-a{number}", at + 2, f"{mark}{session}-u{number}",
                message(name, usage=usage(output)), sessionId=session, **more,
            ),
        ]  # fmt: skip
    return lines


def copied(lines, session):
    """Return the lines as the copy under another session has them."""
    return [{**line, "sessionId": session} for line in lines]


@pytest.mark.parametrize("requests", [True, False])
@pytest.mark.parametrize("fork_first", [True, False])
def test_a_fork_counts_only_what_is_new(tmp_path, requests, fork_first):
    """H1: a fork repeats the lines of its parent under its own session id; they stay with the parent."""
    parent = two_calls(requests=requests)
    fork = [
        *copied(parent, "s2"),
        user("f1", 30, sessionId="s2"),
        answer("f2", 31, "f1", message("m3", usage=usage(7)), sessionId="s2"),
    ]
    names = ("a", "b") if fork_first else ("b", "a")
    files = [write(tmp_path / f"{names[0]}.jsonl", *fork), write(tmp_path / f"{names[1]}.jsonl", *parent)]
    imported = Imported(*sorted(files))
    assert imported.totals == (3, 646)
    assert {event.round_id: event.session_id for event in imported.all(RoundCompleted)} == {
        "m1": "s1",
        "m2": "s1",
        "m3": "s2",
    }
    assert imported.bound(SessionStarted, session_id="s2")["forked_from"] == "s1"
    assert "forked_from" not in imported.bound(SessionStarted, session_id="s1")
    assert {event.session_id: event.message_count for event in imported.all(MessageCountUpdated)} == {"s1": 4, "s2": 2}


def test_a_parent_that_goes_on_after_the_fork_keeps_its_calls(tmp_path):
    """A line that only one file ever has tells the parent from the fork, also if the fork's own part is earlier."""
    parent = two_calls()
    own = {"type": "queue-operation", "timestamp": "2026-01-01T00:00:00.500Z", "sessionId": "s2"}
    fork = [*copied(parent, "s1"), user("f1", 30, sessionId="s1")]
    imported = Imported(write(tmp_path / "a.jsonl", *fork), write(tmp_path / "b.jsonl", own, *copied(parent, "s2")))
    assert {event.session_id for event in imported.all(RoundCompleted)} == {"s2"}


def test_a_fork_that_names_its_origin(tmp_path):
    """Copied lines may name the session that they are from, whatever the times say."""
    parent = [user("u0", 0.5), *two_calls()]
    fork = [{**line, "sessionId": "s0", "forkedFrom": {"sessionId": "s1", "messageUuid": "x"}} for line in parent]
    imported = Imported(write(tmp_path / "a.jsonl", *fork), write(tmp_path / "b.jsonl", *two_calls()))
    assert {event.session_id for event in imported.all(RoundCompleted)} == {"s1"}
    assert imported.bound(SessionStarted, session_id="s0")["forked_from"] == "s1"


@pytest.mark.parametrize("side_chain", [True, False])
def test_a_sub_agent_in_two_files(tmp_path, side_chain):
    """H2: the lines of a sub-agent in the file of its parent, without an agent id, and in its own file."""
    agent = two_calls(mark="x")
    own = [{**line, "isSidechain": True, "agentId": "a1"} for line in agent]
    replayed = [{**line, "isSidechain": side_chain} for line in agent]
    parent = [user("p0", 0), *replayed, answer("p1", 30, "p0", message("m3", usage=usage(11)), requestId="req-p")]
    folder = tmp_path / "s1" / "subagents"
    folder.mkdir(parents=True)
    imported = Imported(write(folder / "agent-a1.jsonl", *own), write(tmp_path / "s1.jsonl", *parent))
    assert imported.totals == (3, 650)
    sessions = {event.round_id: event.session_id for event in imported.all(RoundCompleted)}
    assert sessions == {"m1": "s1:a1", "m2": "s1:a1", "m3": "s1"}
    assert {event.session_id for event in imported.all(SessionStarted)} == {"s1", "s1:a1"}


@pytest.mark.parametrize("requests", [True, False])
def test_a_gateway_that_gives_all_answers_one_id(tmp_path, requests):
    """H3: calls with the same message id are different calls when their requests, or their lines, differ."""
    sessions = [two_calls(session, ("msg_0", "msg_0"), requests=requests) for session in ("s1", "s2")]
    imported = Imported(*(write(tmp_path / f"{number}.jsonl", *lines) for number, lines in enumerate(sessions)))
    assert imported.totals == (4, 1_052)
    assert len({event.round_id for event in imported.all(RoundCompleted)}) == 4


def test_a_gateway_and_tools(tmp_path):
    """Answers of one id are told apart across tool results too, and tools of one id across answers."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message("msg_0", tool_use("call_0"), usage=usage(40), stop_reason="tool_use")),
        user("r1", 3, [tool_result("call_0")], "a1"),
        answer("a2", 4, "r1", message("msg_0", tool_use("call_0"), usage=usage(260), stop_reason="tool_use")),
        user("r2", 9, [tool_result("call_0")], "a2"),
    ]
    imported = Imported(write(tmp_path / "s1.jsonl", *lines))
    assert imported.totals == (2, 526)
    assert [call.latency_ms for call in imported.all(ToolCalled)] == [1000, 5000]
    assert len({event.meta.event_id for event, _ in imported.pairs}) == len(imported.pairs)


def test_an_answer_whose_tool_ran_while_it_was_written(tmp_path):
    """A tool result between the lines of one answer does not split it, with or without request ids."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message("m1", tool_use("t1"), usage=usage(40), stop_reason="tool_use")),
        user("r1", 3, [tool_result("t1")], "a1"),
        answer("a2", 4, "r1", message("m1", tool_use("t2"), usage=usage(40), stop_reason="tool_use")),
    ]
    assert Imported(write(tmp_path / "s1.jsonl", *lines)).totals == (1, 153)


@pytest.mark.parametrize("last", [True, False])
def test_a_tool_id_of_900_characters(tmp_path, last):
    """H4: a very long tool id costs neither the usage of its call nor its tool call, which keeps a short id."""
    long = "t" * 919
    use = answer("a2", 4, "a1", message("m2", tool_use(long), usage=usage(260)))
    rest = (
        []
        if last
        else [user("r1", 5, [tool_result(long)], "a2"), answer("a3", 6, "r1", message("m2", usage=usage(260)))]
    )
    first = [
        user("u1", 1),
        answer("a0", 2, "u1", message(usage=usage(40))),
        answer("a1", 3, "a0", message("m2", stop_reason=None, usage=usage(1))),
    ]
    imported = Imported(write(tmp_path / "s1.jsonl", *first, use, *rest))
    assert imported.totals == (2, 526)
    assert [len(call.tool_call_id) < 200 for call in imported.all(ToolCalled)] == ([] if last else [True])


@pytest.mark.parametrize("copy_first", [True, False])
def test_a_copy_made_while_an_answer_was_under_way(tmp_path, copy_first):
    """H6: the final form of a call wins over a partial one, whichever file shows it first."""
    whole = two_calls()
    partial = {**whole[3], "message": message("m2", usage=usage(1), stop_reason=None)}
    copy = copied([*whole[:3], partial], "s2")
    names = ("a", "b") if copy_first else ("b", "a")
    files = [write(tmp_path / f"{names[0]}.jsonl", *copy), write(tmp_path / f"{names[1]}.jsonl", *whole)]
    imported = Imported(*sorted(files))
    assert imported.totals == (2, 526)
    assert "usage_source" not in imported.bound(RoundCompleted, round_id="m2")


def test_one_session_in_two_files(tmp_path):
    """H8: a session in several files has one start, one end and one message count."""
    first = two_calls()
    rest = [user("u9", 40), user("u10", 41, "[Request interrupted by user]", "u9")]
    imported = Imported(write(tmp_path / "b.jsonl", *rest), write(tmp_path / "a.jsonl", *first))
    assert imported.one(MessageCountUpdated).message_count == 5
    assert imported.one(SessionCompleted).status == "cancelled"
    assert imported.one(SessionCompleted).meta.occurred_at == moment(41)
    assert imported.one(SessionStarted).meta.occurred_at == moment(1)


@pytest.mark.parametrize("cut", range(1, 6))
@pytest.mark.parametrize("requests", [True, False])
def test_a_session_cut_at_any_line(tmp_path, cut, requests):
    """A file that is cut in two anywhere, also within an answer or before a tool result, gives the same calls."""
    more = {"requestId": "q1"} if requests else {}
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message(usage=usage(1), stop_reason=None), **more),
        answer("a2", 3, "a1", message("m1", tool_use("t1"), usage=usage(1), stop_reason=None), **more),
        user("r1", 4, [tool_result("t1", is_error=True)], "a2"),
        answer("a3", 5, "r1" if requests else "a2", message(usage=usage(40)), **more),
        user("u2", 6),
    ]
    for order in itertools.permutations(["a.jsonl", "b.jsonl"]):
        files = write(tmp_path / order[0], *lines[:cut]), write(tmp_path / order[1], *lines[cut:])
        imported = Imported(*sorted(files))
        assert imported.totals == (1, 153)
        assert [call.success for call in imported.all(ToolCalled)] == [False]
        assert imported.one(MessageCountUpdated).message_count == 3


def test_calls_without_any_id_are_one_at_the_same_time(tmp_path):
    """Where lines have no ids, the time of a line tells that two are one call."""
    lines = [{**line, "uuid": None, "parentUuid": None} for line in two_calls(requests=False)]
    files = [write(tmp_path / name, *lines) for name in ("a.jsonl", "b.jsonl")]
    assert Imported(*files).totals == (2, 526)
    later = [{**line, "timestamp": line["timestamp"].replace("00:00:", "00:05:")} for line in lines]
    assert Imported(files[0], write(tmp_path / "c.jsonl", *later)).totals == (4, 1_052)


def agent_result(at, tool="t0", agent="a1", **more):
    """Return the parent's line with the result of a sub-agent."""
    result = {"status": "completed", "agentId": agent, "totalDurationMs": 9000, "totalTokens": 1001, **more}
    return user("r9", at, [tool_result(tool)], "p1", toolUseResult=result)


def test_the_last_round_of_a_nested_sub_agent(tmp_path):
    """H11: the last call of a nested sub-agent stands only in the result of its tool call."""
    inner = message("m2", usage={"input_tokens": 1, "output_tokens": 100})
    lines = [
        user("u1", 1),
        answer("p1", 2, "u1", message("m1", tool_use("t0", "Task"), usage=usage(1))),
        nested("n1", 3, user("k1", 3), "p1"),
        nested("n2", 5, answer("k2", 5, None, inner), "p1"),
        agent_result(10, usage={"input_tokens": 200, "output_tokens": 700}, agentType="explorer"),
        answer("p2", 11, "r9", message("m3", usage=usage(1))),
    ]
    imported = Imported(write(tmp_path / "s1.jsonl", *lines))
    rounds = [event for event in imported.all(RoundCompleted) if event.session_id == "s1:a1"]
    assert sum(event.usage.total_tokens for event in rounds) == 1_001
    ends = {event.session_id: event.meta.occurred_at for event in imported.all(SessionCompleted)}
    assert ends["s1:a1"] == moment(10)
    bound = imported.bound(SessionStarted, session_id="s1:a1")
    assert (bound["agent_type"], bound["parent_tool_call_id"], bound["parent_session_id"]) == ("explorer", "t0", "s1")


@pytest.mark.parametrize("output", [5, 700])
def test_a_result_describes_a_call_that_is_there(tmp_path, output):
    """The usage in a sub-agent's result is that of its last call, which its own file holds: it counts once."""
    own = [{**line, "isSidechain": True, "agentId": "a1"} for line in two_calls()]
    own[3]["message"] = message("m2", usage=usage(5), stop_reason=None)
    parent = [
        user("u1", 0),
        answer("p1", 1, "u1", message("m9", tool_use("t0", "Task"))),
        agent_result(30, usage=usage(output)),
    ]
    for first in ("a", "z"):
        files = [write(tmp_path / f"{first}.jsonl", *own), write(tmp_path / "p.jsonl", *parent)]
        assert Imported(*sorted(files)).totals[0] == 3


def test_a_described_call_is_found_once(tmp_path):
    """A result that came first takes the first call that fits, and no second one; a call with tools is never the last."""
    parent = [
        user("u1", 0),
        answer("p1", 1, "u1", message("m9", tool_use("t0", "Task"))),
        agent_result(30, usage=usage(5)),
    ]
    busy = answer("l0", 2.5, "k0", message("k9", tool_use("t5"), usage=usage(5)))
    rest = [
        answer(f"l{number}", 2 + number, f"l{number - 1}", message(f"k{number}", usage=usage(5))) for number in (1, 2)
    ]
    own = [{**line, "isSidechain": True, "agentId": "a1"} for line in (user("k0", 2), busy, *rest)]
    imported = Imported(write(tmp_path / "a.jsonl", *parent), write(tmp_path / "b.jsonl", *own))
    assert imported.totals[0] == 4


def test_many_sessions_and_events(tmp_path, monkeypatch):
    """Caches of sessions and parts of the plan are bounded, and the events are the same."""
    files = [write(tmp_path / f"{n}.jsonl", *two_calls(f"s{n}", (f"m{n}", f"n{n}"), start=n)) for n in range(4)]
    whole = Imported(*files).pairs
    monkeypatch.setattr(timeline, "_CACHED", 1)
    monkeypatch.setattr(catalog, "_CACHED", 1)
    monkeypatch.setattr(catalog, "_AT_ONCE", 1)
    assert Imported(*files).pairs == whole


def test_a_result_in_two_files_without_its_use(tmp_path):
    """A result whose use is in no file makes no event, however often it is there."""
    result = user("r1", 4, [tool_result("t1")], "gone")
    imported = Imported(write(tmp_path / "a.jsonl", result), write(tmp_path / "b.jsonl", result))
    assert not imported.all(ToolCalled)


def test_a_copy_under_another_session_in_one_file(tmp_path):
    """A tool call that is copied before its result is there gets one event, for the session that had it first."""
    use = answer("a1", 2, "u1", message("m1", tool_use("t1")), requestId="q")
    copy = {**use, "uuid": "b1", "sessionId": "s2"}
    imported = Imported(write(tmp_path / "a.jsonl", user("u1", 1), use, copy, user("r1", 4, [tool_result("t1")], "a1")))
    assert [call.session_id for call in imported.all(ToolCalled)] == ["s1"]


def test_a_sub_agent_without_lines_of_its_own(tmp_path):
    """A sub-agent of which only the result is there has its session and its last call."""
    parent = [
        user("u1", 0),
        answer("p1", 1, "u1", message("m9", tool_use("t0", "Task"))),
        agent_result(30, usage=usage(5)),
    ]
    imported = Imported(write(tmp_path / "p.jsonl", *parent))
    assert [event.session_id for event in imported.all(SessionStarted)] == ["s1", "s1:a1"]
    assert imported.all(SessionStarted)[1].meta.occurred_at == moment(21)
    assert imported.totals == (2, 236)


def test_a_sub_agent_in_the_background(tmp_path):
    """A sub-agent that was only launched has no call and no session until its own file shows it."""
    own = [{**line, "isSidechain": True, "agentId": "a1", "attributionAgent": "x"} for line in two_calls(start=2)]
    assert Imported(write(tmp_path / "own.jsonl", *own)).bound(SessionStarted)["agent_type"] == "x"
    launched = {"isAsync": True, "status": "async_launched", "agentId": "a1", "agentType": "x", "resolvedModel": "opus"}
    parent = [
        user("u1", 0),
        answer("p1", 1, "u1", message("m9", tool_use("t0", "Agent"))),
        user("r9", 2, [tool_result("t0")], "p1", toolUseResult=launched),
    ]
    file = write(tmp_path / "p.jsonl", *parent)
    assert [event.session_id for event in Imported(file).all(SessionStarted)] == ["s1"]
    imported = Imported(file, write(tmp_path / "own.jsonl", *own))
    assert imported.totals == (3, 644)
    assert imported.bound(SessionStarted, session_id="s1:a1")["parent_tool_call_id"] == "t0"
    assert Imported(tmp_path / "own.jsonl", file).pairs == imported.pairs


def test_a_file_beside_the_sub_agent_s(tmp_path):
    """The type of a sub-agent and its parent's tool call may stand in a file beside its own."""
    own = [{**line, "isSidechain": True, "agentId": "a1"} for line in two_calls()]
    file = write(tmp_path / "agent-a1.jsonl", *own)
    (tmp_path / "agent-a1.meta.json").write_text(json.dumps({"agentType": "explorer", "toolUseId": "t0"}), "utf-8")
    bound = Imported(file).bound(RoundCompleted)
    assert (bound["agent_type"], bound["parent_tool_call_id"]) == ("explorer", "t0")
    (tmp_path / "agent-a1.meta.json").write_text("[", "utf-8")
    assert "agent_type" not in Imported(file).bound(RoundCompleted)
    (tmp_path / "agent-a1.meta.json").write_text("[]", "utf-8")
    assert "agent_type" not in Imported(file).bound(RoundCompleted)


def test_events_of_all_files_come_in_order_of_time(tmp_path):
    """The events of several files are merged by time, whatever the order of the files."""
    files = [
        write(
            tmp_path / f"{9 - number}.jsonl", *two_calls(f"s{number}", (f"m{number}", f"n{number}"), start=3 * number)
        )
        for number in range(5)
    ]
    times = [event.meta.occurred_at for event, _ in Imported(*files).pairs]
    assert times == sorted(times)


@pytest.mark.skipif(not NEWEST.is_dir(), reason=f"the newest samples are not at {NEWEST}")
@pytest.mark.parametrize(
    ("folder", "calls", "prompt", "completion", "cached"),
    [
        ("claude-code-2.1.332/projects", 10, 60_490, 630, 50_130),
        ("claude-code-2.1.197/projects", 9, 54_417, 559, 45_109),
        ("claude-code-2.1.39", 20, 809_659, 2_909, None),
    ],
)
def test_the_newest_samples(folder, calls, prompt, completion, cached):
    """The totals of each sample are those of the provider's ledger."""
    files = sorted((NEWEST / folder).rglob("*.jsonl"))
    for order in (files, files[::-1]):
        imported = Imported(*order)
        rounds = [(event.usage, bound) for event, bound in imported.pairs if isinstance(event, RoundCompleted)]
        own = [tokens for tokens, bound in rounds if "iteration" not in bound]
        advisor = [(tokens, bound) for tokens, bound in rounds if "iteration" in bound]
        assert len(own) == calls
        assert (sum(t.prompt_tokens for t in own), sum(t.completion_tokens for t in own)) == (prompt, completion)
        if cached is not None:
            assert sum(tokens.cache_read_tokens for tokens in own) == cached
            ((tokens, bound),) = advisor
            assert (tokens.prompt_tokens, tokens.completion_tokens) == (2_518, 22)
            assert (bound["model"], bound["iteration"]) == ("claude-opus-4-8", "advisor")
        if folder.startswith("claude-code-2.1.197"):
            assert sum(tokens.cache_write_tokens for tokens in own) == 9_109
            assert sum(tokens.cache_write_1h_tokens for tokens in own) == 5_509


def test_the_parts_of_a_line_that_is_no_copy(tmp_path):
    """A failed request and an interrupt that several sessions show count once."""
    fault = record("system", "e1", 3, "s1-a0", subtype="api_error", error={"status": 529}, retryAttempt=1)
    lines = [*two_calls()[:2], fault, user("i1", 4, "[Request interrupted by user]", "e1")]
    imported = Imported(write(tmp_path / "a.jsonl", *lines), write(tmp_path / "b.jsonl", *copied(lines, "s2")))
    kinds = [type(event).__name__ for event, _ in imported.pairs]
    assert (kinds.count("RequestCompleted"), kinds.count("Note")) == (1, 1)


def test_ids_of_events_are_uuids_of_their_ids():
    """The fast way to an id of an event gives the same as ``uuid.uuid5``, which older logs have."""
    name = "chat.round_completed\ns1\nm1"
    assert timeline._uuid5(name) == str(uuid.uuid5(uuid.UUID(bytes=timeline._NAMESPACE), name))
