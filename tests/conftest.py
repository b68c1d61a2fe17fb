"""Fixtures of all tests: logs that are closed after the test, and the check that nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import pytest
import structlog
from hypothesis import HealthCheck, settings
from support.leaks import LeakCheck

import bamboo_logmetrics as blm
from bamboo_logmetrics.events import base
from bamboo_logmetrics.logger import opening
from bamboo_logmetrics.logger.target import LogTarget
from bamboo_logmetrics.pipeline import diagnostics

_SHORT_EVENTS = frozenset(base.SHORT_EVENTS)

# No time limits: how long an example takes depends on the machine's other work.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_configure(config):
    """Make signals and terminals what tests expect, also in programs that they start, whatever started the suite."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "PYTHONUNBUFFERED"):
        os.environ.pop(name, None)
    os.environ["TERM"] = "xterm"


def pytest_collection_finish(session):
    """Keep the objects of pytest's collection out of later garbage collections, which saves minutes."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Fail a test that leaves a thread, an open log or a descriptor of a test's file behind."""
    check, on_sigterm = LeakCheck(), signal.getsignal(signal.SIGTERM)
    base.SHORT_EVENTS |= _SHORT_EVENTS  # an event with a long text, of the test before, has changed it
    diagnostics.stderr.reset()  # the minute of the test before is over
    yield
    structlog.contextvars.clear_contextvars()
    assert check.leaks() == []
    assert opening._configured.pipeline is None, "the test configured the process's log: use the fixture unconfigured"
    assert signal.getsignal(signal.SIGTERM) is on_sigterm


@pytest.fixture
def open_log(tmp_path):
    """Open logs in the test's directory that are closed after it."""
    logs = []

    def opening(name="a.jsonl", **options):
        logs.append(blm.open_log(tmp_path / name, **options))
        return logs[-1]

    yield opening
    for log in logs:
        log.close()


@pytest.fixture
def path(tmp_path):
    """Return the path of the test's log."""
    return tmp_path / "a.jsonl"


@pytest.fixture
def log(open_log):
    """Open the log of the test, at ``path``."""
    return open_log()


@pytest.fixture
def stub():
    """Run a server that takes logs and answers as the test sets it up."""
    from support.stub_server import StubServer

    with StubServer() as server:
        yield server


@pytest.fixture
def unconfigured(monkeypatch):
    """Give the process an application log that is not configured, and structlog its defaults."""
    target = LogTarget()
    monkeypatch.setattr(opening, "_configured", target)
    yield target
    if target.pipeline is not None:
        target.pipeline.close()
    structlog.reset_defaults()


@pytest.fixture
def run_python(tmp_path_factory):
    """Run a program, as a file of its own, and return the CompletedProcess."""
    folder = tmp_path_factory.mktemp("program")

    def running(code, *args, timeout=60):
        script = folder / "program.py"
        script.write_text(code, encoding="utf-8")
        command = [sys.executable, script, *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=folder, check=False)

    return running


@pytest.fixture(scope="module")
def dead_pid():
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Run the real logs of random programs."""
    from support.model import Worlds

    started = Worlds(tmp_path_factory.mktemp("worlds") / "stderr")
    yield started
    started.end()
