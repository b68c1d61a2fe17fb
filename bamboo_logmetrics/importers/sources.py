"""Files to import: found below folders once, read line by line also if compressed, and recognised when unchanged."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.compression import SUFFIXES, decompress, kind_of
from bamboo_logmetrics.system import FS

if TYPE_CHECKING:
    from bamboo_logmetrics.importers.base import ImportReport

_CHUNK = 1 << 18  # bytes
_EDGE = 4096  # bytes at each end of a file that make its fingerprint
LONGEST_LINE = 1 << 28  # bytes; a longer line is reported and left out


class FileState(NamedTuple):
    """The state of a file, which differs after a change."""

    size: int
    mtime_ns: int
    fingerprint: bytes


def state_of(path: Path) -> FileState:
    """Return the state of a file. Raises OSError."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        edges = file.read(_EDGE)
        if status.st_size > _EDGE:
            file.seek(max(_EDGE, status.st_size - _EDGE))
            edges += file.read(_EDGE)
    return FileState(status.st_size, status.st_mtime_ns, hashlib.blake2b(edges, digest_size=8).digest())


def with_compressed(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return patterns of names, and those of the same files when compressed."""
    return tuple(pattern + suffix for pattern in patterns for suffix in ("", *SUFFIXES))


def fits(path: str | os.PathLike[str], pattern: str) -> bool:
    """Return True if a path fits a pattern of names; one with slashes is of the folders above the file too."""
    parts = os.fspath(path).rsplit(os.sep, pattern.count("/") + 1)
    return fnmatch("/".join(parts[-pattern.count("/") - 1 :]), pattern)


def files_below(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """Yield the matching regular files below a folder, sorted by the parts of their paths.

    Linked folders are followed, each real folder once.
    """
    seen: set[tuple[int, int]] = set()
    matches: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # what is no link comes first, so that a file keeps the path that is its own
        folders[:] = [
            name for _, name in sorted((os.path.islink(os.path.join(parent, name)), name) for name in folders)
        ]
        whole = os.path.abspath(parent)  # a pattern may name folders above the given one
        matches += [
            Path(parent, name)
            for name in names
            if any(fits(os.path.join(whole, name), pattern) for pattern in patterns)
        ]
    yield from sorted(filter(_is_file, matches), key=lambda file: file.parts)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:  # a link that leads nowhere
        return False


def identity(path: Path) -> tuple[int, int]:
    """Return the numbers that every name of one file has in common. Raises OSError."""
    status = path.stat()
    return status.st_dev, status.st_ino


def lines_of(path: Path, report: ImportReport) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each line, from 1 on; a compressed file is read as its content.

    The last line has no newline if the file ends without one. Raises OSError, also for damaged data.
    """
    if kind_of(path.name) is None:
        yield from _plain_lines(path, report)
        return
    number, parts, size = 0, [], 0
    for chunk in _chunks(path, report):
        first, *pieces = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        for piece in pieces:
            number += 1
            if size <= LONGEST_LINE:
                yield number, b"".join(parts) + b"\n"
            else:
                report.problem(path, f"longer than {LONGEST_LINE:,} bytes", number)
            parts, size = [piece], len(piece)
        if size > LONGEST_LINE:
            parts = []
    if size > LONGEST_LINE:
        report.problem(path, f"longer than {LONGEST_LINE:,} bytes", number + 1)
    elif size:
        yield number + 1, b"".join(parts)


def _plain_lines(path: Path, report: ImportReport) -> Iterator[tuple[int, bytes]]:
    number = size = 0
    with path.open("rb", buffering=_CHUNK) as file:
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            size += len(line)
            if size >= _CHUNK:
                report.progress(size)
                size = 0
            if len(line) <= LONGEST_LINE or line.endswith(b"\n"):
                yield number, line
                continue
            report.problem(path, f"longer than {LONGEST_LINE:,} bytes", number)
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
                report.progress(len(line))
    report.progress(size)


def _chunks(path: Path, report: ImportReport) -> Iterator[bytes]:
    with path.open("rb") as file:
        try:
            yield from decompress(_CountingFS(report), file.fileno(), kind_of(path.name) or "")
        except ConfigError as error:  # no library for this kind
            raise OSError(str(error)) from None


class _CountingFS(FS):
    """Reports what is read of a compressed file as progress."""

    def __init__(self, report: ImportReport) -> None:
        self._report = report

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """Read up to ``size`` bytes at ``offset``."""
        chunk = super().pread(fd, size, offset)
        self._report.progress(len(chunk))
        return chunk
