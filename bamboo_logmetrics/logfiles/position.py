"""A position in a log: the file, and the offset in it."""

from __future__ import annotations

import hashlib
from typing import Annotated, NamedTuple

import msgspec

HEAD = 1024  # bytes; the first line of a file has its time, writer and number well before
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # of a file, which may hold any number


class Position(msgspec.Struct, frozen=True):
    """A position in a log. The file is known by a fingerprint of its beginning, whatever its name is by now.

    Args:
        passed: the name, without a compression's suffix, of the newest rotated file that lies wholly before the
            position; empty for none.
        head: the SHA-256 of the beginning of the file that the position lies in, in hex digits; empty at the
            beginning of the file that follows ``passed``.
        head_size: how many bytes of the beginning that is, at most 1,024.
        offset: how many bytes of that file, decompressed, lie before the position.
        in_line: True within a line that is longer than any valid line.
        in_oldest: True in the oldest file of the log: nothing is known about the lines before it.
    """

    passed: str = ""
    head: str = ""
    head_size: Annotated[int, msgspec.Meta(ge=0, le=HEAD)] = 0
    offset: Count = 0
    in_line: bool = False
    in_oldest: bool = True


class Chunk(NamedTuple):
    """The result of one read: lines, or bytes that are not a line.

    Args:
        lines: whole lines, without their newlines.
        position: the position behind them.
        broken: bytes that cannot be a line, such as a last line without its newline in a rotated file.
        reason: why they cannot be one; empty if there are none.
    """

    lines: list[bytes]
    position: Position
    broken: bytes = b""
    reason: str = ""


def fingerprint(head: bytes) -> str:
    """Return the SHA-256 of a file's beginning, in hex digits."""
    return hashlib.sha256(head).hexdigest()
