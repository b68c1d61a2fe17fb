"""The part of a report page on what it covers, and on what is missing in it: unclean ends and gaps."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.reading.report.names import ShownNames
from bamboo_logmetrics.reading.summary.result import Summary
from bamboo_logmetrics.reading.verification.report import Report

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MAX_FILES, _MAX_PROBLEMS, _MAX_ENDS, _MAX_GAPS = 50, 50, 200, 200
_MAX_PROBLEM_LENGTH = 300  # characters
_UNCLEAN = "unclean end"


def describe(summary: Summary, report: Report, names: ShownNames, price_file: str = "") -> dict[str, Any]:
    """Return the files, the times, the result of ``verify`` and the prices.

    Args:
        summary: the summary of the same files.
        report: the result of ``verify``.
        names: the names as the page shows them.
        price_file: the name of the prices that users gave, within that of all prices; empty without any.
    """
    prices = summary.prices
    if names.anonymous and price_file:
        prices = prices.replace(price_file, "a file of prices")
    files = list(dict.fromkeys(summary.files))
    return {
        "files": [names.show("file", _near(file)) for file in files[:_MAX_FILES]],
        "more_files": max(0, len(files) - _MAX_FILES),
        "first": None if summary.first is None else int(summary.first.timestamp() // 1),
        "last": None if summary.last is None else int(summary.last.timestamp() // 1),
        "since": None if summary.since is None else int(summary.since.timestamp() // 1),
        "until": None if summary.until is None else int(summary.until.timestamp() // 1),
        "lines": summary.lines,
        "verify": _verdict(report, names),
        "priced": summary.totals.priced_calls,
        "calls": summary.totals.usage_calls,
        "prices_version": prices,
    }


def _near(path: str) -> str:
    """Return a path as seen from the working directory if it is in it."""
    here = os.path.join(os.path.realpath(os.getcwd()), "")
    return path.removeprefix(here)


def _verdict(report: Report, names: ShownNames) -> dict[str, Any]:
    dropped = sum(report.dropped.values())
    whole = report.ok and not dropped and not any(note.kind == "removed_by_retention" for note in report.notes)
    extent = f"{_plural(report.lines, 'line')} of {_plural(len(report.writers), 'writer')}"
    text = f"{report.verdict}: {extent} in {_plural(len(report.files), 'file')}"
    text += f"; {_plural(dropped, 'record')} dropped before being written" if dropped else ""
    if names.anonymous:  # texts of problems name files, hosts and processes
        kinds = Counter(finding.kind.replace("_", " ") for finding in report.problems)
        problems = [f"{kind}: {count:,}" for kind, count in sorted(kinds.items())]
        return {"complete": whole, "ok": report.ok, "text": text, "problems": problems, "more_problems": 0}
    return {
        "complete": whole,
        "ok": report.ok,
        "text": text,
        "problems": [str(problem)[:_MAX_PROBLEM_LENGTH] for problem in report.problems[:_MAX_PROBLEMS]],
        "more_problems": max(0, len(report.problems) - _MAX_PROBLEMS),
    }


def find_unclean_ends(
    connection: DuckDBPyConnection, report: Report, names: ShownNames
) -> tuple[list[dict[str, Any]], int]:
    """Return the writers that ended uncleanly, each with the time of its last line, and how many are left out."""
    writers = [writer for writer in report.writers if writer.end == _UNCLEAN]
    shown = writers[:_MAX_ENDS]
    cursor = connection.execute(
        "SELECT writer, CAST(floor(epoch(max(timestamp))) AS BIGINT) FROM lines "
        "WHERE writer IN (SELECT unnest($writers)) GROUP BY writer",
        {"writers": [writer.writer for writer in shown]},
    )
    times: dict[str, int] = dict(cursor.fetchall())
    ends = [
        {
            "time": times.get(writer.writer),
            "writer": names.show("writer", writer.writer),
            "text": "no end: lines that were queued are lost" + ("; acknowledged" if writer.acknowledged else ""),
        }
        for writer in shown
    ]
    return ends, len(writers) - len(shown)


def find_gaps(connection: DuckDBPyConnection, report: Report, names: ShownNames) -> tuple[dict[str, list[Any]], int]:
    """Return the largest gaps in the numbers of writers, and how many are left out.

    The time of each is that of the line before it; a gap at the beginning has none.
    """
    gaps = [(last - first + 1, writer.writer, first, last) for writer in report.writers for first, last in writer.gaps]
    gaps.sort(key=lambda gap: (-gap[0], *gap[1:]))
    shown = gaps[:_MAX_GAPS]
    cursor = connection.execute(
        """
        SELECT writer, seq, CAST(floor(epoch(timestamp)) AS BIGINT) FROM lines
        JOIN (SELECT unnest($writers) AS writer, unnest($numbers) AS seq) USING (writer, seq)
        """,
        {"writers": [gap[1] for gap in shown], "numbers": [gap[2] - 1 for gap in shown]},
    )
    times = {(writer, seq): second for writer, seq, second in cursor.fetchall()}
    columns: dict[str, list[Any]] = {
        "time": [times.get((writer, first - 1)) for _, writer, first, _ in shown],
        "writer": [names.show("writer", writer) for _, writer, _, _ in shown],
        "missing": [missing for missing, *_ in shown],
        "text": [f"lines {first:,} to {last:,}" if first < last else f"line {first:,}" for *_, first, last in shown],
    }
    return columns, len(gaps) - len(shown)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
