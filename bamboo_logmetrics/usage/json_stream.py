"""JSON objects from bytes that are cut anywhere: one object, lines of objects, or a list of objects."""

from __future__ import annotations

import re

from bamboo_logmetrics.usage.oversize import Oversize
from bamboo_logmetrics.usage.sse import LONGEST_LINE

_STRUCTURE = re.compile(rb'["{}\[\]]')
_IN_TEXT = re.compile(rb'[\\"]')


class ObjectSplitter:
    """Splits a stream into the objects at its top, or within the list at its top. Memory is bounded.

    Attributes:
        is_list: Whether the objects are in a list.
        is_closed: Whether the list, or an object that is not in a list, has ended.
    """

    __slots__ = (
        "_depth",
        "_is_escaped",
        "_is_in_text",
        "_object",
        "_oversize",
        "is_closed",
        "is_list",
        "limit",
    )

    def __init__(self, limit: int = LONGEST_LINE) -> None:
        self.limit = limit
        self.is_closed = False
        self._object = bytearray()  # that has not ended
        self._depth = 0
        self._is_in_text = self._is_escaped = self.is_list = False
        self._oversize: Oversize | None = None  # within an object that is too long

    @property
    def kept(self) -> int:
        """The number of bytes that are held."""
        return len(self._object) + (0 if self._oversize is None else self._oversize.kept)

    def split(self, chunk: bytes) -> list[bytes]:
        """Return the objects that end within the chunk."""
        objects: list[bytes] = []
        start = position = 0
        while position < len(chunk):
            if self._is_in_text:
                position = self._pass_text(chunk, position)
                continue
            match = _STRUCTURE.search(chunk, position)
            if match is None:
                break
            position = match.end()
            depth = self._depth
            self._mark(match.group())
            if depth == 0:
                start = position - 1
            elif self._depth == 0:
                self._end(chunk[start:position], objects)
        if self._depth:
            self._keep(chunk[start:])
        return objects

    def _mark(self, mark: bytes) -> None:
        """Take a mark outside of texts. At the top, brackets are those of a list of objects, and texts are passed."""
        if mark == b'"':
            self._is_in_text = self._depth > 0
        elif mark == b"{" or (mark == b"[" and self._depth):
            self._depth += 1
        elif mark == b"[":
            self.is_list = True
        elif self._depth:
            self._depth -= 1
        else:
            self.is_closed = self.is_closed or mark == b"]"

    def _pass_text(self, chunk: bytes, position: int) -> int:
        """Return the position behind the next mark of a text."""
        if self._is_escaped:
            self._is_escaped = False
            return position + 1
        match = _IN_TEXT.search(chunk, position)
        if match is None:
            return len(chunk)
        if match.group() == b"\\":
            self._is_escaped = True
        else:
            self._is_in_text = False
        return match.end()

    def _keep(self, piece: bytes) -> None:
        """Keep a piece of an object; where the object is too long, only its beginning and its end."""
        if self._oversize is not None:
            self._oversize.add(piece)
        elif len(self._object) + len(piece) > self.limit:
            self._oversize = Oversize(bytes(self._object) + piece)
            self._object = bytearray()
        else:
            self._object += piece

    def _end(self, piece: bytes, objects: list[bytes]) -> None:
        self._keep(piece)
        if self._oversize is None:
            objects.append(bytes(self._object))
        elif (essence := self._oversize.essence()) is not None:
            objects.append(essence)
        self._object = bytearray()
        self._oversize = None
        if not self.is_list:
            self.is_closed = True
