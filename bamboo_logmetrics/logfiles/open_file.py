"""One file of a log, plain or compressed, read from a place on."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from bamboo_logmetrics.logfiles.compression import SUFFIX, decompressed
from bamboo_logmetrics.logfiles.discovery import Identity, identity
from bamboo_logmetrics.logfiles.position import fingerprint
from bamboo_logmetrics.system import FS

_KIND = {suffix: kind for kind, suffix in SUFFIX.items()}


class PlainFile:
    """A plain file, which may still grow.

    Args:
        path: its path; raises FileNotFoundError when it is gone.
        base: its name when it is a rotated file, without a compression's suffix; empty for the active one.
        fs: the system calls.
    """

    damage = ""

    def __init__(self, path: str, base: str, fs: FS) -> None:
        self.base = base
        self.offset = 0
        self._fs = fs
        self._fd, self.identity = _opened(path, fs)

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` bytes from the offset on."""
        return self._fs.pread(self._fd, size, self.offset)

    def skip(self, size: int) -> None:
        """Go on by ``size`` bytes."""
        self.offset += size

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes."""
        return self._fs.pread(self._fd, size, 0)

    def seek(self, offset: int, *, in_line: bool = False) -> bool:
        """Go to an offset behind a newline; tell whether there is one, as after a truncation there may not be."""
        if offset and not _ends(self._fs.pread(self._fd, 1, offset - 1), in_line=in_line):
            return False
        self.offset = offset
        return True

    def size_ahead(self) -> int:
        """Return how many bytes are behind the offset."""
        return max(0, self._fs.fstat(self._fd).st_size - self.offset)

    def close(self) -> None:
        """Close the file."""
        self._fs.close(self._fd)


class PackedFile:
    """A compressed file; ``damage`` says, once it was met, why it cannot be read to its end."""

    def __init__(self, path: str, base: str, fs: FS) -> None:
        self.base = base
        self.offset = 0
        self.damage = ""
        self._fs = fs
        self._fd, self.identity = _opened(path, fs)
        self._kind = _KIND[os.path.splitext(path)[1]]
        self._chunks = self._decompressed()
        self._ahead = b""

    def _decompressed(self) -> Iterator[bytes]:
        try:
            yield from decompressed(self._fs, self._fd, self._kind)
        except OSError as error:
            if error.errno is not None:  # not the data but the disk
                raise
            self.damage = str(error)

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` bytes from the offset on."""
        parts, found = [self._ahead], len(self._ahead)
        while found < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            found += len(chunk)
        self._ahead = b"".join(parts)
        return self._ahead[:size]

    def skip(self, size: int) -> None:
        """Go on by ``size`` bytes that were peeked at."""
        self._ahead = self._ahead[size:]
        self.offset += size

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, while the offset is 0."""
        return self.peek(size)

    def seek(self, offset: int, *, in_line: bool = False) -> bool:
        """Go to an offset behind a newline; tell whether there is one."""
        last = b"\n"
        while self.offset < offset:
            data = self.peek(min(offset - self.offset, 1024 * 1024))
            if not data:
                return False
            last = data[-1:]
            self.skip(len(data))
        return _ends(last, in_line=in_line)

    def size_ahead(self) -> int:
        """Return how many compressed bytes the file has."""
        return self._fs.fstat(self._fd).st_size

    def close(self) -> None:
        """Close the file."""
        self._fs.close(self._fd)


def _opened(path: str, fs: FS) -> tuple[int, Identity]:
    fd = fs.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO is not waited for
    try:
        return fd, _identity(fs.fstat(fd), path)
    except BaseException:
        fs.close(fd)
        raise


def _identity(status: os.stat_result, path: str) -> Identity:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return identity(status)


def _ends(last: bytes, *, in_line: bool) -> bool:
    return last == b"\n" or (in_line and bool(last))


AnyFile = PlainFile | PackedFile


def open_file(path: str, base: str, fs: FS) -> AnyFile:
    """Open a file of a log; raises FileNotFoundError when it is gone."""
    kind = PackedFile if os.path.splitext(path)[1] in _KIND else PlainFile
    return kind(path, base, fs)


def begins_with(file: AnyFile, head: str, size: int) -> bool:
    """Tell whether a file, at its beginning, has this fingerprint of its first ``size`` bytes."""
    found = file.head(size)
    return len(found) == size and fingerprint(found) == head
