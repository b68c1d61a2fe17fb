"""Commands that run a server, in this process."""

from __future__ import annotations

import os
import signal
import threading

import httpx
import pytest
from click.testing import CliRunner

from bamboo_logmetrics.cli import serving
from bamboo_logmetrics.cli.commands import cli


def run_server(command, work, *arguments):
    """Run a command in this thread, and ``work(client, url)`` in another once it listens; then stop the command.

    Return its result, and the lines that it has written.
    """
    failures, ready, lines = [], threading.Event(), []

    def working():
        ready.wait()
        if not lines:  # the command has ended, and the signal would end the tests
            return
        try:
            with httpx.Client(trust_env=False, timeout=30) as client:
                work(client, next(line.split()[2] for line in lines if line.startswith("listening")).rstrip(","))
        except BaseException as error:
            failures.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    def writing(text):
        lines.append(text)
        if text.startswith("listening"):
            ready.set()

    thread = threading.Thread(target=working)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "write", writing)
        result = CliRunner().invoke(cli, [command, "--listen", "127.0.0.1:0", *map(str, arguments)])
    ready.set()
    thread.join()
    assert not failures
    return result, lines
