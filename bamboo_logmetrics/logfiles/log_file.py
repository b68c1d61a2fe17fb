"""An open file of a log, plain or compressed, read as blocks of whole lines or from an offset on."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING

from bamboo_logmetrics.logfiles.compression import DamagedFileError, decompress, kind_of
from bamboo_logmetrics.logfiles.descriptors import Identity, close_own, identify, identity_of, is_ready
from bamboo_logmetrics.logfiles.names import Rotated
from bamboo_logmetrics.logfiles.position import fingerprint
from bamboo_logmetrics.logfiles.side_files import open_regular
from bamboo_logmetrics.system import FS

if TYPE_CHECKING:
    from typing_extensions import Self

STDIN = "-"  # the path of a log that is read from standard input, once

LONGEST_LINE = 4 * 1024 * 1024  # bytes; a file without newlines must not fill the memory, nor may JSON as objects

_CHUNK = 1024 * 1024
_LOOK_EVERY = 0.2  # seconds between two looks for a signal that came before the wait began, and so did not end it
_LEFT_OUT = b"\0"  # stands for the rest of a longer line, and makes it invalid: JSON never contains it


def identity_at(fs: FS, path: str) -> Identity | None:
    """Return the identity of the file at ``path``, or None. Raises OSError."""
    try:
        return identity_of(fs.stat(path))
    except FileNotFoundError:
        return None


class LogFile(ABC):
    """An open file of a log, at an offset.

    Args:
        fs: the system calls.
        path: its path when it is opened.
        base: the name of its plain form if it is a rotated file; empty for the active file.

    Attributes:
        offset: bytes before the place at which it is read, decompressed.
        identity: its device and inode.
        damage: the reason why it cannot be read to its end, once that was met; only of compressed files.

    Raises FileNotFoundError if it does not exist, and another OSError if it is not a regular file.
    """

    compressed: bool

    def __init__(self, fs: FS, path: str, base: str) -> None:
        self.path = path
        self.base = base
        self.offset = 0
        self.damage = ""
        self._fs = fs
        self._fd = open_regular(fs, path, os.O_RDONLY)
        self.identity = identify(fs, self._fd)

    @property
    def active(self) -> bool:
        """True for the file that is being appended to."""
        return not self.base and not self.compressed

    @abstractmethod
    def read(self) -> bytes:
        """Return the bytes that come next, as many as are convenient, and go on behind them; ``b""`` at the end."""

    @abstractmethod
    def peek(self, size: int) -> bytes:
        """Return up to ``size`` bytes from the offset on."""

    @abstractmethod
    def skip(self, size: int) -> None:
        """Go forward by ``size`` bytes, all of which were peeked at."""

    @abstractmethod
    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes; of a compressed file only while the offset is 0."""

    @abstractmethod
    def seek(self, offset: int, *, in_line: bool = False) -> bool:
        """Go to an offset that follows a newline; return False if none is there, as after a truncation.

        Args:
            offset: of a compressed file, not before the current one.
            in_line: True to accept an offset within a line as well.
        """

    @abstractmethod
    def size_ahead(self) -> int:
        """Return how many bytes follow the offset; of a compressed file, the compressed size of all of it."""

    def duplicate(self) -> Self:
        """Return the same file with a descriptor of its own, at its beginning, whatever its path names by now."""
        other = copy(self)
        other.offset, other.damage = 0, ""
        other._fd = os.dup(self._fd)
        return other

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def close(self) -> None:
        """Close the file."""
        close_own(self._fs, self._fd, self.identity)

    def begins_with(self, head_fingerprint: str, size: int) -> bool:
        """Return True if the first ``size`` bytes have this fingerprint."""
        head = self.head(size)
        return len(head) == size and fingerprint(head) == head_fingerprint

    def blocks(self) -> Iterator[bytes]:
        """Yield what follows the offset in blocks that end in a newline; a last line without newline comes alone, last.

        A line that is longer than :data:`LONGEST_LINE` is cut, and no longer valid JSON then.

        Raises OSError where the file cannot be read; DamagedFileError, which is one, where it is damaged or cut off.
        """
        parts: list[bytes] = []
        size = 0
        while chunk := self.read():
            cut = chunk.rfind(b"\n") + 1
            if cut:
                yield b"".join((*parts, chunk[:cut]))
                parts, size = [chunk[cut:]], len(chunk) - cut
            elif size <= LONGEST_LINE:
                size += len(chunk)
                parts.append(chunk if size <= LONGEST_LINE else _LEFT_OUT)
        if self.damage:
            raise DamagedFileError(self.damage)
        if size:
            yield b"".join(parts)


class PlainFile(LogFile):
    """A plain file, which may still grow."""

    compressed = False

    def read(self) -> bytes:
        """Return up to 1 MiB from the offset on, and go on behind it."""
        data = self._fs.pread(self._fd, _CHUNK, self.offset)
        self.offset += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` bytes from the offset on."""
        return self._fs.pread(self._fd, size, self.offset)

    def skip(self, size: int) -> None:
        """Go forward by ``size`` bytes."""
        self.offset += size

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes."""
        return self._fs.pread(self._fd, size, 0)

    def seek(self, offset: int, *, in_line: bool = False) -> bool:
        """Go to an offset that follows a newline; return False if none is there."""
        if offset and not _ends_line(self._fs.pread(self._fd, 1, offset - 1), in_line=in_line):
            return False
        self.offset = offset
        return True

    def size_ahead(self) -> int:
        """Return how many bytes follow the offset."""
        return max(0, self._fs.fstat(self._fd).st_size - self.offset)


class StandardInput(PlainFile):
    """Standard input, which is read once to its end, as the file of a log that has ended."""

    def __init__(self, fs: FS) -> None:
        self.path = self.base = STDIN
        self.offset = 0
        self.damage = ""
        self._fs = fs
        self._fd = 0

    def duplicate(self) -> Self:
        """Return this file: it can be read once."""
        return self

    def read(self) -> bytes:
        """Return the bytes that come next; wait for them."""
        while not is_ready(self._fd, _LOOK_EVERY):
            pass
        return self._fs.read(self._fd, _CHUNK)

    def close(self) -> None:
        """Leave standard input open."""


class CompressedFile(LogFile):
    """A compressed file, which is read forward only."""

    compressed = True

    def __init__(self, fs: FS, path: str, base: str) -> None:
        super().__init__(fs, path, base)
        self._chunks = self._decompressed(kind_of(path) or "")
        self._peeked = b""

    def duplicate(self) -> Self:
        """Return the same file with a descriptor of its own, at its beginning."""
        other = super().duplicate()
        other._chunks, other._peeked = other._decompressed(kind_of(self.path) or ""), b""
        return other

    def _decompressed(self, kind: str) -> Iterator[bytes]:
        try:
            yield from decompress(self._fs, self._fd, kind)
        except DamagedFileError as error:
            self.damage = str(error)

    def read(self) -> bytes:
        """Return the chunk that comes next, and go on behind it."""
        data = self._peeked or next(self._chunks, b"")
        self._peeked = b""
        self.offset += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` bytes from the offset on."""
        parts, length = [self._peeked], len(self._peeked)
        while length < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            length += len(chunk)
        self._peeked = b"".join(parts)
        return self._peeked[:size]

    def skip(self, size: int) -> None:
        """Go forward by ``size`` bytes, all of which were peeked at."""
        self._peeked = self._peeked[size:]
        self.offset += size

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, while the offset is 0."""
        return self.peek(size)

    def seek(self, offset: int, *, in_line: bool = False) -> bool:
        """Go forward to an offset that follows a newline; return False if none is there."""
        last = b"\n"
        while self.offset < offset:
            data = self.peek(min(offset - self.offset, _CHUNK))
            if not data:
                return False
            last = data[-1:]
            self.skip(len(data))
        return _ends_line(last, in_line=in_line)

    def size_ahead(self) -> int:
        """Return the compressed size of the whole file."""
        return self._fs.fstat(self._fd).st_size


def _ends_line(last: bytes, *, in_line: bool) -> bool:
    return last == b"\n" or (in_line and bool(last))


def open_file(fs: FS, path: str, base: str = "") -> LogFile | None:
    """Open a file of a log; return None if it does not exist. Arguments and other errors as of :class:`LogFile`."""
    kind = CompressedFile if kind_of(path) else PlainFile
    try:
        return kind(fs, path, base)
    except FileNotFoundError:
        return None


def open_rotated(fs: FS, log: str, rotated: Rotated) -> LogFile | None:
    """Open a rotated file in the form that it has now: it may have been compressed since it was listed.

    Return None if retention has removed it. Raises OSError.
    """
    directory = os.path.dirname(log)
    for name in rotated.forms:
        if (file := open_file(fs, os.path.join(directory, name), rotated.base)) is not None:
            return file
    return None
