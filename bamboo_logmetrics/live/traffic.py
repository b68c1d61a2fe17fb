"""Requests that pass through a server: counts, and word of each one that ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from bamboo_logmetrics.instrument.asgi import App, Message, Receive, Scope, Send

_LEAST_ERROR = 400
_SWITCHED = 101


@dataclass(slots=True)
class Passed:
    """One request or WebSocket that has ended.

    Args:
        method: the method; ``WS`` for a WebSocket.
        path: the path as the client sent it, without the query, which may hold a key.
        status: the HTTP status that the client got; 0 for none.
        milliseconds: from its beginning to its end.
        is_whole: False if the answer was cut off, or the client left.
    """

    method: str
    path: str
    status: int
    milliseconds: int
    is_whole: bool

    @property
    def is_error(self) -> bool:
        """True for a status of 400 or more, and for an answer that is not whole."""
        return not self.is_whole or self.status >= _LEAST_ERROR


class Traffic:
    """An ASGI application around another one, which counts its requests and WebSockets.

    Args:
        app: the application.
        on_end: called with each one that has ended.

    Attributes:
        requests: the number of those that have ended.
        errors: the number of errors among them.
    """

    def __init__(self, app: App, on_end: Callable[[Passed], object] = lambda _: None) -> None:
        self.requests = 0
        self.errors = 0
        self._app = app
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on to the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began, sender = perf_counter(), _Sender(send)
        try:
            await self._app(scope, receive, sender.send)
        finally:
            method = scope["method"] if scope["type"] == "http" else "WS"
            path = scope["raw_path"].decode("latin-1")
            elapsed = int((perf_counter() - began) * 1000)
            passed = Passed(method, path, sender.status, elapsed, sender.is_whole)
            self.requests += 1
            self.errors += passed.is_error
            self._on_end(passed)


class _Sender:
    """Passes messages on, and remembers the status and whether the last one came."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self.is_whole = False
        self._send = send

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status, self.is_whole = _SWITCHED, True
        elif kind != "websocket.send" and not message.get("more_body", False):
            self.is_whole = True
        await self._send(message)
