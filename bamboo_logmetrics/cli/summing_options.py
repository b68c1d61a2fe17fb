"""The options that ``summary`` and ``report`` share: what counts, by which prices, in which time zone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bamboo_logmetrics.cli.filter_options import model_option, since_option, tz_option, until_option
from bamboo_logmetrics.cli.formatting import printable
from bamboo_logmetrics.reading.summary import price_updates

_OPTIONS = (
    since_option,
    until_option,
    model_option,
    click.option("--project", help="Count this project only."),
    click.option(
        "--prices", type=click.Path(), metavar="FILE", help="Prices that come first: TOML, or LiteLLM's JSON."
    ),
    click.option(
        "--update-prices", is_flag=True, help="Fetch the newest prices before; nothing else uses the network."
    ),
    tz_option,
)


def summing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; ``update_prices`` is for :func:`fetch_prices`, the others for ``summarize``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def fetch_prices(*, wanted: bool) -> None:
    """Fetch the newest prices if they are wanted, and say on stderr what was stored. Raises ConfigError."""
    if wanted:
        click.echo(printable(price_updates.update_prices()), err=True)
