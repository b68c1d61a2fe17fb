"""Signals that end commands."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile

import pytest
from support.programs import ENVIRONMENT, PROGRAM

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.signals import SignalInterrupt, interrupt_at_signals

ENDING = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def default():
    """Have both signals do what they do by default, for the test."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.usefixtures("default")
def test_a_signal_interrupts_once(number):
    """A signal raises, and a second one does not disturb the cleaning up; then both do what they did before."""
    with pytest.raises(SignalInterrupt) as ended, interrupt_at_signals():
        try:
            signal.raise_signal(number)
        finally:
            for each in ENDING:
                signal.raise_signal(each)
    assert ended.value.number == number
    assert [signal.getsignal(each) for each in ENDING] == [signal.SIG_DFL] * 2


@pytest.mark.usefixtures("default")
def test_an_ignored_signal_stays_ignored():
    """A signal that nohup ignores does not end a command."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupt_at_signals():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.usefixtures("default")
def test_the_exit_code_names_the_signal(run, path, monkeypatch, number):
    """A command that a signal ends says so, and exits with 128 and its number; the signals are as before."""
    with blm.open_log(path) as log:
        log.info("ready")
    monkeypatch.setattr("bamboo_logmetrics.reading.verify", lambda *_, **__: signal.raise_signal(number))
    result = run("verify", path)
    assert result.exit_code == 128 + number
    assert result.stderr == f"ended by {number.name}\n"
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.usefixtures("default")  # which its process inherits
@pytest.mark.parametrize("command", ["query - -o new.jsonl", "summary -", "report - -o new.html"])
def test_nothing_is_left_behind(tmp_path, command, number):
    """A command that is ended while it reads leaves neither an output file nor a temporary directory."""
    with tempfile.TemporaryDirectory() as temporary:
        process = subprocess.Popen(
            [*PROGRAM, *command.split()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**ENVIRONMENT, "TMPDIR": temporary},
        )
        try:
            assert process.stdin is not None
            process.stdin.write(b"other\n" * 100_000)  # which ends when it is read, but for what a pipe holds
            process.stdin.flush()
            process.send_signal(number)
            assert process.wait(60) == 128 + number
            assert process.stderr is not None
            assert process.stderr.read().decode() == f"ended by {number.name}\n"
        finally:
            process.kill()
            process.communicate()
        assert os.listdir(temporary) == []
        assert os.listdir(tmp_path) == []
