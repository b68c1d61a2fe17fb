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


def resize(page, width, height=900):
    """Change the size of a page, and wait until it is drawn in it: charts follow in the next frame."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("width => window.innerWidth === width", arg=width)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


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
