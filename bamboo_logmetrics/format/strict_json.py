"""Plain data as strict JSON on one line, without characters at which some readers break a line."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from bamboo_logmetrics.record.integers import integer

encoder = msgspec.json.Encoder()

# JSON allows these in a string, but str.splitlines() and some readers take them for the end of a line.
_LINE_BREAKS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def encode(data: Any) -> bytes:
    """Return plain data as strict JSON on one line, without the newline.

    Non-finite numbers become null, lone surrogates U+FFFD. The caller turns integers beyond 64 bits into text, with
    :func:`bamboo_logmetrics.record.integers.integer`: msgspec would write their digits.
    """
    try:
        line = encoder.encode(data)
    except (ValueError, OverflowError):  # a lone surrogate, or an integer that is too long
        line = encoder.encode(encodable(data))
    return line if line.isascii() else escape_line_breaks(line)


def escape_line_breaks(line: bytes) -> bytes:
    """Return JSON with the characters in _LINE_BREAKS escaped."""
    for raw, escape in _LINE_BREAKS:
        if raw in line:
            line = line.replace(raw, escape)
    return line


def encodable(value: Any) -> Any:
    """Return plain data with each value replaced that JSON or UTF-8 cannot hold."""
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
