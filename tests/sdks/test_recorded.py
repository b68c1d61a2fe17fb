"""Recorded exchanges, served again on loopback and read through the real SDKs and through bare clients.

Each gives one started and one completed event with the usage that the provider reported, and the application gets the
same as without instrumentation.
"""

from __future__ import annotations

import asyncio
import importlib

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

from bamboo_logmetrics.instrument import instrument

pytestmark = [
    pytest.mark.skipif(not EXCHANGES, reason="the recordings are not on this machine"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of SDKs, for the models that were recorded
]


# -- bare clients ------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("family", ["httpx", "httpx2"])
def test_bare_clients(server, log, family, encoding):
    """A bare client, sync and async, gets identical bytes, and the events have the usage."""
    package = pytest.importorskip(family)
    if encoding == "br":
        pytest.importorskip("brotli")
    sent = []

    def send(exchange, seed):
        server.answer(exchange.answer(encoding, seed))
        sent.append(exchange)
        return {"url": server.url + exchange.path, "json": exchange.request, "headers": {"accept-encoding": encoding}}

    with package.Client(timeout=30) as http:
        instrument(http, log=log)
        for seed, exchange in enumerate(EXCHANGES):
            with http.stream("POST", **send(exchange, seed)) as response:
                raw = b"".join(response.iter_raw())
            assert raw == ENCODERS[encoding](exchange.body) or encoding == "gzip"

    async def work():
        async with package.AsyncClient(timeout=30) as http:
            instrument(http, log=log)
            for seed, exchange in enumerate(EXCHANGES):
                response = await http.post(**send(exchange, seed + 1000))
                assert response.status_code == exchange.row["status"]
                if encoding in {"identity", "gzip", "deflate"}:
                    assert response.content == exchange.body

    asyncio.run(work())
    check(log, sent)


# -- SDKs --------------------------------------------------------------------------------


@pytest.mark.parametrize("sdk", SDKS)
def test_sync_sdks(server, log, sdk):
    """A sync SDK gets the same as without instrumentation, and the events have the usage."""
    module, name, _, calls, ends, provider = SDKS[sdk]
    make, sent = Maker(module, name, is_async=False), of_sdk(ends, provider)
    for seed, exchange in enumerate(sent):
        outcomes = []
        for instrumented in (False, True):
            server.answer(exchange.answer("identity", seed))
            client, call = calls(make, exchange, server.url)
            if instrumented:
                assert instrument(client, log=log) is client
            outcomes.append(outcome(lambda call=call: items_of(call())))
            close(client)
        assert outcomes[0] == outcomes[1]
    assert sent
    check(log, sent)


@pytest.mark.parametrize("sdk", SDKS)
def test_async_sdks(server, log, sdk):
    """An async SDK gets the same as without instrumentation, and the events have the usage."""
    module, _, name, calls, ends, provider = SDKS[sdk]
    make, sent = Maker(module, name, is_async=True), of_sdk(ends, provider)

    async def work():
        for seed, exchange in enumerate(sent):
            outcomes = []
            for instrumented in (False, True):
                server.answer(exchange.answer("identity", seed))
                client, call = calls(make, exchange, server.url)
                if instrumented:
                    assert instrument(client, log=log) is client
                outcomes.append(await async_outcome(lambda call=call: async_items_of(call)))
                await async_close(client)
            assert outcomes[0] == outcomes[1]

    asyncio.run(work())
    check(log, sent)


def test_every_sdk_is_here():
    """At least the SDKs of one environment are installed, so that these tests do not pass by skipping."""
    assert [sdk for sdk in ("openai", "anthropic") if importlib.util.find_spec(sdk)] == ["openai", "anthropic"]
