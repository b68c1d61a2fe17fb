"""Bodies are read within their limits."""

from __future__ import annotations

import asyncio

import pytest

from bamboo_logmetrics.live.receiver import Receiver, ReceiverOptions
from bamboo_logmetrics.live.telemetry_bodies import ClientLeftError, read_body


def received(*messages):
    """Return an ASGI ``receive`` that gives messages."""
    waiting = list(messages)

    async def receive():
        return waiting.pop(0)

    return receive


def test_pieces():
    """A body in pieces is put together."""
    pieces = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b"}]
    assert asyncio.run(read_body(received(*pieces), 2, 5)) == b"ab"


def test_a_client_that_leaves():
    """A client that leaves before its body is complete gets no answer."""
    receive = received({"type": "http.disconnect"})
    with pytest.raises(ClientLeftError):
        asyncio.run(read_body(receive, 2, 5))
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/logs", "headers": [(b"content-type", b"application/json")]}
    receiver = Receiver(None, ReceiverOptions())
    asyncio.run(receiver(scope, received({"type": "http.disconnect"}), send))
    assert sent == []
