"""Frames of ``application/vnd.amazon.eventstream``, in which Amazon Bedrock streams, cut anywhere."""

from __future__ import annotations

import base64
import binascii
import struct

import msgspec

from bamboo_logmetrics.usage.sse import LONGEST_LINE, Event

_PRELUDE = struct.Struct(">II")  # length of the frame, length of its headers; a checksum follows
_PRELUDE_SIZE = 12
_CHECKSUM_SIZE = 4
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # by the type of a header value
_TEXT, _BYTES = 7, 6
_NAMES = (":exception-type", ":error-code", ":event-type")
_FRAME = msgspec.json.Decoder(dict[str, msgspec.Raw])


class FrameSplitter:
    """Splits a stream of frames into events. A frame that is too long is passed over without being kept."""

    __slots__ = ("_buffer", "_skip", "limit")

    def __init__(self, limit: int = LONGEST_LINE) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._skip = 0  # bytes of a frame that is passed over

    @property
    def kept(self) -> int:
        """The number of bytes that are held."""
        return len(self._buffer)

    def split(self, chunk: bytes) -> list[Event]:
        """Return the events of the frames that end within the chunk."""
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        self._buffer += memoryview(chunk)[skipped:]
        events: list[Event] = []
        while len(self._buffer) >= _PRELUDE_SIZE:
            size, headers_size = _PRELUDE.unpack_from(self._buffer)
            if size > self.limit or size < _PRELUDE_SIZE + _CHECKSUM_SIZE:
                self._pass_over(size)
            elif len(self._buffer) < size:
                break
            else:
                events.append(_event(bytes(self._buffer[:size]), headers_size))
                del self._buffer[:size]
        return events

    def _pass_over(self, size: int) -> None:
        """Skip a frame that is too long; where the length cannot be right, skip all that follows."""
        size = size if size > self.limit else 2**62
        self._skip = max(size - len(self._buffer), 0)
        del self._buffer[:size]


def _event(frame: bytes, headers_size: int) -> Event:
    end = _PRELUDE_SIZE + headers_size
    headers = _headers(frame[_PRELUDE_SIZE:end])
    payload = frame[end:-_CHECKSUM_SIZE]
    name = next((headers[key] for key in _NAMES if key in headers), "")
    if ":exception-type" in headers or headers.get(":message-type") == "error":
        return "error", _with_type(payload, name)
    return name, _unwrapped(payload)


def _with_type(payload: bytes, name: str) -> bytes:
    """Return the payload of an exception as an error of a known form."""
    try:
        text = msgspec.json.decode(payload).get("message", "")
    except (msgspec.DecodeError, ValueError, AttributeError):
        text = payload.decode("utf-8", "replace")
    return msgspec.json.encode({"error": {"message": str(text), "type": name}})


def _unwrapped(payload: bytes) -> bytes:
    """Return the event within a frame of ``invoke-with-response-stream``, which holds it as base64."""
    if payload[:8] != b'{"bytes"':
        return payload
    try:
        return base64.b64decode(msgspec.json.decode(_FRAME.decode(payload)["bytes"], type=str))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return payload


def _headers(data: bytes) -> dict[str, str]:
    """Return the headers that are texts."""
    headers: dict[str, str] = {}
    position = 0
    while position < len(data):
        name_end = position + 1 + data[position]
        kind = data[name_end] if name_end < len(data) else _TEXT
        start = name_end + 1
        if kind in {_TEXT, _BYTES}:
            size = int.from_bytes(data[start : start + 2], "big")
            start += 2
        else:
            size = _FIXED_SIZES.get(kind, len(data))
        if kind == _TEXT:
            key = data[position + 1 : name_end].decode("utf-8", "replace")
            headers[key] = data[start : start + size].decode("utf-8", "replace")
        position = start + size
    return headers
