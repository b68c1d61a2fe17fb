"""Claude Code transcripts become events: each trap of the format on its own, then real transcripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import DATA
from support.transcripts import (
    INTERRUPT,
    TOOL_INTERRUPT,
    Imported,
    Json,
    answer,
    message,
    moment,
    nested,
    record,
    stamp,
    tool_result,
    tool_use,
    usage,
    user,
    write,
)

from bamboo_logmetrics.events import (
    MessageCountUpdated,
    RoundCompleted,
    RoundStarted,
    RoundStatus,
    SessionCompleted,
    SessionStarted,
    SessionStatus,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.importers import IMPORTERS, ImportReport

CLAUDE_CODE = IMPORTERS["claude-code"]
REAL = DATA / "claude-code"
SECRET = "correct horse battery staple"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the test's transcript is."""
    return tmp_path / "s1.jsonl"


def test_find_takes_a_sub_agent_s_own_file_first(tmp_path: Path) -> None:
    """The file of a sub-agent, which holds more of it, comes before that of its parent."""
    parent, child = tmp_path / "s1.jsonl", tmp_path / "s1" / "subagents" / "a.jsonl"
    child.parent.mkdir(parents=True)
    for file in (parent, child, tmp_path / "notes.txt"):
        file.touch()
    assert CLAUDE_CODE.find([tmp_path]) == [child, parent]


def test_a_plain_session(file: Path) -> None:
    """A prompt and its answer become one session of one round, in time order, with the transcript's times."""
    imported = Imported(write(file, user("u1", 1), answer("a1", 3.5, "u1", message())))
    kinds = [SessionStarted, RoundStarted, RoundCompleted, MessageCountUpdated, SessionCompleted]
    assert [type(event) for event, _ in imported.pairs] == kinds
    times = [event.meta.occurred_at for event, _ in imported.pairs]
    assert times == [moment(1), moment(1), moment(3.5), moment(3.5), moment(3.5)]
    assert imported.one(SessionStarted).model == imported.one(RoundStarted).model == "opus"
    done = imported.one(RoundCompleted)
    assert (done.round_id, done.session_id, done.status, done.latency_ms) == ("m1", "s1", "success", 2500)
    assert imported.one(MessageCountUpdated).message_count == 2
    assert imported.one(SessionCompleted).status is SessionStatus.COMPLETED
    assert {event.meta.trace_id for event, _ in imported.pairs} == {None}
    assert not imported.problems


def test_what_is_bound(file: Path) -> None:
    """Importer, project and version of the client are bound, and the model where no field has it."""
    imported = Imported(
        write(file, user("u1", 1, cwd="C:\\Users\\ann\\app\\"), answer("a1", 2, "u1", message(), version="3.0.0"))
    )
    common = {"importer": "claude-code", "agent": "claude-code", "project": "app", "client_version": "2.1.159"}
    assert imported.bound(SessionStarted) == imported.bound(SessionCompleted) == common
    own = {"client_version": "3.0.0", "turn_id": "u1"}
    assert imported.bound(RoundStarted) == {**common, **own}
    assert imported.bound(RoundCompleted) == {**common, **own, "model": "opus", "stop_reason": "end_turn"}


def test_what_is_not_known_is_not_bound(file: Path) -> None:
    """Without a version and a folder's name nothing is bound for them, nor is a version that is no label."""
    lines = (user("u1", 1, cwd="/", version=None), user("u2", 2, cwd=None, version="2\n1"))
    assert Imported(write(file, *lines)).bound(SessionStarted) == {"importer": "claude-code", "agent": "claude-code"}


def test_one_message_over_several_lines_is_one_round(file: Path) -> None:
    """Content-block lines of one message id are one round: its last line gives end time and usage, once."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message(usage=usage(1), stop_reason=None)),
        answer("a2", 3, "a1", message("m1", tool_use("t1"), usage=usage(1), stop_reason=None)),
        user("r1", 4, [tool_result("t1")], "a2"),
        answer("a3", 5, "r1", message(usage=usage(40))),
    ]
    imported = Imported(write(file, *lines))
    done = imported.one(RoundCompleted)
    assert done.usage == TokenUsage(
        prompt_tokens=113, completion_tokens=40, total_tokens=153, cache_read_tokens=100, cache_write_tokens=10
    )
    assert (done.latency_ms, done.meta.occurred_at) == (4000, moment(5))
    assert "usage_source" not in imported.bound(RoundCompleted)
    assert imported.one(MessageCountUpdated).message_count == 2


def test_usage_without_a_stop_reason_is_partial(file: Path) -> None:
    """A message whose last line has no stop reason has the counts from the start of the stream, and is marked as partial."""
    imported = Imported(write(file, user("u1", 1), answer("a1", 2, "u1", message(stop_reason=None), version="2.1.7")))
    assert imported.bound(RoundCompleted)["usage_source"] == "partial"


def test_the_final_form_wins_over_a_partial_one(file: Path) -> None:
    """A line with a stop reason has the final counts, also when a line without one follows."""
    last = message(stop_reason=None, usage=usage(1))
    imported = Imported(write(file, user("u1", 1), answer("a1", 2, "u1", message()), answer("a2", 3, "a1", last)))
    assert imported.one(RoundCompleted).usage.completion_tokens == 5
    assert "usage_source" not in imported.bound(RoundCompleted)


@pytest.mark.parametrize("given", [None, {}, {"input_tokens": "3"}, {"output_tokens": -1}])
def test_missing_usage_is_said(file: Path, given: Json | None) -> None:
    """Without prompt or output count the tokens are zeros that are bound as missing."""
    imported = Imported(write(file, user("u1", 1), answer("a1", 2, "u1", message(usage=given))))
    assert imported.one(RoundCompleted).usage == TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    assert imported.bound(RoundCompleted)["usage_source"] == "missing"


def test_a_line_without_usage_keeps_what_came_before(file: Path) -> None:
    """A later line of a message that has no usage does not erase it; without cache counts there are none."""
    first = message(usage={"input_tokens": 3, "output_tokens": 4})
    imported = Imported(
        write(file, answer("a1", 2, None, first), answer("a2", 3, "a1", message(usage=None, content="text")))
    )
    assert imported.one(RoundCompleted).usage == TokenUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7)


def test_a_transcript_that_starts_mid_conversation(file: Path) -> None:
    """Without the record that a round started from it starts at its first line, with its latency marked as missing."""
    imported = Imported(write(file, answer("a1", 2, "gone", message()), answer("a2", 4, "a1", message())))
    assert imported.one(RoundStarted).meta.occurred_at == moment(2)
    assert imported.one(RoundCompleted).latency_ms == 0
    assert imported.bound(RoundCompleted)["latency_source"] == "missing"


def test_a_round_starts_at_the_record_it_names(file: Path) -> None:
    """An ignored attachment, even one further down the file, can be what a round's latency counts from."""
    lines = (user("u1", 1), answer("a1", 4, "x1", message()), record("attachment", "x1", 2, "u1"))
    imported = Imported(write(file, *lines))
    assert imported.one(RoundStarted).meta.occurred_at == moment(2)
    assert imported.one(RoundCompleted).latency_ms == 2000


def test_a_clock_that_steps_back(file: Path) -> None:
    """Times that run backwards give latencies of 0, and no round starts after its end."""
    lines = (
        user("u1", 9),
        answer("a1", 5, "u1", message("m1", tool_use("t1"))),
        user("r1", 3, [tool_result("t1")], "a1"),
    )
    imported = Imported(write(file, *lines))
    assert imported.one(RoundCompleted).latency_ms == imported.one(ToolCalled).latency_ms == 0
    assert imported.one(RoundStarted).meta.occurred_at == moment(5)
    kinds = [type(event) for event, _ in imported.pairs]
    assert (kinds[0], kinds[-1]) == (SessionStarted, SessionCompleted)


def test_tool_calls_are_uses_with_a_result(file: Path) -> None:
    """Parallel tools each pair with their own result; a use without one makes no event, and is_error is a failure."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message("m1", tool_use("t1"))),
        answer("a2", 3, "a1", message("m1", tool_use("t2", "Read"), tool_use("t3"))),
        user("r2", 4, [tool_result("t2", is_error=True)], "a2"),
        user("r1", 7, [tool_result("t1", is_error=False), tool_result("t9")], "a1"),
    ]
    imported = Imported(write(file, *lines))
    calls = [(e.tool_call_id, e.round_id, e.tool_name, e.latency_ms, e.success) for e in imported.all(ToolCalled)]
    assert calls == [("t2", "m1", "Read", 1000, False), ("t1", "m1", "Bash", 5000, True)]
    assert imported.all(ToolCalled)[0].meta.occurred_at == moment(4)


def test_a_tool_s_first_result_counts(file: Path) -> None:
    """A second result with other values does not change the call."""
    lines = [
        answer("a1", 2, None, message("m1", tool_use("t1"))),
        user("r1", 3, [tool_result("t1")], "a1"),
        user("r2", 9, [tool_result("t1", is_error=True)], "a1"),
    ]
    call = Imported(write(file, *lines)).one(ToolCalled)
    assert (call.latency_ms, call.success) == (1000, True)


def test_two_objects_on_one_line(file: Path) -> None:
    """Both objects of a line count, and a byte order mark or blank line is no problem."""
    both = json.dumps(user("u1", 1)).encode() + b" " + json.dumps(answer("a1", 2, "u1", message())).encode()
    imported = Imported(write(file, b"\xef\xbb\xbf" + both, b"", b"  "))
    assert imported.one(RoundCompleted).latency_ms == 1000
    assert not imported.problems


def test_a_line_separator_in_a_text_ends_no_line(file: Path) -> None:
    """U+2028 within a prompt, unescaped as the CLI writes it, does not cut the line in two."""
    imported = Imported(write(file, json.dumps(user("u1", 1, "a\u2028b"), ensure_ascii=False).encode()))
    assert imported.one(MessageCountUpdated).message_count == 1
    assert not imported.problems


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b'{"a": nope}', "not JSON at column 7"),
        (b'{"type":"mode"} x', "not JSON at column 17"),
        (b"\x00\x00\x00", "not JSON at column 1"),
        (b"[" * 200_000, "not JSON at column 1"),
        (b"\xff", "not UTF-8"),
        (b"7", "the line is not a JSON object"),
    ],
)
def test_a_line_that_cannot_be_read(file: Path, raw: bytes, fault: str) -> None:
    """A line that is no JSON object is reported with file and line number, and the others are read."""
    imported = Imported(write(file, user("u1", 1), raw, answer("a1", 2, "u1", message())))
    assert [str(problem) for problem in imported.problems] == [f"{file}:2: {fault}"]
    assert imported.one(RoundCompleted).round_id == "m1"


def _wrong_answer(**more: Any) -> Json:
    return answer("x1", 2, "u1", message("m9", **more))


@pytest.mark.parametrize(
    ("line", "prompt", "output", "source"),
    [
        (_wrong_answer(id=""), 113, 5, None),
        (_wrong_answer(id=None), 113, 5, None),
        (_wrong_answer(id=["m"]), 113, 5, None),
        (_wrong_answer(model=None), 113, 5, None),
        (_wrong_answer(content=None), 113, 5, None),
        (_wrong_answer(content=["text", {"type": "text", "text": "more"}, 7, None]), 113, 5, None),
        (_wrong_answer(content=5), 113, 5, None),
        (_wrong_answer(content=[{"type": "tool_use", "id": ["x"], "name": 5}]), 113, 5, None),
        (_wrong_answer(usage=usage(5.0)), 113, 5, None),
        (_wrong_answer(usage=usage(5, cache_creation_input_tokens=None)), 103, 5, None),
        (_wrong_answer(usage={"cache_read_input_tokens": 100}), 100, 0, "partial"),
        (_wrong_answer(usage={"input_tokens": 3}), 3, 0, "partial"),
        (_wrong_answer(usage=usage(5, cache_read_input_tokens="many")), 13, 5, "partial"),
        (_wrong_answer(usage=usage(-1)), 113, 0, "partial"),
        (_wrong_answer(usage=usage(1.5)), 113, 0, "partial"),
        (_wrong_answer(usage=usage(True)), 113, 0, "partial"),
        (_wrong_answer(usage=usage(input_tokens=2**53 + 1)), 110, 5, "partial"),
        (_wrong_answer(usage="many"), 0, 0, "missing"),
        ({**_wrong_answer(), "uuid": None}, 113, 5, None),
        ({**_wrong_answer(), "sessionId": None}, 113, 5, None),
        ({**_wrong_answer(), "sessionId": "\ud800"}, 113, 5, None),
        ({**_wrong_answer(), "timestamp": "yesterday"}, 113, 5, None),
        ({**_wrong_answer(), "timestamp": None}, 113, 5, None),
        ({**_wrong_answer(), "timestamp": 1767225602000}, 113, 5, None),
        ({**_wrong_answer(), "version": {"a": 1}, "error": 5, "toolUseResult": "x", "data": 7}, 113, 5, None),
    ],
)
def test_a_malformed_field_does_not_discard_the_usage(
    path: Path, line: Json, prompt: int, output: int, source: str | None
) -> None:
    """Whatever else is wrong with a line, what can be read of its usage counts; the rest is said to be missing."""
    imported = Imported(write(path, user("u1", 1), line))
    done = imported.one(RoundCompleted)
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (prompt, output)
    assert imported.bound(RoundCompleted).get("usage_source") == source
    assert not imported.problems


@pytest.mark.parametrize(
    "line",
    [
        user("x1", 2, 5),
        record("user", "x1", 2, message=None),
        record("progress", "x1", 2, data={"type": "agent_progress"}),
        user("x1", 2, [{"type": "tool_result"}]),
        {**nested("x1", 2, user("n1", 2, 5)), "timestamp": None},
    ],
)
def test_a_record_without_content_makes_no_round(file: Path, line: Json) -> None:
    """A record of which nothing but its time can be read makes no event of its own."""
    imported = Imported(write(file, user("u1", 1), line))
    assert not imported.all(RoundCompleted)
    assert imported.all(MessageCountUpdated)[0].message_count == 1
    assert not imported.problems


def test_what_is_no_message_is_ignored(file: Path) -> None:
    """Record kinds outside the tree, other progress and unknown kinds make no event and no problem."""
    lines: list[Json] = [
        {"type": "summary", "summary": "x", "leafUuid": "u1"},
        {"type": "queue-operation", "timestamp": stamp(0), "sessionId": "s1"},
        {"type": "file-history-snapshot", "messageId": "u1"},
        {"type": {"odd": 1}},
        {},
    ]
    assert Imported(write(file, *lines)).pairs == []
    lines += [
        record("progress", "p1", 1, data={"type": "hook_progress"}),
        record("progress", "p2", 1, data=None),
        record("system", "p3", 1, subtype="turn_duration"),
        record("kind-of-tomorrow", "p4", 1),
        nested("p5", 2, record("attachment", "n1", 2, message={})),
    ]
    imported = Imported(write(file, *lines))
    kinds = [SessionStarted, MessageCountUpdated, SessionCompleted]
    assert [type(event) for event, _ in imported.pairs] == kinds
    assert (imported.one(SessionStarted).model, imported.one(MessageCountUpdated).message_count) == ("", 0)
    assert not imported.problems


@pytest.mark.parametrize(
    ("content", "more", "count"),
    [
        ("write a test", {}, 1),
        ([{"type": "text", "text": "look"}, {"type": "image"}], {}, 1),
        ([{"type": "image"}], {}, 1),
        ("<command-message>review</command-message><command-name>/review</command-name>", {}, 1),
        ([tool_result("t1"), {"type": "text", "text": "and then"}], {}, 1),
        ([tool_result("t1")], {}, 0),
        ([{"type": "text", "text": None}], {}, 0),
        ("", {}, 0),
        ("<command-name>/model</command-name>", {}, 0),
        ("<local-command-stdout>Bye!</local-command-stdout>", {}, 0),
        ("<bash-input>ls</bash-input>", {}, 0),
        (INTERRUPT, {}, 0),
        ("a caveat", {"isMeta": True}, 0),
        ("what happened so far", {"isCompactSummary": True, "isVisibleInTranscriptOnly": True}, 0),
    ],
)
def test_the_message_count_takes_prompts_that_somebody_wrote(file: Path, content: Any, more: Json, count: int) -> None:
    """Tool results, interrupts, meta records, summaries and local commands are no messages; a prompt is."""
    assert Imported(write(file, user("u1", 1, content, **more))).one(MessageCountUpdated).message_count == count


def test_records_written_twice_count_once(file: Path) -> None:
    """A resuming CLI writes records again: no message, round or tool call counts twice."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message("m1", tool_use("t1"))),
        user("r1", 3, [tool_result("t1")], "a1"),
    ]
    once = Imported(write(file, *lines)).pairs
    assert Imported(write(file, *lines, *lines)).pairs == once


def test_a_copied_history_stays_with_its_first_session(file: Path) -> None:
    """Two session ids in one file are two sessions, and a message under both counts for the first alone."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message()),
        answer("a2", 2, "u1", message(), sessionId="s2"),
        user("u2", 5, "more", "a2", sessionId="s2"),
        answer("a3", 6, "u2", message("m2", model="haiku"), sessionId="s2"),
    ]
    imported = Imported(write(file, *lines))
    assert {e.round_id: e.session_id for e in imported.all(RoundCompleted)} == {"m1": "s1", "m2": "s2"}
    assert {e.session_id: e.model for e in imported.all(SessionStarted)} == {"s1": "opus", "s2": "haiku"}
    assert {e.session_id: e.message_count for e in imported.all(MessageCountUpdated)} == {"s1": 2, "s2": 2}
    assert imported.bound(SessionStarted).keys() == {"importer", "agent", "project", "client_version"}


def test_a_session_spans_its_rounds_and_tool_calls(file: Path) -> None:
    """Where a round starts or a tool answers under another session id, the round's session covers it."""
    lines = [
        user("u1", 1),
        answer("a1", 5, "u1", message("m1", tool_use("t1")), sessionId="s2"),
        user("r1", 9, [tool_result("t1")], "a1"),
    ]
    imported = Imported(write(file, *lines))
    starts = {event.session_id: event.meta.occurred_at for event in imported.all(SessionStarted)}
    ends = {event.session_id: event.meta.occurred_at for event in imported.all(SessionCompleted)}
    assert (starts["s2"], ends["s2"]) == (moment(1), moment(9))


def test_a_model_switch_is_seen_per_round(file: Path) -> None:
    """Each round carries its own model; the session the one it started with."""
    lines = [user("u1", 1), answer("a1", 2, "u1", message()), answer("a2", 3, "a1", message("m2", model="haiku"))]
    imported = Imported(write(file, *lines))
    assert imported.one(SessionStarted).model == "opus"
    assert [event.model for event in imported.all(RoundStarted)] == ["opus", "haiku"]
    assert [bound["model"] for event, bound in imported.pairs if isinstance(event, RoundCompleted)] == ["opus", "haiku"]


def test_nested_messages_are_a_session_of_their_own(file: Path) -> None:
    """The messages that an older CLI nests in progress lines become the sub-agent's session, with its own rounds and tools."""
    inner = [
        user("n1", 3, [{"type": "text", "text": "task"}]),
        answer("n2", 5, None, message("m2", tool_use("t2"), model="haiku", stop_reason=None)),
        user("n3", 6, [tool_result("t2")]),
        answer("n4", 6.5, None, message("m3", model="haiku")),
    ]
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message("m1", tool_use("t1", "Task"))),
        *(nested(f"p{at}", at + 3.5, line, "a1") for at, line in enumerate(inner)),
        user("r1", 9, [tool_result("t1")], "a1"),
    ]
    imported = Imported(write(file, *lines))
    assert [event.session_id for event in imported.all(SessionStarted)] == ["s1", "s1:a1"]
    assert [event.model for event in imported.all(SessionStarted)] == ["opus", "haiku"]
    child = [(event, bound) for event, bound in imported.pairs if bound.get("agent_id") == "a1"]
    assert {bound["parent_session_id"] for _, bound in child} == {"s1"}
    assert {bound["project"] for _, bound in child} == {"work/app"}
    rounds = {event.round_id: event.latency_ms for event, _ in child if isinstance(event, RoundCompleted)}
    assert rounds == {"m2": 2000, "m3": 500}
    assert [e.tool_call_id for e, _ in child if isinstance(e, ToolCalled)] == ["t2"]
    assert [e.message_count for e in imported.all(MessageCountUpdated)] == [3, 2]
    assert not imported.problems


def test_a_nested_agent_without_an_id_has_its_tool_call_s(file: Path) -> None:
    """Where a progress line names no agent, the tool call it belongs to stands for it."""
    line = nested("p1", 2, user("n1", 2))
    del line["data"]["agentId"]
    imported = Imported(write(file, line))
    assert [event.session_id for event in imported.all(SessionStarted)] == ["s1", "s1:t0"]


def test_side_chain_records_are_a_session_of_their_own(file: Path) -> None:
    """Records with isSidechain and agentId, as in a sub-agent's own file, make the sub-agent's session alone."""
    lines = [
        user("u1", 1, isSidechain=True, agentId="a7"),
        answer("a1", 2, "u1", message(), isSidechain=True, agentId="a7"),
    ]
    imported = Imported(write(file, *lines))
    assert imported.one(SessionCompleted).session_id == "s1:a7"
    assert imported.one(RoundCompleted).latency_ms == 1000
    assert imported.bound(SessionStarted)["parent_session_id"] == "s1"


def test_an_agent_id_outside_a_side_chain_is_no_session(file: Path) -> None:
    """A parent's record that names the agent whose result it holds stays the parent's."""
    imported = Imported(write(file, user("u1", 1, agentId="a7")))
    assert imported.one(SessionStarted).session_id == "s1"


def test_side_chains_without_an_agent_id_are_told_apart(file: Path) -> None:
    """The oldest CLIs did not name sub-agents: each chain is named by its first record."""
    lines = [
        user("u1", 1),
        user("x1", 2, isSidechain=True),
        user("y1", 3, isSidechain=True),
        answer("x2", 4, "x1", message("m1"), isSidechain=True),
        answer("y2", 5, "y1", message("m2"), isSidechain=True),
        answer("x3", 6, "x2", message("m3"), isSidechain=True),
    ]
    imported = Imported(write(file, *lines))
    rounds = {event.round_id: event.session_id for event in imported.all(RoundCompleted)}
    assert rounds == {"m1": "s1:x1", "m2": "s1:y1", "m3": "s1:x1"}


def test_one_agent_in_two_files_has_the_same_event_ids(tmp_path: Path) -> None:
    """A sub-agent nested in its parent's file and in its own file gives events of the same ids, to be skipped."""
    task, reply = user("n1", 3), answer("n2", 4, "n1", message())
    chain = {"isSidechain": True, "agentId": "a1"}
    whole = Imported(write(tmp_path / "a.jsonl", {**task, **chain}, {**reply, **chain}))
    parent = Imported(write(tmp_path / "s.jsonl", user("u1", 1), nested("p1", 3, task), nested("p2", 4, reply)))
    ids = {event.meta.event_id for event, _ in parent.pairs}
    assert {event.meta.event_id for event, _ in whole.pairs} <= ids


@pytest.mark.parametrize("more", [{}, {"interruptedMessageId": "m1"}])
def test_an_interrupted_answer_is_cancelled(file: Path, more: Json) -> None:
    """An interrupt right after a message without a stop reason cancels its round and, at the end, the session."""
    cut = user("u2", 3, [{"type": "text", "text": INTERRUPT}], "a1", **more)
    imported = Imported(write(file, user("u1", 1), answer("a1", 2, "u1", message(stop_reason=None)), cut))
    assert imported.one(RoundCompleted).status is RoundStatus.CANCELLED
    assert imported.one(RoundCompleted).error is None
    assert imported.one(SessionCompleted).status is SessionStatus.CANCELLED


def test_an_interrupt_may_name_the_message_it_cut(file: Path) -> None:
    """A record that names the interrupted message cancels it, and is not a prompt, even without a text."""
    cut = user("u2", 3, "", "x9", interruptedMessageId="m1")
    imported = Imported(write(file, user("u1", 1), answer("a1", 2, "u1", message(stop_reason=None)), cut))
    assert imported.one(RoundCompleted).status is RoundStatus.CANCELLED
    assert imported.one(MessageCountUpdated).message_count == 2


@pytest.mark.parametrize(
    ("stop", "content", "parent"),
    [("end_turn", INTERRUPT, "a1"), (None, TOOL_INTERRUPT, "a1"), (None, INTERRUPT, "u1"), (None, INTERRUPT, "gone")],
)
def test_an_interrupt_beside_the_answer_leaves_it_whole(
    path: Path, stop: str | None, content: str, parent: str
) -> None:
    """A message that had finished, one whose tool was stopped, and one that is not named are successes."""
    lines = user("u1", 1), answer("a1", 2, "u1", message(stop_reason=stop)), user("u2", 3, content, parent)
    imported = Imported(write(path, *lines))
    assert imported.one(RoundCompleted).status is RoundStatus.SUCCESS
    assert imported.one(SessionCompleted).status is SessionStatus.CANCELLED


def test_a_session_that_goes_on_after_an_interrupt_is_completed(file: Path) -> None:
    """The last of these decides the status of a session: a prompt, an answer or a tool result after an interrupt, not /exit."""
    stop = user("u2", 3, INTERRUPT)
    leave = user("u3", 4, "<command-name>/exit</command-name>")
    assert Imported(write(file, user("u1", 1), stop, leave)).one(SessionCompleted).status == "cancelled"
    assert Imported(write(file, stop, user("u4", 5))).one(SessionCompleted).status == "completed"
    assert Imported(write(file, stop, answer("a1", 5, "u2", message()))).one(SessionCompleted).status == "completed"
    assert Imported(write(file, stop, user("r1", 5, [tool_result("t1")]))).one(SessionCompleted).status == "completed"


def synthetic(uuid: str, at: float, parent: str, **more: Any) -> Json:
    zero = {"input_tokens": 0, "output_tokens": 0}
    said = message("synthetic-id", {"type": "text", "text": "No."}, model="<synthetic>", usage=zero)
    return answer(uuid, at, parent, said, **more)


def test_a_synthetic_message_is_no_round(file: Path) -> None:
    """An answer of the CLI itself is no round and no message, and does not change how the session ends."""
    imported = Imported(write(file, user("u1", 1, INTERRUPT), synthetic("a1", 2, "u1", isApiErrorMessage=False)))
    assert not imported.all(RoundCompleted)
    assert imported.one(MessageCountUpdated).message_count == 0
    assert imported.one(SessionCompleted).status is SessionStatus.CANCELLED


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({}, "api_error"),
        ({"error": "rate_limit", "apiErrorStatus": 429}, "429 rate_limit"),
        ({"error": SECRET, "apiErrorStatus": 99_999}, "api_error"),
        (
            {"error": {"status": 529, "error": {"type": "error", "error": {"type": "overloaded_error"}}}},
            "529 overloaded_error",
        ),
        ({"error": {"message": SECRET, "connection": {"code": "ECONNRESET"}}}, "ECONNRESET"),
        ({"error": {"type": 5, "error": {"message": SECRET}}}, "api_error"),
    ],
)
def test_a_final_failure_ends_the_session_in_error(file: Path, more: Json, error: str) -> None:
    """A synthetic API error makes no round; at the end the session is an error of that status and type."""
    imported = Imported(write(file, user("u1", 1), synthetic("a1", 2, "u1", isApiErrorMessage=True, **more)))
    assert not imported.all(RoundCompleted)
    assert imported.one(SessionCompleted).status is SessionStatus.ERROR
    assert imported.bound(SessionCompleted)["error"] == error


def test_a_retried_request_is_a_success(file: Path) -> None:
    """An api_error record before an answer is neither a round nor an end; the latency counts from it."""
    retry = record("system", "e1", 2, "u1", subtype="api_error", error={"status": 529}, retryAttempt=1)
    imported = Imported(write(file, user("u1", 1), retry, answer("a1", 5, "e1", message())))
    assert imported.one(RoundCompleted).status is RoundStatus.SUCCESS
    assert imported.one(RoundCompleted).latency_ms == 3000
    assert imported.one(SessionCompleted).status is SessionStatus.COMPLETED
    assert "error" not in imported.bound(SessionCompleted)


@pytest.mark.parametrize("stop", [None, "end_turn"])
def test_an_answer_that_an_error_cut_off_failed(file: Path, stop: str | None) -> None:
    """An API error right after a message without a stop reason makes its round an error, a finished one not."""
    fault = record("system", "e1", 3, "a1", subtype="api_error", error={"status": 500})
    imported = Imported(write(file, user("u1", 1), answer("a1", 2, "u1", message(stop_reason=stop)), fault))
    done = imported.one(RoundCompleted)
    assert (done.status, done.error) == (("success", None) if stop else ("error", "500"))


def test_nothing_of_the_content_comes_out(file: Path) -> None:
    """Prompts, answers, tool payloads, error texts and paths are neither in events, bindings nor problems."""
    lines: list[Json | bytes] = [
        user("u1", 1, SECRET, cwd=f"/home/{SECRET}/app", gitBranch=SECRET),
        answer("a1", 2, "u1", message("m1", {"type": "text", "text": SECRET}, {**tool_use("t1"), "input": SECRET})),
        user("r1", 3, [tool_result("t1", content=SECRET, is_error=True)], "a1", toolUseResult=SECRET),
        record("system", "e1", 4, "r1", subtype="api_error", error={"message": SECRET, "error": SECRET}),
        synthetic("a2", 5, "e1", isApiErrorMessage=True, error={"type": SECRET, "connection": {"code": SECRET}}),
        user("x1", 6, timestamp=SECRET),
        _wrong_answer(usage=usage(SECRET)),
        b'{"a": "' + SECRET.encode(),
    ]
    imported = Imported(write(file, *lines))
    assert len(imported.problems) == 1
    assert SECRET not in repr(imported.pairs)
    assert SECRET not in "".join(map(str, imported.problems))


def test_progress_adds_up_to_the_size_of_the_file(file: Path) -> None:
    """The progress is the number of bytes since the last call, every 256 KiB or so."""
    write(file, *(user(f"u{number}", 1, "x" * 30_000) for number in range(10)))
    reported: list[int] = []
    report = ImportReport(on_progress=reported.append)
    assert list(CLAUDE_CODE.read([file], report)) == Imported(file).pairs
    assert report.files == 1
    assert sum(reported) == file.stat().st_size
    assert len(reported) == 2


# -- real transcripts, counted again in another way ------------------------------------------


def objects(raw: str) -> Iterator[Json]:
    """Split a line where json.loads says that there is more behind a first object."""
    while raw:
        try:
            found, rest = json.loads(raw), ""
        except json.JSONDecodeError as error:
            found, rest = json.loads(raw[: error.pos]), raw[error.pos :]
        yield found
        raw = rest


def every_object(value: Any) -> Iterator[Json]:
    """Yield every JSON object at any depth, so that nested sub-agents need no rule of their own."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from every_object(item)


def recount(path: Path) -> tuple[dict[str, Json], set[str]]:
    """Return the last usage of each real message, and the ids of tool calls that have a result.

    The result of a sub-agent has the usage of its last call, which is in no line of these transcripts.
    """
    usages: dict[str, Json] = {}
    ids: dict[str, set[str]] = {"tool_use": set(), "tool_result": set()}
    for line in path.read_text("utf-8").split("\n"):
        for found in every_object(list(objects(line.strip()))):
            if found.get("role") == "assistant" and found["model"] != "<synthetic>":
                usages[found["id"]] = found["usage"]
            if "totalToolUseCount" in found:
                usages[f"last call of {found['agentId']}"] = found["usage"]
            if found.get("type") in ids:
                ids[found["type"]].add(found.get("id") or found["tool_use_id"])
    return usages, ids["tool_use"] & ids["tool_result"]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the shared transcripts are not at {REAL}")
@pytest.mark.parametrize("transcript", sorted(REAL.glob("*.jsonl")), ids=lambda path: path.stem)
def test_real_transcripts_add_up(transcript: Path) -> None:
    """Rounds, tokens and tool calls of a real transcript are those of a recount that knows no line kinds."""
    imported = Imported(transcript)
    usages, calls = recount(transcript)
    done = imported.all(RoundCompleted)
    assert len(done) == len(usages)
    described = {name for name in usages if name.startswith("last call of ")}
    assert len({event.round_id for event in done} & set(usages)) == len(usages) - len(described)
    totals: Counter[str] = Counter()
    for found in usages.values():
        totals.update({key: value for key, value in found.items() if key.endswith("_tokens")})
    total = sum((event.usage for event in done[1:]), done[0].usage)
    written, cached = totals["cache_creation_input_tokens"], totals["cache_read_input_tokens"]
    assert (total.cache_write_tokens, total.cache_read_tokens) == (written, cached)
    assert total.prompt_tokens == totals["input_tokens"] + written + cached
    assert total.completion_tokens == totals["output_tokens"]
    assert total.total_tokens == total.prompt_tokens + total.completion_tokens
    assert sorted(event.tool_call_id for event in imported.all(ToolCalled)) == sorted(calls)
    assert not imported.problems


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the shared transcripts are not at {REAL}")
@pytest.mark.parametrize("transcript", sorted(REAL.glob("*.jsonl")), ids=lambda path: path.stem)
def test_real_transcripts_are_told_in_order(transcript: Path) -> None:
    """Events of a real transcript come by time, each within its session, with unique ids that a second run repeats."""
    imported = Imported(transcript)
    assert Imported(transcript).pairs == imported.pairs
    events: list[Any] = [event for event, _ in imported.pairs]
    times = [event.meta.occurred_at for event in events]
    assert times == sorted(times)
    assert len({event.meta.event_id for event in events}) == len(events)
    sessions = [bound.get("session_id") or event.session_id for event, bound in imported.pairs]
    for session in set(sessions):
        own = [type(event) for event, its_session in zip(events, sessions, strict=True) if its_session == session]
        assert (own[0], own[-1]) == (SessionStarted, SessionCompleted)
        assert Counter(own)[RoundStarted] == Counter(own)[RoundCompleted]
