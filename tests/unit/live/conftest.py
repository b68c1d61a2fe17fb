"""A provider on loopback, and the proxy before it."""

from __future__ import annotations

import httpx
import pytest
from support.provider_fixtures import no_errors_inside, server
from support.served import Served

from bamboo_logmetrics.live.forwarding import Proxy, ProxyOptions
from bamboo_logmetrics.live.upstreams import make_upstreams

__all__ = ["no_errors_inside", "server"]


@pytest.fixture
def serve(log, server):
    """Run proxies with options, whose upstream ``openai`` is the provider on loopback."""
    running = []

    def serving(*pairs, key_files=(), **options):
        upstreams = make_upstreams([f"openai={server.url}", f"anthropic={server.url}", *pairs], key_files)
        served = Served(Proxy(log, ProxyOptions(upstreams=upstreams, **options)))
        running.append(served.__enter__())
        return running[-1]

    yield serving
    for served in running:
        served.__exit__()


@pytest.fixture
def proxy(serve):
    """Run a proxy with default options."""
    return serve()


@pytest.fixture
def client():
    """Return a client that is closed after the test."""
    with httpx.Client(timeout=30, trust_env=False) as plain:
        yield plain
