"""Compression by the libraries themselves, beside the package's: zstd is in the standard library from Python 3.14 on."""

from __future__ import annotations

import gzip
import io
import sys

if sys.version_info >= (3, 14):
    from compression import zstd

    def pack_zstd(data):
        """Return the data as one frame of zstd with a checksum."""
        return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: True})

    def unpack_zstd(data):
        """Return the content of frames of zstd."""
        return zstd.decompress(data)

else:
    import zstandard

    def pack_zstd(data):
        """Return the data as one frame of zstd with a checksum."""
        return zstandard.ZstdCompressor(write_checksum=True).compress(data)

    def unpack_zstd(data):
        """Return the content of frames of zstd."""
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            return reader.read()


def hide_zstd(monkeypatch):
    """Have this Python lack what zstd needs, until the test is over; return the remedy, as a pattern."""
    if sys.version_info < (3, 14):
        monkeypatch.setitem(sys.modules, "zstandard", None)
        return r"pip install 'bamboo_logmetrics\[zstd\]'"
    monkeypatch.delattr("compression.zstd")
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    return "a Python that is built with libzstd"


PACK = {"gzip": gzip.compress, "zstd": pack_zstd}
UNPACK = {"gzip": gzip.decompress, "zstd": unpack_zstd}
