"""Lines of any layout as native lines, for the files that DuckDB cannot read as they are."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import IO, Any, Literal, TypeAlias

import msgspec

from bamboo_logmetrics.events.times import format_utc, parse_utc
from bamboo_logmetrics.format.header import NOT_JSON, is_newer, is_writer_id
from bamboo_logmetrics.format.layouts import NATIVE, flat_of
from bamboo_logmetrics.logfiles.log_file import LogFile

_USUAL_TIME = re.compile(rb'\{"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"')

Skipped: TypeAlias = Literal["broken", "foreign", "newer", "damaged"]


def write_native(file: LogFile, target: IO[bytes], skipped: Counter[Skipped]) -> None:
    """Write the lines of a file as native lines, and count those that are left out.

    Args:
        file: the file, at its beginning. A last line without newline is left out; in the active file it is being
            written, and not counted.
        target: the file that is written.
        skipped: is added to: ``broken`` lines, ``foreign`` lines of other programs, lines of a ``newer`` version, and
            ``damaged`` files, of which the rest is missing. An empty line holds nothing, and is not counted.
    """
    try:
        for block in file.blocks():
            *lines, tail = block.split(b"\n")
            for line in lines:
                if (native := as_native(line, skipped)) is not None:
                    target.write(native + b"\n")
            if tail and not file.active:
                skipped["broken"] += 1
    except OSError:
        skipped["damaged"] += 1


def is_native(line: bytes) -> bool:
    """Return True for a whole line of the native layout, of this version."""
    try:
        line.decode()
        return is_writer_id(NATIVE.decode_header(line).writer)
    except NOT_JSON:
        return False


def as_native(line: bytes, skipped: Counter[Skipped]) -> bytes | None:
    """Return a line of any layout as a native one, its time in the usual form; None for any other, which is counted.

    A native line without a valid time stays as it is.
    """
    if is_native(line):
        return line if _USUAL_TIME.match(line) else _with_usual_time(line)
    if not line.strip():
        return None
    try:
        flat = flat_of(msgspec.json.decode(line.decode()))
    except msgspec.ValidationError:  # JSON, with a number that is too large for any type
        skipped["foreign"] += 1
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        skipped["broken"] += 1
    except ValueError:
        skipped["foreign"] += 1
    else:
        if isinstance(writer := flat.get("writer"), str) and is_writer_id(writer):
            if not is_newer(flat["v"]):
                return _encoded(flat)
            skipped["newer"] += 1
        else:
            skipped["foreign"] += 1
    return None


def _with_usual_time(line: bytes) -> bytes:
    """Return a native line with its time as logs write it; the line itself if it has no valid time, or is no JSON."""
    try:
        return _encoded(msgspec.json.decode(line))
    except NOT_JSON:
        return line


def _encoded(flat: dict[str, Any]) -> bytes:
    with suppress(ValueError):
        flat["timestamp"] = format_utc(parse_utc(flat.get("timestamp")))
    return msgspec.json.encode(flat)
