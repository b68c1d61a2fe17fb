"""Compression of a closed file, and decompression: gzip and zstd.

From Python 3.14 on zstd comes from the standard library, before that from the package of the extra. Each reads what the
other has written.
"""

from __future__ import annotations

import errno
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.descriptors import close_own, identify, is_taken
from bamboo_logmetrics.logfiles.side_files import create_side_file
from bamboo_logmetrics.system import FS, write_all

SUFFIX = {"gzip": ".gz", "zstd": ".zst"}
SUFFIXES = tuple(SUFFIX.values())

_KIND = {suffix: kind for kind, suffix in SUFFIX.items()}
MOST_PLAIN = 1024 * 1024  # bytes of plain data at a time

_CHUNK = 256 * 1024  # bytes
# Compressed bytes at a time. Four bytes of zstd may stand for 128 KiB, so 512 bytes for 16 MiB; output of gzip is
# limited by zlib itself.
_STEP = {"gzip": 16 * 1024, "zstd": 512}
_WINDOW_LOG = 25  # of zstd: 32 MiB of memory, enough for all levels of the zstd command but --ultra and --long
_REMEDY = (
    "a Python that is built with libzstd (its module compression.zstd is missing); compress='gzip' works without"
    if sys.version_info >= (3, 14)
    else "the zstandard package: pip install 'bamboo_logmetrics[zstd]'"
)
_GZIP_WINDOW = 31  # zlib's code for a gzip header and trailer


class DamagedFileError(OSError):
    """Compressed data is damaged, cut off, or followed by other data."""


def kind_of(path: str) -> str | None:
    """Return ``"gzip"`` or ``"zstd"`` by a file's suffix; None for a plain file."""
    return _KIND.get(os.path.splitext(path)[1])


def compress(fs: FS, source: int, target: str, kind: str, mode: int) -> None:
    """Compress the open file ``source`` into the new file ``target``, bring it to the disk and verify it.

    Raises OSError, also if the target does not decompress to the source.
    """
    fd = create_side_file(fs, target, mode)
    identity = identify(fs, fd)

    def write(data: bytes) -> None:
        if is_taken(fs, fd, identity):
            raise OSError(errno.EBADF, "closed from outside while it was written", target)
        write_all(fs, fd, data)

    try:
        before = _compress(fs, source, write, kind)
        fs.fsync(fd)
        after = _checksum(decompress(fs, fd, kind))
    finally:
        close_own(fs, fd, identity)
    if before != after:
        msg = f"{target} does not read back as what was compressed"
        raise OSError(msg)


def _compress(fs: FS, source: int, write: Callable[[bytes], None], kind: str) -> tuple[int, int]:
    """Return the size and checksum of the source."""
    compressor = _compressor(kind)
    size = checksum = 0
    while chunk := fs.pread(source, _CHUNK, size):
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
        write(compressor.compress(chunk))
    write(compressor.flush())
    return size, checksum


def _checksum(chunks: Iterator[bytes]) -> tuple[int, int]:
    size = checksum = 0
    for chunk in chunks:
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
    return size, checksum


def decompress(fs: FS, fd: int, kind: str) -> Iterator[bytes]:
    """Yield the plain bytes of an open compressed file, in chunks of at most :data:`MOST_PLAIN` bytes.

    Whatever the file holds, this takes less than 64 MiB of memory. The file may consist of several compressed pieces,
    one after the other, as other programs write them.

    Raises DamagedFileError where it is damaged, cut off or needs more memory, OSError where it cannot be read, and
    ConfigError if this Python has nothing for this kind.
    """
    decompressor = _decompressor(kind)
    pieces = 0
    try:
        for chunk in _input(fs, fd, _STEP[kind]):
            while chunk:
                if decompressor.eof:
                    decompressor = _decompressor(kind)
                    pieces += 1
                yield from _output(decompressor, kind, chunk)
                chunk = decompressor.unused_data  # noqa: PLW2901 - the rest of it
    except _errors(kind) as error:
        msg = f"damaged {kind} data: {error}" if pieces == 0 else f"something follows the {kind} data: {error}"
        raise DamagedFileError(msg) from None
    if not decompressor.eof:
        msg = f"{kind} data ends too early" if pieces == 0 else f"something follows the {kind} data, and ends too early"
        raise DamagedFileError(msg)


def _input(fs: FS, fd: int, step: int) -> Iterator[bytes]:
    """Yield the bytes of a file in small steps: the more bytes at once, the more memory their plain form may take."""
    offset = 0
    while chunk := fs.pread(fd, _CHUNK, offset):
        offset += len(chunk)
        for start in range(0, len(chunk), step):
            yield chunk[start : start + step]


def _output(decompressor: Any, kind: str, chunk: bytes) -> Iterator[bytes]:
    """Yield the plain form of a chunk, at most :data:`MOST_PLAIN` bytes at a time."""
    if kind == "gzip":
        full = True  # then zlib may hold more, also without further input
        while (chunk or full) and not decompressor.eof:
            if plain := decompressor.decompress(chunk, MOST_PLAIN):
                yield plain
            chunk, full = decompressor.unconsumed_tail, len(plain) == MOST_PLAIN
        return
    plain = decompressor.decompress(chunk)
    for start in range(0, len(plain), MOST_PLAIN):
        yield plain[start : start + MOST_PLAIN]


def need_zstd(subject: str = "zstd files need") -> Any:
    """Return the module for zstd. If there is none, raise ConfigError with ``subject`` and the remedy."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            import zstandard as zstd
    except ImportError:
        msg = f"{subject} {_REMEDY}"
        raise ConfigError(msg) from None
    return zstd


def _compressor(kind: str) -> Any:
    if kind == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
    zstd = need_zstd()
    if sys.version_info >= (3, 14):
        return zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: True})
    return zstd.ZstdCompressor(write_checksum=True).compressobj()


def _decompressor(kind: str) -> Any:
    if kind == "gzip":
        return zlib.decompressobj(_GZIP_WINDOW)
    zstd = need_zstd()
    if sys.version_info >= (3, 14):
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    return zstd.ZstdDecompressor(max_window_size=2**_WINDOW_LOG).decompressobj()


def _errors(kind: str) -> type[Exception]:
    return zlib.error if kind == "gzip" else need_zstd().ZstdError
