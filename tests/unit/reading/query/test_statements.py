"""Statements over views: one SELECT, and nothing else can be reached or changed."""

from __future__ import annotations

import os

import duckdb
import pytest
from support.log_lines import as_bytes, with_headers

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.filters import Filters
from bamboo_logmetrics.reading.query.connection import open_connection
from bamboo_logmetrics.reading.query.statements import check_statement, run_statement, write_parquet

EVENTS = [
    {"event": "chat.session_started", "session_id": "s", "model": "m"},
    {"event": "chat.tool_called", "session_id": "s", "round_id": "r", "tool_name": "ls", "latency_ms": 5, "own": {"n": 1}},
    {"event": "forward.request_completed", "request_id": "q", "status": "success", "status_code": 200},
    {"event": "chat.round_completed", "session_id": "s", "round_id": "r", "status": "success", "prompt_tokens": 7},
]  # fmt: skip


@pytest.fixture
def written_log(path):
    """Write a log with an event for each view."""
    path.write_bytes(as_bytes(with_headers(EVENTS)))
    return path


def run(path, statement, **filters):
    """Return the columns and rows of a statement."""
    check_statement(statement)
    with open_connection() as (connection, folder):
        result = run_statement(connection, folder, path, statement=statement, filters=Filters(**filters))
        return result.columns, list(result.rows)


@pytest.mark.parametrize("view", ["events", "sessions", "rounds", "tools", "requests"])
def test_the_views(written_log, view):
    """Each view has rows; the event of each kind is in its view."""
    columns, rows = run(written_log, f"SELECT * FROM {view}")
    assert len(rows) == (4 if view == "events" else 1)
    assert "line" not in columns


STATEMENTS = [
    ("SELECT 1 -- a comment;", [(1,)]),
    ("  SELECT count(*) FROM events ; ", [(4,)]),
    ("FROM tools SELECT tool_name", [("ls",)]),
    ("WITH x AS (SELECT * FROM tools) SELECT latency_ms FROM x", [(5,)]),
    ("VALUES (1)", [(1,)]),
    ("SELECT line ->> '$.own.n' FROM events WHERE seq = 2", [("1",)]),
    ("SELECT e.LINE ->> 'model' FROM events AS e WHERE seq = 1", [("m",)]),
    ("SELECT 'line' FROM tools", [("line",)]),
]


@pytest.mark.parametrize(("statement", "rows"), STATEMENTS)
def test_statements(written_log, statement, rows):
    """A SELECT in any form gives its rows; any key of a line is found in it."""
    assert run(written_log, statement)[1] == rows


def test_the_whole_line_is_there_if_it_is_named(written_log):
    """The view has a column with the whole line for a statement that names it."""
    assert run(written_log, "SELECT *, line ->> 'own' FROM events")[0][-2] == "line"


def test_filters(written_log):
    """A line that the filters do not choose is in no view."""
    assert run(written_log, "SELECT count(*) FROM events", events=("chat.*",))[1] == [(3,)]
    assert run(written_log, "SELECT count(*) FROM events", where="line -> 'own' ->> 'n' = '1'")[1] == [(1,)]
    assert run(written_log, "SELECT count(*) FROM rounds", where="latency_ms = 5", events=("chat.*",))[1] == [(0,)]
    with pytest.raises(ConfigError, match="^--where: Binder Error"):
        run(written_log, "SELECT 1", where="nope = 1")
    for private in ("file > 0", "valid"):
        with pytest.raises(ConfigError, match="^--where: Binder Error"):
            run(written_log, "SELECT 1", where=private)
    with pytest.raises(ConfigError, match="^--where: Conversion Error"):
        run(written_log, "SELECT 1", where="CAST(event AS INTEGER) = 1")


def test_names_that_come_twice(written_log):
    """Two columns of one name are told apart."""
    assert run(written_log, "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a") == (["a", "a_2", "a_2_2", "a_3"], [(1, 2, 3, 4)])


REFUSED = [
    "", "-- nothing", "SELECT 1; SELECT 2", "selec 1", "COPY events TO '{out}'", "COPY (SELECT 1) TO '{out}'",
    "ATTACH '{out}'", "INSTALL httpfs", "LOAD httpfs", "PRAGMA version", "pragma database_list", "CALL enable_logging()",
    "SET memory_limit = '1GB'", "RESET ALL", "CREATE TABLE x (a INTEGER)", "DELETE FROM lines", "DROP VIEW events",
    "INSERT INTO lines (seq) VALUES (1)", "UPDATE lines SET seq = 1", "EXPORT DATABASE '{out}'", "EXPLAIN SELECT 1",
    "WITH x AS (INSERT INTO lines (seq) VALUES (1) RETURNING *) SELECT * FROM x", "SELECT $a", "SELECT ?",
    "SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM '/etc/hostname'", "SELECT * FROM glob('/*')",
    "SELECT * FROM read_csv('https://localhost:1/x.csv')", "SELECT * FROM read_json('{log}')", "SELECT * FROM '{log}'",
    "SELECT * FROM parquet_scan('{out}')", "SELECT * FROM enable_logging(storage = 'file', storage_path = '{out}')",
    'FROM "enable_logging" (storage_path = \'{out}\')', "FROM query('SELECT * FROM enable_' || 'logging()')",
    "SELECT * FROM checkpoint()", "SELECT nope FROM rounds", "SELECT * FROM nope", "SELECT sum(model) FROM rounds",
    "BEGIN", "PREPARE x AS SELECT 1", "VACUUM", "USE memory", "DETACH lines", "CHECKPOINT",
]  # fmt: skip


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_refused(written_log, statement):
    """Anything but one SELECT over the views is an error in one line, and leaves no trace."""
    before = os.listdir(written_log.parent)
    with pytest.raises(ConfigError, match="^--sql: ") as caught:
        run(written_log, statement.format(out=written_log.parent / "out", log=written_log))
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("--sql: ") == 1
    assert os.listdir(written_log.parent) == before


def test_errors_name_the_columns_of_the_views():
    """An unknown column is answered with those of the views that the statement names."""
    with pytest.raises(ConfigError, match="The columns are session_id, first_at, .*, active;"):
        check_statement("SELECT nope FROM sessions")


FAILING = ["SELECT CAST(event AS INTEGER) FROM events", "SELECT error('boom') FROM events"]


@pytest.mark.parametrize("statement", FAILING)
def test_statements_that_fail_on_a_value(written_log, statement):
    """A statement that fails while it runs is an error in one line."""
    with pytest.raises(ConfigError, match="^--sql: "):
        run(written_log, statement)


def test_memory_is_bounded(written_log):
    """A statement that needs more memory than there is for it is an error with the remedy."""
    with pytest.raises(ConfigError, match="Out of Memory.*Use fewer rows"):
        run(written_log, "SELECT string_agg(repeat('x', 10000000)) FROM range(100)")


def test_an_interrupt_is_passed_on(written_log):
    """An interrupt is no error of the statement."""
    from bamboo_logmetrics.reading.query.statements import _told

    with pytest.raises(duckdb.InterruptException), _told("--sql"):
        raise duckdb.InterruptException


def test_parquet(written_log, tmp_path):
    """A result is written as Parquet with its types, up to the limit."""
    with open_connection() as (connection, folder):
        path, rows, _ = write_parquet(
            connection, folder, written_log, statement="SELECT seq, timestamp FROM events ORDER BY seq DESC",
            filters=Filters(), limit=3,
        )  # fmt: skip
        assert rows == 3
        with duckdb.connect() as reader:
            read = reader.sql(f"SELECT seq, timestamp FROM '{path}'")
            assert read.types == ["UBIGINT", "TIMESTAMP"]
            assert [seq for seq, _ in read.fetchall()] == [4, 3, 2]


def test_parquet_needs_names(written_log):
    """Two columns of one name cannot be in one Parquet file."""
    with open_connection() as (connection, folder), pytest.raises(ConfigError, match="a name of its own: a, a"):
        write_parquet(connection, folder, written_log, statement="SELECT 1 AS a, 2 AS a", filters=Filters(), limit=None)
