"""The end of a log's file, and whether a file is a log at all.

A killed writer may leave half a line, which the next one cuts away. Anything else in a file belongs to somebody: a path
in a configuration may be wrong, and other programs write into logs. It is never cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bamboo_logmetrics.format.layouts.recognition import is_own_line, is_torn_line
from bamboo_logmetrics.system import FS

_BLOCK = 64 * 1024
_LONGEST_LINE = 64 * 1024 * 1024  # bytes that are searched for a newline


@dataclass(frozen=True, slots=True)
class LineTests:
    """The tests by which the lines of this package are known.

    Args:
        whole: returns True for a whole line, given without its newline.
        torn: returns True for the beginning of a line.
    """

    whole: Callable[[bytes], bool]
    torn: Callable[[bytes], bool]


OWN_LINES = LineTests(is_own_line, is_torn_line)


def end_of_lines(fs: FS, fd: int, size: int) -> int | None:
    """Return the offset behind the last newline in the first ``size`` bytes; None for a file with too long a line."""
    end = size
    while end > 0 and size - end <= _LONGEST_LINE:
        start = max(0, end - _BLOCK)
        newline = fs.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return None if end else 0


def is_log(fs: FS, fd: int, size: int, tests: LineTests) -> bool:
    """Return True for a file that is empty, or whose first or last line is one of this package. Raises OSError."""
    end = end_of_lines(fs, fd, size)
    if end is None:
        return False
    if end == 0:
        return size == 0 or tests.torn(_tail(fs, fd, 0, size))
    first = fs.pread(fd, min(end, _BLOCK), 0).partition(b"\n")[0]
    if tests.whole(first) or (len(first) == _BLOCK and tests.torn(first)):
        return True
    start = end_of_lines(fs, fd, end - 1)
    return start is not None and tests.whole(fs.pread(fd, end - 1 - start, start))


def is_torn(fs: FS, fd: int, end: int, size: int, tests: LineTests) -> bool:
    """Return True if what follows the last newline, at ``end``, is half a line of this package. Raises OSError.

    A power cut may leave zeros behind the last whole line.
    """
    tail = _tail(fs, fd, end, size)
    return tests.torn(tail) or (end > 0 and not tail.strip(b"\0"))


def _tail(fs: FS, fd: int, end: int, size: int) -> bytes:
    return fs.pread(fd, min(size - end, _BLOCK), end)
