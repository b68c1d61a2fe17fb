"""Content encodings, decoded beside a stream: in steps, with a limit on what a few bytes may stand for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

_MOST_AT_ONCE = 64 * 1024  # decoded bytes of one step
_MOST_TIMES = 300  # decoded bytes for each byte of a body; the text of a stream has about ten
_ALWAYS = 64 * 1024 * 1024  # decoded bytes of a body that are allowed beyond that
_STEP = 512  # bytes of input for libraries without a limit on output: at most 16 MiB of zstd
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's codes for the headers
_ZSTD_MODULES = ("compression.zstd", "backports.zstd", "zstandard")
_BROTLI_MODULES = ("brotli", "brotlicffi")

Decode = Callable[[bytes], Iterable[bytes]]


class UndecodableError(Exception):
    """A body cannot be decoded: no library for its encoding, damaged, or far larger than its bytes."""


def decoder_of(encodings: str) -> Decode | None:
    """Return a function that decodes the chunks of a body in order; None where nothing is encoded.

    Args:
        encodings: the header ``Content-Encoding``.

    Raises:
        UndecodableError: an encoding is not known, or its library is not there.
    """
    names = [name for part in encodings.split(",") if (name := part.strip().lower()) not in {"", "identity"}]
    if not names:
        return None
    if len(names) > 1:  # none of the providers does that, and each one multiplies
        msg = f"several encodings: {encodings}"
        raise UndecodableError(msg)
    make = _MAKERS.get(names[0])
    if make is None:
        msg = f"unknown encoding {names[0]}"
        raise UndecodableError(msg)
    return _limited(make())


def _limited(decode: Decode) -> Decode:
    """Return a decoder that raises UndecodableError for what is damaged, or far larger than its bytes."""
    left = _ALWAYS

    def decoding(chunk: bytes) -> Iterator[bytes]:
        nonlocal left
        left += len(chunk) * _MOST_TIMES
        try:
            for plain in decode(chunk):
                yield plain
                left -= len(plain)
                if left < 0:
                    break
        except Exception as error:
            msg = f"{type(error).__name__}: {error}"
            raise UndecodableError(msg) from error
        if left < 0:
            msg = "far more than its bytes"
            raise UndecodableError(msg)

    return decoding


class _Zlib:
    """gzip and deflate. A body of several gzip members is decoded to its end."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._decompressor = zlib.decompressobj(window)
        self._begun = False

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        if not self._begun and self._window == _ZLIB and chunk[:1] and not _has_zlib_header(chunk):
            self._window = _RAW
            self._decompressor = zlib.decompressobj(_RAW)
        self._begun = self._begun or bool(chunk)
        while chunk:
            if self._decompressor.eof:
                self._decompressor = zlib.decompressobj(self._window)
            yield from self._output(chunk)
            chunk = self._decompressor.unused_data

    def _output(self, chunk: bytes) -> Iterator[bytes]:
        full = True  # then zlib may hold more, also without further input
        while (chunk or full) and not self._decompressor.eof:
            plain = self._decompressor.decompress(chunk, _MOST_AT_ONCE)
            yield plain
            chunk, full = self._decompressor.unconsumed_tail, len(plain) == _MOST_AT_ONCE


def _has_zlib_header(chunk: bytes) -> bool:
    """Return True if deflate begins with zlib's header; some servers send it without."""
    return chunk[0] & 0x0F == zlib.DEFLATED and chunk[0] >> 4 <= 7  # noqa: PLR2004 - the window's size


def _steps(decompress: Callable[[bytes], bytes]) -> Decode:
    """Return a decoder that hands over small steps, for a library that has no limit on its output."""

    def decoding(chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), _STEP):
            yield decompress(chunk[start : start + _STEP])

    return decoding


def _library(names: Iterable[str], encoding: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    msg = f"no library for {encoding}"
    raise UndecodableError(msg)


def _brotli() -> Decode:
    decompressor = _library(_BROTLI_MODULES, "br").Decompressor()
    return _steps(getattr(decompressor, "decompress", None) or decompressor.process)  # brotlicffi, brotli


def _zstd() -> Decode:
    decompressor = _library(_ZSTD_MODULES, "zstd").ZstdDecompressor()
    make = getattr(decompressor, "decompressobj", None)  # of zstandard
    return _steps((make() if make else decompressor).decompress)


_MAKERS: dict[str, Callable[[], Decode]] = {
    "gzip": lambda: _Zlib(_GZIP),
    "x-gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(_ZLIB),
    "br": _brotli,
    "zstd": _zstd,
}
