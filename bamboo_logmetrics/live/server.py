"""The server of the proxy: its socket, its limits on slow and large headers, and its end by a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.instrument.asgi import App

GRACE_SECONDS = 30  # for requests that are under way when the server is stopped
_IDLE_SECONDS = 75  # longer than clients keep an idle connection, which is not to be closed just when it is used
_HEADER_SECONDS = 30  # until the headers of a request are complete
_MOST_HEADER_BYTES = 64 * 1024
_MOST_SOCKET_BYTES = 64 * 1024 * 1024  # of one message of a WebSocket
_BACKLOG = 2048
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
# uvicorn's words where an answer is cut off on purpose, and where a handshake is refused
_NO_ERRORS = {
    "ASGI callable returned without completing response.",
    "ASGI callable returned without completing handshake.",
}
_EXAMPLE = "such as 127.0.0.1:8787 or [::1]:8787"


def open_socket(listen: str, *, is_remote_allowed: bool) -> socket.socket:
    """Return a socket that listens.

    Args:
        listen: ``HOST:PORT``; port 0 for any that is free.
        is_remote_allowed: True if others than this machine may connect.

    Raises:
        ConfigError: the text is of another form, others could connect, or the address cannot be used.
    """
    host, port = _host_and_port(listen)
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        msg = f"--listen {listen}: the host is not known ({error.strerror}); use one {_EXAMPLE}"
        raise ConfigError(msg) from None
    if not is_remote_allowed and not ip_address(address[0]).is_loopback:
        msg = f"--listen {listen} lets other machines connect: give --allow-remote and --auth-token-file as well"
        raise ConfigError(msg)
    # with the protocol's number asyncio turns off Nagle's algorithm, which holds small answers back for 40 ms
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        msg = f"--listen {listen}: {error.strerror}; stop the other program, or use another port"
        raise ConfigError(msg) from None
    return listener


def _host_and_port(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not (colon and host and port.isdecimal() and port.isascii() and int(port) <= 65535):  # noqa: PLR2004
        msg = f"--listen {listen!r} is not HOST:PORT; use one {_EXAMPLE}"
        raise ConfigError(msg)
    return host.removeprefix("[").removesuffix("]"), int(port)


def address_of(listener: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes connections whose headers or trailers are too slow or too large."""

    _timer: asyncio.TimerHandle | None = None
    _is_in_headers = True
    _is_refused = False
    _other_bytes = 0  # since a request began, its headers ended, or the last piece of its body

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Read data, unless it is more than headers may have; then wait for the client to close."""
        if self._is_refused:
            return
        self._other_bytes += len(data)
        super().data_received(data)
        if self.transport.get_protocol() is not self or self.transport.is_closing():
            return  # it has become a WebSocket, or is at its end
        if self._other_bytes > _MOST_HEADER_BYTES:
            self._refuse()
        elif self._timer is None and self.cycle.response_complete:
            self._arm()  # what came has ended the wait for the next request, and is none

    def _refuse(self) -> None:
        """Take nothing more. An answer may be under way already where it is not the headers that are too large."""
        self._is_refused = True
        if self._is_in_headers:
            self.transport.write(_TOO_LARGE)
            self.transport.write_eof()  # a close would reset the connection before the client has read the answer
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of a request."""
        super().on_message_begin()
        self._other_bytes = 0
        self._is_in_headers = True
        self._arm()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer, which comes behind the body and is nobody's token or id, is left out."""
        if self._is_in_headers:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._other_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """End the wait for headers."""
        self._is_in_headers = False
        self._other_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the wait for headers."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        self._disarm()
        self._timer = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def make_server(app: App) -> uvicorn.Server:
    """Return a server for the application. It adds no header and writes no log but of its own errors."""
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.ERROR)
    logger.addFilter(_is_worth_telling)
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="websockets-sansio",
        ws_max_size=_MOST_SOCKET_BYTES,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    return record.getMessage() not in _NO_ERRORS


def run_server(server: uvicorn.Server, listener: socket.socket, on_ready: Callable[[], object]) -> None:
    """Serve until SIGTERM or Ctrl-C comes.

    uvicorn raises the signals that it got again when it has ended: the handlers here take them.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        on_ready()
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        listener.close()
