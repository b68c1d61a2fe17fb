"""Output of the commands: reports, tables, numbers, progress."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bamboo_logmetrics.cli.stdout import discard_stdout
from bamboo_logmetrics.reading import Finding, Report, WriterReport

MOST_SHOWN = 20  # writers, problems and notes that a text shows

_AT_ONCE = 1_000  # items that are made JSON together
_QUIET = 1.0  # seconds before a progress bar is shown
_PIPE_WIDTH = 140  # columns, where stdout is not a terminal with a width of its own


@contextmanager
def tolerate_broken_pipe() -> Iterator[None]:
    """Ignore that the reader of stdout has gone, as behind ``| head``: the exit code stays that of the command."""
    try:
        yield
    except BrokenPipeError:
        discard_stdout()


def printable(text: str) -> str:
    """Return text with all control characters escaped: text from a file must not control the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def as_json(data: Any) -> str:
    """Return a report, or a list of such objects, as indented JSON."""
    try:
        return msgspec.json.format(msgspec.json.encode(data, enc_hook=dict), indent=2).decode()
    except UnicodeEncodeError:  # the name of a file may not be UTF-8
        text = json.dumps(msgspec.to_builtins(data, enc_hook=dict), indent=2, ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()


def print_json(report: Report) -> None:
    """Print a report as indented JSON, as :func:`as_json`, but one writer at a time: there may be many."""
    lists = {name: getattr(report, name) for name in ("files", "writers", "problems", "notes")}
    fields = [item.name for item in dataclasses.fields(report)]
    for number, name in enumerate(fields):
        click.echo("{" if number == 0 else ",")
        click.echo(f'  "{name}": ', nl=False)
        if name in lists:
            _print_list(lists[name])
        else:
            click.echo(as_json(getattr(report, name)).replace("\n", "\n  "), nl=False)
    click.echo("\n}")


def _print_list(items: tuple[Any, ...]) -> None:
    separator = "["
    for start in range(0, len(items), _AT_ONCE):
        texts = [as_json(item).replace("\n", "\n    ") for item in items[start : start + _AT_ONCE]]
        click.echo(separator + "\n    " + ",\n    ".join(texts), nl=False)
        separator = ","
    click.echo("\n  ]" if items else "[]", nl=False)


def show_report(report: Report) -> None:
    """Print a report: the writers, the worst first, problems, notes, and the verdict; of many only the first ones."""
    if report.writers:
        _show_writers(sorted(report.writers, key=_worst_first))
    _show_findings(click.style("problem", fg="red"), report.problems)
    _show_findings("note", report.notes)
    if report.dropped:
        click.echo(f"dropped, and recorded in the log: {counts(report.dropped)}")
    click.echo(_verdict(report))


def _worst_first(writer: WriterReport) -> tuple[bool, int, int]:
    """Return the key that sorts writers with problems before others, and the greatest losses first."""
    return writer.ok or writer.acknowledged, -writer.missing, -writer.repeats


def _show_findings(label: str, findings: tuple[Finding, ...]) -> None:
    for finding in findings[:MOST_SHOWN]:
        click.echo(f"{label}: {printable(str(finding))}")
    if len(findings) > MOST_SHOWN:
        kinds = Counter(finding.kind for finding in findings[MOST_SHOWN:])
        listed = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
        click.echo(f"{label}: and {len(findings) - MOST_SHOWN:,} more ({listed}); --format json lists all")


def counts(dropped: Mapping[str, int]) -> str:
    """Return the sum and its parts, such as ``12 (queue_full 10, too_large 2)``."""
    parts = ", ".join(f"{printable(reason)} {count:,}" for reason, count in sorted(dropped.items()))
    return f"{sum(dropped.values()):,} ({parts})" if dropped else "0"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 file`` or ``2 files``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _show_writers(writers: list[WriterReport]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("writer", no_wrap=True)
    table.add_column("process", overflow="fold")
    for name in ("numbers", "written", "own", "missing", "repeated", "dropped"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("end", no_wrap=True)
    for writer in writers[:MOST_SHOWN]:
        table.add_row(*_cells(writer))
    print_table(table)
    if len(writers) > MOST_SHOWN:
        ends = Counter(writer.end for writer in writers[MOST_SHOWN:])
        listed = ", ".join(f"{end} {count:,}" for end, count in sorted(ends.items()))
        click.echo(f"and {plural(len(writers) - MOST_SHOWN, 'more writer')} ({listed}); --format json lists all")


def output_width() -> int:
    """Return the width of a table on stdout, in columns."""
    return Console().width if sys.stdout.isatty() else _PIPE_WIDTH


def print_table(table: Table) -> None:
    """Print a table on stdout."""
    click.echo(table_lines(table), nl=False)


def table_lines(table: Table) -> str:
    """Return a table as text for stdout."""
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    with console.capture() as captured:  # printing directly, rich would exit with 1 at a broken pipe
        console.print(table)
    return captured.get()


def _cells(writer: WriterReport) -> list[Text]:
    process = f"{printable(writer.host or '')}:{writer.pid}" if writer.pid else "?"
    cells = [
        writer.writer,
        process,
        f"{writer.first_seq}-{writer.last_seq}",
        f"{writer.written:,}",
        f"{writer.own:,}",
        f"{writer.missing:,}",
        f"{writer.repeats:,}",
        f"{sum(writer.dropped.values()):,}",
        writer.end,
    ]
    return [Text(cell, style="" if writer.ok else "yellow" if writer.acknowledged else "red") for cell in cells]


def _verdict(report: Report) -> str:
    extent = f"{plural(report.lines, 'line')} of {plural(len(report.writers), 'writer')}"
    extent += f" in {plural(len(report.files), 'file')}"
    if report.ok:
        return click.style(f"{report.verdict}: {extent}", fg="green")
    return click.style(f"{report.verdict}: {plural(len(report.problems), 'problem')} in {extent}", fg="red")


class _AmountColumn(DownloadColumn):
    """The amount that is done: of a task with a ``unit`` in that, of others in bytes."""

    def render(self, task: Task) -> Text:
        """Return the text of a task."""
        if unit := task.fields.get("unit"):
            return Text(f"{task.completed:,.0f}/{task.total or 0:,.0f} {unit}", style="progress.download")
        return super().render(task)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a progress bar on stderr, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), _AmountColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    # a disabled bar is not started: before rich 15, its stop would write an empty line
    with progress if console.is_terminal else nullcontext():
        yield progress


class ReadingProgress:
    """The progress of reading files, shown once that takes a while.

    Args:
        progress: the bar; it is hidden at first.
        clock: gives the time in seconds.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._task = progress.add_task("reading", total=None, visible=False)
        self._clock = clock
        self._shown_from = clock() + _QUIET

    def __call__(self, done: int, total: int) -> None:
        """Show how many bytes are read, and of how many."""
        visible = self._clock() >= self._shown_from
        self._progress.update(self._task, completed=done, total=total, visible=visible)

    def stop(self) -> None:
        """Remove the bar, before anything else is printed."""
        if self._progress.live.is_started:
            self._progress.stop()


@contextmanager
def reading_progress(*, enabled: bool = True) -> Iterator[ReadingProgress]:
    """Show the progress of reading files on stderr, if that is a terminal and it takes a while."""
    with progress_bar() if enabled else nullcontext(Progress(disable=True)) as progress:
        yield ReadingProgress(progress)
