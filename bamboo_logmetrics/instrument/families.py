"""Transports and streams of one family of HTTP clients, as subclasses of its own: httpx, httpx2 and their like."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import finalize

from bamboo_logmetrics.instrument.call import Call, begin
from bamboo_logmetrics.instrument.shield import count_error

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from bamboo_logmetrics.instrument.settings import Settings

_inside: ContextVar[bool] = ContextVar("bamboo_logmetrics_transport", default=False)  # True below a transport of ours


class Family(NamedTuple):
    """The classes that stand between a client of one family and its own transports."""

    name: str
    sync_transport: type[SyncTransport]
    async_transport: type[AsyncTransport]


@lru_cache
def family_of(name: str) -> Family:
    """Return the classes for the family whose package is ``name``, which has been imported."""
    package: Any = sys.modules[name]
    sync_stream = type("ObservedSyncStream", (SyncStream, package.SyncByteStream), {})
    async_stream = type("ObservedAsyncStream", (AsyncStream, package.AsyncByteStream), {})
    return Family(
        name,
        type("ObservedTransport", (SyncTransport, package.BaseTransport), {"stream_class": sync_stream}),
        type("ObservedAsyncTransport", (AsyncTransport, package.AsyncBaseTransport), {"stream_class": async_stream}),
    )


class _Stream:
    """The stream of an answer, which passes the chunks on as they are.

    It is the only object that knows when it is collected: the call is completed then, at the latest.
    """

    def __init__(self, stream: Any, call: Call) -> None:
        self._stream = stream
        self._call = call
        finalize(self, call.collected).atexit = False  # the closing of the log completes it


class SyncStream(_Stream):
    """The stream of an answer to a sync client."""

    def __iter__(self) -> Iterator[bytes]:
        call = self._call
        try:
            for chunk in self._stream:
                call.feed(chunk)
                yield chunk
        except BaseException as error:
            call.failed(error)
            raise
        call.ended()

    def close(self) -> None:
        """Close the connection's stream."""
        self._call.closed()
        self._stream.close()


class AsyncStream(_Stream):
    """The stream of an answer to an async client."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        call, chunks = self._call, self._stream.__aiter__()
        try:
            async for chunk in chunks:
                call.feed(chunk)
                yield chunk
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            if isinstance(chunks, AsyncGenerator):  # as httpx2 does; one that is only dropped is closed later
                await chunks.aclose()
        call.ended()

    async def aclose(self) -> None:
        """Close the connection's stream."""
        self._call.closed()
        await self._stream.aclose()


class _Transport:
    """A transport around another one, with all attributes of that one.

    Attributes:
        inner: the client's own transport.
        settings: the choices for its requests; replaced when the client is instrumented again.
    """

    stream_class: type[_Stream]

    def __init__(self, inner: Any, settings: Settings) -> None:
        self.inner = inner
        self.settings = settings

    def __getattr__(self, name: str) -> Any:
        if "inner" not in self.__dict__:  # a copy that is being made
            raise AttributeError(name)
        return getattr(self.inner, name)

    def _begin(self, request: Any) -> Call | None:
        return None if _inside.get() else begin(self.settings, request)

    def _watch(self, call: Call, response: Any) -> None:
        """Have the call see the body of its answer. Raises nothing."""
        call.answered(response)
        try:
            content = getattr(response, "_content", None)  # of a transport that answers without a connection
            if content is None:
                response.stream = self.stream_class(response.stream, call)
            else:
                call.has_all(content)
        except Exception as error:  # noqa: BLE001
            count_error(error)
            call.ended()


class SyncTransport(_Transport):
    """The transport of a sync client."""

    def handle_request(self, request: Any) -> Any:
        """Send a request by the client's own transport."""
        call = self._begin(request)
        if call is None:
            return self.inner.handle_request(request)
        _inside.set(True)
        try:
            response = self.inner.handle_request(request)
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            _inside.set(False)  # not reset: a coroutine may be closed in another context
        self._watch(call, response)
        return response

    def close(self) -> None:
        """Close the client's own transport."""
        self.inner.close()

    def __enter__(self) -> Self:
        self.inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.inner.__exit__(kind, error, where)


class AsyncTransport(_Transport):
    """The transport of an async client."""

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request by the client's own transport."""
        call = self._begin(request)
        if call is None:
            return await self.inner.handle_async_request(request)
        _inside.set(True)
        try:
            response = await self.inner.handle_async_request(request)
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            _inside.set(False)  # not reset: a coroutine may be closed in another context
        self._watch(call, response)
        return response

    async def aclose(self) -> None:
        """Close the client's own transport."""
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.inner.__aexit__(kind, error, where)
