"""A provider on loopback, and clients of httpx that are closed after the test."""

from __future__ import annotations

import gc
import os
import sys

import httpx
import pytest
from support.provider_server import ProviderServer

from bamboo_logmetrics.instrument import instrument, shield, uninstrument


@pytest.fixture
def server(monkeypatch):
    """Run a provider that answers as the test says; no proxy stands before it."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with ProviderServer() as provider:
        yield provider


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
