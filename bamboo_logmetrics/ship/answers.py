"""Bodies of servers' answers, read with a limit for each step. Needs the extra ``ship``."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator

import httpx

ACCEPTED = "gzip"  # the only Content-Encoding that requests accept, and that is decoded
LONGEST_ANSWER = 8 * 1024 * 1024  # bytes, decompressed; Elasticsearch answers for each line

_LONGEST_WAIT = 30.0  # seconds, for the whole body
_STEP = 64 * 1024  # bytes, decompressed, at a time
_GZIP_WINDOW = 31  # zlib's code for a gzip header and trailer


def read_body(response: httpx.Response) -> bytes:
    """Return the body of an answer that is streamed; of one that is longer than LONGEST_ANSWER, its beginning.

    httpx would decode each part as a whole, which a few bytes can make gigabytes of, and several encodings in a row.

    Raises httpx.DecodingError for an encoding that was not asked for, or for damaged data, and httpx.ReadTimeout for a
    body that takes too long.
    """
    content, until = bytearray(), time.monotonic() + _LONGEST_WAIT
    for part in _decoded(response):
        content += part
        if len(content) > LONGEST_ANSWER:
            break
        if time.monotonic() > until:  # httpx limits the wait for each part only
            msg = f"an answer that takes more than {_LONGEST_WAIT:.0f} s"
            raise httpx.ReadTimeout(msg)
    return bytes(content)


def _decoded(response: httpx.Response) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        yield from response.iter_raw(_STEP)
    elif encoding in {"gzip", "x-gzip"}:
        yield from _gunzipped(response.iter_raw(_STEP))
    else:
        msg = f"an answer with Content-Encoding {encoding:.40}, which was not asked for"
        raise httpx.DecodingError(msg)


def _gunzipped(parts: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = zlib.decompressobj(_GZIP_WINDOW)
    for part in parts:
        while part:
            try:
                plain = decompressor.decompress(part, _STEP)
            except zlib.error as error:
                msg = f"an answer that is not gzip: {error}"
                raise httpx.DecodingError(msg) from None
            yield plain
            part = decompressor.unconsumed_tail  # noqa: PLW2901 - what is left of the same part
    yield decompressor.flush()
