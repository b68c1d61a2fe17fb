"""Fixtures of the tests on the files of a log, and on reading them."""

from __future__ import annotations

import pytest
from support.logs import rotated, write_log

from bamboo_logmetrics.logfiles import discovery


@pytest.fixture
def many(path):
    """Write a closed log of 100 events in many small files."""
    write_log(path, 100, max_bytes=4_000)
    assert len(rotated(path)) > 5
    return path


@pytest.fixture
def one_at_a_time(monkeypatch):
    """Have files opened one by one, so that a test can act between two of them."""
    monkeypatch.setattr(discovery, "_AHEAD", 1)


@pytest.fixture
def hand_log(tmp_path):
    """Return a log that the test writes by hand."""
    from support.shiplog import HandLog  # imports the shipper

    return HandLog(tmp_path)
