"""A log and its report page, made by the command."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

from click.testing import CliRunner

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli

CHROMIUM = os.environ.get("BAMBOO_TEST_CHROMIUM") or shutil.which("chromium")


def run(*args):
    """Return the output of a command of the package."""
    result = CliRunner().invoke(cli, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def address_of(page):
    """Return the address as the page itself has it; the browser's driver hears of a change later."""
    return page.evaluate("location.href")


class Log:
    """A log, its page, and what ``summary`` says about it."""

    def __init__(self, path, *options):
        self.path = path
        self.page = path.with_suffix(".html")
        self._totals = {}
        run("report", path, "-o", self.page, "--tz", "UTC", *options)

    @property
    def address(self):
        """The address of the page."""
        return self.page.as_uri()

    def lines(self):
        """Return the decoded lines."""
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def totals(self, **options):
        """Return the totals of the summary."""
        key = tuple(sorted(options.items()))
        if key not in self._totals:
            self._totals[key] = dataclasses.asdict(blm.summarize(self.path, tz="UTC", **options).totals)
        return self._totals[key]
