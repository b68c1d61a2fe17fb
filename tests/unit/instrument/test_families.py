"""Transports and streams: nothing that the application sees is different."""

from __future__ import annotations

import asyncio
import copy

import httpx
import pytest
from support.observed import STARTED, calls_of, lines_of
from support.provider_server import CHAT, CHAT_STREAM, stream_answer

from bamboo_logmetrics.instrument import instrument
from bamboo_logmetrics.instrument.families import family_of

pytestmark = pytest.mark.usefixtures("no_errors_inside")


def test_streams_are_of_the_family(server, client):
    """The stream of an answer is a SyncByteStream of the client's own package."""
    server.answer(stream_answer(CHAT_STREAM))
    with client.stream("POST", server.chat, json={}) as response:
        assert isinstance(response.stream._stream, httpx.SyncByteStream)
        assert isinstance(client._transport, httpx.BaseTransport)
        assert "network_stream" in response.extensions
        assert response.http_version == "HTTP/1.1"


def test_attributes_of_the_transport(client):
    """A transport has the attributes of the one inside, and lacks those that it lacks."""
    assert client._transport._pool is client._transport.inner._pool
    with pytest.raises(AttributeError, match="HTTPTransport"):
        client._transport.nothing


def test_a_copy_of_a_transport(client):
    """A transport can be copied."""
    assert copy.copy(client._transport).inner is client._transport.inner


def test_a_client_as_a_context(server, log):
    """Entering and leaving a client enters and leaves its own transport."""
    steps = []

    class Counting(httpx.BaseTransport):
        def __enter__(self):
            steps.append("enter")
            return self

        def __exit__(self, *error):
            steps.append("exit")

    with instrument(httpx.Client(transport=Counting()), log=log):
        pass
    assert steps == ["enter", "exit"]


def test_closing_without_a_context(log):
    """Closing a client closes its own transport, sync and async."""
    closed = []
    sync = httpx.MockTransport(lambda request: httpx.Response(200))
    sync.close = lambda: closed.append("sync")

    class Async(httpx.AsyncBaseTransport):
        async def aclose(self):
            closed.append("async")

    instrument(httpx.Client(transport=sync), log=log).close()
    asyncio.run(instrument(httpx.AsyncClient(transport=Async()), log=log).aclose())
    assert closed == ["sync", "async"]


def test_nested_transports_observe_once(server, log):
    """A transport of ours inside another one leaves the call to the outer one, sync and async."""

    class Outer(httpx.BaseTransport):
        def __init__(self, client):
            self.client = client

        def handle_request(self, request):
            return self.client._transport.handle_request(request)

    with httpx.Client() as inner, httpx.Client(transport=Outer(instrument(inner, log=log))) as outer:
        assert instrument(outer, log=log).post(server.chat, json={}).json() == CHAT
        assert len(calls_of(log)) == 1
        assert inner.post(server.chat, json={}).json() == CHAT
        assert len(calls_of(log)) == 2


def test_async_requests_that_are_not_observed(server, log):
    """An async request that is no call passes."""

    async def work():
        async with httpx.AsyncClient() as plain:
            assert (await instrument(plain, log=log).get(f"{server.url}/v1/models")).json() == CHAT

    asyncio.run(work())
    assert lines_of(log, STARTED) == []


def test_async_requests_that_fail(log):
    """An async request without an answer is an error, and the application gets the exception."""

    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            raise httpx.ConnectError("refused")

    async def work():
        async with httpx.AsyncClient(transport=Failing()) as plain:
            with pytest.raises(httpx.ConnectError, match="refused"):
                await instrument(plain, log=log).post("http://localhost/v1/messages", json={})

    asyncio.run(work())
    assert [line["status"] for _, line in calls_of(log)] == ["error"]


def test_an_async_stream_that_is_no_generator(log):
    """A stream whose iterator has nothing to close passes too."""

    class Stream(httpx.AsyncByteStream):
        def __init__(self):
            self.left = [b'{"usage":', b'{"prompt_tokens":1,"completion_tokens":2}}']

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    async def work():
        transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Stream()))
        async with httpx.AsyncClient(transport=transport) as plain:
            return (await instrument(plain, log=log).post("http://localhost/v1/chat/completions", json={})).json()

    assert asyncio.run(work()) == {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert calls_of(log)[0][1]["total_tokens"] == 3


def test_a_family_is_made_once():
    """The classes of a family are made once."""
    assert family_of("httpx") is family_of("httpx")
