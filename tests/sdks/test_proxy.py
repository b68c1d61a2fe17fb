"""The real SDKs and bare clients through the proxy: recorded exchanges, served again on loopback."""

from __future__ import annotations

import asyncio
import subprocess

import httpx
import pytest
from support.recorded import ENCODERS
from support.sdk_calls import (
    EXCHANGES,
    SDKS,
    Maker,
    async_close,
    async_items_of,
    async_outcome,
    check,
    close,
    items_of,
    of_sdk,
    outcome,
)
from support.served import Served

from bamboo_logmetrics.live.forwarding import Proxy, ProxyOptions
from bamboo_logmetrics.live.upstreams import make_upstreams

pytestmark = [
    pytest.mark.skipif(not EXCHANGES, reason="the recordings are not on this machine"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of SDKs, for the models that were recorded
]
PREFIXES = {"openai": "/openai", "groq": "/groq", "anthropic": "/anthropic", "genai": "/gemini", "mistral": "/mistral"}


@pytest.fixture
def proxy(server, log):
    """Run a proxy all of whose upstreams are the provider on loopback."""
    names = ("openai", "anthropic", "gemini", "groq", "mistral", "any")
    upstreams = make_upstreams(f"{name}={server.url}" for name in names)
    with Served(Proxy(log, ProxyOptions(upstreams=upstreams))) as served:
        yield served


@pytest.mark.parametrize("encoding", ENCODERS)
def test_bytes_are_identical(server, proxy, log, encoding):
    """Status, headers and body arrive as they were sent in every encoding, and the events have the usage."""
    if encoding == "br":
        pytest.importorskip("brotli")
    with httpx.Client(timeout=30, trust_env=False) as client:
        for seed, exchange in enumerate(EXCHANGES):
            server.answer(answer := exchange.answer(encoding, seed))
            with client.stream("POST", f"{proxy.url}/any{exchange.path}", json=exchange.request) as response:
                assert b"".join(response.iter_raw()) == b"".join(answer.chunks)
            assert response.status_code == answer.status
            sent = {(name.lower(), str(text)) for name, text in answer.headers.items()}
            assert sent <= {*response.headers.multi_items()}
            assert server.requests[-1][1] == exchange.path
    check(log, EXCHANGES)


def test_curl(server, proxy, log, tmp_path):
    """curl gets the same bytes."""
    for seed, exchange in enumerate(EXCHANGES[:20]):
        server.answer(exchange.answer("identity", seed))
        url = f"{proxy.url}/any{exchange.path}"
        command = ["curl", "-sS", "--noproxy", "*", "-o", tmp_path / "body", "-d", "{}", url]
        subprocess.run(command, check=True)
        assert (tmp_path / "body").read_bytes() == exchange.body
    assert EXCHANGES


@pytest.mark.parametrize("sdk", SDKS)
def test_sync_sdks(server, proxy, log, sdk):
    """A sync SDK gets the same through the proxy as without it, and the events have the usage."""
    module, name, _, calls, ends, provider = SDKS[sdk]
    make, sent = Maker(module, name, is_async=False), of_sdk(ends, provider)
    for seed, exchange in enumerate(sent):
        outcomes = []
        for url in (server.url, proxy.url + PREFIXES[sdk]):
            server.answer(exchange.answer("identity", seed))
            client, call = calls(make, exchange, url)
            outcomes.append(outcome(lambda call=call: items_of(call())))
            close(client)
        assert outcomes[0] == outcomes[1]
    assert sent
    check(log, sent)


@pytest.mark.parametrize("sdk", SDKS)
def test_async_sdks(server, proxy, log, sdk):
    """An async SDK gets the same through the proxy as without it, and the events have the usage."""
    module, _, name, calls, ends, provider = SDKS[sdk]
    make, sent = Maker(module, name, is_async=True), of_sdk(ends, provider)

    async def work():
        for seed, exchange in enumerate(sent):
            outcomes = []
            for url in (server.url, proxy.url + PREFIXES[sdk]):
                server.answer(exchange.answer("identity", seed))
                client, call = calls(make, exchange, url)
                outcomes.append(await async_outcome(lambda call=call: async_items_of(call)))
                await async_close(client)
            assert outcomes[0] == outcomes[1]

    asyncio.run(work())
    check(log, sent)
