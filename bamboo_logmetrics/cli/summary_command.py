"""``bamboo-logmetrics summary``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, get_args

import click
from rich.table import Table
from rich.text import Text

from bamboo_logmetrics.cli import summary_text
from bamboo_logmetrics.cli.exit_codes import FAILED, OK
from bamboo_logmetrics.cli.filter_options import files_argument
from bamboo_logmetrics.cli.formatting import (
    output_width,
    print_table,
    printable,
    reading_progress,
    tolerate_broken_pipe,
)
from bamboo_logmetrics.cli.summing_options import fetch_prices, summing_options
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.reading.summary.result import By, Summary
from bamboo_logmetrics.reading.summary.summarizing import summarize

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_NUMBER = r"[-+]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_CONDITION = re.compile(rf"\s*(?P<name>\w+)\s*(?P<sign>[<>]=?|[=!]=)\s*(?P<limit>{_NUMBER})\s*", re.ASCII)


class _Condition(click.ParamType[Any, str]):
    """A comparison such as ``cost_usd > 50``."""

    name = "condition"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        match = _CONDITION.fullmatch(value)
        if match is None:
            self.fail(
                f"{value!r:.80} is not a comparison; use one such as 'cost_usd > 50' or 'error_rate >= 0.1'", param, ctx
            )
        if match["name"] not in summary_text.MEASURES:
            self.fail(f"{match['name']!r:.80} is not one of {', '.join(summary_text.MEASURES)}", param, ctx)
        limit = float(match["limit"])
        if not math.isfinite(limit):
            self.fail(f"{match['limit']:.80} is too large for a limit; use a number such as 1e9", param, ctx)
        return value, match["name"], _OPERATORS[match["sign"]], limit


@click.command()
@files_argument
@click.option("--by", type=click.Choice(get_args(By)), help="Show a row for each value of this.")
@summing_options
@click.option("--compare", type=click.Choice(["previous"]), help="Compare with the period before --since.")
@click.option("--rollup", is_flag=True, help="Count sub-agents with the session that started them.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", *summary_text.TEXTS]),
    default="table",
    show_default=True,
    help="The form of the output; openmetrics is for the textfile collector of node_exporter.",
)
@click.option("--oneline", is_flag=True, help="Print one line, for a status line.")
@click.option("--fail-over", "limits", type=_Condition(), multiple=True, help="Exit with 1 if this holds of all.")
@click.pass_context
def summary(
    ctx: click.Context,
    /,
    *,
    files: tuple[str, ...],
    form: str,
    oneline: bool,
    limits: tuple[tuple[str, str, Callable[[Any, Any], bool], float], ...],
    update_prices: bool,
    **options: Any,
) -> None:
    """Sum up logs: sessions, calls, errors, tokens, latencies, drops.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found automatically. A dash is standard
    input. The tokens of each call count once, whether its round, its requests or both are in the log. What was not
    reported is a dash, or null, and never counts as 0. Lines that begin with "not whole" say which numbers are too
    small, and why.

    \b
    Exit code: 0 done, 1 a limit of --fail-over is passed, 2 bad usage,
    130 interrupted.

    \b
    bamboo-logmetrics summary logs/agent.jsonl --by model
    bamboo-logmetrics summary 'logs/*.jsonl' --by day --since 7d --tz UTC
    bamboo-logmetrics summary logs/agent.jsonl --since 7d --compare previous
    bamboo-logmetrics summary logs/agent.jsonl --by tool --format json | jq .rows
    bamboo-logmetrics summary logs/agent.jsonl --by model --prices prices.toml
    bamboo-logmetrics summary logs/agent.jsonl --since today --fail-over 'error_rate > 0.1'
    """  # noqa: D301 - click wants the character \b itself
    check_stdout()
    fetch_prices(wanted=update_prices)
    with reading_progress() as progress:
        result = summarize(files, on_progress=progress, **options)
    with tolerate_broken_pipe():
        if oneline:
            click.echo(summary_text.one_line(result))
        elif form == "table":
            show_summary(result)
        else:
            click.echo(summary_text.TEXTS[form](result))
            if form in {"csv", "openmetrics"}:
                for text in (*summary_text.cost_note(result), *summary_text.warnings(result)):
                    click.echo(printable(text), err=True)
    passed = [_is_passed(result, *limit) for limit in limits]  # of several each is told
    ctx.exit(FAILED if any(passed) else OK)


def show_summary(result: Summary) -> None:
    """Print a summary as a table for people, with its extent, its cost and its warnings."""
    print_table(summary_table(result, output_width()))
    for text in (*summary_text.left_out(result), summary_text.extent(result), *summary_text.cost_note(result)):
        click.echo(printable(text))
    for text in summary_text.warnings(result):
        click.echo(click.style(printable(text), fg="yellow"))


def summary_table(result: Summary, width: int) -> Table:
    """Return the numbers of a summary as a table with the columns that fit a width."""
    titles, cells = summary_text.fit(*summary_text.table_of(result), width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, title in enumerate(titles):
        table.add_column(title, justify="right" if column else "left", overflow="fold", no_wrap=column > 0)
    for row in cells:
        style = "bold" if result.by is not None and row is cells[-1] else ""
        table.add_row(*(Text(cell, style=style) for cell in row))
    return table


def _is_passed(result: Summary, text: str, name: str, compare: Callable[[Any, Any], bool], limit: float) -> bool:
    """Return True if a comparison holds; say on stderr what it found."""
    value = getattr(result.totals, name)
    if value is None:
        click.echo(f"{name} is not reported: whether {text.strip()} is not known", err=True)
        return False
    if compare(value, limit):
        priced = f" ({summary_text.priced(result)})" if name.endswith("cost_usd") else ""
        click.echo(f"{name} is {value:,}{priced}: {text.strip()}", err=True)
        return True
    return False
