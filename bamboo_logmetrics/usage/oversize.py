"""The usage at the end of a text that is too long to be kept, such as an event that holds a whole image."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_HEAD = 4_096  # bytes that are kept of the beginning: the type of an event and its ids
_TAIL = 65_536  # bytes that are read of the end; up to twice as many are kept
# names that are keys: a quote within a text has a backslash before it
_USAGE = re.compile(rb'(?<!\\)"(usage|usageMetadata)"\s*:\s*(?=\{)')
_NAME = re.compile(rb'(?<!\\)"(type|object|id|model|status)"\s*:\s*"([\w.:/-]{1,200})"')


class Oversize:
    """Beginning and end of a text that is passed over.

    Args:
        head: The beginning, or more.
    """

    __slots__ = ("_head", "_tail")

    def __init__(self, head: bytes) -> None:
        self._head = head[:_HEAD]
        self._tail = bytearray(head[-_TAIL:])

    @property
    def kept(self) -> int:
        """The number of bytes that are held."""
        return len(self._head) + len(self._tail)

    def add(self, piece: bytes) -> None:
        """Take the next piece of the text."""
        self._tail += piece[-_TAIL:]
        if len(self._tail) > 2 * _TAIL:  # seldom, since pieces may be tiny
            del self._tail[:-_TAIL]

    def essence(self) -> bytes | None:
        """Return a small JSON text with the names at the beginning and the last usage; None without a usage."""
        for text in (bytes(self._tail[-_TAIL:]), self._head):
            for place in reversed(list(_USAGE.finditer(text))):
                usage = _value_at(text[place.end() :])
                if usage is not None:
                    names = {key.decode(): value.decode() for key, value in reversed(_NAME.findall(self._head))}
                    return msgspec.json.encode({**names, place[1].decode(): usage})
        return None


def _value_at(text: bytes) -> Any:
    """Return the JSON value with which a text begins; None if it is not whole."""
    try:
        return json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))[0]
    except (ValueError, RecursionError):
        return None
