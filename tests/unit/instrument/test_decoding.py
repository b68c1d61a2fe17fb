"""Content encodings, decoded chunk by chunk."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamboo_logmetrics.instrument import decoding
from bamboo_logmetrics.instrument.decoding import UndecodableError, decoder_of

TEXT = b"".join(b"data: %d \xc3\xa9\n\n" % number for number in range(5_000))


def zstd(text):
    from bamboo_logmetrics.logfiles.compression import need_zstd

    module = need_zstd()
    return module.compress(text) if sys.version_info >= (3, 14) else module.ZstdCompressor().compress(text)


def raw_deflate(text):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(text) + compressor.flush()


ENCODED = {
    "gzip": gzip.compress(TEXT),
    "X-GZIP": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "deflate": zlib.compress(TEXT),
    " deflate , identity": raw_deflate(TEXT),
    "zstd": zstd(TEXT),
}


def decoded(encoding, body, step):
    decode = decoder_of(encoding)
    return b"".join(part for start in range(0, len(body), step) for part in decode(body[start : start + step]))


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("step", [1, 7, 4096, 10**6])
def test_chunks_of_any_size(encoding, step):
    """A body is the same whatever the size of its chunks."""
    assert decoded(encoding, ENCODED[encoding], step) == TEXT


@pytest.mark.parametrize("step", [1, 1000])
def test_brotli(step):
    """A body in brotli is decoded where a library is there."""
    brotli = pytest.importorskip("brotli")
    assert decoded("br", brotli.compress(TEXT), step) == TEXT


def test_flushed_parts_come_at_once():
    """Parts that a server has flushed are decoded with their chunk, so that events are seen as they come."""
    compressor = zlib.compressobj(wbits=31)
    decode = decoder_of("gzip")
    for number in range(3):
        text = b"data: %d\n\n" % number
        assert b"".join(decode(compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))) == text


@pytest.mark.parametrize("encoding", ["", "identity", " , "])
def test_nothing_encoded(encoding):
    """A body without an encoding needs no decoder."""
    assert decoder_of(encoding) is None


@pytest.mark.parametrize("encoding", ["gzip, gzip", "compress", "br;q=1"])
def test_unknown_encodings(encoding):
    """An unknown encoding, and several of them, cannot be decoded."""
    with pytest.raises(UndecodableError):
        decoder_of(encoding)


def test_no_library(monkeypatch):
    """An encoding whose library is not there cannot be decoded."""
    monkeypatch.setattr(decoding, "_BROTLI_MODULES", ("no_such_module",))
    with pytest.raises(UndecodableError, match="no library for br"):
        decoder_of("br")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_bomb_is_left_undecoded(encoding):
    """A body that stands for hundreds of megabytes is given up, and takes little memory until then."""
    plain = bytes(300_000_000)
    bomb = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd}[encoding](plain)
    del plain
    decode = decoder_of(encoding)
    size = 0
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableError, match="far more than its bytes"):
            for start in range(0, len(bomb), 4096):
                for part in decode(bomb[start : start + 4096]):
                    size += len(part)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert size < 120_000_000


def test_a_long_body_of_equal_parts():
    """A long body whose parts are much alike is decoded to its end."""
    text = TEXT * 100
    assert sum(map(len, decoder_of("zstd")(zstd(text)))) == len(text)


@given(st.sampled_from(["gzip", "deflate", "zstd"]), st.lists(st.binary(max_size=50), max_size=5))
def test_damaged_bodies(encoding, chunks):
    """Bytes that are no such body raise nothing but UndecodableError."""
    decode = decoder_of(encoding)
    try:
        for chunk in chunks:
            list(decode(chunk))
    except UndecodableError:
        pass
