"""ASGI middleware: the requests that an application or a proxy receives, as events with ``side="server"``.

They carry no usage: the calls to providers, which the application makes meanwhile, report it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from time import monotonic
from typing import Any
from uuid import uuid4

from structlog.contextvars import bound_contextvars

from bamboo_logmetrics.events import ForwardStatus, RequestCompleted, RequestStarted
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import get_logger
from bamboo_logmetrics.usage.providers import endpoint_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OTHER_ENDPOINT = "http"  # of a path that is no provider's API: paths have ids and names in them

_VERSION = re.compile(r"/v\d[a-z0-9]*/", re.ASCII)  # in the path of every provider's API
_LEAST_ERROR = 400  # the lowest status code of an error
_SERVER_ERROR = 500
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.ASCII)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)  # of a header that anybody may send


class MetricsMiddleware:
    """Report each HTTP request that an ASGI application receives: RequestStarted and RequestCompleted.

    ``app = MetricsMiddleware(app)`` wraps any application; with FastAPI and Starlette it is
    ``app.add_middleware(MetricsMiddleware)``. Each event has ``side="server"``, ``method`` and, at the end, ``route``:
    the route's pattern, where the framework tells it. While the application runs, structlog's context variable
    ``trace_id`` is that of the ``traceparent`` header, else the ``x-request-id``, so that all events of the request
    have it.

    Args:
        app: the application.
        log: the log; the configured one when left out.
        ignore: paths that are not reported, such as those of health checks.
    """

    def __init__(
        self, app: App, log: BoundLog | None = None, ignore: Collection[str] = ("/healthz", "/metrics")
    ) -> None:
        self.app = app
        self._log = log
        self._ignore = frozenset(path.rstrip("/") for path in ignore)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on to the application, and report it if it is an HTTP request."""
        if scope["type"] != "http" or scope.get("path", "").rstrip("/") in self._ignore:
            await self.app(scope, receive, send)
            return
        request = _Request(self._log or get_logger(), scope, send)
        trace = {"trace_id": request.trace_id} if request.trace_id else {}
        with bound_contextvars(**trace):
            request.start()
            try:
                await self.app(scope, receive, request.send)
            except BaseException as error:
                request.end(error)
                raise
            request.end()


class _Request:
    """One request: what is known of it, and its two events."""

    def __init__(self, log: BoundLog, scope: Scope, send: Send) -> None:
        self._log = log
        self._scope = scope
        self._send = send
        self._id = str(uuid4())
        self._began = monotonic()
        self._status_code = 0
        self._complete = self._closed = self._ended = False
        self._bound: dict[str, Any] = {"side": "server"}
        self.trace_id = trace_id_of(scope.get("headers", ()))

    @shielded
    def start(self) -> None:
        """Emit RequestStarted."""
        headers = self._scope.get("headers", ())
        self._bound["method"] = self._scope.get("method", "")
        streams = any(b"text/event-stream" in value for value in _values(headers, b"accept"))
        started = RequestStarted(
            request_id=self._id, endpoint=_endpoint(self._scope.get("path", "")), model="", is_stream=streams
        )
        self._log.emit(started, **self._bound)

    async def send(self, message: Message) -> None:
        """Pass a message of the application on to the server."""
        try:
            await self._send(message)
        except OSError:  # the client is gone, says the ASGI specification 2.4
            self._closed = True
            raise
        if message["type"] == "http.response.start":
            self._status_code = message["status"]
        elif message["type"] == "http.response.body":
            more = message.get("more_body", False)
            if more and message.get("body"):
                self._bound.setdefault("time_to_first_token_ms", self._elapsed_ms())
            if not more:
                self._complete = True
                self.end()

    @shielded
    def end(self, error: BaseException | None = None) -> None:
        """Emit RequestCompleted, once."""
        if self._ended:
            return
        self._ended = True
        code, status, text = self._outcome(error)
        if route := getattr(self._scope.get("route"), "path", None):
            self._bound["route"] = route
        completed = RequestCompleted(
            request_id=self._id, status_code=code, status=status, latency_ms=self._elapsed_ms(), error=text
        )
        self._log.emit(completed, **self._bound)

    def _outcome(self, error: BaseException | None) -> tuple[int, ForwardStatus, str | None]:
        """Return the status code, the status and the text of the error, and bind what else tells how it ended."""
        code, text = self._status_code, None
        if self._closed or isinstance(error, asyncio.CancelledError):
            self._bound["stream_end"] = "closed"
        if isinstance(error, asyncio.CancelledError):
            self._bound["error_type"] = "cancelled"
            return code, ForwardStatus.ERROR, None
        if error is not None and not self._closed:
            code = code or _SERVER_ERROR  # the server's answer to an exception
            self._bound["error_type"], text = type(error).__name__, str(error) or None
            return code, ForwardStatus.ERROR, text
        return code, ForwardStatus.ERROR if code >= _LEAST_ERROR or not code else ForwardStatus.SUCCESS, text

    def _elapsed_ms(self) -> float:
        return (monotonic() - self._began) * 1000


def _endpoint(path: str) -> str:
    """Return the endpoint of a provider's API that a path is; of any other path only that it is one."""
    endpoint = endpoint_of(path)
    return endpoint.name if endpoint.family and _VERSION.search(path) else OTHER_ENDPOINT


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


def trace_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the id of the trace that the request belongs to, by its headers; None where they have none."""
    for name, pattern in ((b"traceparent", _TRACEPARENT), (b"x-request-id", _REQUEST_ID)):
        for value in _values(headers, name):
            if match := pattern.fullmatch(value.decode("latin-1")):
                return match[1] if match.lastindex else match[0]
    return None
