"""The summary of an import: what was written, what was not, and which numbers are not whole."""

from __future__ import annotations

import click

from bamboo_logmetrics.cli.formatting import counts, plural, printable
from bamboo_logmetrics.events import MetricsEvent, RequestCompleted, RoundCompleted, SessionStarted, ToolCalled
from bamboo_logmetrics.importers import ImportReport
from bamboo_logmetrics.importers.run import ImportRun
from bamboo_logmetrics.logger.bound_log import BoundLog

_COUNTED: dict[type[MetricsEvent], str] = {SessionStarted: "session", RoundCompleted: "round", ToolCalled: "tool call"}


def show_summary(run: ImportRun, report: ImportReport, log: BoundLog, *, stopped: bool) -> None:
    """Print the numbers of imported events and of everything that was left out, and the path of the log.

    ``stopped`` is True if the import went on until it was stopped, so that an interrupt is its usual end.
    """
    events = ", ".join(plural(run.imported[kind], name) for kind, name in _COUNTED.items())
    files = plural(report.files - report.unread_files, "file")
    click.echo(f"imported from {files}: {events}, {plural(run.tokens, 'token')}")
    _show_what_is_not_whole(run)
    for name, count in sorted(report.counts.items()):
        click.echo(f"{printable(name)}: {count:,}")
    if run.unchanged:
        click.echo(f"unchanged: {plural(run.unchanged, 'file')}, not read again")
    if run.tally.known:
        click.echo(f"already there: {plural(run.tally.known, 'event')}")
    if report.skipped_lines:
        click.echo(f"skipped: {plural(report.skipped_lines, 'line')} that cannot be used, named above")
    if report.unread_files:
        click.echo(f"NOT READ: {plural(report.unread_files, 'file')}, named above")
    _show_what_is_not_written(run, log, stopped=stopped)
    click.echo(f"written: {plural(log.stats().written, 'event')} to {printable(log.path)}")


def _show_what_is_not_whole(run: ImportRun) -> None:
    rounds = plural(run.imported[RoundCompleted], "round")
    if run.imported[RequestCompleted] > run.failed:
        click.echo(f"requests: {run.imported[RequestCompleted]:,}")
    if run.failed:
        click.echo(f"failed requests: {run.failed:,}")
    if run.partial:
        click.echo(
            f"PARTIAL: {run.partial:,} of {rounds} have usage from before the answer was complete, a lower bound"
        )
    if run.missing:
        click.echo(f"MISSING: {run.missing:,} of {rounds} have no usage")
    tally = run.tally
    if tally.repeated:
        click.echo(f"counted once: {plural(tally.repeated, 'call')} that were seen in more than one place")
    if tally.differing:
        click.echo(
            f"DIFFERENT NOW: {plural(len(tally.differing), 'call')} written before, "
            f"by {plural(sum(tally.differing.values()), 'token')}; what is written stays"
        )
    if any(run.held) and not run.interrupted and not run.refused:
        rounds, sessions = plural(run.held[0], "round"), plural(run.held[1], "session")
        click.echo(f"held back: {rounds} and the end of {sessions} that may go on; --all writes them now")


def _show_what_is_not_written(run: ImportRun, log: BoundLog, *, stopped: bool) -> None:
    stats = log.stats()
    if run.interrupted and not stopped:
        click.echo("INTERRUPTED: the rest is not imported")
    if run.store_error:
        click.echo(f"IDS NOT SAVED: {run.store_error}; the next import reads them from the log")
    if stats.written != stats.emitted:
        click.echo(
            f"NOT ALL WRITTEN: {stats.emitted:,} emitted, {stats.written:,} written, "
            f"dropped {counts(stats.dropped)}, given up {stats.queued:,}"
        )
