"""The forwarding proxy as an ASGI application: who may come in, where a path leads, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp

from bamboo_logmetrics.instrument.asgi import Receive, Scope, Send
from bamboo_logmetrics.instrument.settings import Settings
from bamboo_logmetrics.live import forwarding_answers as answers
from bamboo_logmetrics.live.forwarding_answers import ErrorAnswer, send_error
from bamboo_logmetrics.live.forwarding_client import make_session
from bamboo_logmetrics.live.forwarding_exchange import Exchange, Forwarding
from bamboo_logmetrics.live.forwarding_headers import NotUtf8Error, RequestHeaders
from bamboo_logmetrics.live.upstreams import Upstream, is_plain_path, is_visible, split_path
from bamboo_logmetrics.live.websocket import HANDSHAKE, Relay, send_denial
from bamboo_logmetrics.logger.bound_log import BoundLog

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """The choices for a proxy.

    Args:
        upstreams: the upstreams by name.
        token: the token that clients have to give; empty for none.
        session_from: the name of a header that names the session, in lower case; empty for none.
        max_body: the largest body of a request, in bytes.
        max_concurrent: the number of requests and WebSockets that may be under way.
        timeout: seconds that may pass without a byte from the upstream, or of the body of a request.
    """

    upstreams: Mapping[str, Upstream]
    token: str = ""
    session_from: str = ""
    max_body: int = 1024**3
    max_concurrent: int = 2000
    timeout: float = 600.0


class Proxy:
    """The ASGI application.

    Args:
        log: the log that gets the events.
        options: the choices.
    """

    def __init__(self, log: BoundLog, options: ProxyOptions) -> None:
        self._options = options
        self._settings = {
            name: Settings(log, provider=upstream.provider) for name, upstream in options.upstreams.items()
        }
        self._session: aiohttp.ClientSession | None = None
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a connection of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._take_request(scope, receive, send)
        else:
            await self._take_websocket(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Answer the server's messages at its start and its end, and close the connections at the end."""
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def close(self) -> None:
        """Close the connections to the upstreams."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP client, made in the event loop of its first request."""
        if self._session is None:
            self._session = make_session(self._options.timeout)
        return self._session

    async def _take_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        forwarding = self._route(scope, scope["method"])
        if isinstance(forwarding, ErrorAnswer):
            await send_error(send, forwarding)
            return
        with self._counted():
            await Exchange(forwarding, receive, send).run()

    async def _take_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a WebSocket, or refuse it."""
        forwarding = self._route(scope, "POST", HANDSHAKE)  # each response on it is a new one, not one asked for again
        if isinstance(forwarding, ErrorAnswer):
            await send_denial(scope, receive, send, forwarding)
            return
        with self._counted():
            await Relay(forwarding, scope, receive, send).run()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _route(self, scope: Scope, method: str, dropped: frozenset[str] = frozenset()) -> Forwarding | ErrorAnswer:
        """Return a request ready to be forwarded, or the reason why it is not.

        Args:
            scope: the connection.
            method: the method.
            dropped: names of headers that the upstream does not get.
        """
        options = self._options
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        try:
            headers = RequestHeaders.read(scope["headers"])
        except NotUtf8Error:
            return answers.BAD_HEADER
        if options.token and not headers.has_token(options.token):
            return answers.NO_TOKEN
        name, remainder = split_path(path)
        upstream = options.upstreams.get(name)
        if upstream is None:
            return answers.unknown_path(options.upstreams)
        refusal = self._refusal(method, (path, query), headers, upstream)
        if refusal is not None:
            return refusal
        if "transfer-encoding" in headers.names:
            dropped |= {"content-length"}
        return Forwarding(
            session=self.session,
            settings=self._settings[name],
            upstream=upstream,
            method=method,
            path=upstream.prefix + remainder,
            query=query,
            headers=headers,
            sent_headers=headers.to_upstream(upstream, options.token, dropped),
            ids=headers.ids(scope["headers"], options.session_from),
            most_bytes=options.max_body,
            timeout=options.timeout,
        )

    def _refusal(
        self, method: str, target: tuple[str, str], headers: RequestHeaders, upstream: Upstream
    ) -> ErrorAnswer | None:
        """Return the reason why a request is not forwarded; None if it is."""
        options = self._options
        if upstream.key and not options.token and headers.is_from_a_page():
            return answers.FROM_A_PAGE
        if method not in _METHODS:
            return answers.BAD_METHOD
        if not (is_plain_path(target[0]) and is_visible(target[1])):
            return answers.BAD_PATH
        if int(headers.get("content-length", "0")) > options.max_body:
            return answers.TOO_LARGE
        return answers.TOO_MANY if self._under_way >= options.max_concurrent else None
