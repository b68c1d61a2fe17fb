"""Requests and answers through the proxy: bytes as they came, and exactly two events whatever happens."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import threading

import httpx
import pytest
from support.observed import call_of, calls_of, ending_of, wait_for_calls
from support.provider_server import BROKEN, CHAT, CHAT_STREAM, RESET, Answer, json_answer, stream_answer

from bamboo_logmetrics.live import forwarding, forwarding_exchange
from bamboo_logmetrics.live.forwarding import Proxy, ProxyOptions
from bamboo_logmetrics.live.forwarding_exchange import Exchange
from bamboo_logmetrics.live.upstreams import make_upstreams

ASKED = {"model": "m-1", "messages": [], "stream": True}
PATH = "/openai/v1/chat/completions"


def test_a_body_as_a_whole(server, proxy, client, log):
    """An answer arrives byte for byte, and its call has the usage that the instrumentation would read."""
    response = client.post(
        proxy.url + PATH, json={"model": "m-1", "messages": []}, headers={"x-stainless-retry-count": "1"}
    )
    assert response.content == json.dumps(CHAT).encode()
    started, completed = call_of(log)
    assert (started["endpoint"], started["model"], started["is_stream"]) == ("openai.chat_completions", "m-1", False)
    assert (started["provider"], started["attempt"]) == ("openai", 2)
    assert ending_of(log) == ("success", 200, None, "reported", 42)
    assert completed["response_id"] == "chatcmpl-1"
    assert [request[:2] for request in server.requests] == [("POST", "/v1/chat/completions")]


def test_a_stream_passes_chunk_by_chunk(server, proxy, client, log):
    """The first chunk of a stream arrives while the second is not sent yet."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))
    with client.stream("POST", proxy.url + PATH, json=ASKED) as response:
        chunks = response.iter_raw()
        assert next(chunks) == CHAT_STREAM[0]
        hold.set()
        assert b"".join(chunks) == b"".join(CHAT_STREAM[1:])
    assert call_of(log)[0]["is_stream"] is True
    assert ending_of(log) == ("success", 200, "complete", "reported", 42)
    assert call_of(log)[1]["time_to_first_token_ms"] >= 0


def test_a_client_that_leaves_stops_the_upstream(server, proxy, client, log):
    """A client that closes the connection in a stream ends the call as cancelled, with the upstream's connection closed."""
    server.answer(stream_answer([*CHAT_STREAM[:1], *[b": more\n\n"] * 10**6], hold=(hold := threading.Event())))
    with client.stream("POST", proxy.url + PATH, json=ASKED) as response:
        next(response.iter_raw())
    wait_for_calls(log)
    _, completed = call_of(log)
    assert (completed["status"], completed["error_type"], completed["stream_end"]) == ("error", "cancelled", "closed")
    hold.set()  # the provider's writes fail now: otherwise the fixture would wait for it


def test_an_upstream_that_breaks(server, proxy, client, log):
    """A stream that breaks reaches the client as a broken one."""
    server.answer(stream_answer(CHAT_STREAM[:2], ending=BROKEN))
    with pytest.raises(httpx.RemoteProtocolError), client.stream("POST", proxy.url + PATH, json=ASKED) as response:
        response.read()
    assert ending_of(log)[:3] == ("error", 200, "broken")


def test_an_upstream_without_an_answer(server, proxy, client, log):
    """An upstream that closes the connection gives 502 with its name, and an error in the log."""
    server.answer(Answer(ending=RESET))
    response = client.post(proxy.url + PATH, json=ASKED)
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_unreachable"
    assert "'openai' (127.0.0.1)" in response.json()["error"]["message"]
    assert ending_of(log)[:2] == ("error", 0)


def test_errors_arrive_as_sent(server, proxy, client, log):
    """A 429 arrives with its Retry-After, and the event has the wait."""
    server.answer(json_answer({"error": {"message": "slow", "type": "rate_limit"}}, 429, retry_after="7"))
    response = client.post(proxy.url + PATH, json=ASKED)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json()["error"]["message"] == "slow"
    assert call_of(log)[1]["retry_wait_ms"] == 7000


def test_a_compressed_answer(server, proxy, client, log):
    """A compressed answer passes as it is, and its usage is read from the text in it."""
    body = gzip.compress(json.dumps(CHAT).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    server.answer(Answer(200, headers, [body], length=True))
    with client.stream("POST", proxy.url + PATH, json=ASKED) as response:
        assert b"".join(response.iter_raw()) == body
        assert response.headers["content-encoding"] == "gzip"
    assert ending_of(log)[3:] == ("reported", 42)


def test_a_body_in_chunks(server, proxy, client, log):
    """A request of unknown length is sent on in chunks, and its model is found at its end too."""
    parts = [b'{"messages": [', b'{"content": "' + b"x" * 300_000 + b'"}], "model"', b': "m-2", "stream": false}']
    assert client.post(proxy.url + PATH, content=iter(parts)).status_code == 200
    assert server.requests[0][3] == b"".join(parts)
    assert server.requests[0][2]["Transfer-Encoding"] == "chunked"
    assert call_of(log)[0]["model"] == "m-2"


def test_a_compressed_request(server, proxy, client, log):
    """The model in a compressed body is read; the body arrives as it was."""
    body = gzip.compress(json.dumps(ASKED).encode())
    client.post(proxy.url + PATH, content=body, headers={"content-encoding": "gzip"})
    assert server.requests[0][3] == body
    assert call_of(log)[0]["model"] == "m-1"


def test_other_paths_are_reported_without_usage(server, proxy, client, log):
    """A path that calls no model has two events, with status and latency, and no source of usage."""
    server.always = json_answer({"data": []})
    client.get(proxy.url + "/openai/v1/models?after=x")
    started, completed = call_of(log)
    assert (started["endpoint"], completed["status"], completed["status_code"]) == ("v1.models", "success", 200)
    assert "usage_source" not in completed
    assert server.requests[0][1] == "/v1/models?after=x"


def test_a_redirect_is_passed_on(server, proxy, client, log):
    """A redirect to another host is the client's to follow."""
    server.answer(Answer(302, {"location": "http://example.com/"}, [b""], length=True))
    response = client.post(proxy.url + PATH, json=ASKED)
    assert (response.status_code, response.headers["location"]) == (302, "http://example.com/")
    wait_for_calls(log)  # the client has all of an empty answer with its headers
    assert len(calls_of(log)) == 1


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body(serve, log, status):
    """An answer that has no body by its status may tell the length that one would have, and the connection goes on."""

    def answering():
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 %d x\r\ncontent-length: 5\r\netag: y\r\n\r\n" % status)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answering)
        thread.start()
        proxy = serve(f"openai=http://127.0.0.1:{listener.getsockname()[1]}")
        first = b"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
        answer = proxy.raw(first + b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        thread.join()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (answer.count(b"HTTP/1.1 "), answer.count(b"HTTP/1.1 404 "), answer.count(b"etag: y")) == (2, 1, 1)
    assert ending_of(log)[:2] == ("success", status)


def test_no_query_in_the_text_of_an_error(server, log, monkeypatch):
    """Nothing of a query is written, whatever stands in it."""

    class Failing(Exchange):
        async def run(self):
            self._begun().failed(ValueError("no https://x/v1?filter='a'&key=sk-secret x"))

    async def nothing(_client, _message):
        pass

    monkeypatch.setattr(forwarding, "Exchange", Failing)
    run_client(server, log, nothing)
    assert call_of(log)[1]["error"] == "ValueError: no https://x/v1?..."


def test_a_client_that_resets_in_its_upload(server, proxy, log):
    """A client that vanishes in the middle of its body ends the call as cancelled."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall(
            b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{}" + b" " * 70000
        )
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for_calls(log)
    assert call_of(log)[1]["error_type"] == "cancelled"


# -- against the interface of the server -------------------------------------------------


class Client:
    """A client as the server's interface shows it.

    Args:
        on_send: called with each message that the application sends.
    """

    scope = {"type": "http", "method": "POST", "raw_path": PATH.encode(), "query_string": b"", "headers": []}  # noqa: RUF012

    def __init__(self, on_send):
        self.left = asyncio.Event()
        self._on_send = on_send
        self._is_asked = False

    async def receive(self):
        """Give the body, and then the end of the connection once the client has left."""
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": b"{}", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        """Take a message of the application."""
        await self._on_send(self, message)


def run_client(server, log, on_send, *, work=None, **options):
    """Send one request, and return what ``work`` returns: by default the end of the application."""

    async def running():
        proxy = Proxy(log, ProxyOptions(upstreams=make_upstreams([f"openai={server.url}"]), **options))
        client = Client(on_send)
        task = asyncio.ensure_future(proxy(client.scope, client.receive, client.send))
        try:
            return await (work(task) if work else task)
        finally:
            await proxy.close()

    return asyncio.run(running())


def test_a_client_that_leaves_at_the_end(server, log):
    """A client that closes the connection with the last byte has had its answer."""

    async def leave(client, message):
        if message["type"] == "http.response.body" and not message["more_body"]:
            client.left.set()
            for _ in range(3):  # rounds of the event loop, in which the end of the connection is seen
                await asyncio.wait([asyncio.ensure_future(client.left.wait())])

    run_client(server, log, leave)
    assert ending_of(log)[:2] == ("success", 200)


def test_a_server_that_cannot_send(server, log):
    """An error of the server is its own to report, and the call is completed."""

    async def fail(_client, _message):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        run_client(server, log, fail)
    assert call_of(log)[1]["error_type"] == "RuntimeError"


def test_a_server_that_ends(server, log):
    """A server that ends before the answer cancels the call."""
    begun = asyncio.Event()

    async def begin(_client, _message):
        begun.set()

    async def end(task):
        await begun.wait()
        task.cancel()
        await task

    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))
    with pytest.raises(asyncio.CancelledError):
        run_client(server, log, begin, work=end)
    hold.set()
    assert call_of(log)[1]["error_type"] == "cancelled"


@pytest.fixture
def look(monkeypatch):
    """Return a function that looks after the exchange under way, as its timer does."""
    exchanges = []

    class Watched(Exchange):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            exchanges.append(self)

    monkeypatch.setattr(forwarding, "Exchange", Watched)
    return lambda: exchanges[-1]._look_after()


def test_a_client_that_does_not_read(server, log, look):
    """A client that takes nothing from one look to the next ends the call as timeout."""

    async def stall(client, message):
        if message["type"] == "http.response.body":
            look()
            look()
            await client.left.wait()

    server.answer(stream_answer(CHAT_STREAM, hold=(hold := threading.Event())))
    run_client(server, log, stall)
    hold.set()
    assert (call_of(log)[1]["status"], call_of(log)[1]["error_type"]) == ("timeout", "stalled")


def test_an_upstream_that_does_not_read(log, serve, client, monkeypatch):
    """An upstream that takes nothing of a large body for too long gives 504."""
    monkeypatch.setattr(forwarding_exchange, "_LATER_SECONDS", 0.5 - 600)  # the other limits are never reached
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = serve(f"openai=http://127.0.0.1:{silent.getsockname()[1]}", timeout=600)
        answer = client.post(proxy.url + PATH, content=b"x" * 50_000_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert (call_of(log)[1]["status"], call_of(log)[1]["error_type"]) == ("timeout", "stalled")


def test_a_long_answer_is_not_stalled(server, log, look):
    """An answer of which a part comes from each look to the next may last for much longer than the limit."""
    chunks = []

    async def read_slowly(_client, message):
        if message["type"] == "http.response.body":
            chunks.append(message)
            look()

    server.answer(stream_answer([b": x\n\n" * 30_000] * 5))
    run_client(server, log, read_slowly)
    assert len(chunks) > 1
    assert chunks[-1]["more_body"] is False
