"""Fixtures of the commands' tests."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bamboo_logmetrics.cli.commands import cli


@pytest.fixture
def run():
    """Run a command in this process; returns click's result."""

    def running(*args):
        return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="bamboo-logmetrics")

    return running
