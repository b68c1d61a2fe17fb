"""Values of a transcript that go beyond sessions, rounds and tools: iterations, failures, refusals, prompts, places."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.strategies import JSON
from support.transcripts import Imported, answer, message, nested, record, tool_result, tool_use, usage, user, write

from bamboo_logmetrics import (
    MessageCountUpdated,
    RequestCompleted,
    RoundCompleted,
    RoundStarted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.importers import Note


@pytest.fixture
def file(tmp_path):
    """Return where the test's transcript is."""
    return tmp_path / "s1.jsonl"


def prompt_and_answer(**said):
    """Return a prompt and an answer with these values."""
    return [user("u1", 1), answer("a1", 2, "u1", message(**said), requestId="req-1")]


def test_an_advisor_beside_an_answer(file):
    """H9: an iteration of an advisor is a round of its own under its own model; the answer's numbers are unchanged."""
    advisor = {"type": "advisor_message", "model": "sage", "input_tokens": 167_000, "output_tokens": 224}
    own = {"type": "message", "input_tokens": 3, "output_tokens": 598}
    imported = Imported(
        write(file, *prompt_and_answer(usage=usage(598, iterations=[own, advisor, {"type": "odd"}, {}])))
    )
    assert imported.totals == (1, 711)
    rounds = [(event, bound) for event, bound in imported.pairs if isinstance(event, RoundCompleted)]
    event, bound = rounds[1]
    assert (event.usage.total_tokens, event.round_id) == (167_224, "m1:advisor:1")
    assert (bound["model"], bound["iteration"], bound["parent_round_id"]) == ("sage", "advisor", "m1")
    assert bound["latency_source"] == "missing"
    assert "stop_reason" not in bound
    assert len(imported.all(RoundStarted)) == 1


@pytest.mark.parametrize("iterations", [[], None, "odd", [5], [{"type": "compaction"}]])
def test_iterations_without_numbers(file, iterations):
    """Iterations that cannot be read cost nothing; a compaction without counts is said to be missing."""
    imported = Imported(write(file, *prompt_and_answer(usage=usage(5, iterations=iterations))))
    assert imported.totals == (1, 118)
    extra = [bound for event, bound in imported.pairs if isinstance(event, RoundCompleted) and "iteration" in bound]
    assert [bound["usage_source"] for bound in extra] == (["missing"] if iterations == [{"type": "compaction"}] else [])


def test_a_model_that_changed_in_mid_stream(file):
    """H10: the usage belongs to the model that served it; the other is named."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message(model="big", usage=usage(1), stop_reason=None)),
        answer("a2", 3, "a1", message(model="small", usage=usage(680))),
    ]
    imported = Imported(write(file, *lines))
    assert imported.totals == (1, 793)
    bound = imported.bound(RoundCompleted)
    assert (bound["model"], bound["fallback_from"], bound["response_model"]) == ("small", "big", "small")
    assert imported.one(RoundStarted).model == "big"


def test_the_parts_of_a_usage(file):
    """Writes for an hour, thinking, tier, speed and searches come out; parts that do not add up do not."""
    parts = {"ephemeral_1h_input_tokens": 7, "ephemeral_5m_input_tokens": 3}
    more = {
        "cache_creation": parts, "output_tokens_details": {"thinking_tokens": 2}, "service_tier": "priority",
        "speed": "fast", "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    }  # fmt: skip
    imported = Imported(write(file, *prompt_and_answer(usage=usage(5, **more))))
    tokens = imported.one(RoundCompleted).usage
    assert (tokens.cache_write_1h_tokens, tokens.reasoning_tokens) == (7, 2)
    bound = imported.bound(RoundCompleted)
    assert (bound["service_tier"], bound["speed"], bound["web_searches"]) == ("priority", "fast", 2)
    assert "web_fetches" not in bound
    fetched = Imported(write(file, *prompt_and_answer(usage=usage(5, server_tool_use={"web_fetch_requests": 3}))))
    assert fetched.bound(RoundCompleted)["web_fetches"] == 3
    odd = {"cache_creation": {**parts, "ephemeral_5m_input_tokens": 4}, "output_tokens_details": {"thinking_tokens": 9}}
    tokens = Imported(write(file, *prompt_and_answer(usage=usage(5, **odd)))).one(RoundCompleted).usage
    assert (tokens.cache_write_1h_tokens, tokens.reasoning_tokens) == (None, None)


def test_a_request_that_failed_for_good(file):
    """H17: a final API error is a failed request with status code and attempt, also when the session goes on."""
    retries = [
        record("system", f"e{n}", 2 + n, f"e{n - 1}" if n > 1 else "u1", subtype="api_error", error={"status": 529, "type": "overloaded"}, retryAttempt=n, retryInMs=500)
        for n in (1, 2)
    ]  # fmt: skip
    text = 'API Error: 529 {"type":"error"}'
    gave_up = answer(
        "x1", 6, "e2", message("syn", {"type": "text", "text": text}, model="<synthetic>"), isApiErrorMessage=True
    )
    lines = [user("u1", 1), *retries, gave_up, user("u2", 8), answer("a1", 9, "u2", message())]
    imported = Imported(write(file, *lines))
    requests = [(event, bound) for event, bound in imported.pairs if isinstance(event, RequestCompleted)]
    assert [event.status_code for event, _ in requests] == [529, 529, 529]
    assert [event.status for event, _ in requests] == ["error"] * 3
    assert [bound["attempt"] for _, bound in requests] == [1, 2, 3]
    assert [bound.get("retry_wait_ms") for _, bound in requests] == [500, 500, None]
    assert [event.latency_ms for event, _ in requests] == [2000, 500, 1500]
    assert {bound["session_id"] for _, bound in requests} == {"s1"}
    assert imported.totals == (1, 118)


def test_a_request_without_an_answer(file):
    """A connection that was lost has no status code; a timeout is a timeout; without a line before, no latency is known."""
    lost = record("system", "e1", 3, "gone", subtype="api_error", error={"connection": {"code": "ETIMEDOUT"}})
    imported = Imported(write(file, lost))
    event = imported.one(RequestCompleted)
    assert (event.status_code, event.status, event.error) == (0, "timeout", "ETIMEDOUT")
    assert imported.bound(RequestCompleted)["latency_source"] == "missing"
    assert imported.bound(RequestCompleted)["attempt"] == 1


@pytest.mark.parametrize(
    ("result", "more", "error"),
    [
        ({"content": "The user doesn't want to proceed with this tool use. The tool use was rejected"}, {}, "rejected"),
        ({"content": "x"}, {"toolUseResult": "User rejected tool use"}, "rejected"),
        ({"content": "x"}, {"permissionDecision": {"decision": "reject"}}, "rejected"),
        ({"content": "[Request interrupted by user for tool use]"}, {}, "interrupted"),
        ({"content": "Exit code 3"}, {}, "exit_code"),
        ({"content": "x"}, {"toolUseResult": "Error: Exit code 1\nno"}, "exit_code"),
        ({"content": [{"type": "text", "text": "Exit code 1"}]}, {}, "exit_code"),
        ({"content": "<tool_use_error>no such file</tool_use_error>"}, {}, "tool_error"),
        ({"content": None}, {"toolUseResult": {"durationMs": 5}}, "tool_error"),
    ],
)
def test_kinds_of_failed_tools(file, result, more, error):
    """A refusal by the user, an interrupt, an exit code and any other failure are told apart."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message("m1", tool_use("t1"))),
        user("r1", 3, [tool_result("t1", is_error=True, **result)], "a1", **more),
    ]
    imported = Imported(write(file, *lines))
    assert imported.one(ToolCalled).success is False
    assert imported.bound(ToolCalled)["error_type"] == error


@pytest.mark.parametrize(
    ("more", "execution", "wait"),
    [
        ({"toolUseResult": {"durationMs": 400}}, 400, 600),
        ({"toolUseResult": {"durationMs": 400}, "permissionDecision": {"source": "config"}}, 400, 0),
        ({"toolUseResult": {"durationMs": 5000}}, 5000, 0),
        ({"toolUseResult": {"durationMs": "x"}}, None, None),
        ({"toolUseResult": [1]}, None, None),
    ],
)
def test_the_own_time_of_a_tool(file, more, execution, wait):
    """A tool's own duration stands beside the wait for a person."""
    lines = [answer("a1", 2, None, message("m1", tool_use("t1"))), user("r1", 3, [tool_result("t1")], "a1", **more)]
    imported = Imported(write(file, *lines))
    bound = imported.bound(ToolCalled)
    assert (imported.one(ToolCalled).latency_ms, bound.get("execution_ms"), bound.get("wait_ms")) == (
        1000,
        execution,
        wait,
    )


def test_a_file_of_another_tool(tmp_path):
    """A file whose lines only look alike makes no session, and is named in the summary; one without sessions is not."""
    theirs = [{"id": "1", "type": "user", "timestamp": "2026-01-01T00:00:01.000Z", "content": []}]
    imported = Imported(write(tmp_path / "a.jsonl", *theirs), write(tmp_path / "b.jsonl", {"x": 1}))
    assert not imported.pairs
    assert imported.report.counts == {"files of another tool, left out": 1}
    ours = [{key: value for key, value in line.items() if key != "sessionId"} for line in prompt_and_answer()]
    assert Imported(write(tmp_path / "c.jsonl", *ours)).totals == (1, 118)


def test_a_result_before_its_use(file):
    """A result that stands before the use of its tool, and a failure that is repeated, count once."""
    use = answer("a1", 3, "u1", message("m1", tool_use("t1")), requestId="q1")
    fault = answer("e1", 5, "r1", message("x", model="<synthetic>"), isApiErrorMessage=True, error="overloaded")
    early = user("r1", 2, [tool_result("t1", is_error=True)])
    imported = Imported(write(file, user("u1", 1), early, use, fault, fault))
    assert [call.success for call in imported.all(ToolCalled)] == [False]
    assert len(imported.all(RequestCompleted)) == 1


def test_names_of_tools_and_of_what_uses_them(file):
    """The server of an MCP tool, a skill and a plugin are bound, and nothing else of their input."""
    skill = {**tool_use("t2", "Skill"), "input": {"skill": "review", "args": "secret"}}
    odd = {**tool_use("t3", "Skill"), "input": "review"}
    said = message("m1", tool_use("t1", "mcp__github__get_issue"), skill, odd)
    results = user("r1", 3, [tool_result("t1"), tool_result("t2"), tool_result("t3")], "a1")
    lines = [answer("a1", 2, None, said, attributionSkill="plan", attributionPlugin="p1"), results]
    imported = Imported(write(file, *lines))
    assert imported.bound(ToolCalled, tool_call_id="t1")["mcp_server"] == "github"
    assert imported.bound(ToolCalled, tool_call_id="t2")["skill"] == "review"
    assert imported.bound(ToolCalled, tool_call_id="t3")["skill"] == "plan"
    assert imported.bound(RoundCompleted)["plugin"] == "p1"
    assert "secret" not in repr(imported.pairs)


def test_turns(file):
    """The id of a turn stands in its rounds and failed requests, its duration in the last round."""
    lines = [
        user("u1", 1, promptId="turn-1"),
        answer("a1", 2, "u1", message()),
        answer("a2", 3, "a1", message("m2")),
        record("system", "d1", 4, "a2", subtype="turn_duration", durationMs=3_100),
        user("u2", 5),
        answer("a3", 6, "u2", message("m3")),
        record("system", "d2", 7, "gone", subtype="turn_duration", durationMs=900),
        record("system", "d3", 8, "gone", subtype="turn_duration", durationMs="x"),
        record("system", "d4", 9, "d3", subtype="local_command"),
    ]
    imported = Imported(write(file, *lines))
    bound = {event.round_id: bound for event, bound in imported.pairs if isinstance(event, RoundCompleted)}
    assert [bound[name]["turn_id"] for name in ("m1", "m2", "m3")] == ["turn-1", "turn-1", "u2"]
    assert [bound[name].get("turn_duration_ms") for name in ("m1", "m2", "m3")] == [None, 3_100, 900]


def test_compactions_and_interrupts_are_notes(file):
    """Something that is no call is a note with its time and session, without any text of the transcript."""
    lines = [
        user("u1", 1),
        record("system", "c1", 2, "u1", subtype="compact_boundary", content="secret", compactMetadata={"trigger": "manual", "preTokens": 142_431}),
        record("system", "c2", 3, "c1", subtype="compact_boundary", compactMetadata={"trigger": 5}),
        record("system", "c3", 4, "c2", subtype="compact_boundary"),
    ]  # fmt: skip
    notes = [(event, bound) for event, bound in Imported(write(file, *lines)).pairs if isinstance(event, Note)]
    assert {(event.text, event.session_id) for event, _ in notes} == {("conversation compacted", "s1")}
    assert (notes[0][1]["trigger"], notes[0][1]["tokens_before"]) == ("manual", 142_431)
    assert "trigger" not in notes[1][1]


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (user("u1", 1, "<task-notification>\n<task-id>a1</task-id>"), 0),
        (user("u1", 1, "done", origin={"kind": "task-notification"}), 0),
        (user("u1", 1, "done", promptSource="system"), 0),
        (user("u1", 1, "hello", origin={"kind": "human"}, promptSource="typed"), 1),
        (user("u1", 1, "hello", promptSource="sdk"), 1),
        (record("attachment", "u1", 1, attachment={"type": "queued_command", "prompt": "and then"}), 1),
        (record("attachment", "u1", 1, attachment={"type": "queued_command", "prompt": "x", "commandMode": "prompt"}), 1),
        (record("attachment", "u1", 1, attachment={"type": "queued_command", "prompt": "x", "origin": {"kind": "human"}}), 1),
        (record("attachment", "u1", 1, attachment={"type": "queued_command", "prompt": "x", "origin": {"kind": "peer"}}), 0),
        (record("attachment", "u1", 1, attachment={"type": "queued_command", "prompt": "x", "commandMode": "task-notification"}), 0),
        (record("attachment", "u1", 1, attachment={"type": "queued_command", "prompt": "<task-notification>x"}), 0),
        (record("attachment", "u1", 1, attachment={"type": "queued_command", "prompt": "x", "isMeta": True}), 0),
        (record("attachment", "u1", 1, attachment={"type": "skill_listing"}), 0),
        (record("attachment", "u1", 1, attachment=7), 0),
    ],
)  # fmt: skip
def test_what_a_person_wrote(path, line, count):
    """H16: origin and source decide whether a line is a prompt, also of one that was queued while the model worked."""
    assert Imported(write(path, line)).one(MessageCountUpdated).message_count == count


def test_where_it_belongs(file):
    """Branch, version, entrypoint and project are bound to every line, the request id and stop reason to the round."""
    more = {"gitBranch": "fix/a-1", "entrypoint": "cli", "version": "2.1.5", "cwd": "/home/ann/work/app"}
    lines = [user("u1", 1, **more), answer("a1", 2, "u1", message(), requestId="req-1", requestedModel="opus", **more)]
    imported = Imported(write(file, *lines))
    common = {
        "importer": "claude-code", "agent": "claude-code", "project": "work/app", "git_branch": "fix/a-1",
        "client_version": "2.1.5", "entrypoint": "cli",
    }  # fmt: skip
    assert imported.bound(SessionStarted) == common
    own = {"provider_request_id": "req-1", "stop_reason": "end_turn", "model": "opus", "turn_id": "u1"}
    assert imported.bound(RoundCompleted) == {**common, **own}


def test_a_torn_record_before_a_whole_one(file):
    """A whole record behind a torn one on the same line counts; only the torn one is reported."""
    torn = json.dumps(answer("a0", 2, "u1", message("m0", {"type": "text", "text": "half"})))[:-60]
    whole = json.dumps(answer("a1", 3, "u1", message("m1")))
    both = [json.dumps(user("u1", 1)), torn + whole, torn + whole + whole.replace("m1", "m2").replace("a1", "a2"), torn]
    file.write_text("\n".join(both) + "\n", "utf-8")
    imported = Imported(file)
    assert imported.totals == (2, 236)
    assert [problem.line for problem in imported.problems] == [2, 3, 4]


def test_a_blob_of_a_request_is_never_read(file):
    """Lines that hold whole requests make no event, whatever stands in them."""
    blob = {
        "type": "api-request-blob",
        "sessionId": "s1",
        "message": {"role": "assistant", "content": "secret", "usage": usage(9)},
    }
    imported = Imported(write(file, blob, *prompt_and_answer()))
    assert imported.totals == (1, 118)
    assert "secret" not in repr(imported.pairs)


def test_lines_that_nearly_fit(file):
    """Texts and results with values that no text can hold are read as far as possible."""
    odd = json.dumps(user("u1", 1, [{"type": "text", "text": "\ud800"}, {"type": "text", "text": 5}, "x"], version=5))
    lines = [
        json.dumps(user("u0", 0.5, [{"type": "text", "text": "\ud800"}])),
        odd,
        json.dumps(answer("a1", 2, "u1", message("m1", tool_use("t1")))),
        json.dumps(user("r1", 3, [tool_result("t1")], "a1", toolUseResult={"durationMs": 5, "usage": "many"})),
        json.dumps({"type": "attachment", "uuid": "x1", "sessionId": "s1"}),
        json.dumps({"type": "assistant", "uuid": "x2", "sessionId": "s1", "requestId": "q"}),
        json.dumps(record("system", "d1", 4, "r1", subtype="local_command")),
        '{"type": "user", "timestamp": {"type": nope ' * 300,
    ]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    imported = Imported(file)
    assert imported.totals == (2, 118)
    assert imported.bound(ToolCalled)["execution_ms"] == 5
    assert [problem.line for problem in imported.problems] == [8]


def test_usage_that_comes_behind_a_tool_result(file):
    """A line without usage belongs to the answer before the tool result, if the message id is the same."""
    lines = [
        answer("a1", 2, None, message("m1", tool_use("t1"))),
        user("r1", 3, [tool_result("t1")], "a1"),
        answer("a2", 4, "r1", message("m1", tool_use("t2"), usage=None)),
    ]
    assert Imported(write(file, *lines)).totals == (1, 118)


WHOLE = [
    user("u1", 1, gitBranch="main", promptId="p", origin={"kind": "human"}, promptSource="typed"),
    answer("a1", 2, "u1", message("m1", tool_use("t1", "Skill"), usage=usage(5, iterations=[{"type": "compaction"}])), requestId="q"),
    user("r1", 3, [tool_result("t1", is_error=True)], "a1", toolUseResult={"agentId": "a", "usage": usage(1), "durationMs": 5}, permissionDecision={"decision": "x"}),
    nested("n1", 4, answer("k1", 4, None, message("m2")), "r1"),
    record("system", "e1", 5, "n1", subtype="api_error", error={"status": 529, "error": {"type": "x"}}, retryInMs=5, retryAttempt=1),
    record("attachment", "x1", 6, "e1", attachment={"type": "queued_command", "prompt": "x", "commandMode": "prompt"}),
    answer("a2", 7, "x1", message("m3", model="<synthetic>"), isApiErrorMessage=True),
    record("system", "c1", 8, "a2", subtype="compact_boundary", compactMetadata={"trigger": "x", "preTokens": 5}),
    record("system", "d1", 9, "a1", subtype="turn_duration", durationMs=5),
]  # fmt: skip


def places(value):
    """Yield each place of an object, with what holds it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from places(inner)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 99), JSON), max_size=6), st.integers(0, 300))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere(tmp_path, changes, cut):
    """Whatever stands in a field, and wherever the file ends, a transcript is read without an error."""
    lines = json.loads(json.dumps(WHOLE))
    for number, place, value in changes:
        where = list(places(lines[number]))
        holder, key = where[place % len(where)]
        holder[key] = value
    text = "".join(json.dumps(one) + "\n" for one in lines)
    file = tmp_path / "s1.jsonl"
    file.write_text(text[: len(text) - cut], "utf-8")
    Imported(file)
