"""Recognizing the lines of this package, whole or torn, so that nothing else is ever cut away."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from bamboo_logmetrics.format.header import NOT_JSON, is_writer_id
from bamboo_logmetrics.format.layouts import LAYOUTS, find_ids, flat_of

_LONGEST = 64 * 1024  # bytes of a line that are looked at
_ATOMS = {"0": rb"\d", "*": rb'[^"\\]*(?:\\.[^"\\]*)*\\?'}


def is_own_line(line: bytes) -> bool:
    """Return True for a whole line, without its newline, that this package has written, in any layout and version."""
    if len(line) > _LONGEST:
        return is_torn_line(line)
    try:
        writer = flat_of(msgspec.json.decode(line)).get("writer")
    except NOT_JSON:
        return False
    return isinstance(writer, str) and is_writer_id(writer)


def is_torn_line(line: bytes) -> bool:
    """Return True for the beginning of a line of this package, of at least one byte.

    A power cut may leave zeros in place of the rest.
    """
    line = line[:_LONGEST].rstrip(b"\0")
    starts = (layout.line_start for layout in LAYOUTS.values())
    return bool(line) and (any(_beginnings(start).fullmatch(line) for start in starts if start) or any(find_ids(line)))


@lru_cache
def _beginnings(start: str) -> re.Pattern[bytes]:
    """Return the pattern of everything that agrees with a layout's ``line_start`` as far as it goes."""
    pattern = rb".*"
    for letter in reversed(start):
        pattern = rb"(?:" + _ATOMS.get(letter, re.escape(letter.encode())) + pattern + rb")?"
    return re.compile(pattern, re.DOTALL)
