"""WebSockets through the proxy: messages pass both ways as they are."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import aiohttp

from bamboo_logmetrics.instrument.asgi import Message, Receive, Scope, Send
from bamboo_logmetrics.instrument.request_facts import RequestFacts, facts_at
from bamboo_logmetrics.live import forwarding_answers as answers
from bamboo_logmetrics.live.forwarding_answers import ErrorAnswer, body_of
from bamboo_logmetrics.live.forwarding_calls import ForwardedCall, RawAnswer
from bamboo_logmetrics.live.forwarding_client import url_at
from bamboo_logmetrics.live.forwarding_exchange import Forwarding
from bamboo_logmetrics.live.forwarding_headers import query_without_keys, subprotocols_without_keys, to_client
from bamboo_logmetrics.live.websocket_calls import ResponseCalls

# of the two handshakes, each side makes its own
HANDSHAKE = frozenset({
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol",
    "sec-websocket-accept", "content-length",
})  # fmt: skip

_MOST_BYTES = 64 * 1024 * 1024  # of one message
_CLOSE_SECONDS = 10
_PING_SECONDS = 60  # an upstream that does not answer a ping is gone
_CLOSED_BY_ERROR = 1011
_NO_CODE = {1005, 1006, 1015}  # that stand for the absence of a code, and are never sent
_RESPONSE = "websocket.http.response"  # the extension by which a server answers a handshake as the application wants


async def send_denial(scope: Scope, receive: Receive, send: Send, refusal: ErrorAnswer) -> None:
    """Refuse a handshake with an answer of the proxy itself."""
    await receive()
    await _deny(scope, send, refusal.status, [(b"content-type", b"application/json")], body_of(refusal))


async def _deny(scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    if _RESPONSE not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})  # the server answers with 403
        return
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": f"{_RESPONSE}.start", "status": status, "headers": headers})
    await send({"type": f"{_RESPONSE}.body", "body": body})


class Relay:
    """One WebSocket of a client, and the one to the upstream.

    Args:
        forwarding: the handshake, and where it goes.
        scope: the connection of the server.
        receive: gives the messages of the client.
        send: takes the messages for the client.
    """

    def __init__(self, forwarding: Forwarding, scope: Scope, receive: Receive, send: Send) -> None:
        self._forwarding = forwarding
        self._scope = scope
        self._receive = receive
        self._send = send
        model = parse_qs(forwarding.query).get("model", [""])[0]
        self._model = model
        self._calls = ResponseCalls(self._make_call, forwarding.path, model)

    def _make_call(self, facts: RequestFacts, began: float) -> ForwardedCall:
        return self._forwarding.make_call(facts, began)

    async def run(self) -> None:
        """Connect both sides, and pass messages until one of them closes."""
        await self._receive()  # the client's wish to connect
        try:
            upstream = await self._connect()
        except aiohttp.WSServerHandshakeError as error:
            await self._refused(error)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            await self._failed(error)
        else:
            try:
                await self._relay(upstream)
            finally:
                self._calls.closed(by_client=False)  # unless that is done
                await upstream.close()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        forwarding = self._forwarding
        query, subprotocols = forwarding.query, self._scope.get("subprotocols", ())
        if forwarding.upstream.key:
            query, subprotocols = query_without_keys(query), subprotocols_without_keys(subprotocols)
        return await forwarding.session.ws_connect(
            url_at(forwarding.upstream, forwarding.path, query),
            headers=forwarding.sent_headers,
            protocols=subprotocols,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
            max_msg_size=_MOST_BYTES,
            heartbeat=_PING_SECONDS,
        )

    async def _refused(self, error: aiohttp.WSServerHandshakeError) -> None:
        """Pass on the status with which the upstream refused the handshake."""
        raw = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
        call = self._begun()
        call.answered(RawAnswer(error.status, raw))
        call.ended()
        headers = [pair for pair in to_client(raw) if pair[0].decode() not in HANDSHAKE | {"content-encoding"}]
        await _deny(self._scope, self._send, error.status, headers, b"")

    async def _failed(self, error: Exception) -> None:
        self._begun().failed(error)
        upstream = self._forwarding.upstream
        make = answers.timed_out if isinstance(error, asyncio.TimeoutError) else answers.unreachable
        refusal = make(upstream.name, upstream.host)
        headers = [(b"content-type", b"application/json")]
        await _deny(self._scope, self._send, refusal.status, headers, body_of(refusal))

    def _begun(self) -> ForwardedCall:
        """Return the call of a handshake that fails."""
        forwarding = self._forwarding
        call = forwarding.make_call(facts_at(forwarding.path, self._model, is_stream=True))
        call.begin()
        return call

    async def _relay(self, upstream: aiohttp.ClientWebSocketResponse) -> None:
        await self._send({"type": "websocket.accept", "subprotocol": upstream.protocol})
        ways = [asyncio.ensure_future(way(upstream)) for way in (self._to_upstream, self._to_client)]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for way in done:
            way.result()

    async def _to_upstream(self, upstream: aiohttp.ClientWebSocketResponse) -> None:
        while (message := await self._receive())["type"] == "websocket.receive":
            text, data = message.get("text"), message.get("bytes")
            if text is not None:
                self._calls.from_client(text.encode())
                await upstream.send_str(text)
            else:
                await upstream.send_bytes(data or b"")
        self._calls.closed(by_client=True)
        await upstream.close(code=_sendable(message.get("code")), message=_reason(message))

    async def _to_client(self, upstream: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await upstream.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self._calls.from_server(message.data.encode())
                await self._send({"type": "websocket.send", "text": message.data})
            elif message.type is aiohttp.WSMsgType.BINARY:
                await self._send({"type": "websocket.send", "bytes": message.data})
            else:
                break
        self._calls.closed(by_client=False)
        code = upstream.close_code if upstream.close_code is not None else _CLOSED_BY_ERROR
        reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else ""
        await self._send({"type": "websocket.close", "code": _sendable(code), "reason": reason or ""})


def _sendable(code: Any) -> int:
    """Return a close code that may be sent: that of the other side, if it gave one."""
    if code == 1006:  # noqa: PLR2004 - the connection broke
        return _CLOSED_BY_ERROR
    return 1000 if code is None or code in _NO_CODE else int(code)


def _reason(message: Message) -> bytes:
    return str(message.get("reason") or "").encode()
