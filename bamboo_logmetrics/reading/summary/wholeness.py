"""The reasons why the numbers of a summary are not whole, each with its count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bamboo_logmetrics.reading.query.loading import Loaded
from bamboo_logmetrics.reading.summary.result import SummaryRow, SummaryWarning, WarningKind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VERIFY = "bamboo-logmetrics verify shows them"

# by writer: the first and last number, how many there are, and whether the last is its end
_WRITERS = """
    SELECT
        coalesce(sum(last - greatest(first, 1) + 1 - lines), 0),
        count(*) FILTER (first > 1),
        count(*) FILTER (NOT ended)
    FROM (
        SELECT min(seq) AS first, max(seq) AS last, count(*) AS lines,
            arg_max(event = 'system.worker_stopped' AND plain IS DISTINCT FROM true AND source IS NULL, seq) AS ended
        FROM lines GROUP BY writer
    )
"""


def find_warnings(connection: DuckDBPyConnection, loaded: Loaded, totals: SummaryRow) -> tuple[SummaryWarning, ...]:
    """Return the warnings on loaded lines and on the sums that were made of them."""
    (writers,) = connection.execute(_WRITERS).fetchall()
    return tuple(
        SummaryWarning(kind=kind, count=int(count), text=f"{int(count):,} {text}")
        for kind, count, text in _counts(loaded, totals, *writers)
        if count
    )


def _counts(
    loaded: Loaded, totals: SummaryRow, missing: int, beginnings: int, ends: int
) -> Iterator[tuple[WarningKind, int, str]]:
    skipped = loaded.skipped
    yield "dropped", totals.dropped or 0, "records were dropped before they were written: their numbers are missing"
    yield "missing_lines", missing, f"lines are missing within their writers: {_VERIFY}"
    yield "removed_by_retention", beginnings, "writers have their first lines in none of these files"
    yield "no_end", ends, f"writers have no end: they run, or what they had queued is lost; {_VERIFY}"
    yield "partial_usage", totals.partial_usage, f"of {totals.usage_calls:,} calls have partial usage: lower bounds"
    yield "missing_usage", totals.missing_usage, "calls reported no usage: they are in no sum of tokens"
    yield "repeated_lines", loaded.repeated, "lines were there before, and count once"
    yield "damaged_files", skipped["damaged"], f"files are damaged, and the rest of each is missing: {_VERIFY}"
    yield "broken_lines", skipped["broken"], f"lines are broken, and left out: {_VERIFY}"
    yield "newer_lines", skipped["newer"], "lines are of a newer version, and left out: update this package"
    yield "foreign_lines", skipped["foreign"], "lines are of other programs, and left out"
