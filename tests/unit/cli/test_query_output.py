"""Rows as tables."""

from __future__ import annotations

import pytest

from bamboo_logmetrics.cli import query_output
from bamboo_logmetrics.cli.query_output import table_text


def test_a_table_of_lines_leaves_out_what_is_empty():
    """Columns without a value are left out, and the important ones come first."""
    columns = ["writer", "reason", "agent", "event", "timestamp"]
    text, notes = table_text(columns, ["VARCHAR"] * 5, iter([("w", None, "a", "e", "t")]), limited=False, of_lines=True)
    assert text.split() == ["timestamp", "event", "agent", "writer", "t", "e", "a", "w"]
    assert notes == []


def test_a_table_of_sql_has_every_column():
    """A column of a statement is shown also if it is empty; numbers stand on the right."""
    text, _ = table_text(
        ["name", "n"], ["VARCHAR", "BIGINT"], iter([(None, 5), (None, 1_000)]), limited=True, of_lines=False
    )
    assert [line.split() for line in text.splitlines()] == [["name", "n"], ["5"], ["1000"]]
    assert text.splitlines()[1].rstrip().endswith("   5")


def test_many_rows(monkeypatch):
    """Without a limit a table ends after some rows, and says how many more there are."""
    monkeypatch.setattr(query_output, "MOST_ROWS", 2)
    rows = [(1,), (2,), (3,)]
    text, notes = table_text(["n"], ["BIGINT"], iter(rows), limited=False, of_lines=False)
    assert len(text.splitlines()) == 3
    assert notes == ["and 1 more row; use --limit, or --format json or csv"]
    text, notes = table_text(["n"], ["BIGINT"], iter(rows), limited=True, of_lines=False)
    assert len(text.splitlines()) == 4
    assert notes == []


@pytest.mark.parametrize("of_lines", [True, False])
def test_no_rows(of_lines):
    """Without rows there is no table."""
    assert table_text(["n"], ["BIGINT"], iter([]), limited=False, of_lines=of_lines) == ("", [])


def test_too_many_columns():
    """Columns that do not fit are named; the first one is always there."""
    columns = [f"column {number}" for number in range(50)]
    row = ("x" * 60,) * 50
    text, notes = table_text(columns, ["VARCHAR"] * 50, iter([row]), limited=False, of_lines=False)
    assert "column 0" in text
    assert "…" in text
    assert notes[0].startswith("too narrow for: column ")
    text, notes = table_text(["a"], ["VARCHAR"], iter([("x" * 60,)]), limited=False, of_lines=False)
    assert "x" * 60 in text
