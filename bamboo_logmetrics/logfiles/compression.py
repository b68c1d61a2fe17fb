"""Compressing one closed file, and reading it back: gzip, and zstd with the extra."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.system import FS

SUFFIX = {"gzip": ".gz", "zstd": ".zst"}
SUFFIXES = tuple(SUFFIX.values())
_CHUNK = 256 * 1024
_GZIP_WINDOW = 31  # zlib's code for a gzip header and trailer


def compress(fs: FS, source: int, target: str, kind: str, mode: int) -> None:
    """Compress the open file ``source`` into the new file ``target`` and verify it.

    The target is on the disk when this returns. Raises OSError; also when what was written does not read back.
    """
    fd = fs.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
    try:
        fs.fchmod(fd, mode)
        before = _compress(fs, source, fd, kind)
        fs.fsync(fd)
        after = _fingerprint(decompressed(fs, fd, kind))
    finally:
        fs.close(fd)
    if before != after:
        msg = f"{target} does not read back as what was compressed"
        raise OSError(msg)


def _compress(fs: FS, source: int, target: int, kind: str) -> tuple[int, int]:
    packer = _packer(kind)
    size = checksum = 0
    while chunk := fs.pread(source, _CHUNK, size):
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
        write_all(fs, target, packer.compress(chunk))
    write_all(fs, target, packer.flush())
    return size, checksum


def write_all(fs: FS, fd: int, data: bytes) -> None:
    """Write all of ``data``, going on after short writes."""
    view = memoryview(data)
    while view:
        view = view[fs.write(fd, view) :]


def _fingerprint(chunks: Iterator[bytes]) -> tuple[int, int]:
    size = checksum = 0
    for chunk in chunks:
        size += len(chunk)
        checksum = zlib.crc32(chunk, checksum)
    return size, checksum


def decompressed(fs: FS, fd: int, kind: str) -> Iterator[bytes]:
    """Give the plain bytes of an open compressed file, in chunks. Raises OSError where it is damaged or cut off."""
    unpacker = _unpacker(kind)
    offset = 0
    try:
        while chunk := fs.pread(fd, _CHUNK, offset):
            offset += len(chunk)
            if plain := unpacker.decompress(chunk):
                yield plain
    except _errors(kind) as error:
        msg = f"damaged {kind} data: {error}"
        raise OSError(msg) from None
    if unpacker.unused_data:
        msg = f"something follows the {kind} data"
        raise OSError(msg)
    if not unpacker.eof:
        msg = f"{kind} data ends too early"
        raise OSError(msg)


def _packer(kind: str) -> Any:
    if kind == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
    return _zstandard().ZstdCompressor(write_checksum=True).compressobj()


def _unpacker(kind: str) -> Any:
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
