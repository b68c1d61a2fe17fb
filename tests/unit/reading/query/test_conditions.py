"""Filters as SQL, and errors of SQL for people."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from bamboo_logmetrics.reading.filters import Filters
from bamboo_logmetrics.reading.query.conditions import condition_of, sql_error


def test_no_filter():
    """Without a filter everything is chosen."""
    assert condition_of(Filters()) == ("true", {}, ())


def test_values_are_parameters():
    """A value never stands in the text of the condition."""
    hostile = "x' OR 1=1; DROP TABLE lines; --"
    names = ("session", "round", "trace", "model", "tool", "status")
    condition = condition_of(Filters(events=(hostile,), **dict.fromkeys(names, hostile)))
    assert "DROP" not in condition.sql
    assert [condition.values[name] for name in names] == [hostile] * len(names)


def test_levels_and_times():
    """A level stands for itself and those above, and times are in UTC without a zone."""
    time = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
    condition = condition_of(Filters(level="warning", since=time, until=time))
    assert condition.values == {
        "level": ["warning", "error", "critical"],
        "since": time.replace(tzinfo=None),
        "until": time.replace(tzinfo=None),
    }
    assert condition.columns == ("level", "timestamp")


ERRORS = [
    ('Binder Error: Referenced column "x" not found in FROM clause!\nLINE 1: x', "The columns are a, b; any other key"),
    ("Catalog Error: Table with name x does not exist!\n", "The views are events, sessions, rounds, tools, requests."),
    ("Permission Error: Cannot access file\n", "SQL reads the views events, "),
    ("Out of Memory Error: failed\nPossible solutions:", "Use fewer rows or shorter values."),
    ("Parser Error: syntax error\n\nLINE 1: x", "--sql: Parser Error: syntax error"),
    ("", "--sql: ValueError"),
]


@pytest.mark.parametrize(("message", "text"), ERRORS)
def test_errors_are_one_line(message, text):
    """An error is one line, and names what can be used."""
    error = str(sql_error("--sql", ValueError(message), ["a", "b"]))
    assert text in error
    assert "\n" not in error
