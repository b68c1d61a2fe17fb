"""Answers, read beside the application."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.provider_server import CHAT, CHAT_STREAM

from bamboo_logmetrics.instrument.answers import AnswerReader
from bamboo_logmetrics.usage.providers import endpoint_of

CHAT_ENDPOINT = endpoint_of("/v1/chat/completions")


def reader_of(content_type="application/json", *, status=200, encoding="", stream=False, endpoint=CHAT_ENDPOINT):
    headers = {"content-type": content_type, "content-encoding": encoding}
    return AnswerReader(endpoint, status, headers, asked_for_stream=stream)


def test_a_body():
    """A body that is no stream is read as a whole."""
    reader = reader_of()
    for byte in json.dumps(CHAT).encode():
        reader.feed(bytes([byte]))
    assert (reader.is_stream, reader.is_complete, reader.has_content) == (False, False, False)
    assert reader.facts().usage.total_tokens == 42


def test_a_long_body():
    """Of a long body little is kept, and its usage is read even so."""
    vectors = [{"object": "embedding", "index": number, "embedding": [0.0123456789] * 1536} for number in range(300)]
    text = json.dumps({"data": vectors, "model": "e-1", "usage": {"prompt_tokens": 9, "total_tokens": 9}}).encode()
    reader = reader_of(endpoint=endpoint_of("/v1/embeddings"))
    for start in range(0, len(text), 65_536):
        reader.feed(text[start : start + 65_536])
    assert not reader._body
    assert reader._stream.kept < 1_100_000
    assert (reader.is_stream, reader.is_complete, reader.has_content) == (False, False, False)
    assert reader.facts().usage.total_tokens == 9
    assert reader.facts().usage_source == "reported"


def test_a_body_in_tiny_pieces():
    """A body is held as its bytes, however small the pieces are and how many are empty."""
    reader = reader_of()
    tracemalloc.start()
    try:
        for _ in range(100_000):
            reader.feed(b"")
            reader.feed(b"ab")
        assert tracemalloc.get_traced_memory()[0] < 400_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content_type", ["text/event-stream", "TEXT/EVENT-STREAM; charset=utf-8", "application/x-ndjson"]
)
def test_streams_by_their_type(content_type):
    """An answer is a stream by its content type."""
    assert reader_of(content_type).is_stream
    assert not reader_of(content_type, status=400).is_stream


def test_a_list_as_a_stream():
    """A JSON list in answer to a request for a stream is read as one."""
    chunks = [
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": {"promptTokenCount": 3}},
        {
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        },
    ]
    reader = reader_of(stream=True, endpoint=endpoint_of("/v1beta/models/g:streamGenerateContent"))
    text = json.dumps(chunks, indent=1).encode()
    for start in range(0, len(text), 5):
        reader.feed(text[start : start + 5])
    assert reader.is_complete
    assert reader.facts().usage.total_tokens == 7


def test_an_error_in_place_of_a_stream():
    """An error in answer to a request for a stream is plain JSON."""
    reader = reader_of(status=400, stream=True)
    reader.feed(b'{"error":{"message":"bad","type":"invalid_request_error"}}')
    facts = reader.facts()
    assert (reader.is_stream, facts.error, facts.error_type) == (False, "bad", "invalid_request_error")


def test_a_compressed_stream():
    """A compressed stream is decoded for the reader."""
    reader = reader_of("text/event-stream", encoding="gzip")
    for byte in gzip.compress(b"".join(CHAT_STREAM)):
        reader.feed(bytes([byte]))
    assert reader.is_complete
    assert reader.facts().usage.total_tokens == 42


@pytest.mark.parametrize("encoding", ["unknown", "gzip"])
def test_an_encoding_that_cannot_be_read(encoding):
    """An answer that cannot be decoded has no usage, and is not taken for a broken one."""
    reader = reader_of("text/event-stream", encoding=encoding)
    reader.feed(b"not gzip")
    reader.feed(b"more")
    assert reader.facts().usage_source == "missing"
    assert not reader.ends_early(reader.facts())


@given(st.lists(st.integers(0, sum(map(len, CHAT_STREAM))), max_size=20))
def test_any_cut_gives_the_same(cuts):
    """The chunks' borders make no difference."""
    text = b"".join(CHAT_STREAM)
    borders = [0, *sorted(cuts), len(text)]
    reader = reader_of("text/event-stream")
    for start, end in pairwise(borders):
        reader.feed(text[start:end])
    assert reader.is_complete
    assert reader.facts().usage.total_tokens == 42
    assert not reader.ends_early(reader.facts())
