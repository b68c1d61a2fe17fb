"""The figures of a report page by time, model and project, as columns.

The page adds them up for whatever its filters leave, so that without a filter they give the totals. They are counted
by the expressions of the summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.reading.report.buckets import DAY, QUARTER, day_of, is_too_coarse, start_of_day, widths_for
from bamboo_logmetrics.reading.report.names import ShownNames
from bamboo_logmetrics.reading.summary.measures import MEASURES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Columns = dict[str, list[Any]]

_BELOW_A_SECOND = (0, 1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 700)
_SECONDS = (1, 1.4, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 700, 1000, 1400, 2000, 3600)
EDGES_MS = (*_BELOW_A_SECOND, *(round(1000 * seconds) for seconds in _SECONDS))
_EDGE = "CASE " + " ".join(
    f"WHEN latency_ms >= {edge} THEN {place}" for place, edge in reversed(list(enumerate(EDGES_MS)))
)

# the columns of "calls": the name on the page, and that of the measure
_CALLS = {name: name for name in ("rounds", "requests", "errors", "calls", "usage_calls")}
_CALLS |= {"priced": "priced_calls", "cost_usd": "cost_usd"}
_CALLS |= {name: name for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cache_read_tokens")}
_CALLS |= {"cache_hit_tokens": "_hits", "cache_hit_prompt_tokens": "_prompts"}
_HISTOGRAMS = {
    "round_latency": "kind = 'round' AND whole",
    "request_latency": "kind = 'request' AND whole",
    "attempt_latency": "attempt",
}

_OF_CALLS = "kind IN ('round', 'request')"
_MAX_ROWS = {"calls": 6_000, "latencies": 60_000, "tool_calls": 7_000, "errors": 4_000}
_MAX_REASONS = 20
_ERROR_COLUMNS = ("bucket", "model", "project", "kind", "error_type", "count")


@dataclass(frozen=True, slots=True)
class _Dimension:
    """A name that figures are told apart by: its column, the rows that have it, and how many names stay apart."""

    column: str
    rows: str
    most: tuple[int, ...]


_ANY = "kind != 'drop'"
DIMENSIONS: Mapping[str, _Dimension] = {
    "model": _Dimension("model", _ANY, (40, 24, 16, 10, 5)),
    "project": _Dimension("project", _ANY, (40, 24, 16, 10, 5)),
    "agent": _Dimension("agent", _ANY, (20, 8, 4, 1, 1)),
    "tool": _Dimension("tool_name", "kind = 'tool'", (40, 24, 16, 10, 6)),
    "error": _Dimension("error_type", "failed", (30, 20, 10, 5, 3)),
}
_KEYS: Mapping[str, tuple[str, Sequence[str]]] = {
    "calls": (_OF_CALLS, ("model", "project")),
    "latencies": (_OF_CALLS, ("model", "project", "edge")),
    "tool_calls": ("kind = 'tool'", ("tool", "model", "project")),
    "errors": ("failed", ("model", "project", "kind", "error")),
}


def create_ranked(connection: DuckDBPyConnection, where: str, values: Mapping[str, Any], zone: tzinfo | None) -> None:
    """Create the table ``ranked``: what is counted, with the rank of each name, from 0; NULL for none.

    Args:
        connection: has the view ``costed`` and the table ``lines``.
        where: the condition on what counts, in SQL.
        values: its parameters.
        zone: the zone of days.
    """
    quarter = f"CAST(floor(epoch(timestamp) / {QUARTER}) AS BIGINT)"
    quarters = connection.execute(f"SELECT DISTINCT {quarter} FROM lines").fetchall()
    connection.execute("CREATE TABLE days (quarter BIGINT, day BIGINT)")
    connection.execute(
        "INSERT INTO days SELECT unnest($quarters), unnest($days)",
        {"quarters": [number for (number,) in quarters], "days": [day_of(n * QUARTER, zone) for (n,) in quarters]},
    )
    connection.execute(f"CREATE TABLE counted_items AS SELECT * FROM costed WHERE {where}", values)
    for name, dimension in DIMENSIONS.items():
        connection.execute(f"""
            CREATE TABLE {name}_names AS
            SELECT name, row_number() OVER (ORDER BY tokens DESC NULLS LAST, rows DESC, name) - 1 AS rank FROM (
                SELECT {dimension.column} AS name, sum(total_tokens) AS tokens, count(*) AS rows FROM counted_items
                WHERE {dimension.rows} AND {dimension.column} != '' GROUP BY ALL
            )
        """)
    ranks = ", ".join(f"{name}_names.rank AS {name}_rank" for name in DIMENSIONS)
    joins = " ".join(f"LEFT JOIN {name}_names ON {name}_names.name = {d.column}" for name, d in DIMENSIONS.items())
    connection.execute(f"""
        CREATE TABLE ranked AS
        SELECT counted_items.*, CAST(floor(epoch(timestamp)) AS BIGINT) AS second, days.day,
            {_EDGE} END AS edge, {ranks}
        FROM counted_items LEFT JOIN days ON days.quarter = {quarter} {joins}
    """)
    connection.execute("DROP TABLE counted_items")


class Figures:
    """The figures over the table ``ranked``, in steps of time and with as many names as keep them small.

    Args:
        connection: has the table ``ranked``.
        names: the names as the page shows them.
        length: the seconds from the first to the last line.
        zone: the zone of days.

    Attributes:
        width: the width of a step in seconds.
    """

    def __init__(self, connection: DuckDBPyConnection, names: ShownNames, length: int, zone: tzinfo | None) -> None:
        self._connection = connection
        self._names = names
        self._zone = zone
        self._level, self.width = self._find_level(length)
        self.dictionaries = {name: self._dictionary(name) for name in DIMENSIONS}
        self._starts: dict[int, int] = {}

    def calls(self) -> Columns:
        """Return the figures of model calls."""
        columns = self._columns("calls", {name: MEASURES[measure] for name, measure in _CALLS.items()})
        columns["cost_usd"] = [None if cost is None else round(float(cost), 9) for cost in columns["cost_usd"]]
        return columns | {name: self._histograms("calls", columns, where) for name, where in _HISTOGRAMS.items()}

    def tool_calls(self) -> Columns:
        """Return the figures of tool calls."""
        measures = {"count": "count(*)", "errors": MEASURES["tool_errors"], "latency_ms": "sum(latency_ms)"}
        columns = self._columns("tool_calls", measures)
        return columns | {"latency": self._histograms("tool_calls", columns, "true")}

    def errors(self, failed_sessions: Iterable[tuple[int, int | None, int | None, str]]) -> Columns:
        """Return the errors by kind and type.

        Args:
            failed_sessions: of each session that ended with an error the second, the ranks of model and project, and
                the type of the error.
        """
        columns = self._columns("errors", {"count": "count(*)"})
        types = self.dictionaries["error"]
        columns["error_type"] = [types[index] for index in columns.pop("error")]
        for place, count in Counter(self._error_of_session(*row) for row in failed_sessions).items():
            for name, value in zip(_ERROR_COLUMNS, (*place, count), strict=True):
                columns[name].append(value)
        return columns

    def _error_of_session(
        self, second: int, model: int | None, project: int | None, error_type: str
    ) -> tuple[Any, ...]:
        bucket = self.start(second if self.width < DAY else day_of(second, self._zone))
        shown = self._names.show("error", error_type)
        if shown not in self.dictionaries["error"]:
            shown = "other"
        return bucket, self.index("model", model), self.index("project", project), "session", shown

    def drops(self) -> Columns:
        """Return the records that were dropped before they were written, by reason."""
        rows = self._connection.execute(f"""
            SELECT {self._bucket}, coalesce(reason, ''), CAST(sum(count) AS BIGINT) FROM ranked WHERE kind = 'drop'
            GROUP BY ALL ORDER BY 1, 2
        """).fetchall()
        kept = sorted({reason for _, reason, _ in rows})[:_MAX_REASONS]
        sums: dict[tuple[int, str], int] = {}
        for bucket, reason, count in rows:
            key = self.start(bucket), self._names.show("reason", reason) if reason in kept else "other"
            sums[key] = sums.get(key, 0) + count
        return {
            "time": [time for time, _ in sums],
            "reason": [reason for _, reason in sums],
            "count": list(sums.values()),
        }

    def index(self, name: str, rank: int | None) -> int:
        """Return the place in a dictionary of the name with a rank; of what has no name, the last place."""
        unknown = len(self.dictionaries[name]) - 1
        return unknown if rank is None else min(rank, DIMENSIONS[name].most[self._level])

    def start(self, bucket: int) -> int:
        """Return the first second of a step, by one of its seconds or, from a day on, by one of its days."""
        if self.width < DAY:
            return bucket // self.width * self.width
        days = self.width // DAY
        day = bucket // days * days
        if day not in self._starts:
            self._starts[day] = start_of_day(day, self._zone)
        return self._starts[day]

    # -- inside --------------------------------------------------------------------------

    @property
    def _bucket(self) -> str:
        return _bucket(self.width)

    def _find_level(self, length: int) -> tuple[int, int]:
        """Return how many names stay apart, as a place in ``most``, and the width of the steps."""
        widths = widths_for(length)
        enough = [width for width in widths if width == widths[0] or not is_too_coarse(width, length)]
        levels = range(len(DIMENSIONS["model"].most))
        # the coarsest steps give the fewest rows: if these are too many, so are all others
        level = next((level for level in levels if self._is_small(level, enough[-1])), levels[-1])
        return level, next((width for width in widths if self._is_small(level, width)), widths[-1])

    def _is_small(self, level: int, width: int) -> bool:
        return all(self._rows(key, level, width) <= most for key, most in _MAX_ROWS.items())

    def _rows(self, key: str, level: int, width: int) -> int:
        rows = f"SELECT DISTINCT {_bucket(width)}, {_places(key, level)} FROM ranked WHERE {_KEYS[key][0]}"
        (count,) = self._connection.execute(f"SELECT count(*) FROM ({rows})").fetchall()[0]
        return int(count)

    def _dictionary(self, name: str) -> list[str]:
        """Return the names by rank, one for all others if there are any, and one for none."""
        most = DIMENSIONS[name].most[self._level]
        rows = self._connection.execute(f"SELECT name FROM {name}_names ORDER BY rank LIMIT {most}").fetchall()
        others = max(0, self._connection.table(f"{name}_names").shape[0] - most)
        shown = [self._names.show(name, text) for (text,) in rows]
        label = "other" if name == "error" else f"({others:,} other{'s' if others > 1 else ''})"
        return [*shown, *([label] if others else []), ""]

    def _columns(self, key: str, measures: Mapping[str, str]) -> Columns:
        where, parts = _KEYS[key]
        sums = ", ".join(measures.values())
        rows = self._connection.execute(f"""
            SELECT {self._bucket}, {_places(key, self._level)}, {sums} FROM ranked WHERE {where}
            GROUP BY {", ".join(map(str, range(1, len(parts) + 2)))} ORDER BY ALL
        """).fetchall()
        values = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in (*parts, *measures, "bucket")]
        columns = dict(zip(("bucket", *parts, *measures), values, strict=True))
        columns["bucket"] = [self.start(bucket) for bucket in columns["bucket"]]
        for part in parts:
            if part in DIMENSIONS:
                columns[part] = [self.index(part, rank) for rank in columns[part]]
        return columns

    def _histograms(self, key: str, columns: Columns, condition: str) -> list[list[int]]:
        """Return a histogram of latencies for each row of columns: the places of edges, each with its count."""
        where, parts = _KEYS[key]
        cursor = self._connection.execute(f"""
            SELECT {self._bucket}, {_places(key, self._level)}, edge, count(*) FROM ranked
            WHERE {where} AND {condition} AND edge IS NOT NULL GROUP BY ALL ORDER BY ALL
        """)
        histograms: dict[tuple[int, ...], list[int]] = {}
        for bucket, *ranks, edge, count in cursor.fetchall():
            places = (self.index(part, rank) for part, rank in zip(parts, ranks, strict=True))
            histograms.setdefault((self.start(bucket), *places), []).extend((edge, count))
        return [histograms.get(row, []) for row in zip(*(columns[name] for name in ("bucket", *parts)), strict=True)]


def _bucket(width: int) -> str:
    """Return the expression of the step that a row is in: one of its seconds, or of its days."""
    column, size = ("day", width // DAY) if width >= DAY else ("second", width)
    return f"CAST(floor({column} / {size}) * {size} AS BIGINT)"


def _places(key: str, level: int) -> str:
    return ", ".join(_place(part, level) for part in _KEYS[key][1])


def _place(part: str, level: int) -> str:
    """Return the expression of a part of a key: of a name its place in the dictionary, NULL for none."""
    if part not in DIMENSIONS:
        return part
    most = DIMENSIONS[part].most[level]
    return f"CASE WHEN {part}_rank > {most} THEN {most} ELSE {part}_rank END"
