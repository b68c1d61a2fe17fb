from __future__ import annotations

import json

import pytest
from support.exchanges import events, tokens

from bamboo_logmetrics.usage import StreamReader
from bamboo_logmetrics.usage.oversize import Oversize

PICTURE = "A" * 5 * 2**20  # longer than a line that is kept
USAGE = {"total_tokens": 100, "input_tokens": 50, "output_tokens": 50}
GEMINI = {"promptTokenCount": 50, "candidatesTokenCount": 50, "totalTokenCount": 100}
EVENT = json.dumps(
    {
        "type": "image_generation.completed",
        "b64_json": PICTURE,
        "text": '"usage": {"input_tokens": 1}',
        "usage": USAGE,
        "size": "1",
    }
)


@pytest.mark.parametrize(("body", "content_type"), [
    (events(("image_generation.completed", EVENT)), "text/event-stream"),
    (EVENT + "\n", "application/x-ndjson"),
    (json.dumps([{"candidates": [{"data": PICTURE, "finishReason": "STOP"}], "usageMetadata": GEMINI}]), "application/json"),
], ids=["events", "lines", "list"])  # fmt: skip
def test_usage_behind_a_picture(body, content_type):
    """An event that is too long is passed over, but for the usage at its end and the type at its beginning."""
    data = body.encode()
    for size in (65_536, len(data)):
        reader = StreamReader(None, content_type)
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
            assert reader.kept <= 4 * 2**20 + 70_000
        assert reader.facts().usage == tokens(50, 50)
        assert reader.facts().complete
        assert reader.kept == 0


@pytest.mark.parametrize(
    "tail",
    [b"", b'"usage": null}', b'"usage": {"a": ', b'\\"usage\\": {"input_tokens": 1}', b'"usage": ' + b'{"a":' * 2000],
)
def test_ends_without_a_usage(tail):
    """An end without a whole usage gives nothing."""
    oversize = Oversize(b"x" * 100_000)
    oversize.add(tail)
    assert oversize.essence() is None


def test_an_end_in_tiny_pieces():
    """The end is found in pieces of two bytes, and what is held is bounded."""
    oversize = Oversize(b'{"model": "m", "data": "' + b"x" * 70_000)
    end = b"x" * 150_000 + b'", "usage": {"input_tokens": 2}}'
    for start in range(0, len(end), 2):
        oversize.add(end[start : start + 2])
        assert oversize.kept <= 2 * 65_536 + 4_096
    assert json.loads(oversize.essence()) == {"model": "m", "usage": {"input_tokens": 2}}


def test_usage_before_a_picture():
    """A usage at the beginning is found as well; the last whole one counts more."""
    oversize = Oversize(b'{"model": "m", "usage": {"input_tokens": 1}, "data": "' + b"x" * 100_000)
    assert json.loads(oversize.essence()) == {"model": "m", "usage": {"input_tokens": 1}}
    oversize.add(b'", "usage": {"input_tokens": 2}, "usage": {')
    assert json.loads(oversize.essence()) == {"model": "m", "usage": {"input_tokens": 2}}
