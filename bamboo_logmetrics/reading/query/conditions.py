"""The filters as a condition in SQL, with values as parameters, and what its errors mean for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.filters import KEYS, Filters, events_expression
from bamboo_logmetrics.record.levels import LEVELS

VIEWS = ("events", "sessions", "rounds", "tools", "requests")

_UNKNOWN_COLUMN = ("not found in FROM clause", "does not have a column", "not found in table")


class Condition(NamedTuple):
    """A condition in SQL, the values of its parameters, and the columns that it needs."""

    sql: str
    values: dict[str, Any]
    columns: tuple[str, ...]


def condition_of(filters: Filters) -> Condition:
    """Return the condition of all filters but ``where``, which is SQL itself."""
    parts: list[tuple[str, str, Any, str]] = []  # the name, the column, the value, the SQL
    if filters.events:
        parts.append(("events", "event", events_expression(filters.events), "regexp_full_match(event, $events)"))
    for name, column in KEYS.items():
        parts.append((name, column, getattr(filters, name), f"{column} = ${name}"))
    if filters.level is not None:
        levels = [name for name, number in LEVELS.items() if number >= LEVELS[filters.level]]
        parts.append(("level", "level", levels, "list_contains($level, level)"))
    parts.append(("since", "timestamp", _naive(filters.since), "timestamp >= $since"))
    parts.append(("until", "timestamp", _naive(filters.until), "timestamp < $until"))
    used = [part for part in parts if part[2] is not None]
    return Condition(
        sql=" AND ".join(sql for *_, sql in used) or "true",
        values={name: value for name, _, value, _ in used},
        columns=tuple(dict.fromkeys(column for _, column, _, _ in used)),
    )


def _naive(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=None)  # aware ones are in UTC


def sql_error(option: str, error: Exception, columns: Iterable[str]) -> ConfigError:
    """Return the error for people, in one line, of SQL that DuckDB does not run.

    Args:
        option: the option that gave the SQL.
        error: DuckDB's error.
        columns: the columns that the SQL may use.
    """
    message = (str(error).strip().splitlines() or [type(error).__name__])[0]
    text = f"{option}: {message}"
    if any(phrase in message for phrase in _UNKNOWN_COLUMN):
        text += f" The columns are {', '.join(columns)}; any other key is line ->> 'key'."
    elif message.startswith("Catalog Error: Table"):
        text += f" The views are {', '.join(VIEWS)}."
    elif message.startswith("Permission Error"):
        text += f". SQL reads the views {', '.join(VIEWS)}, and nothing else."
    elif message.startswith("Out of Memory"):
        text += ". Use fewer rows or shorter values."
    return ConfigError(text)
