"""Bodies of answers: decoded with a limit for each step, whatever the server sends."""

from __future__ import annotations

import gzip
import zlib

import httpx
import pytest

from bamboo_logmetrics.ship.answers import LONGEST_ANSWER, read_body


def body_of(content, encoding=None):
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    return read_body(httpx.Response(200, headers=headers, stream=httpx.ByteStream(content)))


@pytest.mark.parametrize("encoding", [None, "identity", "gzip", "x-gzip", " GZIP "])
def test_encodings_that_are_accepted(encoding):
    """A plain body, and one that is compressed with gzip once, is read."""
    content = b"hello" * 100_000
    packed = content if encoding in {None, "identity"} else gzip.compress(content)
    assert body_of(packed, encoding) == content


@pytest.mark.parametrize("encoding", ["zstd", "br", "deflate", "gzip, gzip", "x" * 1000])
def test_encodings_that_were_not_asked_for(encoding):
    """Any other encoding, and several in a row, is refused unread."""
    with pytest.raises(httpx.DecodingError, match="which was not asked for"):
        body_of(b"", encoding)


def test_a_body_that_would_fill_the_memory():
    """Of a small body that decompresses to gigabytes, only the beginning is decompressed."""
    block = bytes(1024 * 1024)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(block) for _ in range(300)) + packer.flush()
    assert LONGEST_ANSWER < len(body_of(packed, "gzip")) < LONGEST_ANSWER + 100_000


def test_a_body_that_is_not_gzip():
    """A body that is not what its header says is no answer."""
    with pytest.raises(httpx.DecodingError, match="not gzip"):
        body_of(b"hello", "gzip")


def test_a_body_that_is_cut_off():
    """Of a compressed body without its end, what there is is read."""
    assert body_of(gzip.compress(b"hello")[:-8], "gzip") == b"hello"
