"""Bodies are read within their limits."""

from __future__ import annotations

import asyncio

import pytest

from bamboo_logmetrics.live.receiver import Receiver, ReceiverOptions
from bamboo_logmetrics.live.telemetry_answers import TelemetryError
from bamboo_logmetrics.live.telemetry_bodies import ClientLeftError, HeldBytes, read_body


def received(*messages):
    """Return an ASGI ``receive`` that gives messages."""
    waiting = list(messages)

    async def receive():
        return waiting.pop(0)

    return receive


def test_pieces():
    """A body in pieces is put together."""
    pieces = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b"}]
    sizes = []
    assert asyncio.run(read_body(received(*pieces), 2, 5, sizes.append)) == b"ab"
    assert sizes == [1, 1]


def test_bodies_that_wait():
    """Bodies that do not fit beside those that wait get 503, and what is given back is free again."""
    held = HeldBytes(5)
    with held.holding() as take, held.holding() as other:
        take(2)
        take(2)
        with pytest.raises(TelemetryError, match="too many bodies") as refused:
            other(2)
        other(1)
    assert refused.value.status == 503
    with held.holding() as take:
        take(5)


def test_a_client_that_leaves():
    """A client that leaves before its body is complete gets no answer."""
    receive = received({"type": "http.disconnect"})
    with pytest.raises(ClientLeftError):
        asyncio.run(read_body(receive, 2, 5, lambda _: None))
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/logs", "headers": [(b"content-type", b"application/json")]}
    receiver = Receiver(None, ReceiverOptions())
    asyncio.run(receiver(scope, received({"type": "http.disconnect"}), send))
    assert sent == []
