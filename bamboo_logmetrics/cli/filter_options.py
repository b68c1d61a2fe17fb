"""The options that ``query``, ``tail`` and ``summary`` share: which lines are wanted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import click

from bamboo_logmetrics.reading.filters import KEYS, Filters, split_patterns
from bamboo_logmetrics.reading.query.times import check_order, find_time
from bamboo_logmetrics.reading.summary.periods import LOCAL, find_zone
from bamboo_logmetrics.record.levels import LEVELS

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
tz_option = click.option(
    "--tz", default=LOCAL, show_default=True, metavar="ZONE", help="The time zone, such as Europe/Berlin."
)
since_option = click.option(
    "--since", metavar="TIME", help="Use lines from this time on: ISO 8601, 2h, 7d, today, yesterday."
)
until_option = click.option("--until", metavar="TIME", help="Use lines up to this time.")
model_option = click.option("--model", metavar="NAME", help="Use lines of this model only.")

_TIMES = ("since", "until")
_OPTIONS = (
    click.option(
        "--event",
        "events",
        metavar="GLOB",
        multiple=True,
        help="Use these events only, such as 'chat.*'; several with commas, or by several options.",
    ),
    click.option("--session", metavar="ID", help="Use lines of this session only."),
    click.option("--round", metavar="ID", help="Use lines of this round only."),
    click.option("--trace", metavar="ID", help="Use lines of this trace only."),
    model_option,
    click.option("--tool", metavar="NAME", help="Use calls of this tool only."),
    click.option("--status", metavar="STATUS", help="Use lines of this status only, such as error."),
    click.option(
        "--level",
        type=click.Choice(tuple(LEVELS), case_sensitive=False),
        help="Use lines of this level and above only.",
    ),
    since_option,
    until_option,
    tz_option,
)
where_option = click.option(
    "--where", metavar="SQL", help="Use lines for which this holds, such as 'latency_ms > 1000'."
)
hidden_where_option = click.option("--where", hidden=True)  # for a message that says what has it


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of filters; it gets them as its argument ``filters``, and ``tz`` as it is."""

    @functools.wraps(command)
    def with_filters(*args: Any, **options: Any) -> Any:
        return command(*args, filters=_take_filters(options), **options)

    for option in reversed(_OPTIONS):
        with_filters = option(with_filters)
    return with_filters


def _take_filters(options: dict[str, Any]) -> Filters:
    """Remove the values of the filters from a command's options, and return them.

    Raises ConfigError for a time or a zone.
    """
    now, zone = datetime.now(timezone.utc), find_zone(options["tz"])
    since, until = (None if text is None else find_time(text, zone, now) for text in map(options.pop, _TIMES))
    check_order(since, until)
    events = tuple(pattern for text in options.pop("events") for pattern in split_patterns(text))
    texts = {name: options.pop(name) for name in (*KEYS, "level", "where")}
    return Filters(events=events, since=since, until=until, **texts)
