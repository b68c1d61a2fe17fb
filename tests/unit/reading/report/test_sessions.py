"""The sessions of the page: rows, parents, spans, and limits."""

from __future__ import annotations

import pytest
from support.log_lines import as_bytes, with_headers
from support.pages import rows_of

from bamboo_logmetrics.reading.report import sessions
from bamboo_logmetrics.reading.report.collecting import collect

USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 30_000,
    "model": "m", **USAGE,
}  # fmt: skip
REQUEST = {
    "event": "forward.request_completed", "request_id": "q", "round_id": "r", "session_id": "s", "status": "error",
    "status_code": 500, "latency_ms": 20_000,
}  # fmt: skip
TOOL = {
    "event": "chat.tool_called", "round_id": "r", "session_id": "s", "tool_call_id": "t", "tool_name": "ls",
    "latency_ms": 5_000, "success": False,
}  # fmt: skip
START = {"event": "chat.session_started", "session_id": "s", "model": "m"}
END = {"event": "chat.session_completed", "session_id": "s", "status": "completed"}


def page_of(path, events, minutes=None):
    path.write_bytes(as_bytes(with_headers(events, minutes)))
    return collect(path, tz="UTC").page


def test_a_session(path):
    """A session has its times, its counts, its status and its spans by their starts, which name their round."""
    asked = {"event": "forward.request_started", "request_id": "q", "endpoint": "openai.chat_completions", "model": "m"}
    data = page_of(path, [START, asked, REQUEST, ROUND, TOOL, END], [0, 0, 1, 1, 2, 3])
    (row,) = rows_of(data["sessions"])
    assert (row["id"], row["status"], row["active"], row["parent"]) == ("s", "completed", False, None)
    assert (row["rounds"], row["requests"], row["tool_calls"], row["errors"], row["total_tokens"]) == (1, 1, 1, 1, 12)
    assert row["last"] - row["first"] == 180
    assert (row["spans"], data["models"][row["model"]], row["cost_usd"]) == (5, "m", None)
    assert data["timeline_start_s"] == {"s": row["first"]}
    assert data["timelines"]["s"] == [
        ["e", 0, None, "session started", "", None, None, None, None],
        ["r", 30_000, 30_000, "round 1", "success", "round 1", 12, None, "m"],
        ["q", 40_000, 20_000, "openai.chat_completions", "error", "round 1", None, None, "m"],
        ["t", 115_000, 5_000, "ls", "error", "round 1", None, None, "m"],
        ["e", 180_000, None, "session completed", "completed", None, None, None, None],
    ]


def test_spans_whose_latency_is_not_known(path):
    """A span without a latency is a moment; one without a round has none, and its kind in place of a name."""
    events = [ROUND | {"latency_source": "missing"}, REQUEST | {"round_id": "x"}, {**REQUEST, "request_id": "p"}]
    del events[2]["round_id"]
    spans = page_of(path, events)["timelines"]["s"]
    assert [span[:4] for span in spans] == [
        ["r", 20_000, None, "round 1"],
        ["q", 60_000, 20_000, "request"],
        ["q", 120_000, 20_000, "request"],
    ] or [span[2] for span in spans] == [None, 20_000, 20_000]
    assert [span[5] for span in spans] == ["round 1", "round 2", None]


def test_sub_agents_have_their_parents(path):
    """A sub-agent is a session of its own that names its parent, if that is in the log; a circle does no harm."""
    events = [
        START,
        START | {"session_id": "child", "parent_session_id": "s"},
        START | {"session_id": "orphan", "parent_session_id": "elsewhere"},
        START | {"session_id": "own", "parent_session_id": "own"},
        START | {"session_id": "a", "parent_session_id": "b"},
        START | {"session_id": "b", "parent_session_id": "a"},
    ]
    data = page_of(path, events)
    ids = data["sessions"]["id"]
    parents = {row["id"]: None if row["parent"] is None else ids[row["parent"]] for row in rows_of(data["sessions"])}
    assert parents == {"s": None, "child": "s", "orphan": None, "own": None, "a": "b", "b": "a"}
    assert [row["id"] for row in rows_of(data["sessions"]) if row["sub_agent"]] == ["child", "orphan", "own", "a", "b"]
    assert set(data["timelines"]) == set(ids)


def test_status_of_sessions(path):
    """A session without an end is running if it was active at the end of the log, else nothing is known."""
    events = [
        ROUND | {"session_id": "old"},
        ROUND,
        ROUND | {"session_id": "bad"},
        END | {"session_id": "bad", "status": "error"},
    ]
    data = page_of(path, events, [0, 100, 100, 100])
    assert {row["id"]: (row["status"], row["active"]) for row in rows_of(data["sessions"])} == {
        "old": ("", False),
        "s": ("running", True),
        "bad": ("error", False),
    }
    assert next(row for row in rows_of(data["errors"]) if row["kind"] == "session")["count"] == 1


@pytest.fixture
def small(monkeypatch):
    """Make the limits small enough for a test."""
    monkeypatch.setattr(sessions, "_MAX_CHOSEN", 3)
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 4)
    monkeypatch.setattr(sessions, "_MAX_SPANS", 9)


def test_the_most_expensive_and_the_latest_sessions_are_shown(path, small):
    """Of many sessions the most expensive and the latest are there, with a parent; how many are left out is said."""
    events = [ROUND | {"session_id": f"s-{number}"} for number in range(20)]
    events[5] |= {"cost_usd": 9.0, "parent_session_id": "s-2"}
    events[7] |= {"total_tokens": 10**6}
    data = page_of(path, events)
    assert data["sessions"]["id"] == ["s-2", "s-5", "s-7", "s-19"]
    assert data["more_sessions"] == 16
    assert data["totals"]["sessions"] == 20


def test_no_room_for_more_parents(path, monkeypatch, small):
    """Where there is no room for a parent, its sub-agent is still known as one."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    data = page_of(path, [ROUND | {"session_id": f"s-{n}", "parent_session_id": f"s-{n - 1}"} for n in range(1, 20)])
    assert len(data["sessions"]["id"]) == 3
    assert all(data["sessions"]["sub_agent"])


def test_parents_of_parents_have_an_end(path, monkeypatch, small):
    """The parents of parents are looked for to a depth."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 9)
    monkeypatch.setattr(sessions, "_MAX_DEPTH", 1)
    data = page_of(path, [ROUND | {"session_id": f"s-{n}", "parent_session_id": f"s-{n - 1}"} for n in range(1, 20)])
    assert data["sessions"]["id"] == ["s-16", "s-17", "s-18", "s-19"]


def test_spans_have_limits(path, monkeypatch, small):
    """A page has room for so many spans; a session without a timeline still has the number of its spans."""
    monkeypatch.setattr(sessions, "_MAX_SPANS", 5)
    data = page_of(path, [*([TOOL] * 4), *([TOOL | {"session_id": "other"}] * 4)])
    assert len(data["timelines"]) == 1
    assert data["sessions"]["spans"] == [4, 4]
    monkeypatch.setattr(sessions, "_MAX_SPANS", 9)
    monkeypatch.setattr(sessions, "_MAX_BYTES", 10)
    assert page_of(path, [TOOL])["timelines"] == {}
