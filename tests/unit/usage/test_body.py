from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exchanges import BODIES, CHAT, MESSAGES, STREAMS, chat, message, tokens

from bamboo_logmetrics.usage import CallFacts, StreamReader, read_body
from bamboo_logmetrics.usage.providers import endpoint_of


def facts_of(body, path=CHAT, **options):
    return read_body(json.dumps(body).encode(), endpoint_of(path), **options)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("knows_endpoint", [True, False])
def test_every_shape(name, knows_endpoint):
    """The usage of each shape is read, and the bound names; the body alone tells the shape, but for a bare total."""
    exchange = BODIES[name]
    if not knows_endpoint and name == "embeddings with a total alone":
        return
    facts = read_body(json.dumps(exchange.body).encode(), endpoint_of(exchange.path) if knows_endpoint else None)
    assert facts.usage == exchange.usage
    assert facts.usage_source == exchange.source
    assert facts.bound.items() >= exchange.bound.items()
    assert facts.error is None
    assert facts.complete


def test_iterations_outside_the_usage():
    """A compaction and an advisor are iterations of their own, with the model of the call or their own."""
    part = {
        "input_tokens": 100,
        "output_tokens": 83,
        "cache_read_input_tokens": 55096,
        "cache_creation_input_tokens": 0,
    }
    usage = {"input_tokens": 181, "output_tokens": 8, "iterations": [
        {**part, "type": "compaction"},
        {"input_tokens": 181, "output_tokens": 8, "type": "message"},
        {"input_tokens": 5, "output_tokens": 6, "type": "advisor_message", "model": "claude-y"},
        "nonsense", {"type": ["x"]}, {"type": "fallback_message", "input_tokens": 3, "output_tokens": 3},
    ]}  # fmt: skip
    facts = facts_of(message(usage), MESSAGES)
    assert facts.usage == tokens(181, 8)
    assert [(each.name, each.model, each.usage) for each in facts.iterations] == [
        ("compaction", "claude-x", tokens(55196, 83, read=55096, written=0)),
        ("advisor", "claude-y", tokens(5, 6)),
    ]
    assert facts_of(message({**usage, "iterations": "x"}), MESSAGES).iterations == []


def test_a_tier_that_was_asked_for():
    """The tier ``auto`` is as asked, not as served."""
    assert "service_tier" not in facts_of({"object": "response", "id": "r", "service_tier": "auto"}).bound
    facts = facts_of(
        chat({"prompt_tokens": 1, "completion_tokens": 1, "service_tier": "priority"}, service_tier="auto")
    )
    assert facts.bound["service_tier"] == "priority"


def test_embeddings_of_any_path():
    """Where only a total is known, an embedding and a rerank have a prompt alone."""
    for path in ("/v1/contextualizedembeddings", "/v1/rerank", "/v1/multimodalembeddings"):
        facts = facts_of({"object": "list", "usage": {"total_tokens": 8, "image_pixels": 5}}, path)
        assert (facts.usage, facts.usage_source) == (tokens(8, 0), "reported")


def test_calls_that_may_be_polled_again():
    """A response and a run have an id by which they are counted once; a step has that of its run."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    assert facts_of({"id": "resp_1", "object": "response", "usage": None}).calls_id == "resp_1"
    assert facts_of({"id": "run_1", "object": "thread.run", "usage": usage}).calls_id == "run_1"
    assert (
        facts_of({"id": "step_1", "object": "thread.run.step", "run_id": "run_1", "usage": usage}).calls_id == "run_1"
    )
    assert facts_of(chat(usage)).calls_id is None


@pytest.mark.parametrize(("value", "completion", "source"), [
    (5.0, 5, "reported"), ("5", 5, "reported"), (5.5, 2, "partial"), (-5, 2, "partial"), ("five", 2, "partial"),
    (True, 2, "partial"), (2**70, 2, "partial"), ([5], 2, "partial"), ({}, 2, "partial"), (None, 2, "reported"),
])  # fmt: skip
def test_values_that_are_no_counts(value, completion, source):
    """Whatever is a whole number counts; another value leaves what can be told, and makes the usage partial."""
    facts = facts_of(chat({"prompt_tokens": 1, "completion_tokens": value, "total_tokens": 3}))
    expected = tokens(1, completion, 3)
    assert (facts.usage, facts.usage_source) == (expected, source)


def test_optional_parts_that_are_no_counts():
    """A cached part that cannot be read is left out, and the usage is partial."""
    usage = {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": "x"},
    }
    facts = facts_of(chat(usage))
    assert (facts.usage, facts.usage_source) == (tokens(1, 2), "partial")


@pytest.mark.parametrize(
    "usage", [None, [], {}, "x", 5, {"tokens": "x"}, {"prompt_tokens": None}, {"seconds": 3}, {"prompt_tokens": "x"}]
)
def test_usage_that_says_nothing(usage):
    """A usage without a count is missing, never 0."""
    facts = facts_of(chat(usage))
    assert (facts.usage, facts.usage_source) == (None, "missing")


@pytest.mark.parametrize("body", [
    b"", b" ", b"null", b"[]", b"[1, null]", b"5", b'"x"', b"{", b"\xff\xfe", b"<html>", b"[" * 5000, b'{"a":' * 5000,
    b'{"usage": {"prompt_tokens": 1, "completion_tokens"',
])  # fmt: skip
def test_bodies_that_are_no_answer(body):
    """A body that is no JSON object gives empty facts, and raises nothing."""
    facts = read_body(body)
    assert (facts.usage, facts.usage_source, facts.bound, facts.error) == (None, "missing", {}, None)
    assert facts.complete == (body[:1] != b"{" and body[:5] != b"[[[[[")


@pytest.mark.parametrize("body", [None, "text", 5, object()])
def test_bodies_that_are_no_bytes(body):
    """Whatever is given in place of bytes raises nothing."""
    assert read_body(body) == CallFacts()
    reader = StreamReader()
    reader.feed(body)
    assert reader.facts() == CallFacts()


@pytest.mark.parametrize(("body", "usage"), [
    (message({"cache_read_input_tokens": 5, "output_tokens": 2}), tokens(5, 2, read=5)),
    (chat({"completion_tokens": 2, "total_tokens": 7}), tokens(5, 2)),
    (chat({"completion_tokens": 2}), tokens(0, 2)),
    ({"usageMetadata": {"candidatesTokenCount": 2, "totalTokenCount": 7}}, tokens(5, 2)),
    ({"usageMetadata": {"candidatesTokenCount": 2}}, tokens(0, 2)),
])  # fmt: skip
def test_usages_with_a_count_alone(body, usage):
    """A count that is left out is what the total tells, else 0, and then the usage is partial."""
    facts = facts_of(body)
    told = usage.prompt_tokens == 5 and "cache_read_input_tokens" not in str(body)
    assert (facts.usage, facts.usage_source) == (usage, "reported" if told else "partial")


def test_bodies_that_are_not_strict():
    """NaN, lone surrogates, a byte order mark and bytes that are not UTF-8 do not hide the usage."""
    usage = b'"usage": {"prompt_tokens": 1, "completion_tokens": 2}'
    for text in (b'"logprob": NaN', b'"text": "\\ud800"', b'"text": "\xff"'):
        assert read_body(b"{" + text + b", " + usage + b"}").usage == tokens(1, 2)
    assert read_body(b"\xef\xbb\xbf{" + usage + b"}").usage == tokens(1, 2)


@pytest.mark.parametrize("name", STREAMS)
def test_streams_as_bodies(name):
    """A whole stream that is given as a body is read as one."""
    exchange = STREAMS[name]
    facts = read_body(exchange.body.encode(), endpoint_of(exchange.path))
    assert (facts.usage, facts.usage_source) == (exchange.usage, exchange.source)


KEYS = st.sampled_from([
    "usage", "choices", "message", "response", "output", "result", "delta", "error", "errors", "type", "object", "id",
    "usageMetadata", "candidates", "meta", "metrics", "details", "x_groq", "results", "predictions", "prompt_tokens",
    "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "iterations", "cache_creation", "tokens",
    "billed_units", "prompt_tokens_details", "cost", "status", "server_tool_use", "promptTokenCount", "inputTokens",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)


@given(JSON, st.sampled_from([200, 500]))
def test_any_json_is_read(value, status):
    """No JSON text makes the reader raise, whatever stands under the names that it knows."""
    facts = read_body(json.dumps(value).encode(), status=status)
    assert (facts.usage is None) == (facts.usage_source == "missing")


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data):
    """No bytes make the reader raise."""
    assert read_body(data).usage_source == "missing"
