"""``bamboo-logmetrics import``."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from pathlib import Path

import click
from rich.progress import Progress
from rich.text import Text

from bamboo_logmetrics.cli.formatting import counts, plural, printable, progress_bar, unheard
from bamboo_logmetrics.events import ChatEvent, RoundCompleted, SessionStarted, ToolCalled
from bamboo_logmetrics.importers.claude_code import importer
from bamboo_logmetrics.logfiles.discovery import find_log
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import open_log
from bamboo_logmetrics.reading import read

PATIENCE = 10.0  # seconds without anything written until the disk is given up
_INTERRUPTED = 130


@click.group("import")
def import_() -> None:
    """Import the history of another tool into a log."""


@import_.command("claude-code")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(), help="The log to write.")
@click.option("--append", is_flag=True, help="Add to a log that exists; events that are in it are not written again.")
@click.pass_context
def claude_code_(ctx: click.Context, paths: tuple[Path, ...], output: str, append: bool) -> None:
    """Import Claude Code transcripts: sessions, rounds, tool calls and tokens, with their times; never their texts.

    PATH is a transcript, or a directory that is searched for *.jsonl. A line that cannot be used is named and skipped.

    \b
    Exit code: 0 all is written (also with skipped lines), 1 not all could be
    read or written, 2 bad usage, 130 interrupted.

    \b
    bamboo-logmetrics import claude-code ~/.claude/projects -o history.jsonl
    """  # noqa: D301 - click wants the character \b itself
    there = _existing(output, append=append)
    log_path = os.path.realpath(output)
    transcripts = [path for path in importer.find(paths) if find_log(path) != log_path]
    if not transcripts:
        msg = f"no *.jsonl in {', '.join(map(str, paths))}"
        raise click.UsageError(msg)
    os.makedirs(os.path.dirname(log_path), exist_ok=True)  # now, when it can still be refused
    with open_log(log_path, on_full="block", block_timeout=PATIENCE) as log:
        run = _Import(log, there)
        with progress_bar() as progress:
            try:
                run.files(transcripts, progress)
            except KeyboardInterrupt:
                run.interrupted = True
            run.finish()
    with unheard():
        run.show_summary()
    ctx.exit(_INTERRUPTED if run.interrupted else 0 if run.complete else 1)


def _existing(output: str, *, append: bool) -> set[tuple[str, datetime]]:
    """Return the ids and times of the events in the output; refuse one that exists unless it is to be added to."""
    try:
        find_log(output)
    except FileNotFoundError:
        return set()
    if not append:
        msg = f"{output} exists, or has rotated files; add to it with --append, or give another name"
        raise click.UsageError(msg)
    events = (line.event for line in read(output, on_error="skip"))
    return {(event.meta.event_id, event.meta.occurred_at) for event in events if isinstance(event, ChatEvent)}


class _Import:
    """One run over some transcripts.

    Args:
        log: where the events go.
        there: ids and times of events that the log holds already.
    """

    def __init__(self, log: BoundLog, there: set[tuple[str, datetime]]) -> None:
        self._log = log
        self._there = there
        self._seen: set[str] = set()
        self._imported: Counter[type[ChatEvent]] = Counter()
        self._tokens = self._known = self._skipped = self._files = self._unread = 0
        self._refused = False
        self.interrupted = False

    def files(self, paths: list[Path], progress: Progress) -> None:
        """Import transcripts, until the log takes no more."""
        task = progress.add_task("importing", total=sum(path.stat().st_size for path in paths))

        def say(problem: object) -> None:
            progress.console.print(Text(printable(str(problem))), soft_wrap=True)

        def skipped(problem: importer.Problem) -> None:
            self._skipped += 1
            say(problem)

        for path in paths:
            try:
                for event, bound in importer.convert(path, skipped, lambda size: progress.advance(task, size)):
                    self._take(event, bound)
            except OSError as error:
                self._unread += 1
                say(error)
            else:
                self._files += 1
            if self._refused:
                return

    def _take(self, event: ChatEvent, bound: dict[str, object]) -> None:
        """Write an event, unless it is there: a sub-agent may stand in its own transcript and in its parent's, too."""
        key = event.meta.event_id
        if key in self._seen or (key, event.meta.occurred_at) in self._there:
            self._known += 1
        elif self._refused or not self._log.emit(event, **bound):
            self._refused = True  # waiting again for each event would take for ever
        else:
            self._seen.add(key)
            self._imported[type(event)] += 1
            if isinstance(event, RoundCompleted):
                self._tokens += event.usage.total_tokens

    def finish(self) -> None:
        """Write what is queued, as long as anything is written at all."""
        written = -1
        while not self._refused and not self._log.flush(PATIENCE) and self._log.stats().written > written:
            written = self._log.stats().written
        self._log.close(PATIENCE)

    @property
    def complete(self) -> bool:
        """True when every file was read and every event written."""
        stats = self._log.stats()
        return stats.written == stats.emitted and not self._unread

    def show_summary(self) -> None:
        """Print what was imported, what was left out, and where it is."""
        stats = self._log.stats()
        kinds: dict[type[ChatEvent], str] = {
            SessionStarted: "session",
            RoundCompleted: "round",
            ToolCalled: "tool call",
        }
        found = ", ".join(plural(self._imported[kind], name) for kind, name in kinds.items())
        click.echo(f"imported from {plural(self._files, 'file')}: {found}, {plural(self._tokens, 'token')}")
        if self._known:
            click.echo(f"already there: {plural(self._known, 'event')}")
        if self._skipped:
            click.echo(f"skipped: {plural(self._skipped, 'line')} that cannot be used, named above")
        if self._unread:
            click.echo(f"NOT READ: {plural(self._unread, 'file')}, named above")
        if self.interrupted:
            click.echo("INTERRUPTED: what came after is not imported")
        if stats.written != stats.emitted:
            click.echo(
                f"NOT ALL WRITTEN: {stats.emitted:,} emitted, {stats.written:,} written, "
                f"dropped {counts(stats.dropped)}, given up {stats.queued:,}"
            )
        click.echo(f"written: {plural(stats.written, 'event')} to {printable(self._log.path)}")
