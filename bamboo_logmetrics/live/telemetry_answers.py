"""Answers to exporters, in the encoding of the request: OTLP's responses, and errors as google.rpc.Status."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bamboo_logmetrics.importers.otlp.records import LOG, METRIC, SPAN
from bamboo_logmetrics.instrument.asgi import Send

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_REJECTED = {LOG: "rejectedLogRecords", SPAN: "rejectedSpans", METRIC: "rejectedDataPoints"}
_CONTINUED = 0x80  # of a byte of a varint
_RETRY_SECONDS = b"1"
_WORTH_A_RETRY = (429, 503)


class TelemetryError(Exception):
    """A request that is not taken.

    Args:
        status: the HTTP status.
        code: the code of google.rpc.Status.
        message: the reason and the remedy.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, code: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


class Outcome(NamedTuple):
    """The outcome of a request that is in the log.

    Args:
        rejected: the number of records that could not be used.
        message: the reason; empty if there is nothing to say.
        events: the number of events that were new.
    """

    rejected: int = 0
    message: str = ""
    events: int = 0


def response_of(outcome: Outcome, signal: str, encoding: str) -> bytes:
    """Return the body of a response to an export; its partial success is there only if it says something."""
    if encoding == JSON:
        partial: dict[str, str] = {}
        if outcome.rejected:
            partial[_REJECTED[signal]] = str(outcome.rejected)
        if outcome.message:
            partial["errorMessage"] = outcome.message
        return msgspec.json.encode({"partialSuccess": partial} if partial else {})
    inner = _number(1, outcome.rejected) + _text(2, outcome.message)
    return _bytes(1, inner)


def status_of(error: TelemetryError, encoding: str) -> bytes:
    """Return the body of an error."""
    if encoding == JSON:
        return msgspec.json.encode({"code": error.code, "message": error.message})
    return _number(1, error.code) + _text(2, error.message)


async def send_answer(
    send: Send, status: int, encoding: str, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send an answer; one that asks for another try says when."""
    pairs = [(b"content-type", encoding.encode()), (b"content-length", str(len(body)).encode()), *headers]
    if status in _WORTH_A_RETRY:
        pairs.append((b"retry-after", _RETRY_SECONDS))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": False})


# -- protobuf, of which the answers need three kinds of fields: google.rpc.Status is in no package that is needed --


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= _CONTINUED:
        parts.append(value & (_CONTINUED - 1) | _CONTINUED)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value if value else b""


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
