from __future__ import annotations

import base64
import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchanges import tokens

from bamboo_logmetrics.usage import StreamReader
from bamboo_logmetrics.usage.event_stream import FrameSplitter
from bamboo_logmetrics.usage.providers import endpoint_of

FRAMES = "application/vnd.amazon.eventstream"


def header(name, value):
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()


def frame(payload, extra=b"", **headers):
    """Return one frame, with its two checksums."""
    named = extra + b"".join(header(":" + name.replace("_", "-"), value) for name, value in headers.items())
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(named) + len(body), len(named))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + named + body
    return message + struct.pack(">I", zlib.crc32(message))


def chunk(data):
    """Return a frame of ``invoke-with-response-stream``."""
    text = base64.b64encode(json.dumps(data).encode()).decode()
    return frame(b'{"bytes":"' + text.encode() + b'","p":"abc"}', message_type="event", event_type="chunk")


# headers of every type besides texts
OTHERS = b"".join(
    b"\x01h" + bytes([kind]) + value
    for kind, value in [
        (0, b""),
        (1, b""),
        (2, b"x"),
        (3, b"xx"),
        (4, b"xxxx"),
        (5, b"x" * 8),
        (6, b"\0\x02xx"),
        (8, b"x" * 8),
        (9, b"x" * 16),
    ]
)
CONVERSE = [
    frame({"role": "assistant"}, message_type="event", event_type="messageStart"),
    frame({"contentBlockIndex": 0, "delta": {"text": "hé"}}, OTHERS, message_type="event", event_type="contentBlockDelta"),
    frame({"stopReason": "end_turn"}, message_type="event", event_type="messageStop"),
    frame({"metrics": {"latencyMs": 5}, "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 115, "cacheReadInputTokens": 100}},
          message_type="event", event_type="metadata"),
]  # fmt: skip
INVOKE = [
    chunk({"type": "message_start", "message": {"id": "msg_1", "type": "message", "model": "c", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
    chunk({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}}),
    chunk({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 8}}),
    chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 8}}),
]  # fmt: skip
TITAN = [
    chunk({"outputText": "h", "index": 0, "inputTextTokenCount": 6, "totalOutputTextTokenCount": None}),
    chunk({"outputText": "i", "totalOutputTextTokenCount": 4, "completionReason": "FINISH",
           "amazon-bedrock-invocationMetrics": {"inputTokenCount": 6, "outputTokenCount": 4}}),
]  # fmt: skip


def read(chunks, content_type=FRAMES):
    reader = StreamReader(endpoint_of("/model/m/converse-stream"), content_type)
    for each in chunks:
        reader.feed(each)
    return reader


@pytest.mark.parametrize(("frames", "usage", "bound"), [
    (CONVERSE, tokens(110, 5, 115, read=100), {"stop_reason": "end_turn"}),
    (INVOKE, tokens(9, 8), {"response_model": "c", "stop_reason": "end_turn"}),
    (TITAN, tokens(6, 4), {"stop_reason": "FINISH"}),
], ids=["converse", "invoke", "titan"])  # fmt: skip
@pytest.mark.parametrize("content_type", [FRAMES, ""])
def test_streams_of_bedrock(frames, usage, bound, content_type):
    """The usage is in the last frame, whatever comes first; content begins with the first delta."""
    reader = read(frames[:1], content_type)
    assert not reader.facts().complete
    for each in frames[1:]:
        reader.feed(each)
    facts = reader.facts()
    assert (facts.usage, facts.usage_source, facts.complete, reader.complete) == (usage, "reported", True, True)
    assert facts.bound.items() >= bound.items()
    assert reader.first_content


@settings(deadline=None)
@given(st.sampled_from([CONVERSE, INVOKE, TITAN]), st.lists(st.integers(0, 5000), max_size=10))
def test_any_cut_gives_the_same_facts(frames, places):
    """Wherever frames are cut, the facts are the same."""
    body = b"".join(frames)
    ends = sorted({place % len(body) for place in places})
    cut = [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]
    assert read(cut).facts() == read([body]).facts()


@settings(deadline=None)
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_damaged_frames_never_raise(place, damage):
    """Frames with other bytes in them are read as far as they go."""
    body = b"".join(INVOKE)
    place %= len(body)
    assert read([body[:place] + damage + body[place + len(damage) :]]).facts().usage_source in {
        "reported",
        "partial",
        "missing",
    }


def test_a_guardrail_ends_a_stream():
    """A stream that a guardrail ends has no metrics; it is whole with its usage."""
    last = chunk(
        {
            "outputText": "no",
            "inputTextTokenCount": 6.0,
            "totalOutputTextTokenCount": 3.0,
            "amazon-bedrock-guardrailAction": "INTERVENED",
        }
    )
    facts = read([last]).facts()
    assert (facts.usage, facts.usage_source, facts.complete) == (tokens(6, 3), "reported", True)


def test_errors_in_frames():
    """An exception and an error in a frame are the error of the call."""
    facts = read(
        [frame({"message": "too many"}, message_type="exception", exception_type="throttlingException")]
    ).facts()
    assert (facts.error, facts.error_type) == ("too many", "throttlingException")
    facts = read([frame(b"no json", message_type="error", error_code="InternalFailure")]).facts()
    assert (facts.error, facts.error_type) == ("no json", "InternalFailure")


def test_memory_is_bounded():
    """A frame that is too long is passed over without being kept, and one whose length cannot be right ends the reading."""
    splitter = FrameSplitter(limit=1000)
    long = frame(b"x" * 5000, message_type="event", event_type="chunk")
    events = []
    for start in range(0, len(long), 700):
        events += splitter.split(long[start : start + 700])
        assert splitter.kept < 1000
    assert events == []
    assert [name for name, _ in splitter.split(CONVERSE[0] + long + CONVERSE[2])] == ["messageStart", "messageStop"]
    assert splitter.split(b"\0" * 100 + CONVERSE[0]) == []
    assert splitter.split(CONVERSE[0] * 50) == []
    assert splitter.kept == 0
