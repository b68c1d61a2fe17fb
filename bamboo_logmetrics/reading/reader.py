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
    """Return the lines of a log, the oldest first: of its rotated and compressed files, then of the active one.

    They may be of any layout. A last line of the active file that has no newline yet is being written, and is left out.

    Args:
        path: the log; of a rotated file, the log it belongs to.
        on_error: at what is not a line of ours, or a damaged file, ``"raise"`` DecodeError, or ``"skip"`` it.

    Raises FileNotFoundError when there is no such log, and ConfigError when it is not a regular file.
    """
    if on_error not in {"raise", "skip"}:
        msg = f"on_error must be 'raise' or 'skip'; got {on_error!r}"
        raise ValueError(msg)
    return _read(find_log(path), skip=on_error == "skip")


def _read(log: str, *, skip: bool) -> Iterator[Line]:
    fs = FS()
    for file in open_files(fs, log, skip_removed=True):
        for number, found in enumerate(_lines(file), 1):
            try:
                line = _parse(found)
            except DecodeError as error:
                if skip:
                    continue
                msg = f"{file.path}:{number}: {error}"
                raise DecodeError(msg) from None
            yield line


def _lines(file: LogFile) -> Iterator[bytes | OSError]:
    """Give a file's lines without their newlines; in the place of what cannot be read, the reason."""
    try:
        for block in file.blocks():
            *lines, rest = block.split(b"\n")
            yield from lines
            if rest and not file.active:
                yield OSError("the last line is cut off: it has no newline")
    except OSError as error:
        yield error


def _parse(found: bytes | OSError) -> Line:
    if isinstance(found, OSError):
        raise DecodeError(str(found))
    return parse_line(found)
