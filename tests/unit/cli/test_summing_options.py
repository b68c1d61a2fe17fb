"""The options that ``summary`` and ``report`` share."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.cli.summing_options import fetch_prices, summing_options
from bamboo_logmetrics.reading.summary import price_updates


def test_a_command_gets_each_option():
    """A command gets the options by their names; the zone is the local one unless it is named."""

    @click.command()
    @summing_options
    def command(**options):
        return options

    names = ("since", "until", "model", "project", "prices")
    options = CliRunner().invoke(command, ["--model", "m"], standalone_mode=False).return_value
    assert options == dict.fromkeys(names) | {"model": "m", "update_prices": False, "tz": "local"}


@pytest.mark.parametrize("name", ["summary", "report"])
def test_both_commands_have_the_same(name):
    """Both commands describe each of the options in the same words."""

    @click.command()
    @summing_options
    def command():
        """Do nothing."""

    command_of_package = cli.get_command(click.Context(cli), name)
    texts = {param.name: param.help for param in command_of_package.params if isinstance(param, click.Option)}
    assert {param.name: param.help for param in command.params}.items() <= texts.items()


def test_prices_are_fetched_if_they_are_wanted(monkeypatch, capsys):
    """Without the option nothing is fetched; with it stderr says what was stored, without control characters."""
    monkeypatch.setattr(price_updates, "update_prices", lambda: "stored in /a\x1b[31mb")
    fetch_prices(wanted=False)
    assert capsys.readouterr().err == ""
    fetch_prices(wanted=True)
    assert capsys.readouterr().err == "stored in /a\\x1b[31mb\n"
