"""The model and the kind of answer that a request asks for, read from its body as it passes, in bounded memory."""

from __future__ import annotations

import re

import msgspec

from bamboo_logmetrics.instrument.decoding import Decode, UndecodableError, decoder_of

_MOST_KEPT = 4096  # bytes of a text at the top of the object that may be a key or the name of a model
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)
_DEEP = re.compile(rb'["{}\[\]]')
_CLOSING = {b"}", b"]"}
_OPENING = {b"{", b"["}


class BodyScanner:
    """Finds ``model`` and ``stream`` at the top of a JSON object that comes in chunks. It keeps a few kilobytes.

    Args:
        encodings: the header ``Content-Encoding`` of the request.

    Attributes:
        model: the model; empty until it is found.
        stream: the value of ``stream``; None until it is found.
        is_done: True when nothing more is looked for.
    """

    __slots__ = (
        "_decode",
        "_depth",
        "_is_escaped",
        "_is_key",
        "_is_text",
        "_kept",
        "_key",
        "is_done",
        "model",
        "stream",
    )

    def __init__(self, encodings: str = "") -> None:
        self.model = ""
        self.stream: bool | None = None
        self.is_done = False
        self._kept = b""
        self._depth = 0
        self._is_text = False  # within a text that is passed over
        self._is_escaped = False  # behind a backslash in it
        self._is_key = True  # a text at depth 1 would be a key
        self._key = ""
        self._decode: Decode | None = None
        try:
            self._decode = decoder_of(encodings) if encodings else None
        except UndecodableError:
            self.is_done = True

    def feed(self, chunk: bytes) -> None:
        """Read a chunk of the body as it was sent. Raises nothing."""
        if self.is_done:
            return
        try:
            for plain in self._decode(chunk) if self._decode else (chunk,):
                self._scan(plain)
                if self.is_done:
                    return
        except UndecodableError:
            self.is_done = True

    def _scan(self, chunk: bytes) -> None:
        chunk, self._kept = self._kept + chunk, b""
        position = 0
        while position < len(chunk) and not self.is_done:
            if self._is_text:
                position = self._pass_text(chunk, position)
            elif self._depth > 1:
                position = self._pass_value(chunk, position)
            else:
                position = self._read_top(chunk, position)

    def _pass_text(self, chunk: bytes, position: int) -> int:
        """Return the position behind the text that goes on at ``position``, or the end of the chunk."""
        if self._is_escaped:
            self._is_escaped = False
            position += 1
        while (end := chunk.find(b'"', position)) >= 0:
            if not _backslashes(chunk, position, end) % 2:
                self._is_text = False
                return end + 1
            position = end + 1
        self._is_escaped = bool(_backslashes(chunk, position, len(chunk)) % 2)
        return len(chunk)

    def _pass_value(self, chunk: bytes, position: int) -> int:
        """Return the position behind the next bracket or the quote that begins a text, inside a value."""
        match = _DEEP.search(chunk, position)
        if match is None:
            return len(chunk)
        sign = match[0]
        if sign == b'"':
            self._is_text = True
        else:
            self._depth += 1 if sign in _OPENING else -1
        return match.end()

    def _read_top(self, chunk: bytes, position: int) -> int:
        """Read one token at the top of the object, or outside of it. Keep one that is not whole."""
        match = _TOKEN.search(chunk, position)
        if match is None:
            return len(chunk)
        token = match[0]
        is_cut = token == b'"' or (match.end() == len(chunk) and token[:1] not in b'"{}[],:')
        if is_cut:
            self._keep(chunk[match.start() :])
            return len(chunk)
        self._take(token)
        return match.end()

    def _keep(self, remainder: bytes) -> None:
        """Keep the beginning of a token for the next chunk; pass over a text that is too long to be looked at."""
        if len(remainder) <= _MOST_KEPT:
            self._kept = remainder
        elif remainder[:1] == b'"':
            self._is_text = True
            self._is_escaped = bool(_backslashes(remainder, 1, len(remainder)) % 2)
            self._key = ""
        else:
            self.is_done = True

    def _take(self, token: bytes) -> None:
        if self._depth == 0:
            self._depth, self.is_done = 1, token != b"{"
        elif token in _OPENING:
            self._depth += 1
        elif token in _CLOSING:
            self.is_done = True
        elif token == b":":
            self._is_key = False
        elif token == b",":
            self._is_key, self._key = True, ""
        elif self._is_key:
            self._key = _text(token)
        else:
            self._take_value(token)

    def _take_value(self, token: bytes) -> None:
        if self._key == "model":
            self.model = _text(token)
        elif self._key == "stream":
            self.stream = token == b"true"
        self.is_done = bool(self.model) and self.stream is not None


def _backslashes(chunk: bytes, start: int, end: int) -> int:
    """Return the number of backslashes just before ``end``."""
    return end - start - len(chunk[start:end].rstrip(b"\\"))


def _text(token: bytes) -> str:
    try:
        return msgspec.json.decode(token, type=str) if len(token) <= _MOST_KEPT else ""
    except (msgspec.DecodeError, ValueError):
        return ""
