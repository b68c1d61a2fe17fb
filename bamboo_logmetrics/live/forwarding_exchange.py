"""One HTTP request on its way to an upstream, and the answer on its way back, chunk by chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast

import aiohttp

from bamboo_logmetrics.instrument.asgi import Message, Receive, Send
from bamboo_logmetrics.instrument.request_facts import RequestFacts, facts_at, facts_of
from bamboo_logmetrics.instrument.settings import Settings
from bamboo_logmetrics.live import forwarding_answers as answers
from bamboo_logmetrics.live.forwarding_answers import ErrorAnswer, send_error
from bamboo_logmetrics.live.forwarding_calls import ForwardedCall, ForwardedRequest, RawAnswer, Url
from bamboo_logmetrics.live.forwarding_client import url_at
from bamboo_logmetrics.live.forwarding_headers import RequestHeaders, query_without_keys, to_client
from bamboo_logmetrics.live.forwarding_scan import BodyScanner
from bamboo_logmetrics.live.upstreams import Upstream
from bamboo_logmetrics.usage.providers import endpoint_of


@dataclass(slots=True, kw_only=True)
class Forwarding:
    """One request, ready to be forwarded.

    Args:
        session: the HTTP client.
        settings: the log, and the provider of the upstream.
        upstream: the place to go.
        method: the method.
        path: the path at the upstream, byte for byte.
        query: the query, byte for byte.
        headers: the headers of the request.
        sent_headers: those of them that the upstream gets.
        ids: bound values that the client gave.
        most_bytes: the largest body of a request, in bytes.
        timeout: seconds that may pass without a byte of the body of a request.
    """

    session: aiohttp.ClientSession
    settings: Settings
    upstream: Upstream
    method: str
    path: str
    query: str
    headers: RequestHeaders
    sent_headers: list[tuple[str, str]]
    ids: dict[str, Any]
    most_bytes: int
    timeout: float
    began: float = field(default_factory=perf_counter)

    def make_call(self, facts: RequestFacts, began: float | None = None) -> ForwardedCall:
        """Return the call that reports this request, or a part of it that began later."""
        request = ForwardedRequest(self.method, Url(self.upstream.host, self.path), self.headers)
        return ForwardedCall(
            self.settings, request, endpoint_of(self.path), facts, bound=self.ids, began=began or self.began
        )


_LATER_SECONDS = 5.0  # than the time that may pass without a byte, which the client and the parser of bodies watch
_WITHOUT_BODY = frozenset({204, 304})
_OF_THE_NETWORK = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class _StoppedError(Exception):
    """The body of a request is not sent on any further."""


class Exchange:
    """One request and its answer.

    Args:
        forwarding: the request, and where it goes.
        receive: gives the messages of the client.
        send: takes the messages for the client.

    Attributes:
        call: the events of the request; None until its model is known, or its body has ended.
    """

    def __init__(self, forwarding: Forwarding, receive: Receive, send: Send) -> None:
        self.call: ForwardedCall | None = None
        self._forwarding = forwarding
        self._receive = receive
        self._send = send
        self._scanner = BodyScanner(forwarding.headers.get("content-encoding"))
        self._task = cast("asyncio.Task[None]", asyncio.current_task())
        self._steps = self._last_steps = 0  # chunks that have passed in either direction
        self._timer = self._in_a_while()
        self._watcher: asyncio.Task[None] | None = None
        self._refusal: ErrorAnswer | None = None
        self._bytes = 0
        self._is_gone = False  # the client has closed the connection
        self._is_stalled = False  # one side takes nothing
        self._is_sent = False  # the body of the request
        self._is_answering = False
        self._is_over = False

    async def run(self) -> None:
        """Forward the request, and answer it whatever happens."""
        try:
            data = await self._data()
            await self._forward(data)
        except asyncio.CancelledError as error:
            if not (self._is_gone or self._is_stalled):  # else the cancellation is our own
                self._begun().failed(error)
                raise
            await self._fail(error)
        except Exception as error:  # noqa: BLE001 - raised again below if it is no failure of the network
            await self._fail(error)
        finally:
            self._is_over = True
            self._timer.cancel()
            if self._watcher is not None:
                self._watcher.cancel()

    # -- the request -----------------------------------------------------------------------

    async def _data(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body: as a whole if it came at once, else chunk by chunk; None if there is none."""
        message = await self._next()
        if message.get("more_body", False):
            return self._chunks(message)
        content = self._checked(message)
        if "content-encoding" in self._forwarding.headers.names:
            self._scanner.feed(content)
            self._begun()
        else:
            self.call = self._forwarding.make_call(facts_of(self._forwarding.path, content))
            self.call.begin()
        self._is_sent = True
        self._watch()
        return content or None

    async def _chunks(self, message: Message) -> AsyncIterator[bytes]:
        """Yield the body of the request as it comes, and look for its model meanwhile."""
        while True:
            chunk = self._checked(message)
            self._steps += 1
            self._scanner.feed(chunk)
            if self._scanner.is_done:
                self._begun()
            yield chunk
            if not message.get("more_body", False):
                break
            message = await self._next()
        self._begun()
        self._is_sent = True
        self._watch()

    async def _next(self) -> Message:
        """Return the next part of the body. Raises _StoppedError where there is none to come."""
        try:
            message = await asyncio.wait_for(self._receive(), self._forwarding.timeout)
        except asyncio.TimeoutError:
            self._refusal = answers.TOO_SLOW
            raise _StoppedError from None
        if message["type"] == "http.disconnect":
            self._is_gone = True
            raise _StoppedError
        return message

    def _checked(self, message: Message) -> bytes:
        chunk: bytes = message.get("body", b"")
        self._bytes += len(chunk)
        if self._bytes > self._forwarding.most_bytes:
            self._refusal = answers.TOO_LARGE
            raise _StoppedError
        return chunk

    def _begun(self) -> ForwardedCall:
        """Return the call; begin it now with what is known of the body."""
        if self.call is None:
            scanner = self._scanner
            facts = facts_at(self._forwarding.path, scanner.model, is_stream=scanner.stream is True)
            self.call = self._forwarding.make_call(facts)
            self.call.begin()
        return self.call

    def _watch(self) -> None:
        self._watcher = asyncio.ensure_future(self._watch_client())

    async def _watch_client(self) -> None:
        """Stop the exchange when the client closes the connection, which is all that can come behind the body."""
        await self._receive()
        if not self._is_over:
            self._is_gone = True
            self._task.cancel()

    def _in_a_while(self) -> asyncio.TimerHandle:
        """Look after the exchange later than the client would that waits for the upstream."""
        return asyncio.get_running_loop().call_later(self._forwarding.timeout + _LATER_SECONDS, self._look_after)

    def _look_after(self) -> None:
        """Stop the exchange if nothing has moved: the client does not read, or the upstream does not."""
        if self._steps == self._last_steps:
            self._is_stalled = True
            self._task.cancel()
        else:
            self._last_steps = self._steps
            self._timer = self._in_a_while()

    # -- the answer ------------------------------------------------------------------------

    async def _forward(self, data: bytes | AsyncIterator[bytes] | None) -> None:
        forwarding = self._forwarding
        query = query_without_keys(forwarding.query) if forwarding.upstream.key else forwarding.query
        response = await forwarding.session.request(
            forwarding.method,
            url_at(forwarding.upstream, forwarding.path, query),
            headers=forwarding.sent_headers,
            data=data,
            allow_redirects=False,
        )
        try:
            await self._answer(response)
        finally:
            if self._is_over and self._is_sent:
                response.release()
            else:
                response.close()  # at once, so that the upstream stops

    async def _answer(self, response: aiohttp.ClientResponse) -> None:
        call = self._begun()
        call.answered(RawAnswer(response.status, response.raw_headers))
        headers = to_client(response.raw_headers)
        if response.status in _WITHOUT_BODY:  # the server would wait for as many bytes
            headers = [pair for pair in headers if pair[0] != b"content-length"]
        self._is_answering = True
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        content, is_more = response.content, True
        while is_more:
            chunk = await content.readany()
            self._steps += 1
            is_more = not content.at_eof()
            call.feed(chunk)
            if not is_more:
                call.ended()
                self._is_over = True
            await self._send({"type": "http.response.body", "body": chunk, "more_body": is_more})

    async def _fail(self, error: BaseException) -> None:
        """Complete the call, and tell the client unless its answer has begun: that one is left without an end."""
        self._is_over = True  # nothing cancels what follows
        self._timer.cancel()
        call, refusal = self._begun(), self._refusal
        upstream = self._forwarding.upstream
        if self._is_gone:
            call.left()
            return
        if refusal is not None:
            call.refused(refusal.message, refusal.code)
        elif self._is_stalled:
            call.stalled()
            refusal = answers.timed_out(upstream.name, upstream.host)
        else:
            call.failed(error)
            make = answers.timed_out if isinstance(error, asyncio.TimeoutError) else answers.unreachable
            refusal = make(upstream.name, upstream.host)
            if not isinstance(error, _OF_THE_NETWORK):
                raise error
        if not self._is_answering:
            await send_error(self._send, refusal)
