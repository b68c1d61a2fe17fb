"""Bodies of exporters: read within limits of size and time, decompressed within the same limit."""

from __future__ import annotations

import asyncio
import zlib

from bamboo_logmetrics.instrument.asgi import Receive
from bamboo_logmetrics.live.telemetry_answers import TelemetryError

INVALID, EXHAUSTED, DEADLINE = 3, 8, 4  # codes of google.rpc.Status
_GZIP = 16 + zlib.MAX_WBITS
_ENCODINGS = ("", "identity", "gzip")


class ClientLeftError(Exception):
    """The client closed the connection before its body was complete."""


async def read_body(receive: Receive, most_bytes: int, timeout: float) -> bytes:
    """Return the body of a request.

    Args:
        receive: gives its pieces.
        most_bytes: how large it may be.
        timeout: seconds that may pass before each piece.

    Raises:
        TelemetryError: it is too large, or does not come in time.
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
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
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
