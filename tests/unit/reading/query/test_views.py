"""The views: stable columns, with and without loaded values."""

from __future__ import annotations

import pytest
from support import ROOT
from support.log_lines import as_bytes, with_headers

from bamboo_logmetrics.reading.query.columns import COLUMNS
from bamboo_logmetrics.reading.query.connection import open_connection
from bamboo_logmetrics.reading.query.loading import load
from bamboo_logmetrics.reading.query.views import create_views

VIEWS = ("rounds", "requests", "tools", "sessions")
EVENTS = [
    {"event": "chat.session_started", "session_id": "s", "model": "m"},
    {"event": "chat.round_started", "session_id": "s", "round_id": "r", "model": "m"},
    {"event": "forward.request_started", "request_id": "q", "endpoint": "e", "model": "m", "is_stream": False},
    {"event": "forward.request_completed", "request_id": "q", "round_id": "r", "status": "success", "latency_ms": 1},
    {"event": "chat.tool_called", "session_id": "s", "round_id": "r", "tool_name": "t", "success": True, "latency_ms": 1},
    {"event": "chat.round_completed", "session_id": "s", "round_id": "r", "status": "failed", "latency_ms": 1},
    {"event": "chat.session_completed", "session_id": "s", "status": "completed"},
]  # fmt: skip


@pytest.fixture
def views(path):
    """Load the events of one session, with all columns."""
    path.write_bytes(as_bytes(with_headers(EVENTS)))
    columns = [name for name in COLUMNS if name not in {"timestamp", "level", "event", "v", "writer", "seq", "plain"}]
    with open_connection() as (connection, folder):
        load(connection, folder, path, columns=columns)
        create_views(connection, columns)
        yield connection


def test_columns_are_documented(views):
    """Each column of each view stands in the docs, in its order."""
    text = (ROOT / "docs" / "reference" / "views.md").read_text(encoding="utf-8")
    for view in VIEWS:
        section = text.split(f"\n## {view}\n")[1].split("\n## ")[0]
        names = [name for name, *_ in views.execute(f"DESCRIBE {view}").fetchall()]
        assert ", ".join(f"`{name}`" for name in names) in section


def test_all_lines_are_events(views):
    """The view "events" has a row for each line, and the columns of the table."""
    assert views.execute("SELECT count(*) FROM events").fetchone() == (len(EVENTS),)
    assert [name for name, *_ in views.execute("DESCRIBE events").fetchall()] == list(COLUMNS)


def test_what_lines_leave_out_comes_from_others(views):
    """A completed round, request or tool call has the model, the endpoint and the session of the lines before."""
    assert views.execute("SELECT model, status, requests FROM rounds").fetchall() == [("m", "error", 1)]
    assert views.execute("SELECT session_id, model, endpoint FROM requests").fetchall() == [("s", "m", "e")]
    assert views.execute("SELECT model, tool_name FROM tools").fetchall() == [("m", "t")]


def test_a_session(views):
    """A session has its times, its status and what happened in it."""
    row = views.execute("SELECT session_id, status, model, rounds, tool_calls, active FROM sessions").fetchall()
    assert row == [("s", "completed", "m", 1, 1, False)]


def test_columns_that_are_not_loaded_are_null(path):
    """A view works whatever columns were loaded."""
    path.write_bytes(as_bytes(with_headers(EVENTS)))
    with open_connection() as (connection, folder):
        load(connection, folder, path, columns=["session_id"])
        create_views(connection, ["session_id"])
        for view in VIEWS:
            connection.execute(f"SELECT * FROM {view}").fetchall()
        assert connection.execute("SELECT DISTINCT model FROM events").fetchall() == [(None,)]
