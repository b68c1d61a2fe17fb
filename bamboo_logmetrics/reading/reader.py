"""The lines of a log as typed objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.format.parse import Line, parse_line
from bamboo_logmetrics.logfiles.discovery import AnyPath, find_log, open_files
from bamboo_logmetrics.logfiles.log_file import LogFile
from bamboo_logmetrics.system import FS


def read(path: AnyPath, *, on_error: Literal["raise", "skip"] = "raise") -> Iterator[Line]:
    """Return the lines of a log, the oldest first: of its rotated and compressed files, then of the active file.

    The lines may be of any layout. A last line of the active file that has no newline yet is left out: it is being
    written.

    Args:
        path: the log; a rotated file stands for the log it belongs to. ``"-"`` is standard input.
        on_error: ``"raise"`` to raise DecodeError at an invalid line or a damaged file, ``"skip"`` to continue behind
            it.

    Raises FileNotFoundError if there is no such log, and ConfigError if it is not a regular file.
    """
    if on_error not in {"raise", "skip"}:
        msg = f"on_error must be 'raise' or 'skip'; got {on_error!r}"
        raise ValueError(msg)
    return _read(find_log(path), skip=on_error == "skip")


def _read(log: str, *, skip: bool) -> Iterator[Line]:
    for item in read_all(log):
        if isinstance(item, Line):
            yield item
        elif not skip:
            raise item


def read_all(path: AnyPath) -> Iterator[Line | DecodeError]:
    """Yield the lines of a log, as :func:`read`, and an error in the place of each that is invalid."""
    for file in open_files(FS(), find_log(path), skip_removed=True):
        for number, item in enumerate(_lines(file), 1):
            try:
                line = _parse(item)
            except DecodeError as error:
                yield DecodeError(f"{file.path}:{number}: {error}")
            else:
                yield line


def _lines(file: LogFile) -> Iterator[bytes | OSError]:
    """Yield a file's lines without their newlines, and an OSError in the place of a part that cannot be read."""
    try:
        for block in file.blocks():
            *lines, tail = block.split(b"\n")
            yield from lines
            if tail and not file.active:
                yield OSError("the last line is cut off: it has no newline")
    except OSError as error:
        yield error


def _parse(item: bytes | OSError) -> Line:
    if isinstance(item, OSError):
        raise DecodeError(str(item))
    return parse_line(item)
