"""The lines of one file with their places, from its beginning or from its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bamboo_logmetrics.logfiles.log_file import LONGEST_LINE, LogFile

_BLOCK = 256 * 1024  # bytes that are read at a time, from the end
_LEFT_OUT = b"\0"  # stands for the rest of a line that is too long, which is no JSON then


class PlacedLine(NamedTuple):
    """A whole line of a file.

    Args:
        start: the offset of its first byte, decompressed.
        end: the offset behind its newline.
        line: its bytes, without the newline; of a line longer than 4 MiB only a part, which is no JSON.
    """

    start: int
    end: int
    line: bytes


def lines_forward(file: LogFile) -> Iterator[PlacedLine]:
    """Yield the lines that follow a file's offset. A last line without newline is left out. Raises OSError."""
    start, partial = file.offset, b""
    while chunk := file.read():
        end = file.offset - len(chunk)
        *pieces, ending = chunk.split(b"\n")
        for piece in pieces:
            end += len(piece) + 1
            yield PlacedLine(start, end, partial + piece)
            start, partial = end, b""
        partial = partial + ending if len(partial) <= LONGEST_LINE else _LEFT_OUT


def lines_backward(file: LogFile) -> Iterator[PlacedLine]:
    """Yield the lines of a plain file, the last one first, as :func:`lines_forward` has them. Raises OSError.

    It ends early if the file is truncated meanwhile.
    """
    file.seek(0)
    place = file.size_ahead()
    end = 0  # of the line whose end was read last; 0 before the last newline is found
    ending = b""
    while place:
        size = min(_BLOCK, place)
        file.offset = place - size
        block = file.peek(size)
        if len(block) < size:
            return
        first, *pieces = block.split(b"\n")
        for piece in reversed(pieces):
            place -= len(piece)
            if end:
                yield PlacedLine(place, end, piece + ending)
            end, ending = place, b""
            place -= 1
        if end:
            ending = first + ending if len(ending) <= LONGEST_LINE else _LEFT_OUT
        place -= len(first)
    if end:
        yield PlacedLine(0, end, ending)
