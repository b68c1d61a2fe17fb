"""``bamboo-logmetrics report``."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from bamboo_logmetrics.cli import summary_text
from bamboo_logmetrics.cli.exit_codes import UNUSABLE
from bamboo_logmetrics.cli.filter_options import files_argument
from bamboo_logmetrics.cli.formatting import plural, printable, reading_progress, tolerate_broken_pipe
from bamboo_logmetrics.cli.summing_options import fetch_prices, summing_options
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.reading.report.collecting import collect
from bamboo_logmetrics.reading.report.rendering import render
from bamboo_logmetrics.reading.report.writing import check_output, replace_page
from bamboo_logmetrics.reading.summary.result import Summary

_STDOUT = "-"


@click.command()
@files_argument
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    metavar="FILE",
    type=click.Path(),
    help="The page; a dash is stdout.",
)
@summing_options
@click.option("--title", default="", help="The title of the page.")
@click.option("--anonymous", is_flag=True, help="Replace names by short hashes, so that the page can be shared.")
@click.pass_context
def report(
    ctx: click.Context,
    /,
    *,
    files: tuple[str, ...],
    output: str,
    title: str,
    update_prices: bool,
    **options: Any,
) -> None:
    """Write a page with the figures of logs.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found automatically. A dash is standard
    input. The page is one HTML file that opens in a browser, also without a network: tokens, cost, latencies, tools
    and errors over time, sessions with their rounds and tool calls, drops and unclean ends. Its figures are those of
    summary, and it shows the result of verify.

    With --anonymous the names of sessions, projects, agents, tools, files and hosts are replaced by short hashes,
    whose key is new for each page and kept nowhere. Public names of models and providers, and counts and
    times, stay.

    An older page of the same name is replaced when the new one is ready. Any other file is never replaced.

    \b
    Exit code: 0 done, 2 bad usage, or a page that cannot be written,
    130 interrupted.

    \b
    bamboo-logmetrics report logs/agent.jsonl
    bamboo-logmetrics report 'logs/*.jsonl' -o week.html --since 7d --title 'This week'
    bamboo-logmetrics report logs/agent.jsonl --anonymous -o shared.html
    bamboo-logmetrics report logs/agent.jsonl -o - | gzip > report.html.gz
    """  # noqa: D301 - click wants the character \b itself
    check_stdout()
    if output != _STDOUT:
        check_output(output)
    elif sys.stdout.isatty():
        click.echo("Error: the page is for a file or a pipe; use -o report.html", err=True)
        ctx.exit(UNUSABLE)
    fetch_prices(wanted=update_prices)
    with reading_progress() as progress:
        data = collect(files, on_progress=progress, **options)
    page = render(data.page, title)
    if output != _STDOUT:
        replace_page(output, page)
    with tolerate_broken_pipe():
        if output == _STDOUT:
            sys.stdout.buffer.write(page)
            sys.stdout.buffer.flush()
        _describe(data.summary, output, len(page))


def _describe(summary: Summary, output: str, size: int) -> None:
    """Print the extent of a page and how to open it; on stderr if stdout is the page."""
    on_stderr = output == _STDOUT
    totals = summary.totals
    parts = [plural(totals.sessions, "session"), plural(totals.calls, "call"), plural(totals.tool_calls, "tool call")]
    if totals.cost_usd is not None:
        parts.append(summary_text.number("cost_usd", totals.cost_usd))
    name = "the page" if on_stderr else printable(output)
    click.echo(f"{name}: {size / 1e6:.1f} MB, {', '.join(parts)}", err=on_stderr)
    click.echo(printable(summary_text.extent(summary)), err=on_stderr)
    for text in summary_text.warnings(summary):
        click.echo(click.style(printable(text), fg="yellow"), err=on_stderr)
    if not on_stderr:
        click.echo(f"open it in a browser: file://{_quoted(os.path.abspath(output))}")


def _quoted(path: str) -> str:
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(os.fsencode(path))
