"""``bamboo-logmetrics import``: one command for each importer."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from pathlib import Path

import click
from rich.progress import Progress
from rich.text import Text

from bamboo_logmetrics.cli.exit_codes import FAILED, INTERRUPTED, OK
from bamboo_logmetrics.cli.formatting import counts, plural, printable, progress_bar, tolerate_broken_pipe
from bamboo_logmetrics.events import ChatEvent, ForwardEvent, MetricsEvent, RoundCompleted, SessionStarted, ToolCalled
from bamboo_logmetrics.importers import IMPORTERS, ImportedEvent, Importer, ImportReport, Problem
from bamboo_logmetrics.logfiles.discovery import find_log
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import open_log
from bamboo_logmetrics.reading import read

GIVE_UP_AFTER = 10.0  # seconds in which the disk takes nothing

_HELP = """{help}

PATH is a file, or a directory that is searched for {patterns}. A line that cannot be used is reported and skipped.

\b
Exit code: 0 everything is written (skipped lines or not), 1 something could
not be read or written, 2 bad usage, 130 interrupted.

\b
bamboo-logmetrics import {name} {usual_path} -o history.jsonl
"""


class _ImportGroup(click.Group):
    """Makes the command of an importer when it is called, so that importers can be registered until then."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(IMPORTERS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        importer = IMPORTERS.get(name)
        return None if importer is None else _import_command(importer)


@click.group("import", cls=_ImportGroup)
def import_group() -> None:
    """Import the history of another tool into a log."""


def _import_command(importer: Importer) -> click.Command:
    @click.command(
        importer.name,
        help=_HELP.format(
            help=importer.help,
            patterns=" and ".join(importer.patterns),
            name=importer.name,
            usual_path=importer.usual_path,
        ),
    )
    @click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
    @click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(), help="The log to write to.")
    @click.option("--append", is_flag=True, help="Add to an existing log; events that it already holds are skipped.")
    @click.pass_context
    def command(ctx: click.Context, paths: tuple[Path, ...], output: str, append: bool) -> None:
        ctx.exit(_import(importer, paths, output, append=append))

    return command


def _import(importer: Importer, paths: tuple[Path, ...], output: str, *, append: bool) -> int:
    """Import the files below ``paths`` into the log ``output``, print the summary and return the exit code."""
    existing = _existing_events(output, append=append)
    log_path = os.path.realpath(output)
    files = [path for path in importer.find(paths) if find_log(path) != log_path]
    if not files:
        msg = f"no {' and no '.join(importer.patterns)} in {', '.join(map(str, paths))}"
        raise click.UsageError(msg)
    os.makedirs(os.path.dirname(log_path), exist_ok=True)  # now, so that an error is one of usage
    with open_log(log_path, on_full="block", block_timeout=GIVE_UP_AFTER) as log:
        run = _Run(log, existing)
        with progress_bar() as progress:
            try:
                run.read(importer, files, progress)
            except KeyboardInterrupt:
                run.interrupted = True
            run.finish()
    with tolerate_broken_pipe():
        run.show_summary()
    return INTERRUPTED if run.interrupted else OK if run.complete else FAILED


def _existing_events(output: str, *, append: bool) -> set[tuple[str, datetime]]:
    """Return the ids and times of the events in the output. Raises UsageError if it exists without ``append``."""
    try:
        find_log(output)
    except FileNotFoundError:
        return set()
    if not append:
        msg = f"{output} exists, or has rotated files; add to it with --append, or use another name"
        raise click.UsageError(msg)
    events = (line.event for line in read(output, on_error="skip"))
    return {
        (event.meta.event_id, event.meta.occurred_at)
        for event in events
        if isinstance(event, (ChatEvent, ForwardEvent))
    }


class _Run:
    """One run of an importer.

    Args:
        log: the log to write to.
        existing: ids and times of the events that the log holds already.
    """

    def __init__(self, log: BoundLog, existing: set[tuple[str, datetime]]) -> None:
        self._log = log
        self._existing = existing
        self._seen: set[str] = set()
        self._imported: Counter[type[MetricsEvent]] = Counter()
        self._tokens = self._known = 0
        self._refused = False
        self._report = ImportReport()
        self.interrupted = False

    def read(self, importer: Importer, files: list[Path], progress: Progress) -> None:
        """Write the events of all files, until the log accepts no more."""
        task = progress.add_task("importing", total=sum(path.stat().st_size for path in files))

        def show(problem: Problem) -> None:
            progress.console.print(Text(printable(str(problem))), soft_wrap=True)

        self._report = ImportReport(show, lambda size: progress.advance(task, size))
        for imported in importer.read(files, self._report):
            self._write(imported)
            if self._refused:  # the log would wait for each further event until the timeout
                return

    def _write(self, imported: ImportedEvent) -> None:
        """Write an event, unless it was written already: several files may hold the same event."""
        event, bound = imported
        event_id = event.meta.event_id
        if event_id in self._seen or (event_id, event.meta.occurred_at) in self._existing:
            self._known += 1
        elif not self._log.emit(event, **bound):
            self._refused = True
        else:
            self._seen.add(event_id)
            self._imported[type(event)] += 1
            if isinstance(event, RoundCompleted):
                self._tokens += event.usage.total_tokens

    def finish(self) -> None:
        """Write the queued events, as long as the disk takes any, and close the log."""
        written = -1
        while not self._refused and not self._log.flush(GIVE_UP_AFTER) and self._log.stats().written > written:
            written = self._log.stats().written
        self._log.close(GIVE_UP_AFTER)

    @property
    def complete(self) -> bool:
        """True if every file was read and every event written."""
        stats = self._log.stats()
        return stats.written == stats.emitted and not self._report.unread_files

    def show_summary(self) -> None:
        """Print the numbers of imported events and of everything that was left out, and the path of the log."""
        stats, report = self._log.stats(), self._report
        kinds: dict[type[MetricsEvent], str] = {
            SessionStarted: "session",
            RoundCompleted: "round",
            ToolCalled: "tool call",
        }
        events = ", ".join(plural(self._imported[kind], name) for kind, name in kinds.items())
        files = plural(report.files - report.unread_files, "file")
        click.echo(f"imported from {files}: {events}, {plural(self._tokens, 'token')}")
        for name, count in sorted(report.counts.items()):
            click.echo(f"{printable(name)}: {count:,}")
        if self._known:
            click.echo(f"already there: {plural(self._known, 'event')}")
        if report.skipped_lines:
            click.echo(f"skipped: {plural(report.skipped_lines, 'line')} that cannot be used, named above")
        if report.unread_files:
            click.echo(f"NOT READ: {plural(report.unread_files, 'file')}, named above")
        if self.interrupted:
            click.echo("INTERRUPTED: the rest is not imported")
        if stats.written != stats.emitted:
            click.echo(
                f"NOT ALL WRITTEN: {stats.emitted:,} emitted, {stats.written:,} written, "
                f"dropped {counts(stats.dropped)}, given up {stats.queued:,}"
            )
        click.echo(f"written: {plural(stats.written, 'event')} to {printable(self._log.path)}")
