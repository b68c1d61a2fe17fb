"""The counts of a proxy."""

from __future__ import annotations

import pytest
from support.provider_server import BROKEN, CHAT_STREAM, json_answer, stream_answer
from support.served import Served
from support.socket_server import SocketServer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bamboo_logmetrics.live.forwarding import Proxy, ProxyOptions
from bamboo_logmetrics.live.traffic import Traffic
from bamboo_logmetrics.live.upstreams import make_upstreams


def test_requests_and_errors(server, log, client):
    """Each request and WebSocket is counted once, with its status; errors and answers that are cut off are errors."""
    with SocketServer(lambda connection: connection.recv()) as sockets:
        _check(server, log, client, sockets)


def _check(server, log, client, sockets):
    passed = []
    upstreams = make_upstreams([f"openai={server.url}", f"ws={sockets.url}"])
    traffic = Traffic(Proxy(log, ProxyOptions(upstreams=upstreams)), passed.append)
    with Served(traffic) as served:
        server.answer(json_answer({}), json_answer({}, 429), stream_answer(CHAT_STREAM[:1], ending=BROKEN))
        for _ in range(2):
            client.post(served.url + "/openai/v1/x?key=secret", json={})
        with pytest.raises(Exception, match="incomplete"):
            client.post(served.url + "/openai/v1/x", json={})
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{served.port}/nowhere", proxy=None):
            pass
        with connect(f"ws://127.0.0.1:{served.port}/ws/v1/x", proxy=None) as connection:
            connection.send("enough")
            with pytest.raises(ConnectionClosed):
                connection.recv()
    assert [(each.method, each.path, each.status, each.is_whole) for each in passed] == [
        ("POST", "/openai/v1/x", 200, True),
        ("POST", "/openai/v1/x", 429, True),
        ("POST", "/openai/v1/x", 200, False),
        ("WS", "/nowhere", 404, True),
        ("WS", "/ws/v1/x", 101, True),
    ]
    assert (traffic.requests, traffic.errors) == (5, 3)
