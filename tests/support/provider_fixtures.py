"""Fixtures of tests with a provider on loopback, for the real SDKs and frameworks."""

from __future__ import annotations

import gc
import os

import pytest

from bamboo_logmetrics.instrument import shield, uninstrument
from support.provider_server import ProviderServer


@pytest.fixture
def server(monkeypatch):
    """Run a provider that answers as the test says; no proxy stands before it."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with ProviderServer() as provider:
        yield provider


@pytest.fixture(autouse=True)
def no_errors_inside(monkeypatch):
    """Fail a test in which the instrumentation had an error of its own."""
    monkeypatch.setattr(shield._Errors, "count", 0)
    yield
    uninstrument()
    gc.collect()
    assert shield._Errors.count == 0
