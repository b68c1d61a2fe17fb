"""Rows of a query as text: JSON lines, CSV, a table."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from rich.table import Table
from rich.text import Text

from bamboo_logmetrics.cli.formatting import output_width, plural, printable, table_lines

MOST_ROWS = 1_000  # of a table without --limit

_WIDEST = 48  # columns of the terminal for one cell, where not everything fits
_GAP = 2  # spaces between two columns
_NUMBERS = ("INT", "DECIMAL", "DOUBLE", "FLOAT", "BIGNUM")  # within the types of numbers
# the columns of "events" that are the most important ones, which a narrow terminal shows
_IMPORTANT = (
    "timestamp", "level", "event", "session_id", "status", "model", "tool_name", "latency_ms", "error", "success",
    "prompt_tokens", "completion_tokens", "round_id", "endpoint", "status_code", "total_tokens",
)  # fmt: skip
_UNIMPORTANT = ("event_id", "trace_id", "plain", "v", "writer", "seq")

ResultRow = tuple[Any, ...]


def json_lines(columns: Sequence[str], types: Sequence[str], rows: Iterable[ResultRow]) -> Iterator[bytes]:
    """Yield each row as a JSON object in a line; a column of JSON stays JSON."""
    names = [json.dumps(name, ensure_ascii=False) for name in columns]
    raw = [kind == "JSON" for kind in types]
    for row in rows:
        values = (_raw(value) if is_raw else _json(value) for is_raw, value in zip(raw, row, strict=True))
        text = ",".join(f"{name}:{value}" for name, value in zip(names, values, strict=True))
        yield f"{{{text}}}\n".encode("utf-8", "replace")


def _raw(value: str | None) -> str:
    return "null" if value is None else value.replace("\n", " ").replace("\r", " ")  # only between values


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """Return a value of DuckDB as one of JSON: times as in a line, infinite numbers as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, Decimal)):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds") + ("Z" if value.tzinfo is None else "")
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class _Encoder:
    """A file for ``csv.writer`` that gives each line back."""

    def write(self, text: str) -> bytes:
        """Return a text as bytes."""
        return text.encode("utf-8", "replace")


def csv_lines(columns: Sequence[str], rows: Iterable[ResultRow]) -> Iterator[bytes]:
    """Yield the names and then each row as a line of CSV; what is not there is empty."""
    write: Any = csv.writer(_Encoder(), lineterminator="\n").writerow
    yield write(columns)
    for row in rows:
        yield write([_text(value) for value in row])


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


# -- tables ------------------------------------------------------------------------------


def table_text(
    columns: Sequence[str], types: Sequence[str], rows: Iterator[ResultRow], *, limited: bool, of_lines: bool
) -> tuple[str, list[str]]:
    """Return rows as a table that fits the terminal, and notes on what is left out.

    Args:
        columns: the names of the columns.
        types: their types, as DuckDB names them.
        rows: the rows.
        limited: True if the user has limited the rows.
        of_lines: True if the rows are lines of a log: columns without a value are left out, the important ones first.
    """
    shown = list(rows if limited else islice(rows, MOST_ROWS))
    more = 0 if limited else sum(1 for _ in rows)
    cells = [[printable(_text(value)) for value in row] for row in shown]
    order = _by_importance(columns) if of_lines else range(len(columns))
    kept = [number for number in order if not of_lines or any(row[number] for row in cells)]
    fitting = _fit(columns, cells, kept, output_width())
    notes = [f"and {plural(more, 'more row')}; use --limit, or --format json or csv"] if more else []
    if left_out := [columns[number] for number in kept if number not in fitting]:
        notes.append(f"too narrow for: {printable(', '.join(left_out))}; use --format json or csv")
    return _table(columns, types, cells, fitting) if shown else "", notes


def _by_importance(columns: Sequence[str]) -> list[int]:
    names = (*_IMPORTANT, *(name for name in columns if name not in {*_IMPORTANT, *_UNIMPORTANT}), *_UNIMPORTANT)
    places = {name: place for place, name in enumerate(names)}
    return sorted(range(len(columns)), key=lambda number: places[columns[number]])


def _fit(columns: Sequence[str], cells: list[list[str]], kept: list[int], width: int) -> list[int]:
    """Return the columns that fit a width, of those in ``kept`` the first ones; at least one."""
    fitting: list[int] = []
    for number in kept:
        width -= min(_WIDEST, max(len(columns[number]), *(len(row[number]) for row in cells), 1)) + _GAP
        if width < -_GAP and fitting:
            break
        fitting.append(number)
    return fitting


def _table(columns: Sequence[str], types: Sequence[str], cells: list[list[str]], numbers: list[int]) -> str:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number in numbers:
        right = any(word in types[number] for word in _NUMBERS) and "[" not in types[number]
        table.add_column(
            Text(printable(columns[number])),
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=None if len(numbers) == 1 else _WIDEST,
        )
    for row in cells:
        table.add_row(*(Text(row[number]) for number in numbers))
    return table_lines(table)
