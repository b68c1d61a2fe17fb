"""The sizes of a log's files as if none was compressed."""

from __future__ import annotations

import os

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.compression import DamagedFileError, decompress, kind_of
from bamboo_logmetrics.logfiles.side_files import open_regular
from bamboo_logmetrics.system import FS

_LARGEST = 4 * 1024 * 1024 * 1024  # bytes counted of one file at most: a hostile file could go on for hours
_GZIP_SIZE = 4  # bytes at the end of a gzip file: the size of what was compressed


def plain_size(fs: FS, path: str) -> int:
    """Return the size of a file in bytes, decompressed; 0 if there is none. Raises OSError.

    A gzip file has its size at its end; a zstd file is decompressed, up to 4 GiB. A file that cannot be decompressed
    counts with its compressed size.
    """
    try:
        fd = open_regular(fs, path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        size = fs.fstat(fd).st_size
        kind = kind_of(path)
        if kind == "gzip":
            noted = int.from_bytes(fs.pread(fd, _GZIP_SIZE, max(0, size - _GZIP_SIZE)), "little")
            return max(size, noted)  # of several pieces it is that of the last one only
        return _decompressed_size(fs, fd, size) if kind == "zstd" else size
    finally:
        fs.close(fd)


def _decompressed_size(fs: FS, fd: int, size: int) -> int:
    plain = 0
    try:
        for chunk in decompress(fs, fd, "zstd"):
            plain += len(chunk)
            if plain > _LARGEST:
                break
    except (DamagedFileError, ConfigError):
        return max(size, plain)
    return plain
