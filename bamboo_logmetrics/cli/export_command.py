"""``bamboo-logmetrics export``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click

from bamboo_logmetrics.cli.exit_codes import FAILED, OK
from bamboo_logmetrics.cli.filter_options import files_argument
from bamboo_logmetrics.cli.formatting import plural, printable, tolerate_broken_pipe
from bamboo_logmetrics.cli.output_file import open_output
from bamboo_logmetrics.format.parse import Line
from bamboo_logmetrics.logfiles.discovery import find_logs
from bamboo_logmetrics.reading.reader import read_all
from bamboo_logmetrics.reading.tagged_form import tagged_form

_MOST_SHOWN = 20  # broken lines


@click.command()
@files_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["tagged"]),
    required=True,
    help="The form of the events: tagged is the JSON of the Rust system, one event a line.",
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(), help="Write to this new file instead of printing.")
@click.pass_context
def export(ctx: click.Context, files: tuple[str, ...], form: str, output: str | None) -> None:  # noqa: ARG001 - one form
    """Write the events of logs as tagged JSON.

    FILE is a log of any layout, or a quoted pattern. Its rotated and compressed files are found automatically, the
    oldest first. A dash is standard input: a saved stream, such as of a container.

    Each event keeps its id and its time, and `bamboo-logmetrics import bamboo` reads them back. Tagged JSON holds
    events only: plain lines, the log's own lines, bound values and exceptions are left out. Standard error says how
    many of each there are. A line that cannot be read is named there.

    \b
    Exit code: 0 all events are exported, 1 there are lines that cannot be
    read, 2 bad usage, 130 interrupted.

    \b
    bamboo-logmetrics export logs/agent.jsonl --format tagged -o events.jsonl
    bamboo-logmetrics export 'logs/*.jsonl' --format tagged | gzip > events.jsonl.gz
    """  # noqa: D301 - click wants the character \b itself
    logs = find_logs(files)
    counts: Counter[str] = Counter()
    with tolerate_broken_pipe():  # where the reader has gone, nobody wants the counts
        with open_output(output) as file:
            for log in logs:
                for line in _events(log, counts):
                    file.write(tagged_form(line) + b"\n")
        _show_counts(counts)
    ctx.exit(FAILED if counts["broken"] else OK)


def _events(log: str, counts: Counter[str]) -> Iterator[Line]:
    """Yield the lines that hold an event of an application, and count the others, and what the form cannot hold."""
    for line in read_all(log):
        if not isinstance(line, Line):
            counts["broken"] += 1
            if counts["broken"] <= _MOST_SHOWN:
                click.echo(printable(str(line)), err=True)
        elif line.event is None:
            counts["plain line"] += 1
        elif line.own:
            counts["line of the log itself"] += 1
        else:
            counts["event"] += 1
            counts["bound value"] += len(line.bound)
            counts["exception"] += line.exception is not None
            yield line


def _show_counts(counts: Counter[str]) -> None:
    click.echo(f"exported: {plural(counts['event'], 'event')}", err=True)
    left_out = ("plain line", "line of the log itself", "bound value", "exception")
    texts = [_plural(counts[name], name) for name in left_out if counts[name]]
    if texts:
        click.echo(f"left out, since tagged JSON cannot hold them: {', '.join(texts)}", err=True)
    if counts["broken"]:
        which = f"the first {_MOST_SHOWN} named above" if counts["broken"] > _MOST_SHOWN else "named above"
        click.echo(f"NOT READ: {plural(counts['broken'], 'line')} that cannot be read, {which}", err=True)


def _plural(count: int, name: str) -> str:
    noun, _, more = name.partition(" of ")
    return f"{plural(count, noun)} of {more}" if more else plural(count, noun)
