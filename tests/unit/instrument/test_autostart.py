"""The start of a program that is instrumented from outside; ``tests/unit/cli/test_run_command.py`` runs real ones."""

from __future__ import annotations

import os
import signal

import httpx
import pytest
from support.provider_server import ProviderServer
from support.tools import typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import autostart, uninstrument


@pytest.fixture
def start(monkeypatch, unconfigured):
    """Start as a program with these variables would; the test's process is as before afterwards."""
    on_sigterm = signal.getsignal(signal.SIGTERM)

    def starting(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"BAMBOO_LOGMETRICS_RUN_{name}", value)
        autostart.start()

    yield starting
    uninstrument()
    signal.signal(signal.SIGTERM, on_sigterm)


def test_the_environment_of_a_program(tmp_path):
    """The folder comes first in the path, once, and everything else stays."""
    outer = {"PYTHONPATH": os.pathsep.join(["a", autostart.FOLDER, "b"]), "HOME": "/home/me"}
    inner = autostart.environment(str(tmp_path / "x.jsonl"), ["h-1", "h-2"], outer)
    assert inner["PYTHONPATH"].split(os.pathsep) == [autostart.FOLDER, "a", "b"]
    assert inner["HOME"] == "/home/me"
    assert autostart.environment("a", [], {})["PYTHONPATH"] == autostart.FOLDER
    assert autostart.environment("a", [], {"PYTHONPATH": ":/app"})["PYTHONPATH"] == f"{autostart.FOLDER}::/app"


def test_a_start(tmp_path, start, monkeypatch):
    """The log is open, and clients for the hosts that are named are instrumented."""
    with ProviderServer() as server:
        start(LOG=str(tmp_path / "a.jsonl"), HOSTS="127.0.0.1")
        with httpx.Client(trust_env=False) as client:
            client.post(server.chat, json={"model": "m-1", "messages": []})
    assert blm.flush()
    assert [event["event"] for event in typed(tmp_path / "a.jsonl")] == [
        "forward.request_started",
        "forward.request_completed",
    ]


def test_a_python_that_was_not_asked(tmp_path, start, monkeypatch):
    """Without the variables no client is touched."""
    monkeypatch.delenv("BAMBOO_LOGMETRICS_RUN_LOG", raising=False)
    before = dict(vars(httpx.Client))
    start(HOSTS="127.0.0.1")
    assert dict(vars(httpx.Client)) == before
    start(LOG=str(tmp_path / "a.jsonl"))
    assert dict(vars(httpx.Client)) != before


def test_a_start_that_fails(tmp_path, start, capfd):
    """A log that cannot be opened is one line on stderr, and the program runs."""
    (tmp_path / "a.jsonl").write_text("not ours\n", encoding="utf-8")
    start(LOG=str(tmp_path / "a.jsonl"))
    assert "the calls of this process are not logged: ConfigError" in capfd.readouterr().err
