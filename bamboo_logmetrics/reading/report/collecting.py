"""The data of a report page: what the page shows, as JSON values."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.logfiles.discovery import AnyPath, find_logs
from bamboo_logmetrics.logfiles.log_file import STDIN, StandardInput
from bamboo_logmetrics.reading.query.connection import check_installed, with_connection
from bamboo_logmetrics.reading.query.loading import Progress
from bamboo_logmetrics.reading.report import coverage
from bamboo_logmetrics.reading.report.buckets import QUARTER, offsets
from bamboo_logmetrics.reading.report.figures import EDGES_MS, Figures, create_ranked
from bamboo_logmetrics.reading.report.names import ShownNames
from bamboo_logmetrics.reading.report.sessions import Sessions
from bamboo_logmetrics.reading.summary.periods import LOCAL
from bamboo_logmetrics.reading.summary.price_files import read_price_file
from bamboo_logmetrics.reading.summary.result import Summary
from bamboo_logmetrics.reading.summary.summarizing import Selection, load_items, select, sum_up
from bamboo_logmetrics.reading.verification.report import Report
from bamboo_logmetrics.reading.verification.verifier import verify
from bamboo_logmetrics.system import FS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS = ("agent", "endpoint", "error_type", "parent_session_id", "project", "reason", "status_code", "tool_name")


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a page, and the summary that its totals come from."""

    page: dict[str, Any]
    summary: Summary


def collect(
    paths: AnyPath | Iterable[AnyPath],
    *,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    model: str | None = None,
    project: str | None = None,
    tz: str = LOCAL,
    prices: AnyPath | None = None,
    anonymous: bool = False,
    on_progress: Progress | None = None,
) -> ReportData:
    """Read logs and return the data of their page; arguments and errors as of ``write_report``."""
    check_installed()
    own_prices = None if prices is None else read_price_file(prices)
    wanted = select(since, until, model, project, tz)
    logs = find_logs(paths)
    names = ShownNames(anonymous=anonymous)
    with _rereadable_stdin(needed=STDIN in logs):
        report = verify(logs, on_progress=_part(on_progress, 0))
        if STDIN in logs:
            os.lseek(0, 0, os.SEEK_SET)

        def work(connection: DuckDBPyConnection, folder: str) -> ReportData:
            loaded = load_items(connection, folder, logs, columns=_COLUMNS, on_progress=_part(on_progress, 1))
            summary = sum_up(connection, loaded, wanted, tz=tz, prices=own_prices)
            page = {
                "version": __version__,
                "generated_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "anonymous": anonymous,
                **_contents(connection, summary, wanted, names),
                **_missing(connection, summary, report, names),
                "covers": coverage.describe(summary, report, names, own_prices.name if own_prices else "")
                | _filters(wanted, names),
            }
            return ReportData(page, summary)

        return with_connection(work)


def _contents(connection: DuckDBPyConnection, summary: Summary, wanted: Selection, names: ShownNames) -> dict[str, Any]:
    where, values = wanted.condition()
    create_ranked(connection, where, values, summary.zone)
    length = int((summary.last - summary.first).total_seconds()) if summary.first and summary.last else 0
    figures = Figures(connection, names, length, summary.zone)
    sessions = Sessions(connection, figures, names, where, values)
    timelines, starts = sessions.timelines()
    totals = dataclasses.asdict(summary.totals)
    del totals["key"]
    return {
        "zone": summary.tz,
        "offset_s": list(offsets(_moments(connection), summary.zone)),
        "totals": totals,
        **{f"{name}s": figures.dictionaries[name] for name in ("model", "project", "agent", "tool")},
        "bucket_s": figures.width,
        "latency_edges_ms": list(EDGES_MS),
        "calls": figures.calls(),
        "tool_calls": figures.tool_calls(),
        "errors": figures.errors(sessions.failed()),
        "drops": figures.drops(),
        "sessions": sessions.columns(),
        "more_sessions": sessions.more,
        "timelines": timelines,
        "timeline_start_s": starts,
    }


def _missing(connection: DuckDBPyConnection, summary: Summary, report: Report, names: ShownNames) -> dict[str, Any]:
    ends, more_ends = coverage.find_unclean_ends(connection, report, names)
    gaps, more_gaps = coverage.find_gaps(connection, report, names)
    return {
        "warnings": [warning.text for warning in summary.warnings],
        "unclean": ends,
        "more_unclean": more_ends,
        "gaps": gaps,
        "more_gaps": more_gaps,
    }


def _filters(wanted: Selection, names: ShownNames) -> dict[str, str | None]:
    return {
        "model": names.show("model", wanted.model or "") or None,
        "project": names.show("project", wanted.project or "") or None,
    }


def _moments(connection: DuckDBPyConnection) -> list[int]:
    rows = connection.execute(f"SELECT DISTINCT quarter * {QUARTER} FROM days ORDER BY 1").fetchall()
    return [second for (second,) in rows]


def _part(on_progress: Progress | None, number: int) -> Progress | None:
    """Return the progress of the first or the second reading, as a part of both."""
    if on_progress is None:
        return None
    report = on_progress
    return lambda done, total: report(number * total + done, 2 * total)


@contextmanager
def _rereadable_stdin(*, needed: bool) -> Iterator[None]:
    """Put a file with all of standard input in its place, for those who read it more than once."""
    if not needed:
        yield
        return
    stdin = StandardInput(FS())
    with TemporaryFile() as copy:
        while chunk := stdin.read():
            copy.write(chunk)
        copy.seek(0)
        own = os.dup(0)
        os.dup2(copy.fileno(), 0)
        try:
            yield
        finally:
            os.dup2(own, 0)
            os.close(own)
