"""WebSockets through the proxy: messages as they came, and two events for each response."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from support.observed import call_of, calls_of, wait_for_calls
from support.socket_server import SocketServer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bamboo_logmetrics.live.forwarding import Proxy, ProxyOptions
from bamboo_logmetrics.live.upstreams import make_upstreams

USAGE = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42, "input_tokens_details": {"cached_tokens": 8}}


def response(number, status="completed", **keys):
    return {"id": f"resp_ws_{number}", "object": "response", "model": "m-2026", "status": status, **keys}


def answer(connection, number, *, last="response.completed"):
    """Send the events of one response."""
    connection.send(json.dumps({"type": "response.created", "response": response(number, "in_progress", usage=None)}))
    delta = {"type": "response.output_text.delta", "delta": "hello", "response_id": f"resp_ws_{number}"}
    connection.send(json.dumps(delta))
    connection.send(json.dumps({"type": last, "response": response(number, usage=USAGE)}))


@pytest.fixture
def relay(serve):
    """Run a proxy before a WebSocket server with this handler, and return both."""
    servers = []

    def relaying(handler, **options):
        servers.append(SocketServer(handler, **options).__enter__())
        return serve(f"ws={servers[-1].url}"), servers[-1]

    yield relaying
    for server in servers:
        server.__exit__()


def dial(proxy, path="/ws/v1/responses", **options):
    return connect(f"ws://127.0.0.1:{proxy.port}{path}", proxy=None, max_size=None, **options)


def test_messages_pass_both_ways(relay, log):
    """Texts, bytes and the reason of the close pass, and headers but those of the proxy."""

    def echo(connection):
        for message in connection:
            connection.send(message)

    proxy, server = relay(echo, subprotocols=["realtime"])
    headers = {"authorization": "Bearer sk-1", "x-bamboo-session": "s-1"}
    with dial(proxy, additional_headers=headers, subprotocols=["realtime", "other"]) as connection:
        assert connection.subprotocol == "realtime"
        for message in ("text é", b"\x00\xff", "x" * 2_000_000):
            connection.send(message)
            assert connection.recv() == message
        connection.close(4001, "done")
    (handshake,) = server.handshakes
    assert handshake.headers["authorization"] == "Bearer sk-1"
    assert "x-bamboo-session" not in handshake.headers
    assert calls_of(log) == []


def test_each_response_is_a_call(relay, log):
    """Two responses on one connection are two calls, each with its model and its usage."""

    def answering(connection):
        for number, _ in enumerate(connection):
            answer(connection, number)

    proxy, _ = relay(answering)
    with dial(proxy, additional_headers={"x-bamboo-session": "s-1"}) as connection:
        for model in ("m-1", "m-2"):
            connection.send(json.dumps({"type": "response.create", "model": model, "input": []}))
            assert [json.loads(connection.recv())["type"] for _ in range(3)][-1] == "response.completed"
    calls = calls_of(log)
    assert [started["model"] for started, _ in calls] == ["m-1", "m-2"]
    for started, completed in calls:
        assert (started["endpoint"], started["is_stream"], started["session_id"]) == ("openai.responses", True, "s-1")
        assert (completed["status"], completed["status_code"]) == ("success", 101)
        assert (completed["total_tokens"], completed["cache_read_tokens"]) == (42, 8)
        assert (completed["usage_source"], completed["stream_end"]) == ("reported", "complete")
        assert completed["time_to_first_token_ms"] >= 0


def test_a_realtime_response_that_the_server_begins(relay, log):
    """A response that nobody asked for in words is a call too; its model is that of the query."""

    def speaking(connection):
        answer(connection, 1, last="response.done")
        connection.recv()

    proxy, server = relay(speaking)
    with dial(proxy, "/ws/v1/realtime?model=gpt-realtime") as connection:
        for _ in range(3):
            connection.recv()
        connection.send("enough")
    started, completed = call_of(log)
    assert (started["endpoint"], started["model"]) == ("openai.realtime", "gpt-realtime")
    assert (completed["status"], completed["total_tokens"]) == ("success", 42)
    assert server.handshakes[0].path == "/v1/realtime?model=gpt-realtime"


def test_an_end_that_is_told_again(relay, log):
    """A response whose end comes twice is one call."""

    def telling(connection):
        answer(connection, 1)
        connection.send(json.dumps({"type": "response.done", "response": response(1, usage=USAGE)}))
        connection.recv()

    proxy, _ = relay(telling)
    with dial(proxy, "/ws/v1/realtime?model=m-1") as connection:
        for _ in range(4):
            connection.recv()
        connection.send("enough")
    assert call_of(log)[1]["total_tokens"] == 42


def test_a_key_in_a_subprotocol(log, serve, tmp_path):
    """With a key of its own the proxy does not send the one that a page puts into a subprotocol."""
    (tmp_path / "key").write_text("sk-own\n")
    with SocketServer(lambda connection: None, subprotocols=["realtime"]) as server:
        proxy = serve(f"ws={server.url}", key_files=[f"ws={tmp_path / 'key'}"])
        names = ["realtime", "openai-insecure-api-key.sk-secret", "openai-beta.realtime-v1"]
        with dial(proxy, "/ws/v1/realtime?model=m-1&api_key=sk-secret", subprotocols=names) as connection:
            assert connection.subprotocol == "realtime"
    (handshake,) = server.handshakes
    assert handshake.headers["sec-websocket-protocol"].replace(" ", "") == "realtime,openai-beta.realtime-v1"
    assert handshake.path == "/v1/realtime?model=m-1"
    assert calls_of(log) == []


def test_an_error_in_place_of_a_response(relay, log):
    """An error ends the response that was asked for."""

    def failing(connection):
        connection.recv()
        connection.send(
            json.dumps({"type": "error", "status": 400, "error": {"code": "bad", "message": "no such model"}})
        )
        connection.recv()

    proxy, _ = relay(failing)
    with dial(proxy) as connection:
        connection.send(json.dumps({"type": "response.create", "model": "m-1"}))
        connection.recv()
        connection.send("enough")
    completed = call_of(log)[1]
    assert (completed["status"], completed["error"], completed["error_type"]) == ("error", "no such model", "bad")


def test_a_client_that_leaves(relay, log):
    """A client that closes in the middle of a response ends it as cancelled."""

    def half(connection):
        connection.recv()
        connection.send(json.dumps({"type": "response.created", "response": response(1, "in_progress")}))
        with pytest.raises(ConnectionClosed):
            connection.recv()

    proxy, _ = relay(half)
    with dial(proxy) as connection:
        connection.send(json.dumps({"type": "response.create", "response": {"model": "m-1"}}))
        connection.recv()
    wait_for_calls(log)
    started, completed = call_of(log)
    assert (started["model"], completed["error_type"], completed["stream_end"]) == ("m-1", "cancelled", "closed")


def test_an_upstream_that_closes(relay, log):
    """An upstream that closes in the middle of a response ends it as broken, and the client gets its code."""

    def half(connection):
        connection.recv()
        connection.close(4008, "enough")

    proxy, _ = relay(half)
    with dial(proxy) as connection:
        connection.send(json.dumps({"type": "response.create", "model": "m-1"}))
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4008, "enough")
    completed = call_of(log)[1]
    assert (completed["status"], completed["error_type"], completed["stream_end"]) == (
        "error",
        "stream_broken",
        "broken",
    )


def test_a_refused_handshake(relay, log):
    """The status with which the upstream refuses the handshake arrives, and is reported."""
    proxy, _ = relay(lambda _: None, process_request=lambda connection, _: connection.respond(401, "no key\n"))
    with pytest.raises(InvalidStatus) as refused, dial(proxy):
        pass
    assert refused.value.response.status_code == 401
    assert call_of(log)[1]["status_code"] == 401


def test_an_upstream_that_is_not_there(serve, log):
    """An upstream that cannot be reached gives 502."""
    with pytest.raises(InvalidStatus) as refused, dial(serve("ws=http://127.0.0.1:9")):
        pass
    assert refused.value.response.status_code == 502
    assert call_of(log)[1]["status"] == "error"


def test_an_unknown_path(proxy, log):
    """A path that leads to no upstream is refused as one of HTTP is."""
    with pytest.raises(InvalidStatus) as refused, dial(proxy, "/nowhere/v1/responses"):
        pass
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["error"]["code"] == "unknown_path"
    assert calls_of(log) == []


def test_beside_the_responses(relay, log):
    """Errors without a response, parts of no response, and texts that are no events are passed on and not reported."""
    texts = [
        '{"type": "error"}', "no json", "[]", '{"type": 5}', '{"type": "response.output_text.delta", "delta": "x"}',
        '{"type": "response.output_text.delta", "response_id": "resp_other"}',
    ]  # fmt: skip

    def telling(connection):
        for text in texts:
            connection.send(text)
        connection.recv()

    proxy, _ = relay(telling)
    with dial(proxy) as connection:
        assert [connection.recv() for _ in texts] == texts
        connection.send('{"type": "response.create"')
        connection.send('{"type": "no response.create"}')
    assert calls_of(log) == []


def test_an_error_in_a_response(relay, log):
    """An error behind the beginning of a response ends it."""

    def failing(connection):
        connection.recv()
        connection.send(json.dumps({"type": "response.created", "response": response(2, "in_progress")}))
        connection.send(json.dumps({"type": "response.output_text.delta", "delta": "x"}))
        connection.send(json.dumps({"type": "error", "error": {"code": "bad", "message": "no"}}))
        connection.recv()

    proxy, _ = relay(failing)
    with dial(proxy) as connection:
        connection.send(json.dumps({"type": "response.create", "model": 5}))
        for _ in range(3):
            connection.recv()
        connection.send("enough")
    started, completed = call_of(log)
    assert (started["model"], completed["status"], completed["error_type"]) == ("", "error", "bad")
    assert completed["time_to_first_token_ms"] >= 0


def test_an_error_on_a_realtime_connection(relay, log):
    """An error there may be about anything: it ends no response, and one that never began is no call."""

    def failing(connection):
        connection.recv()
        connection.send(json.dumps({"type": "error", "error": {"code": "bad", "message": "no"}}))
        connection.recv()

    proxy, _ = relay(failing)
    with dial(proxy, "/ws/v1/realtime") as connection:
        connection.send(json.dumps({"type": "response.create"}))
        connection.recv()
        connection.send("enough")
    assert calls_of(log) == []


def test_an_upstream_that_vanishes(relay, log):
    """An upstream whose connection breaks gives the client a code that says so."""

    def vanishing(connection):
        connection.recv()
        connection.socket.shutdown(socket.SHUT_RDWR)

    proxy, _ = relay(vanishing)
    with dial(proxy) as connection:
        connection.send(json.dumps({"type": "response.create"}))
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert closed.value.rcvd.code == 1011
    assert call_of(log)[1]["stream_end"] == "broken"


def test_responses_that_never_end(relay, log):
    """A response that begins again, or one of too many, ends as broken: each has two events."""

    def beginning(connection):
        for number in [*range(101), 100]:
            connection.send(json.dumps({"type": "response.created", "response": response(number, "in_progress")}))
        connection.send("enough")
        with pytest.raises(ConnectionClosed):  # by the client alone
            connection.recv()

    proxy, _ = relay(beginning)
    with dial(proxy, "/ws/v1/realtime?model=m-1") as connection:
        while connection.recv() != "enough":
            pass
    wait_for_calls(log, 102)
    ends = [completed["error_type"] for _, completed in calls_of(log)]
    assert (ends.count("stream_broken"), len(ends)) == (2, 102)


def test_a_server_without_the_extension(log):
    """A server that cannot answer a handshake in full closes it."""
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "raw_path": b"/nowhere", "query_string": b"", "headers": []}
    asyncio.run(Proxy(log, ProxyOptions(upstreams=make_upstreams()))(scope, receive, send))
    assert sent == [{"type": "websocket.close"}]
