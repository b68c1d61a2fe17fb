"""The server: its address, its limits on headers, and its end."""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest
from support.served import Served

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.live import server
from bamboo_logmetrics.live.server import address_of, make_server, open_socket, run_server

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def answering(scope, receive, send):
    """Answer 204 to everything, as the smallest application does."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def read_answer(connection):
    """Return an answer without a body."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    return answer


@pytest.fixture
def served():
    """Run a server that answers 204."""
    with Served(answering) as running:
        yield running


def test_addresses():
    """An address is a host and a port; that of the socket is shown as a URL."""
    with open_socket("localhost:0", is_remote_allowed=False) as listener:
        assert address_of(listener).startswith("http://")
    with open_socket("0.0.0.0:0", is_remote_allowed=True) as listener:
        assert address_of(listener).startswith("http://0.0.0.0:")
    with pytest.raises(ConfigError, match="--allow-remote"):
        open_socket("0.0.0.0:0", is_remote_allowed=False)
    for listen in ("8787", ":1", "x:", "x:-1", "x:65536", "x:\u0661"):
        with pytest.raises(ConfigError, match="not HOST:PORT"):
            open_socket(listen, is_remote_allowed=False)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_ipv6_address():
    """An address of IPv6 stands in brackets."""
    try:
        listener = open_socket("[::1]:0", is_remote_allowed=False)
    except ConfigError:
        pytest.skip("no IPv6 on loopback")
    with listener:
        assert address_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_headers_that_are_too_large(served):
    """Headers beyond the limit get 431, whether they end or not, and the connection is closed."""
    for sent in (REQUEST + b"x: " + b"y" * 300_000, REQUEST + b"x: y\r\n" * 50_000, b"GET /" + b"y" * 300_000):
        assert served.raw(sent).startswith(b"HTTP/1.1 431 ")


def test_headers_in_order(served):
    """Requests one behind the other on a connection are counted one by one."""
    many = (REQUEST + b"x: " + b"y" * 20_000 + b"\r\n\r\n") * 5
    assert served.raw(many + REQUEST + b"connection: close\r\n\r\n").count(b"HTTP/1.1 204") == 6


def test_a_connection_without_a_request(monkeypatch):
    """A connection on which nothing comes is closed."""
    monkeypatch.setattr(server, "_HEADER_SECONDS", 0.05)
    with Served(answering) as served:
        assert served.raw(b"") == b""


@pytest.mark.parametrize("sent", [b"G", b"GET", REQUEST])
def test_headers_that_are_too_slow(monkeypatch, served, sent):
    """A connection whose headers do not come to an end is closed, also behind a request that was answered."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(REQUEST + b"\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 204 ")
        monkeypatch.setattr(server, "_HEADER_SECONDS", 0.05)
        connection.sendall(sent)
        assert connection.recv(100) == b""


BEGUN = b"POST / HTTP/1.1\r\nhost: x\r\n"
CHUNKED = BEGUN + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "sent"), [(REQUEST + b"\r\n", b"\r\n"), (BEGUN + b"content-length: 9\r\n\r\n", b"x")]
)
def test_no_request_behind_an_answer(monkeypatch, served, begun, sent):
    """A connection on which something else than a request comes behind an answer is closed too."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(begun)
        assert read_answer(connection).startswith(b"HTTP/1.1 204 ")
        monkeypatch.setattr(server, "_HEADER_SECONDS", 0.05)
        connection.sendall(sent)
        assert connection.recv(100) == b""


@pytest.mark.parametrize("trailers", [b"x: y\r\n", b"y"])
def test_trailers_without_an_end(served, trailers):
    """Trailers beyond the limit end the connection, also behind an answer."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(CHUNKED)
        assert read_answer(connection).startswith(b"HTTP/1.1 204 ")
        connection.sendall(b"0\r\nx: ")
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(trailers * 10_000)


def test_trailers_are_no_headers():
    """A trailer is not among the headers that the application sees, and a body in small chunks has no limit of them."""
    seen = []

    async def reading(scope, receive, send):
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            seen.append([name for name, _ in scope["headers"]])
        await answering(scope, receive, send)

    with Served(reading) as served:
        whole = CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + b"1\r\nx\r\n" * 50_000
        assert served.raw(whole + b"0\r\nx-bamboo-token: t\r\n\r\n").startswith(b"HTTP/1.1 204 ")
    assert seen == [[b"host", b"transfer-encoding", b"connection"]]


def test_a_signal_ends_the_server():
    """SIGTERM ends the server, closes its socket and leaves the handlers as they were."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    listener = open_socket("127.0.0.1:0", is_remote_allowed=False)
    address = listener.getsockname()

    def asking():
        with socket.create_connection(address) as connection:
            connection.sendall(REQUEST + b"connection: close\r\n\r\n")
            connection.recv(100)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=asking)
    run_server(make_server(answering), listener, thread.start)
    thread.join()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert listener.fileno() == -1


def test_a_signal_before_the_server_runs():
    """A signal that comes just before the server runs ends it too."""
    listener = open_socket("127.0.0.1:0", is_remote_allowed=False)
    run_server(make_server(answering), listener, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert listener.fileno() == -1


def test_words_that_are_no_errors(monkeypatch):
    """Answers that are cut off on purpose are not reported; other errors of the server are."""
    import logging

    make_server(answering)
    logger = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(logger, "disabled", False)  # as a configuration of other loggers may have left it
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    try:
        logger.error("ASGI callable returned without completing response.")
        logger.error("something else")
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in records] == ["something else"]
