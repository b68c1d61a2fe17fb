"""The options of filters, of a command that shows what it gets."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import click
import pytest
from click.testing import CliRunner

from bamboo_logmetrics.cli.filter_options import filter_options, where_option
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.filters import Filters


def given(*arguments):
    """Return the filters, and the rest, that a command gets."""

    @click.command()
    @filter_options
    @where_option
    @click.option("--other")
    def command(**options):
        return options

    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value


def test_no_filters():
    """Without options there is no filter."""
    assert given("--other", "x") == {"filters": Filters(), "other": "x", "tz": "local"}


def test_each_filter():
    """Each option gives its filter."""
    names = ("session", "round", "trace", "model", "tool", "status", "where")
    arguments = [part for name in names for part in (f"--{name}", f"{name} 1")]
    filters = given(*arguments, "--level", "WARNING")["filters"]
    assert filters == Filters(**{name: f"{name} 1" for name in names}, level="warning")


def test_several_events():
    """Events come with commas, by several options, or both; an empty one is not left out, so that it matches nothing."""
    assert given("--event", "a, b*", "--event", "c")["filters"].events == ("a", "b*", "c")
    assert given("--event", "")["filters"].events == ("",)


def test_times():
    """Times are read as for the summary, and are aware."""
    filters = given("--since", "2h", "--until", "2926-11-30T12:00Z")["filters"]
    ago = datetime.now(timezone.utc) - timedelta(hours=2) - filters.since
    assert timedelta() <= ago < timedelta(minutes=5)
    assert filters.until == datetime(2926, 11, 30, 12, tzinfo=timezone.utc)


def test_bad_usage():
    """A time or a level that is none is an error with the remedy."""
    with pytest.raises(ConfigError, match="use one such as"):
        given("--since", "soon")
    with pytest.raises(click.BadParameter, match="is not one of 'debug', 'info'"):
        given("--level", "loud")


def test_times_of_a_zone():
    """A time without an offset is of the zone that is shown; one with an offset names its own."""
    filters = given("--since", "2026-07-01T00:00", "--until", "2026-07-01T00:00Z", "--tz", "Europe/Berlin")["filters"]
    assert filters.since == datetime(2026, 6, 30, 22, tzinfo=timezone.utc)
    assert filters.until == datetime(2026, 7, 1, tzinfo=timezone.utc)
    with pytest.raises(ConfigError, match="unknown time zone"):
        given("--tz", "Mars/Olympus")


def test_an_end_before_the_beginning():
    """A period that ends before it begins is an error, which names both; one of no length is not."""
    with pytest.raises(ConfigError, match="2026-07-02T00:00:00Z .--since. and before 2026-07-01T00:00:00Z"):
        given("--since", "2026-07-02T00:00Z", "--until", "2026-07-01T00:00Z")
    assert given("--since", "2026-07-01", "--until", "2026-07-01")["filters"].since is not None
