"""One statement in SQL over the views of logs: read-only, and without any access to other files or the network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import AnyPath
from bamboo_logmetrics.reading.filters import Filters
from bamboo_logmetrics.reading.query.columns import COLUMNS, LINE
from bamboo_logmetrics.reading.query.conditions import VIEWS, condition_of, sql_error
from bamboo_logmetrics.reading.query.connection import close_outside, open_connection, with_connection
from bamboo_logmetrics.reading.query.loading import Loaded, Progress, create_lines, load
from bamboo_logmetrics.reading.query.views import create_views

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

ALL_LINES = f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY timestamp, writer, seq"

_AT_ONCE = 1_000  # rows
_NAMES_LINE = re.compile(rf"\b{LINE}\b", re.IGNORECASE)
# functions that change settings, or run a statement that is given as text
_REFUSED = re.compile(
    r"""\b(?:(?:add|copy|create|deregister|destroy|disable|enable|force|import)_\w+|checkpoint|query"""
    r"""|json_execute_serialized_sql)"?\s*\(""",
    re.IGNORECASE,
)
_NO_SELECT = re.compile(r"\s*(?:pragma|call)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a statement, while the database is open.

    Args:
        columns: the names of the columns.
        types: their types, as DuckDB names them.
        rows: gives the rows, once.
        loaded: the account of the lines that were read.
    """

    columns: list[str]
    types: list[str]
    rows: Iterator[tuple[Any, ...]]
    loaded: Loaded


def check_statement(statement: str, option: str = "--sql") -> None:
    """Check a statement over views without any line, so that a mistake is told before logs are read.

    Raises ConfigError unless it is one SELECT over the views.
    """
    with_connection(lambda connection, _: _check(connection, statement, option))


def _check(connection: DuckDBPyConnection, statement: str, option: str) -> None:
    import duckdb

    with _told(option):
        statements = duckdb.extract_statements(statement)
        kinds = [str(each.type).rpartition(".")[2] for each in statements]
        if kinds != ["SELECT"] or _NO_SELECT.match(statement):
            msg = f"{option}: give one SELECT, without anything before or behind it; got {', '.join(kinds) or 'none'}"
            raise ConfigError(msg)
        if statements[0].named_parameters:
            msg = f"{option}: write values into the statement; it has a parameter that has none"
            raise ConfigError(msg)
        if refused := _REFUSED.search(statement):
            msg = f"{option}: {refused[0].rstrip('( ')} is not allowed: a statement reads the views and nothing else"
            raise ConfigError(msg)
        columns = _columns_for(statement)
        create_lines(connection, columns)
        _close(connection, columns)
        named = [view for view in VIEWS if re.search(rf"\b{view}\b", statement, re.IGNORECASE)]
        with _told(option, [column for view in named for column in connection.table(view).columns]):
            connection.sql(statement)


def _check_where(where: str) -> None:
    """Check a condition before logs are read. Raises ConfigError unless it is one over the columns of a line."""
    with open_connection() as (connection, _), _told("--where"):
        columns = _columns_for(where)
        create_lines(connection, columns)
        close_outside(connection)
        _lines(connection).filter(where).fetchall()


def run_statement(
    connection: DuckDBPyConnection,
    folder: str,
    paths: AnyPath | Iterable[AnyPath],
    *,
    statement: str,
    filters: Filters,
    on_progress: Progress | None = None,
) -> Result:
    """Return the result of a checked statement over the lines of logs that the filters choose.

    Args:
        connection: an empty database; it loses all access to files.
        folder: its directory.
        paths: logs, rotated files or patterns, as for ``verify``; ``"-"`` is standard input.
        statement: one SELECT that :func:`check_statement` has checked.
        filters: the filters; a line that they do not choose is in no view.
        on_progress: is called with the bytes read so far and in all, of compressed files in compressed form.

    Raises ConfigError for SQL that fails, here or while rows are taken.
    """
    loaded = _load(connection, folder, paths, statement=statement, filters=filters, on_progress=on_progress)
    with _told("--sql"):
        connection.execute(statement)
        description = connection.description or []
    names = [str(column[0]) for column in description]
    types = [str(column[1]) for column in description]
    return Result(_distinct(names), types, _rows(connection), loaded)


def write_parquet(
    connection: DuckDBPyConnection,
    folder: str,
    paths: AnyPath | Iterable[AnyPath],
    *,
    statement: str,
    filters: Filters,
    limit: int | None,
    on_progress: Progress | None = None,
) -> tuple[str, int, Loaded]:
    """Write the result of a checked statement as a Parquet file in the directory; return its path, and its rows.

    Arguments and errors as of :func:`run_statement`.
    """
    path = os.path.join(folder, "result.parquet")
    connection.execute(f"SET allowed_paths = ['{path.replace(chr(39), chr(39) * 2)}']")
    loaded = _load(connection, folder, paths, statement=statement, filters=filters, on_progress=on_progress)
    with _told("--sql"):
        relation = connection.sql(statement)
        names = _distinct([str(name) for name in relation.columns])
        if names != relation.columns:
            msg = f"--sql: give each column a name of its own: {', '.join(relation.columns)}"
            raise ConfigError(msg)
        (relation if limit is None else relation.limit(limit)).write_parquet(path)
        rows = connection.execute("SELECT count(*) FROM read_parquet($path)", {"path": path}).fetchone()
    return path, rows[0] if rows else 0, loaded


def _load(
    connection: DuckDBPyConnection,
    folder: str,
    paths: AnyPath | Iterable[AnyPath],
    *,
    statement: str,
    filters: Filters,
    on_progress: Progress | None,
) -> Loaded:
    """Load the lines that the filters choose, and make the views over them."""
    if filters.where is not None:
        _check_where(filters.where)
    columns = _columns_for(f"{statement} {filters.where or ''}")
    loaded = load(connection, folder, paths, columns=columns, on_progress=on_progress)
    condition = condition_of(filters)
    if condition.values:
        connection.execute(f"DELETE FROM lines WHERE ({condition.sql}) IS NOT TRUE", condition.values)
    if filters.where is not None:
        with _told("--where"):
            _lines(connection).filter(filters.where).create("chosen")
        connection.execute("DROP TABLE lines")
        connection.execute("ALTER TABLE chosen RENAME TO lines")
    _close(connection, columns)
    return loaded


def _lines(connection: DuckDBPyConnection) -> DuckDBPyRelation:
    """Return the lines with the columns that a condition may use."""
    return connection.sql("SELECT * EXCLUDE (file, valid) FROM lines")


def _columns_for(text: str) -> tuple[str, ...]:
    """Return the columns to load for SQL: the whole line only if it is named."""
    return (*COLUMNS, LINE) if _NAMES_LINE.search(text) else tuple(COLUMNS)


def _close(connection: DuckDBPyConnection, columns: tuple[str, ...]) -> None:
    """Make the views, and take everything from the connection but reading."""
    create_views(connection, columns)
    close_outside(connection)
    connection.execute("BEGIN TRANSACTION READ ONLY")


@contextmanager
def _told(option: str, columns: Iterable[str] = tuple(COLUMNS)) -> Iterator[None]:
    """Turn DuckDB's errors into one for people, who may use these columns."""
    import duckdb

    try:
        yield
    except (duckdb.InterruptException, ConfigError):
        raise
    except (duckdb.Error, ValueError, OverflowError) as error:
        raise sql_error(option, error, dict.fromkeys(columns)) from None


def _rows(connection: DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while True:
        with _told("--sql"):
            rows = connection.fetchmany(_AT_ONCE)
        if not rows:
            return
        yield from rows


def _distinct(names: list[str]) -> list[str]:
    """Return names of which none comes twice: the second ``a`` becomes ``a_2``."""
    distinct: list[str] = []
    for name in names:
        number, new = 1, name
        while new in distinct:
            number += 1
            new = f"{name}_{number}"
        distinct.append(new)
    return distinct
