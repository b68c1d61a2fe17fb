"""The reasons why the numbers of a summary are not whole, each with its count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bamboo_logmetrics.reading.query.loading import Loaded
from bamboo_logmetrics.reading.summary.result import SummaryRow, SummaryWarning, WarningKind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VERIFY = "see bamboo-logmetrics verify"

# by writer: the first and last number, how many there are, and whether the last is its end
_WRITERS = """
    SELECT
        coalesce(sum(last - greatest(first, 1) + 1 - lines), 0),
        count(*) FILTER (first > 1),
        count(*) FILTER (NOT ended)
    FROM (
        SELECT min(seq) AS first, max(seq)::HUGEINT AS last, count(*) AS lines,
            arg_max(event = 'system.worker_stopped' AND plain IS DISTINCT FROM true AND source IS NULL, seq) AS ended
        FROM (
            SELECT writer, seq, event, plain, source FROM lines
            UNION ALL SELECT DISTINCT writer, seq, NULL, NULL, NULL
            FROM broken_lines ANTI JOIN lines USING (writer, seq)
        ) GROUP BY writer
    )
"""


def find_warnings(
    connection: DuckDBPyConnection, loaded: Loaded, totals: SummaryRow, prices: str
) -> tuple[SummaryWarning, ...]:
    """Return the warnings on loaded lines and on the sums that were made of them.

    ``prices`` is the name of the prices that calls were priced by; without any, no price is missed but by calls beside
    those whose provider reported a cost.
    """
    (writers,) = connection.execute(_WRITERS).fetchall()
    return tuple(
        SummaryWarning(kind=kind, count=int(count), text=f"{int(count):,} {noun}{'' if count == 1 else 's'} {text}")
        for kind, count, noun, text in (*_counts(loaded, totals, *writers), *_unpriced(totals, prices))
        if count
    )


def _counts(
    loaded: Loaded, totals: SummaryRow, missing: int, beginnings: int, ends: int
) -> Iterator[tuple[WarningKind, int, str, str]]:
    """Give each reason with its count, a noun, and the rest of the sentence, which fits one and many."""
    skipped = loaded.skipped
    yield "dropped", totals.dropped or 0, "record", "dropped before being written: in no number"
    yield "missing_lines", missing, "line", f"missing between others of the same writer; {_VERIFY}"
    yield "removed_by_retention", beginnings, "writer", "without the first lines, which are in none of these files"
    yield "no_end", ends, "writer", f"without an end: running, or what was queued is lost; {_VERIFY}"
    yield "partial_usage", totals.partial_usage, "call", f"of {totals.usage_calls:,} with partial usage: lower bounds"
    yield "missing_usage", totals.missing_usage, "call", "without reported usage: in no sum of tokens"
    yield "repeated_lines", loaded.repeated, "line", "there more than once, counted once"
    yield "damaged_files", skipped["damaged"], "damaged file", f"read up to the damage only; {_VERIFY}"
    yield "broken_lines", skipped["broken"], "broken line", f"left out; {_VERIFY}"
    yield "newer_lines", skipped["newer"], "line", "of a newer version left out: update this package"
    yield "foreign_lines", skipped["foreign"], "line", "of other programs left out"


def _unpriced(totals: SummaryRow, prices: str) -> Iterator[tuple[WarningKind, int, str, str]]:
    unpriced = totals.usage_calls - totals.priced_calls if prices or totals.priced_calls else 0
    yield "unpriced", unpriced, "call", f"of {totals.usage_calls:,} without a price: in no cost"
    yield (
        "partly_priced",
        totals.partly_priced,
        "call",
        f"of {totals.usage_calls:,} priced in part: the price of a service tier, a speed or web searches is not known",
    )
