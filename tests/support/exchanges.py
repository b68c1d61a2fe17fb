"""Made-up answers of providers, in every shape of usage, with the usage that is right."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from bamboo_logmetrics import TokenUsage


class Exchange(NamedTuple):
    """One answer.

    Args:
        path: of the request.
        body: the answer; a text is a stream.
        usage: the right one, or None.
        bound: bound names that the facts have, among others.
        source: the right ``usage_source``.
    """

    path: str
    body: object
    usage: TokenUsage | None
    bound: Mapping[str, object] = MappingProxyType({})
    source: str = "reported"


def tokens(prompt, completion, total=None, *, read=None, written=None, hour=None, reasoning=None):
    """Return a usage."""
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion if total is None else total,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        reasoning_tokens=reasoning,
    )


def events(*data):
    """Return a stream of server-sent events; a pair has a name."""
    lines = [
        f"event: {each[0]}\ndata: {each[1]}\n\n" if isinstance(each, tuple) else f"data: {each}\n\n" for each in data
    ]
    return "".join(lines)


CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI, GEMINI_STREAM = "/v1beta/models/g:generateContent", "/v1beta/models/g:streamGenerateContent"


def chat(usage, **fields):
    """Return a chat completion."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": usage, **fields,
    }  # fmt: skip


def message(usage, **fields):
    """Return a message of Anthropic."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": usage, **fields,
    }  # fmt: skip


BODIES = {
    "chat": Exchange(
        CHAT,
        chat({
            "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 5, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 20},
        }, service_tier="default"),
        tokens(100, 30, read=80, written=5, reasoning=20),
        {"response_model": "m-1", "response_id": "chatcmpl-1", "service_tier": "default", "stop_reason": "stop"},
    ),
    "singular names": Exchange(
        CHAT,
        chat({
            "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
            "prompt_token_details": {"cached_tokens": 80}, "completion_token_details": {"reasoning_tokens": 20},
        }),
        tokens(100, 30, read=80, reasoning=20),
    ),
    "reasoning beside the completion (xAI)": Exchange(
        CHAT,
        chat({
            "prompt_tokens": 213, "completion_tokens": 3, "total_tokens": 252, "cost_in_usd_ticks": 1_500_000,
            "prompt_tokens_details": {"cached_tokens": 192}, "completion_tokens_details": {"reasoning_tokens": 36},
        }),
        tokens(213, 39, 252, read=192, reasoning=36),
        {"cost_usd": 1_500_000 * 1e-10},
    ),
    "DeepSeek": Exchange(
        CHAT,
        chat({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "prompt_cache_hit_tokens": 8,
              "prompt_cache_miss_tokens": 2}),
        tokens(10, 2, read=8),
    ),
    "a total with hidden thoughts": Exchange(
        CHAT, chat({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}), tokens(35, 12, 109)
    ),
    "Groq": Exchange(
        CHAT,
        chat({"queue_time": 0.1, "prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}, x_groq={"id": "r"}),
        tokens(5, 6),
    ),
    "Groq's own place": Exchange(
        CHAT,
        chat(None, x_groq={"id": "r", "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}}),
        tokens(5, 6),
    ),
    "OpenRouter": Exchange(
        "/api/v1/chat/completions",
        chat({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11, "cost": 0.000837, "is_byok": False}),
        tokens(5, 6),
        {"cost_usd": 0.000837},
    ),
    "Perplexity": Exchange(
        "/chat/completions",
        chat({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11, "num_search_queries": 3,
              "cost": {"total_cost": 0.006, "input_tokens_cost": 0.001}}),
        tokens(5, 6),
        {"cost_usd": 0.006, "web_searches": 3},
    ),
    "Databricks with the cache beside the prompt": Exchange(
        "/serving-endpoints/e/invocations",
        chat({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 111, "cache_read_input_tokens": 100}),
        tokens(105, 6, 111, read=100),
    ),
    "LiteLLM": Exchange(
        CHAT,
        chat({"prompt_tokens": 105, "completion_tokens": 6, "total_tokens": 111, "cache_read_input_tokens": 90,
              "cache_creation_input_tokens": 10, "prompt_tokens_details": {"cached_tokens": 90}}),
        tokens(105, 6, 111, read=90, written=10),
    ),
    "Moonshot": Exchange(
        CHAT, chat({"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40, "cached_tokens": 10}),
        tokens(19, 21, read=10),
    ),
    "completion": Exchange(
        "/v1/completions", {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [{"text": "x"}],
                            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}},
        tokens(5, 7),
    ),
    "embeddings": Exchange(
        "/v1/embeddings", {"object": "list", "data": [{"embedding": [0.1]}], "model": "e",
                           "usage": {"prompt_tokens": 8, "total_tokens": 8}},
        tokens(8, 0),
    ),
    "embeddings with a total alone": Exchange(
        "/v1/embeddings", {"object": "list", "data": [], "model": "e", "usage": {"total_tokens": 8}}, tokens(8, 0)
    ),
    "a total alone": Exchange(CHAT, chat({"total_tokens": 8}), tokens(0, 0, 8), source="partial"),
    "images": Exchange(
        "/v1/images/generations",
        {"created": 1, "data": [{"b64_json": "x" * 100}],
         "usage": {"input_tokens": 50, "output_tokens": 100, "total_tokens": 150,
                   "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}},
        tokens(50, 100),
    ),
    "transcription": Exchange(
        "/v1/audio/transcriptions",
        {"text": "hi", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
                                 "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}},
        tokens(14, 45),
    ),
    "transcription by seconds": Exchange(
        "/v1/audio/transcriptions", {"text": "hi", "usage": {"type": "duration", "seconds": 3}}, None, source="missing"
    ),
    "moderation": Exchange(
        "/v1/moderations", {"id": "modr-1", "model": "omni", "results": [{"flagged": False}]}, None, source="missing"
    ),
    "responses": Exchange(
        RESPONSES,
        {"id": "resp_1", "object": "response", "status": "completed", "model": "m-2", "error": None, "output": [],
         "incomplete_details": None, "service_tier": "default",
         "usage": {"input_tokens": 75, "input_tokens_details": {"cached_tokens": 64}, "output_tokens": 40,
                   "output_tokens_details": {"reasoning_tokens": 32}, "total_tokens": 115}},
        tokens(75, 40, read=64, reasoning=32),
        {"response_model": "m-2", "response_id": "resp_1", "service_tier": "default"},
    ),
    "responses, queued": Exchange(
        RESPONSES, {"id": "resp_1", "object": "response", "status": "queued", "model": "m-2", "usage": None}, None,
        source="missing",
    ),
    "run": Exchange(
        "/v1/threads/t/runs/run_1",
        {"id": "run_1", "object": "thread.run", "status": "completed", "model": "m",
         "usage": {"prompt_tokens": 123, "completion_tokens": 45, "total_tokens": 168}},
        tokens(123, 45),
    ),
    "steps of a run": Exchange(
        "/v1/threads/t/runs/run_1/steps",
        {"object": "list", "data": [{"id": "step_1", "object": "thread.run.step", "run_id": "run_1",
                                     "usage": {"prompt_tokens": 123, "completion_tokens": 45, "total_tokens": 168}}]},
        None, source="missing",
    ),
    "batch": Exchange(
        "/v1/batches/b", {"id": "batch_1", "object": "batch", "status": "completed",
                          "usage": {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}},
        None, source="missing",
    ),
    "message": Exchange(
        MESSAGES,
        message({
            "input_tokens": 10, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 2000, "output_tokens": 50,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
            "output_tokens_details": {"thinking_tokens": 30}, "service_tier": "priority", "speed": "fast",
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}, "inference_geo": "us",
        }),
        tokens(2310, 50, read=2000, written=300, hour=100, reasoning=30),
        {"service_tier": "priority", "speed": "fast", "web_searches": 2, "web_fetches": 1, "stop_reason": "end_turn",
         "response_model": "claude-x", "response_id": "msg_1"},
    ),
    "message with parts of the cache that do not add up": Exchange(
        MESSAGES,
        message({
            "input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 50,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 55096},
        }),
        tokens(10, 50, read=0, written=0),
    ),
    "message, old": Exchange(MESSAGES, message({"input_tokens": 10, "output_tokens": 50}), tokens(10, 50)),
    "message, paused": Exchange(
        MESSAGES, message({"input_tokens": 10, "output_tokens": 50}, stop_reason="pause_turn"), tokens(10, 50),
        {"stop_reason": "pause_turn"},
    ),
    "tokens counted": Exchange("/v1/messages/count_tokens", {"input_tokens": 14}, None, source="missing"),
    "gemini": Exchange(
        GEMINI,
        {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}], "modelVersion": "g-1",
         "responseId": "r-1",
         "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 40,
                           "toolUsePromptTokenCount": 7, "cachedContentTokenCount": 12, "totalTokenCount": 72,
                           "trafficType": "ON_DEMAND"}},
        tokens(27, 45, 72, read=12, reasoning=40),
        {"response_model": "g-1", "response_id": "r-1", "stop_reason": "STOP", "service_tier": "ON_DEMAND"},
    ),
    "gemini of spring 2025": Exchange(
        GEMINI,
        {"candidates": [], "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 45, "thoughtsTokenCount": 40,
                                             "totalTokenCount": 65}},
        tokens(20, 45, 65, reasoning=40),
    ),
    "gemini without a candidate": Exchange(
        GEMINI,
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 20}},
        tokens(20, 0),
        {"stop_reason": "SAFETY"},
    ),
    "gemini with thoughts alone": Exchange(
        GEMINI,
        {"candidates": [{"finishReason": "MAX_TOKENS"}],
         "usageMetadata": {"promptTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 50}},
        tokens(20, 30, 50, reasoning=30),
    ),
    "gemini as a list": Exchange(
        GEMINI_STREAM,
        [{"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 3,
                                                             "totalTokenCount": 20}},
         {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5,
                                                                      "totalTokenCount": 25}}],
        tokens(20, 5, read=3),
    ),
}  # fmt: skip

STREAMS = {
    "chat": Exchange(
        CHAT,
        events(
            '{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}',
            '{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{"content":"h\\u00e9 \\"usage\\": {}"},"finish_reason":null}],"usage":null}',
            '{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{"content":"\U0001f44b \u4f60"},"finish_reason":null}],"usage":null}',
            '{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}',
            '{"id":"c","object":"chat.completion.chunk","model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}',
            "[DONE]",
        ),
        tokens(9, 4),
        {"response_model": "m-1", "response_id": "c", "stop_reason": "stop"},
    ),
    "chat without usage": Exchange(
        CHAT,
        events('{"id":"c","model":"m","choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}', "[DONE]"),
        None, {"stop_reason": "stop"}, "missing",
    ),
    "cumulative usage": Exchange(
        CHAT,
        events(
            '{"model":"m","choices":[{"delta":{"content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}',
            '{"model":"m","choices":[{"delta":{"content":"y"},"finish_reason":null}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}',
            '{"model":"m","choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}',
            "[DONE]",
        ),
        tokens(9, 3),
    ),
    "usage within a choice (Moonshot)": Exchange(
        CHAT,
        events(
            '{"model":"m","choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}]}',
            "[DONE]",
        ),
        tokens(9, 3),
    ),
    "responses": Exchange(
        RESPONSES,
        events(
            ("response.created", '{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","model":"m-2","usage":null,"service_tier":"auto"}}'),
            ("response.output_text.delta", '{"type":"response.output_text.delta","delta":"h\u00e9"}'),
            ("response.output_text.delta", '{"type":"response.output_text.delta","delta":"y"}'),
            ("response.completed", '{"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","model":"m-2","service_tier":"default","usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":7}}}'),
        ),
        tokens(5, 2, read=0, reasoning=0),
        {"response_id": "resp_1", "service_tier": "default", "response_model": "m-2"},
    ),
    "responses, incomplete": Exchange(
        RESPONSES,
        events('{"type":"response.incomplete","response":{"id":"resp_1","object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}}}'),
        tokens(5, 2),
        {"stop_reason": "max_output_tokens"},
    ),
    "message": Exchange(
        MESSAGES,
        events(
            ("message_start", '{"type":"message_start","message":{"model":"claude-x","id":"msg_1","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":2068,"cache_creation_input_tokens":55096,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":55096},"output_tokens":3,"service_tier":"standard"}}}'),
            ("ping", '{"type": "ping"}'),
            ("content_block_start", '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'),
            ("content_block_delta", '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi \U0001f44b"}}'),
            ("content_block_stop", '{"type":"content_block_stop","index":0}'),
            ("message_delta", '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":22397,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":81,"server_tool_use":{"web_search_requests":1}}}'),
            ("message_stop", '{"type":"message_stop"}'),
        ),
        tokens(22404, 81, read=7, written=0),
        {"response_model": "claude-x", "response_id": "msg_1", "service_tier": "standard", "web_searches": 1, "stop_reason": "end_turn"},
    ),
    "gemini": Exchange(
        GEMINI_STREAM,
        events(
            '{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":20,"cachedContentTokenCount":3,"totalTokenCount":20},"modelVersion":"g-1"}',
            '{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":20,"candidatesTokenCount":5,"thoughtsTokenCount":6,"totalTokenCount":31},"modelVersion":"g-1"}',
        ),
        tokens(20, 11, 31, read=3, reasoning=6),
        {"response_model": "g-1", "stop_reason": "STOP"},
    ),
    "gemini as a list": Exchange(
        GEMINI_STREAM,
        '[{"candidates":[{"content":{"parts":[{"text":"a } ] \\" {"}]}}],"usageMetadata":{"promptTokenCount":20,"totalTokenCount":20}}\n,\r\n'
        '{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":20,"candidatesTokenCount":5,"totalTokenCount":25}}]',
        tokens(20, 5),
    ),
}  # fmt: skip
