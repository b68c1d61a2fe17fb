"""Which groups of lines are one call, also where a provider gives its ids a second time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import DATA
from support.transcripts import Imported, answer, message, tool_result, tool_use, usage, user, write

from bamboo_logmetrics import RoundCompleted, ToolCalled

NEWEST = DATA / "newest"
HOUR = 3600


def run_of(number=0, *, hour=0, session="s1", version="2.1.159"):
    """Return a session of two answers, 153 and 373 tokens; each run has ids of lines of its own, all others are equal."""

    def at(seconds):
        return f"2026-01-01T{hour:02}:{10 * (number % 6):02}:{seconds:02}.{number:03}Z"

    def name(line):
        return f"n{number}-{line}"

    whole = message("m1", tool_use("t1"), usage=usage(40), stop_reason="tool_use")
    partial = message("m1", usage=usage(1), stop_reason=None)
    lines = [
        user(name("u1"), 0),
        answer(name("a1"), 0, name("u1"), partial, requestId="q1"),
        answer(name("a2"), 0, name("a1"), whole, requestId="q1"),
        user(name("r1"), 0, [tool_result("t1")], name("a2")),
        answer(name("b1"), 0, name("r1"), message("m2", usage=usage(1), stop_reason=None), requestId="q2"),
        answer(name("b2"), 0, name("b1"), message("m2", usage=usage(260)), requestId="q2"),
    ]
    more = {"sessionId": session, "version": version}
    return [{**line, **more, "timestamp": at(second)} for second, line in enumerate(lines, 1)]


def test_ids_that_come_a_second_time(tmp_path):
    """A provider that was started again gives the same ids; calls at other times are other calls, in any order."""
    runs = [run_of(number) for number in range(3)]
    for order in itertools.permutations(range(3)):
        imported = Imported(*(write(tmp_path / f"{place}.jsonl", *runs[number]) for place, number in enumerate(order)))
        assert imported.totals == (6, 3 * 526)
        assert len({event.round_id for event in imported.all(RoundCompleted)}) == 6
        assert len({event.meta.event_id for event, _ in imported.pairs}) == len(imported.pairs)
        assert len(imported.all(ToolCalled)) == 3


def test_copies_of_calls_whose_ids_came_a_second_time(tmp_path):
    """A fork of each of two runs with the same ids belongs to its own run."""
    runs = [run_of(number) for number in range(2)]
    forks = [[{**line, "sessionId": f"s{number + 5}"} for line in run] for number, run in enumerate(runs)]
    files = [write(tmp_path / f"{number}.jsonl", *lines) for number, lines in enumerate([*runs, *forks])]
    for order in itertools.permutations(files):
        assert Imported(*order).totals == (4, 2 * 526)


def test_copies_whose_lines_have_other_ids(tmp_path):
    """The time of a line tells a copy, if its lines got ids of their own."""
    copy = [{**line, "uuid": f"x-{line['uuid']}", "parentUuid": f"x-{line['parentUuid']}"} for line in run_of()]
    assert Imported(write(tmp_path / "a.jsonl", *run_of()), write(tmp_path / "b.jsonl", *copy)).totals == (2, 526)


def test_copies_that_name_the_lines_they_are_of(tmp_path):
    """A copied line may name the line that it is a copy of; then ids and times of its own do not matter."""
    whole = [{**line, "requestId": None} for line in run_of()]
    copy = [
        {**line, "requestId": None, "sessionId": "s2", "forkedFrom": {"sessionId": "s1", "messageUuid": old["uuid"]}}
        for line, old in zip(run_of(1), whole, strict=True)
    ]
    for names in (("a", "b"), ("b", "a")):
        files = [write(tmp_path / f"{names[0]}.jsonl", *whole), write(tmp_path / f"{names[1]}.jsonl", *copy)]
        assert Imported(*sorted(files)).totals == (2, 526)


@pytest.mark.parametrize("other", [{"version": "2.1.200"}, {"hour": 5}])
@pytest.mark.parametrize("cut", range(1, 6))
def test_a_cut_run_beside_another_with_the_same_ids(tmp_path, other, cut):
    """Another version of the tool, or hours between two runs, tell which of them a piece of an answer is of."""
    first, second = run_of(), run_of(1, **other)
    pieces = [first, second[:cut], second[cut:]]
    for order in itertools.permutations(range(3)):
        files = [write(tmp_path / f"{place}.jsonl", *pieces[number]) for place, number in enumerate(order)]
        assert Imported(*files).totals == (4, 2 * 526)


@pytest.mark.parametrize("cut", range(1, 6))
def test_lines_of_one_answer_spread_over_files(tmp_path, cut):
    """Pieces of one answer that show no line in common are one call, also where one of them has other lines before it."""
    lines = run_of()
    before = user("u0", 0, sessionId="s1")
    files = [write(tmp_path / "a.jsonl", before, *lines[cut:]), write(tmp_path / "b.jsonl", *lines[:cut])]
    assert Imported(*files).totals == Imported(*files[::-1]).totals == (2, 526)


def test_ids_that_come_a_second_time_in_one_file(tmp_path):
    """Behind a prompt the same ids are those of other calls, and a line that is repeated there is none."""
    lines = [*run_of(), *run_of(1)]
    assert Imported(write(tmp_path / "a.jsonl", *lines)).totals == (4, 2 * 526)
    renamed = [{**line, "uuid": f"x-{line['uuid']}", "parentUuid": f"x-{line['parentUuid']}"} for line in lines[:6]]
    assert Imported(write(tmp_path / "b.jsonl", *lines, *lines[:6], *renamed)).totals == (4, 2 * 526)


@pytest.mark.parametrize("message_id", ["msg_0", None])
@pytest.mark.parametrize("requests", [True, False])
def test_copies_of_calls_that_share_one_message_id(tmp_path, message_id, requests):
    """Where all answers have one message id, or none, a copy is found by its requests or by its lines."""
    lines = run_of()
    for line, request in ((lines[1], "q1"), (lines[2], "q1"), (lines[4], "q2"), (lines[5], "q2")):
        line["message"]["id"] = message_id
        line["requestId"] = request if requests else None
    copy = [{**line, "sessionId": "s2"} for line in lines]
    files = [
        write(tmp_path / "a.jsonl", *lines),
        write(tmp_path / "b.jsonl", *copy[:4]),
        write(tmp_path / "c.jsonl", *copy),
    ]
    for order in itertools.permutations(files):
        imported = Imported(*order)
        assert imported.totals == (2, 526)
        assert len(imported.all(ToolCalled)) == 1


@pytest.mark.skipif(not NEWEST.is_dir(), reason=f"the newest samples are not at {NEWEST}")
def test_the_newest_samples_in_one_run():
    """Two of the samples were made with the same ids; in one run each call counts as often as it was made."""
    files = sorted(file for folder in NEWEST.glob("claude-code-*") for file in folder.rglob("*.jsonl"))
    for order in (files, files[::-1]):
        rounds = [(event.usage, bound) for event, bound in Imported(*order).pairs if isinstance(event, RoundCompleted)]
        own = [tokens for tokens, bound in rounds if "iteration" not in bound]
        assert (len(own), len(rounds)) == (39, 41)
        assert sum(tokens.prompt_tokens for tokens in own) == 60_490 + 54_417 + 809_659
        assert sum(tokens.completion_tokens for tokens in own) == 630 + 559 + 2_909


PIECES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 6), st.sampled_from(["s1", "s2", "s3"])), max_size=6
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(1, 3), PIECES, st.data())
def test_any_runs_with_the_same_ids_count_each_call(tmp_path_factory, count, pieces, data):
    """Runs of hours apart with the same ids, copied, forked and cut, in any order, give the totals of their calls."""
    runs = [run_of(number, hour=3 * number) for number in range(count)]
    files = [(f"{number}", lines) for number, lines in enumerate(runs)]
    for number, start, size, session in pieces:
        lines = runs[number % count][start : start + size]
        files.append((f"piece{len(files)}", [{**line, "sessionId": session} for line in lines]))
    folder = tmp_path_factory.mktemp("runs")
    order = data.draw(st.permutations(files))
    paths = [write(folder / f"{place}-{name}.jsonl", *lines) for place, (name, lines) in enumerate(order)]
    assert Imported(*paths).totals == (2 * count, 526 * count)


@pytest.mark.parametrize("message_id", ["m1", None])
def test_pieces_that_a_third_file_joins(tmp_path, message_id):
    """Two pieces of an answer without request ids are one call as soon as a file shows the lines between them."""
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message(message_id, tool_use("t1"), usage=usage(1), stop_reason=None)),
        answer("a2", 3, "a1", message(message_id, tool_use("t2"), usage=usage(1), stop_reason=None)),
        answer("a3", 4, "a2", message(message_id, tool_use("t3"), usage=usage(40))),
        *(user(f"r{number}", 4 + number, [tool_result(f"t{number}")], "a3") for number in range(1, 4)),
    ]
    fork = [{**line, "sessionId": "s2"} for line in lines[3:]]
    pieces = [lines[:2], fork, lines[1:4], lines[3:]]
    for order in itertools.permutations(range(4)):
        imported = Imported(*(write(tmp_path / f"{place}.jsonl", *pieces[n]) for place, n in enumerate(order)))
        assert imported.totals == (1, 153)
        assert sorted(call.tool_call_id for call in imported.all(ToolCalled)) == ["t1", "t2", "t3"]
        assert {call.round_id for call in imported.all(ToolCalled)} == {imported.one(RoundCompleted).round_id}


@pytest.mark.parametrize("more", [{}, {"requestId": "q2"}])
def test_pieces_of_a_call_that_a_result_describes(tmp_path, more):
    """The last call of a sub-agent is one call with one id in any order of its pieces and of the result of its tool."""
    own = [
        user("k1", 3),
        answer("k2", 4, "k1", message("m2", usage=usage(1), stop_reason=None), **more),
        answer("k3", 5, "k2", message("m2", usage=usage(1), stop_reason=None), **more),
        answer("k4", 6, "k3", message("m2", usage=usage(260)), **more),
    ]
    own = [{**line, "isSidechain": True, "agentId": "a1"} for line in own]
    described = {"status": "completed", "agentId": "a1", "totalDurationMs": 4000, "usage": usage(260)}
    parent = [
        user("u1", 1),
        answer("p1", 2, "u1", message("m1", tool_use("t0", "Task"), usage=usage(40))),
        user("r1", 7, [tool_result("t0")], "p1", toolUseResult=described),
    ]
    pieces = [parent, own[:2], own[2:3], own[3:]]
    for order in itertools.permutations(range(4)):
        imported = Imported(*(write(tmp_path / f"{place}.jsonl", *pieces[n]) for place, n in enumerate(order)))
        assert imported.totals == (2, 526)
        assert sorted(event.round_id for event in imported.all(RoundCompleted)) == ["m1", "m2"]


def test_a_fork_in_the_file_of_its_parent_behind_a_gateway(tmp_path):
    """The answers of a copied session stay apart in the file of the other, also where all have one message id."""
    lines = [
        line
        for number in range(3)
        for line in (
            user(f"u{number}", 10 * number + 1, parent=f"a{number - 1}"),
            answer(f"a{number}", 10 * number + 2, f"u{number}", message("msg_0", usage=usage(number))),
        )
    ]
    fork = [{**line, "sessionId": "s2"} for line in lines]
    assert Imported(write(tmp_path / "a.jsonl", *fork[:4], *lines)).totals == (3, 3 * 113 + 3)


def test_a_result_of_a_line_that_is_not_there_behind_a_gateway(tmp_path):
    """Behind a tool's result the counts decide, also where the use of the tool stands in another file."""
    first, second = usage(5), usage(7, input_tokens=9)
    lines = [
        user("u1", 1),
        answer("a1", 2, "u1", message("msg_0", tool_use("t1"), usage=usage(1), stop_reason=None)),
        answer("a2", 3, "a1", message("msg_0", usage=first)),
        user("r1", 4, [tool_result("t1")], "a2"),
        answer("a3", 5, "r1", message("msg_0", usage=second)),
    ]
    files = [write(tmp_path / "a.jsonl", *lines[:2]), write(tmp_path / "b.jsonl", *lines[2:])]
    assert Imported(*files).totals == Imported(*files[::-1]).totals == (2, 118 + 126)


CALLS = st.lists(
    st.tuples(
        st.integers(1, 3),  # lines of the answer
        st.booleans(),  # each of them uses a tool
        st.booleans(),  # a prompt stands before it
    ),
    min_size=1,
    max_size=3,
)
PARTS = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12), st.booleans()), max_size=4)


def session_of(name, calls, ids, start):
    """Return the lines of a session, and the tokens of its calls."""
    lines, tokens, at, parent = [], 0, start, None

    def add(line):
        nonlocal at, parent
        at += 0.25
        lines.append({**line, "timestamp": f"2026-01-01T00:{int(at) // 60:02}:{at % 60:06.3f}Z", "sessionId": name})
        lines[-1]["parentUuid"], parent = parent, line["uuid"]

    for number, (size, uses, prompt) in enumerate(calls):
        if prompt or not lines or lines[-1]["type"] == "assistant":
            add(user(f"{name}-u{number}", 0))
        more = {} if ids == "lines" else {"requestId": f"{name}-q{number}"}
        label = "msg_0" if ids == "gateway" else f"{name}-m{number}"
        for line in range(size):
            blocks = [tool_use(f"{name}-t{number}-{line}")] if uses else []
            last = line == size - 1
            counts = usage(50 + number if last else 1, input_tokens=3 + number)
            said = message(label, *blocks, usage=counts, stop_reason="end_turn" if last else None)
            add(answer(f"{name}-a{number}-{line}", 0, None, said, **more))
        for line in range(size if uses else 0):
            add(user(f"{name}-r{number}-{line}", 0, [tool_result(f"{name}-t{number}-{line}")]))
        tokens += 163 + 2 * number
    return lines, tokens


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(CALLS, st.sampled_from(["requests", "lines", "gateway"]), PARTS), min_size=1, max_size=3),
    st.integers(0, 12),
    st.data(),
)
def test_any_sessions_cut_copied_and_forked(tmp_path_factory, sessions, cut, data):
    """Sessions that are cut anywhere, copied and forked, in files of any order, give each call and each tool call once."""
    files, calls, tokens, tools = [], 0, 0, 0
    for number, (answers, ids, parts) in enumerate(sessions):
        lines, its_tokens = session_of(f"s{number}", answers, ids, 7 * number)
        calls, tokens = calls + len(answers), tokens + its_tokens
        tools += sum(size for size, uses, _ in answers if uses)
        files += [lines[:cut], lines[cut:]]
        for start, size, fork in parts:
            part = lines[start : start + size]
            files.append([{**line, "sessionId": f"f{len(files)}"} for line in part] if fork else part)
    folder = tmp_path_factory.mktemp("sessions")
    order = data.draw(st.permutations([lines for lines in files if lines]))
    imported = Imported(*(write(folder / f"{place}.jsonl", *lines) for place, lines in enumerate(order)))
    assert imported.totals == (calls, tokens)
    assert len(imported.all(ToolCalled)) == tools
    assert len({event.meta.event_id for event, _ in imported.pairs}) == len(imported.pairs)
