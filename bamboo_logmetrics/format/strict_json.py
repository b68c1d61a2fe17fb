"""Plain data as the bytes of one line: strict JSON that no reader breaks."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from bamboo_logmetrics.record.integers import integer

encoder = msgspec.json.Encoder()

# JSON may hold these as they are, but str.splitlines() and some readers break a line there.
_LINE_BREAKS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def encode(data: Any) -> bytes:
    """Return plain data as strict JSON on one line, without the newline.

    Non-finite numbers become null, lone surrogates U+FFFD. Integers beyond 64 bits are for :func:`integer` to make
    into text before: msgspec writes their digits.
    """
    try:
        line = encoder.encode(data)
    except (ValueError, OverflowError):  # a lone surrogate, or an integer that is too long
        line = encoder.encode(encodable(data))
    return line if line.isascii() else escaped(line)


def escaped(line: bytes) -> bytes:
    """Return JSON without the characters that some readers take for the end of a line."""
    for raw, escape in _LINE_BREAKS:
        if raw in line:
            line = line.replace(raw, escape)
    return line


def encodable(value: Any) -> Any:
    """Return plain data with every value that JSON or UTF-8 cannot hold replaced."""
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encodable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
