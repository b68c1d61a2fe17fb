from __future__ import annotations

import pytest

from bamboo_logmetrics.testing import GateSink, open_log_on


@pytest.fixture
def gate(path):
    gates = []

    def opening(**options):
        sink = GateSink()
        gates.append((sink, open_log_on(sink, path, **options)))
        assert sink.wait_for_writer()  # it holds worker_started
        return gates[-1]

    yield opening
    for sink, log in gates:
        sink.open_gate()
        log.close()


@pytest.fixture
def no_threads(monkeypatch):
    """Let every start of a thread fail."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
