"""Bodies of exporters: read within limits of size and time, decompressed within the same limit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bamboo_logmetrics.instrument.asgi import Receive
from bamboo_logmetrics.live.telemetry_answers import TelemetryError

INVALID, EXHAUSTED, DEADLINE = 3, 8, 4  # codes of google.rpc.Status
_GZIP = 16 + zlib.MAX_WBITS
_ENCODINGS = ("", "identity", "gzip")


class ClientLeftError(Exception):
    """The client closed the connection before its body was complete."""


class HeldBytes:
    """The bytes of bodies that are being read or wait for the log.

    Args:
        most: how many there may be together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes a number of bytes for the block, and raises TelemetryError if it is too many."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self._held + size > self._most:
                raise TelemetryError(503, EXHAUSTED, "too many bodies wait for the log; send it again")
            self._held += size
            taken += size

        try:
            yield take
        finally:
            self._held -= taken


async def read_body(receive: Receive, most_bytes: int, timeout: float, take: Callable[[int], None]) -> bytes:
    """Return the body of a request.

    Args:
        receive: gives its pieces.
        most_bytes: how large it may be.
        timeout: seconds that may pass before each piece.
        take: called with the size of each piece; it raises TelemetryError if there is no room.

    Raises:
        TelemetryError: it is too large, does not come in time, or there is no room for it.
        ClientLeftError: the client is gone.
    """
    body, more = bytearray(), True
    while more:
        try:
            message = await asyncio.wait_for(receive(), timeout)
        except asyncio.TimeoutError:
            text = "the body did not come in time"
            raise TelemetryError(408, DEADLINE, text, (b"connection", b"close")) from None
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        piece = message.get("body", b"")
        if len(body) + len(piece) > most_bytes:
            raise _too_large(most_bytes)
        take(len(piece))
        body += piece
        more = message.get("more_body", False)
    return bytes(body)


def check_encoding(name: str) -> str:
    """Return the content encoding in lower case. Raises TelemetryError for one that is not known."""
    encoding = name.strip().lower()
    if encoding not in _ENCODINGS:
        raise TelemetryError(415, INVALID, "the content encoding is not known: use gzip or none")
    return encoding


def plain_body(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """Return a body without its compression. Raises TelemetryError if it is damaged, or larger than ``most_bytes``."""
    if encoding != "gzip":
        return body
    plain = bytearray()
    while True:
        stream = zlib.decompressobj(_GZIP)
        try:
            plain += stream.decompress(body, most_bytes + 1 - len(plain))
        except zlib.error:
            raise _damaged() from None
        if len(plain) > most_bytes:
            raise _too_large(most_bytes)
        if not stream.eof:
            raise _damaged()
        body = stream.unused_data  # another member, as some programs write them
        if not body:
            return bytes(plain)


def _damaged() -> TelemetryError:
    return TelemetryError(400, INVALID, "the body is not gzip, or is cut off")


def _too_large(most_bytes: int) -> TelemetryError:
    text = f"the body is larger than the {most_bytes:,} bytes that --max-body allows; export smaller batches"
    return TelemetryError(413, EXHAUSTED, text)
