from __future__ import annotations

import json
import tracemalloc
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import DATA
from support.exchanges import CHAT, ENDLESS, MESSAGES, STREAMS, events, tokens

from bamboo_logmetrics.usage import StreamReader, read_body
from bamboo_logmetrics.usage.providers import endpoint_of

EXCHANGES = DATA / "http"
REAL = [json.loads(line) for line in (EXCHANGES / "index.jsonl").read_text().splitlines()] if EXCHANGES.is_dir() else []
REAL_STREAMS = [row["name"] for row in REAL if row["is_sse"]]


def body_of(name):
    return (EXCHANGES / f"{name}.response.body").read_bytes()


def endpoint_of_row(name):
    return endpoint_of(urlsplit(json.loads((EXCHANGES / f"{name}.request.json").read_text())["url"]).path)


def read(chunks, path=CHAT, content_type="text/event-stream"):
    reader = StreamReader(endpoint_of(path), content_type)
    for chunk in chunks:
        reader.feed(chunk)
    return reader


def cut(body, places):
    ends = sorted({place % (len(body) + 1) for place in places})
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_every_shape(name, line_end):
    """The usage of each streamed shape is read, whatever ends the lines."""
    exchange = STREAMS[name]
    reader = read([exchange.body.replace("\n", line_end).encode()], exchange.path)
    facts = reader.facts()
    assert facts.usage == exchange.usage
    assert facts.usage_source == exchange.source
    assert facts.bound.items() >= exchange.bound.items()
    assert (facts.complete, reader.complete, facts.error) == (True, True, None)


@settings(deadline=None)
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 5000), max_size=12))
def test_any_cut_gives_the_same_facts(name, places):
    """Wherever a stream is cut, within a character too, the facts are the same."""
    exchange = STREAMS[name]
    body = exchange.body.encode()
    assert read(cut(body, places), exchange.path).facts() == read([body], exchange.path).facts()


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte(name):
    """A stream that comes byte by byte gives the same facts."""
    exchange = STREAMS[name]
    body = exchange.body.encode()
    assert (
        read([body[at : at + 1] for at in range(len(body))], exchange.path).facts()
        == read([body], exchange.path).facts()
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(STREAMS)), st.integers(0, 5000), st.binary(max_size=20), st.integers(0, 20))
def test_damaged_streams_never_raise(name, place, damage, removed):
    """A stream with other bytes anywhere is read as far as it goes."""
    body = STREAMS[name].body.encode()
    place %= len(body)
    reader = read([body[:place], damage, body[place + removed :]], STREAMS[name].path)
    assert reader.facts().usage_source in {"reported", "partial", "missing"}


@pytest.mark.parametrize("name", ENDLESS)
def test_streams_without_a_last_event(name):
    """Where no event says that it is the last, the facts are whole when the bytes end, and nothing is said before."""
    exchange = ENDLESS[name]
    reader = read([exchange.body.encode()], exchange.path)
    facts = reader.facts()
    assert (facts.usage, facts.usage_source) == (exchange.usage, exchange.source)
    assert (facts.complete, reader.complete) == (True, False)


def test_empty_streams():
    """A stream without an event is not whole; nor is one that ends before its last event."""
    assert not read([]).facts().complete
    assert not read([b": ping\n\n"]).facts().complete
    for name in ("chat", "message", "responses", "cohere", "ollama", "gemini", "run"):
        body = STREAMS[name].body.encode()
        assert not read([body[: len(body) // 3]], STREAMS[name].path).facts().complete


def test_a_stream_that_has_not_ended():
    """Before the end the usage so far is partial, and the stream is not complete; behind it nothing changes."""
    body = STREAMS["message"].body.encode()
    head = body[: body.index(b"event: ping")]
    reader = read([head], MESSAGES)
    facts = reader.facts()
    assert facts.usage == tokens(57164, 3, read=0, written=55096, hour=55096)
    assert (facts.usage_source, facts.complete, reader.complete) == ("partial", False, False)
    reader.feed(body[len(head) :])
    assert reader.facts().usage == STREAMS["message"].usage
    assert reader.complete


def test_a_key_that_is_null_later():
    """A key that is null in a later event keeps its value."""
    body = events(
        '{"type":"message_start","message":{"type":"message","usage":{"input_tokens":9,"cache_read_input_tokens":5,"output_tokens":1}}}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":null,"cache_read_input_tokens":null,"output_tokens":8}}',
        '{"type":"message_stop"}',
    )
    assert read([body.encode()], MESSAGES).facts().usage == tokens(14, 8, read=5)


def test_cumulative_usage_of_a_stream_that_is_left():
    """Of a stream that is left early, the usage of the last event that came counts, beside its content."""
    body = STREAMS["cumulative usage"].body
    facts = read([body[: body.index('data: {"model":"m","choices":[{"delta":{},')].encode()]).facts()
    assert (facts.usage, facts.usage_source) == (tokens(9, 2), "partial")


def test_time_to_first_content():
    """The first content is an event that carries some: no opening, no ping, no empty text."""
    for name, mark in {
        "chat": "content",
        "responses": "output_text.delta",
        "message": "content_block_delta",
        "gemini": "text",
    }.items():
        exchange = STREAMS[name]
        reader, seen = StreamReader(endpoint_of(exchange.path)), []
        for event in exchange.body.split("\n\n")[:-1]:
            before = reader.first_content
            reader.feed(event.encode() + b"\n\n")
            if reader.first_content and not before:
                seen.append(event)
        assert len(seen) == 1
        assert mark in seen[0]
        assert '"content":""' not in seen[0]


def test_an_end_without_a_line_end():
    """An end mark and a last event are seen also where the last line does not end."""
    last = '{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
    assert read([f"data: {last}".encode()]).facts().usage == tokens(1, 2)
    reader = read([events(last).encode(), b"data: [DONE]"])
    assert reader.complete


def test_comments_and_an_opening_mark():
    """Comments, keep-alives, other fields and a byte order mark are passed over."""
    last = 'retry: 5\nid: 7\n: OPENROUTER PROCESSING\n\ndata:{"choices":[],\ndata: "usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata:[DONE]\n\n'
    assert read([b"\xef\xbb\xbf\n\n: hello\n\n" + last.encode()]).facts().usage == tokens(1, 2)


@pytest.mark.parametrize(("data", "error", "kind"), [
    (("error", '{"error":{"message":"over capacity","type":"server_error"}}'), "over capacity", "server_error"),
    (("error", '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'), "Overloaded", "overloaded_error"),
    (("error", '{"message":"bad","code":"server_error"}'), "bad", "server_error"),
    ('{"type":"error","code":"rate_limit","message":"slow down"}', "slow down", "rate_limit"),
    ('{"type":"response.failed","response":{"object":"response","status":"failed","error":{"code":"server_error","message":"no"}}}', "no", "server_error"),
    ('{"type":"response.failed","response":{"object":"response","status":"failed"}}', "failed", "failed"),
    ('{"choices":[{"delta":{},"error":{"code":502,"message":"gone"},"finish_reason":"error"}]}', "gone", "502"),
    ('{"error":{"code":429,"message":"Rate limited"},"choices":[]}', "Rate limited", "429"),
    ('{"error":"plain"}', "plain", None),
])  # fmt: skip
def test_errors_inside_a_stream(data, error, kind):
    """An error inside a stream of status 200 is found."""
    facts = read([events(data).encode()]).facts()
    assert (facts.error, facts.error_type) == (error, kind)


def test_an_error_in_place_of_a_stream():
    """A JSON error that answers a streaming request is read, and complete."""
    reader = read([b'{"error": {"message": "no', b'", "type": "x"}}'], content_type="application/json")
    assert (reader.facts().error, reader.facts().error_type, reader.complete) == ("no", "x", True)


@pytest.mark.parametrize("name", ["chat", "message", "gemini as a list"])
def test_memory_is_bounded(name):
    """Over a long stream nothing piles up; a line or an object that is too long is passed over without being kept."""
    exchange = STREAMS[name]
    reader = StreamReader(endpoint_of(exchange.path))
    body = exchange.body.encode()
    first = body[: body.rindex(b"\n\n") if name != "gemini as a list" else body.index(b"\r\n") + 2]
    for _ in range(200):
        reader.feed(first)
        assert reader.kept < len(first)
    reader = StreamReader(endpoint_of(exchange.path))
    reader.feed(b'[{"a": "' if name == "gemini as a list" else b'data: {"a": "')
    for _ in range(100):
        reader.feed(b"x" * 65536)
        assert reader.kept <= 4 * 2**20
    reader.feed(b'"},' if name == "gemini as a list" else b'"}\n\n')
    assert reader.kept == 0
    reader.feed(body.removeprefix(b"["))
    assert reader.facts().usage == exchange.usage


def test_keys_without_end():
    """A usage with new keys in every event does not pile up, and its counts are still read."""
    reader = read([events(*(json.dumps({"usage": {f"key_{number}": 1}}) for number in range(500))).encode()])
    assert len(reader._gathering.usage) == 200
    late = StreamReader()
    late.feed(events('{"usage":{"prompt_tokens":1,"completion_tokens":1}}').encode())
    late.feed(
        events(
            *(json.dumps({"usage": {f"key_{number}": 1, "completion_tokens": number}}) for number in range(500))
        ).encode()
    )
    assert late.facts().usage == tokens(1, 499)


def normalised(usage):
    """Return the usage of a recorded exchange by the plain rules, without the peculiarities that none of them has."""
    if "promptTokenCount" in usage:
        thoughts = usage.get("thoughtsTokenCount")
        completion = usage.get("candidatesTokenCount", 0) + (thoughts or 0)
        return tokens(
            usage["promptTokenCount"],
            completion,
            usage["totalTokenCount"],
            read=usage.get("cachedContentTokenCount"),
            reasoning=thoughts,
        )
    asked = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    answered = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    written, read = usage.get("cache_creation_input_tokens"), usage.get("cache_read_input_tokens")
    creation = usage.get("cache_creation", {})
    return tokens(
        usage.get("prompt_tokens", usage.get("input_tokens", 0) + (written or 0) + (read or 0)),
        usage.get("completion_tokens", usage.get("output_tokens")),
        usage.get("total_tokens"),
        read=asked.get("cached_tokens", usage.get("num_cached_tokens", read)),
        written=asked.get("cache_write_tokens", written),
        hour=creation.get("ephemeral_1h_input_tokens") if sum(creation.values()) == written else None,
        reasoning=answered.get("reasoning_tokens", answered.get("thinking_tokens")),
    )


@pytest.mark.skipif(not REAL, reason=f"the shared exchanges are not at {EXCHANGES}")
@pytest.mark.parametrize("row", REAL, ids=[row["name"] for row in REAL])
def test_recorded_exchanges(row):
    """The usage of each recorded exchange is the one that its provider reported."""
    body, endpoint = body_of(row["name"]), endpoint_of_row(row["name"])
    facts = read([body], "").facts() if row["is_sse"] else read_body(body, endpoint, status=row["status"])
    usage = row["usage"]
    assert (facts.usage is None) == (usage is None)
    assert facts.usage_source == ("missing" if usage is None else "reported")
    assert facts.complete
    if row["response_model"]:
        assert facts.bound["response_model"] == row["response_model"]
    if row["status"] >= 400 and body:
        assert facts.error
    if usage is None:
        return
    assert facts.usage == normalised(usage)


@pytest.mark.skipif(not REAL, reason=f"the shared exchanges are not at {EXCHANGES}")
def test_a_second_opinion():
    """On every recorded JSON body that it can read, genai-prices gives the same counts."""
    extract_usage = pytest.importorskip("genai_prices").__dict__.get("extract_usage")
    if extract_usage is None:
        pytest.skip("this version of genai-prices reads no usage")
    agreed = 0
    for row in REAL:
        if row["usage"] is None or row["is_sse"] or row["provider"] == "deepseek":  # of DeepSeek it knows no Responses
            continue
        body, endpoint = body_of(row["name"]), endpoint_of_row(row["name"])
        url = json.loads((EXCHANGES / f"{row['name']}.request.json").read_text())["url"]
        flavors = {"openai_responses": ("responses", "default"), "anthropic": ("default",), "gemini": ("default",)}
        for flavor in flavors.get(endpoint.shape, ("chat", "default")):
            try:
                theirs = extract_usage(json.loads(body), provider_api_url=url, api_flavor=flavor).usage
            except (LookupError, ValueError):
                continue
            ours = read_body(body, endpoint).usage
            assert (ours.prompt_tokens, ours.completion_tokens) == (theirs.input_tokens or 0, theirs.output_tokens or 0)
            assert (ours.cache_write_tokens or 0) == (theirs.cache_write_tokens or 0)
            assert (ours.reasoning_tokens or 0) == (theirs.output_reasoning_tokens or 0)
            agreed += 1
            break
    assert agreed >= 20


@pytest.mark.skipif(not REAL, reason=f"the shared exchanges are not at {EXCHANGES}")
@settings(deadline=None, max_examples=50)
@given(st.data())
def test_any_cut_of_recorded_streams(data):
    """Wherever a recorded stream is cut, the facts are the same."""
    name = data.draw(st.sampled_from(REAL_STREAMS))
    body = body_of(name)
    places = data.draw(st.lists(st.integers(0, len(body)), max_size=12))
    assert read(cut(body, places)).facts() == read([body]).facts()


@pytest.mark.parametrize("value", [{"x": "y" * 60_000}, ["y" * 60_000], "y" * 16_000])
def test_a_stream_of_ever_new_usages_is_bounded(value):
    """Large values under ever new keys of a usage are passed over, and its counts are read."""
    reader = StreamReader(None, "text/event-stream")
    tracemalloc.start()
    try:
        for number in range(300):
            usage = {"prompt_tokens": number, "completion_tokens": 2, f"k{number}": value}
            reader.feed(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1_500_000
    assert reader.facts().usage.prompt_tokens == 299
