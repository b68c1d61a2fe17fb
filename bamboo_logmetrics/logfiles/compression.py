"""Compression of a closed file, and decompression: gzip, and zstd with the extra."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.system import FS, write_all

SUFFIX = {"gzip": ".gz", "zstd": ".zst"}
SUFFIXES = tuple(SUFFIX.values())

_KIND = {suffix: kind for kind, suffix in SUFFIX.items()}
_CHUNK = 256 * 1024  # bytes
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
    fd = fs.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
    try:
        fs.fchmod(fd, mode)
        before = _compress(fs, source, fd, kind)
        fs.fsync(fd)
        after = _checksum(decompress(fs, fd, kind))
    finally:
        fs.close(fd)
    if before != after:
        msg = f"{target} does not read back as what was compressed"
        raise OSError(msg)


def _compress(fs: FS, source: int, target: int, kind: str) -> tuple[int, int]:
    """Return the size and checksum of the source."""
    compressor = _compressor(kind)
    size = checksum = 0
    while chunk := fs.pread(source, _CHUNK, size):
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
        write_all(fs, target, compressor.compress(chunk))
    write_all(fs, target, compressor.flush())
    return size, checksum


def _checksum(chunks: Iterator[bytes]) -> tuple[int, int]:
    size = checksum = 0
    for chunk in chunks:
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
    return size, checksum


def decompress(fs: FS, fd: int, kind: str) -> Iterator[bytes]:
    """Yield the plain bytes of an open compressed file, in chunks.

    Raises DamagedFileError where it is damaged or cut off, OSError where it cannot be read, and ConfigError if the
    package for this kind is not installed.
    """
    decompressor = _decompressor(kind)
    offset = 0
    try:
        while chunk := fs.pread(fd, _CHUNK, offset):
            offset += len(chunk)
            if plain := decompressor.decompress(chunk):
                yield plain
    except _errors(kind) as error:
        msg = f"damaged {kind} data: {error}"
        raise DamagedFileError(msg) from None
    if decompressor.unused_data:
        msg = f"something follows the {kind} data"
        raise DamagedFileError(msg)
    if not decompressor.eof:
        msg = f"{kind} data ends too early"
        raise DamagedFileError(msg)


def _compressor(kind: str) -> Any:
    if kind == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
    return _zstandard().ZstdCompressor(write_checksum=True).compressobj()


def _decompressor(kind: str) -> Any:
    if kind == "gzip":
        return zlib.decompressobj(_GZIP_WINDOW)
    return _zstandard().ZstdDecompressor().decompressobj()


def _errors(kind: str) -> type[Exception]:
    return zlib.error if kind == "gzip" else _zstandard().ZstdError


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        msg = "zstd files need the zstandard package: pip install 'bamboo_logmetrics[zstd]'"
        raise ConfigError(msg) from None
    return zstandard
