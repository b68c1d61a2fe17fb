"""Where in a log a shipper is: in which file, and how far in it."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

HEAD = 1024  # bytes; a file's first line holds its time, writer and number well before


class Position(msgspec.Struct, frozen=True):
    """A place in a log.

    Args:
        passed: the name, without a compression's suffix, of the newest rotated file that lies wholly behind it; empty
            for none.
        head: the SHA-256 of the beginning of the file that it lies in, as hex digits; empty at the beginning of the
            file that follows ``passed``.
        head_size: so many bytes of the beginning, at most 1,024.
        offset: the bytes of that file, decompressed, that lie before it.
        in_line: True within a line that is longer than any.
        in_oldest: True in the first file of all: what a writer wrote before that, nobody can know.
    """

    passed: str = ""
    head: str = ""
    head_size: int = 0
    offset: int = 0
    in_line: bool = False
    in_oldest: bool = True


class Chunk(NamedTuple):
    """What was read at once.

    Args:
        lines: whole lines, without their newlines.
        place: the place behind them.
        broken: what cannot be a line, when there is something of the kind: a last line without its end in a file that
            nobody writes any more.
        reason: why it cannot be one.
    """

    lines: list[bytes]
    place: Position
    broken: bytes = b""
    reason: str = ""


def fingerprint(head: bytes) -> str:
    """Return the SHA-256 of a file's beginning."""
    return hashlib.sha256(head).hexdigest()
