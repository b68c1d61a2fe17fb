"""A log and its report page, made by the command."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import bamboo_logmetrics as blm

CHROMIUM = os.environ.get("BAMBOO_TEST_CHROMIUM") or shutil.which("chromium")


def run(*args):
    """Return the output of a command of the package."""
    command = [sys.executable, "-m", "bamboo_logmetrics", *map(str, args)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Log:
    """A log, its page, and what ``summary`` says about it."""

    def __init__(self, path, *options):
        self.path = path
        self.page = path.with_suffix(".html")
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
        return dataclasses.asdict(blm.summarize(self.path, tz="UTC", **options).totals)
