"""Is everything there: every file of a log is read, and every line parsed."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.events import MARK

_MARK = MARK.encode()


@dataclass(frozen=True, slots=True)
class Checked:
    """Counts of the lines in the files of a log.

    Args:
        lines: lines that are JSON objects and were logged by the benchmark.
        own: lines that are JSON objects of the log's own.
        broken: lines that are not a JSON object, or have no newline at their end.
        files: how many files there are.
        compressed: how many of them are compressed.
        size: bytes of the lines, not compressed.
    """

    lines: int
    own: int
    broken: int
    files: int
    compressed: int
    size: int


def check(folder: Path) -> Checked:
    """Read every file in a folder; hidden ones are lock files."""
    lines = own = broken = files = compressed = size = 0
    for path in sorted(path for path in folder.iterdir() if _is_log(path)):
        files += 1
        compressed += path.suffix == ".gz"
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            for line in file:
                size += len(line)
                if not _is_object(line):
                    broken += 1
                elif _MARK in line:
                    lines += 1
                else:
                    own += 1
    return Checked(lines=lines, own=own, broken=broken, files=files, compressed=compressed, size=size)


def _is_log(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix != ".lock"


def _is_object(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except msgspec.DecodeError:
        return False
