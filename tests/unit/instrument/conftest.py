"""A provider on loopback, and clients of httpx that are closed after the test."""

from __future__ import annotations

import gc
import sys

import httpx
import pytest
from support.provider_fixtures import server

from bamboo_logmetrics.instrument import instrument, shield, uninstrument

__all__ = ["client", "no_errors_inside", "nothing_is_left", "server"]


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch):
    """Fail a test that leaves an instrumented class behind."""
    monkeypatch.setattr(shield._Errors, "count", 0)
    init = httpx.Client.__init__
    finders = list(sys.meta_path)
    yield
    uninstrument()
    assert httpx.Client.__init__ is init
    assert sys.meta_path == finders


@pytest.fixture
def client(log):
    """Return an instrumented client."""
    with httpx.Client(timeout=30) as plain:
        yield instrument(plain, log=log)


@pytest.fixture
def no_errors_inside():
    """Fail a test in which the instrumentation had an error of its own, also one behind a collected answer."""
    gc.collect()
    yield
    gc.collect()
    assert shield._Errors.count == 0
