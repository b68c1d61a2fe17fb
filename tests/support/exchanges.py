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
    "gemini of spring 2025 with more thoughts than candidates": Exchange(
        GEMINI,
        {"candidates": [], "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 40,
                                             "totalTokenCount": 25}},
        tokens(20, 5, 25, reasoning=40),
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

COHERE, OLLAMA = "/v2/chat", "/api/chat"

BODIES |= {
    "cohere": Exchange(
        COHERE,
        {"id": "c-1", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
         "usage": {"billed_units": {"input_tokens": 7, "output_tokens": 5}, "tokens": {"input_tokens": 69, "output_tokens": 6},
                   "cached_tokens": 64}},
        tokens(69, 6, read=64),
        {"billed_input_tokens": 7, "billed_output_tokens": 5, "stop_reason": "COMPLETE", "response_id": "c-1"},
    ),
    "cohere v1": Exchange(
        "/v1/chat",
        {"response_id": "r-1", "text": "hi", "meta": {"api_version": {"version": "1"}, "tokens": {"input_tokens": 69, "output_tokens": 6},
                                                      "billed_units": {"input_tokens": 7, "output_tokens": 5}}},
        tokens(69, 6),
        {"billed_input_tokens": 7, "response_id": "r-1"},
    ),
    "cohere, billed alone": Exchange(
        "/v1/generate", {"id": "g", "meta": {"billed_units": {"input_tokens": 7.0, "output_tokens": 129, "search_units": 0.5}}}, tokens(7, 129),
        {"billed_output_tokens": 129}, "partial",
    ),
    "cohere embeddings": Exchange(
        "/v2/embed", {"id": "e", "embeddings": {"float": [[0.1]]}, "meta": {"billed_units": {"input_tokens": 2}}}, tokens(2, 0),
        {"billed_input_tokens": 2},
    ),
    "rerank by searches": Exchange(
        "/v2/rerank", {"id": "r", "results": [{"index": 0}], "meta": {"billed_units": {"search_units": 1}}}, None, {}, "missing"
    ),
    "converse": Exchange(
        "/model/m/converse",
        {"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn",
         "metrics": {"latencyMs": 5}, "serviceTier": {"type": "flex"},
         "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 335, "cacheReadInputTokens": 200,
                   "cacheWriteInputTokens": 120, "cacheDetails": [{"ttl": "5m", "inputTokens": 100}, {"ttl": "1h", "inputTokens": 20}]}},
        tokens(330, 5, read=200, written=120, hour=20),
        {"stop_reason": "end_turn", "service_tier": "flex"},
    ),
    "nova": Exchange(
        "/model/m/invoke",
        {"output": {"message": {"content": []}}, "stopReason": "end_turn",
         "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokenCount": 0, "cacheWriteInputTokenCount": 0}},
        tokens(10, 5, read=0, written=0),
    ),
    "titan": Exchange(
        "/model/m/invoke",
        {"inputTextTokenCount": 6, "results": [{"tokenCount": 30, "outputText": "a", "completionReason": "FINISH"}, {"tokenCount": 4}]},
        tokens(6, 34),
    ),
    "titan embedding": Exchange("/model/m/invoke", {"embedding": [0.1], "inputTextTokenCount": 6}, tokens(6, 0)),
    "llama on bedrock": Exchange(
        "/model/m/invoke", {"generation": "hi", "prompt_token_count": 9, "generation_token_count": 8, "stop_reason": "stop"},
        tokens(9, 8), {"stop_reason": "stop"},
    ),
    "ollama": Exchange(
        OLLAMA,
        {"model": "l", "message": {"role": "assistant", "content": "hi"}, "done": True, "done_reason": "stop",
         "prompt_eval_count": 26, "eval_count": 298, "total_duration": 5},
        tokens(26, 298), {"response_model": "l", "stop_reason": "stop"},
    ),
    "ollama with a cached prompt": Exchange(
        OLLAMA, {"model": "l", "message": {}, "done": True, "eval_count": 298}, tokens(0, 298), {}, "partial"
    ),
    "ollama embeddings": Exchange("/api/embed", {"model": "l", "embeddings": [[0.1]], "prompt_eval_count": 8}, tokens(8, 0)),
    "llama.cpp": Exchange(
        "/completion", {"content": "hi", "stop": True, "tokens_evaluated": 5, "tokens_predicted": 7, "tokens_cached": 11}, tokens(5, 7)
    ),
    "text generation inference": Exchange(
        "/generate", [{"generated_text": "hi", "details": {"finish_reason": "length", "generated_tokens": 20, "input_length": 4,
                                                         "prefill": [], "tokens": [{"id": 1}] * 5000}}],
        tokens(4, 20),
    ),
    "watsonx": Exchange(
        "/ml/v1/text/generation",
        {"model_id": "g", "results": [{"generated_text": "hi", "generated_token_count": 11, "input_token_count": 8, "stop_reason": "eos_token"}]},
        tokens(8, 11), {"stop_reason": "eos_token"},
    ),
    "embeddings of vertex": Exchange(
        "/v1/publishers/google/models/e:predict",
        {"predictions": [{"embeddings": {"statistics": {"token_count": 4}, "values": [0.1]}},
                         {"embeddings": {"statistics": {"token_count": 5}}}, {"embeddings": {"statistics": 5}}, {"bytes": ""}]},
        tokens(9, 0),
    ),
    "replicate": Exchange(
        "/v1/predictions/p", {"id": "p", "status": "succeeded", "output": ["h", "i"],
                              "metrics": {"input_token_count": 9, "output_token_count": 8, "predict_time": 0.5}},
        tokens(9, 8),
    ),
    "cloudflare": Exchange(
        "/client/v4/accounts/a/ai/run/@cf/meta/llama",
        {"result": {"response": "hi", "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}}, "success": True,
         "errors": [], "messages": []},
        tokens(9, 8),
    ),
    "dashscope": Exchange(
        "/api/v1/services/aigc/text-generation/generation",
        {"output": {"finish_reason": "stop", "text": "hi"}, "request_id": "q-1",
         "usage": {"input_tokens": 9, "output_tokens": 8, "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}}},
        tokens(9, 8, read=4), {"stop_reason": "stop", "provider_request_id": "q-1"},
    ),
    "conversation of mistral": Exchange(
        "/v1/conversations",
        {"object": "conversation.response", "conversation_id": "conv", "outputs": [],
         "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 20, "connector_tokens": 3}},
        tokens(9, 8, 20),
    ),
    "interaction": Exchange(
        "/v1beta/interactions",
        {"id": "i-1", "object": "interaction", "status": "completed", "model": "g-3",
         "usage": {"total_input_tokens": 7, "total_output_tokens": 20, "total_thought_tokens": 22, "total_tool_use_tokens": 2,
                   "total_cached_tokens": 3, "total_tokens": 51}},
        tokens(9, 42, 51, read=3, reasoning=22), {"response_model": "g-3", "response_id": "i-1"},
    ),
    "interaction with thoughts within": Exchange(
        "/v1beta/interactions",
        {"id": "i-1", "object": "interaction",
         "usage": {"total_input_tokens": 7, "total_output_tokens": 42, "total_thought_tokens": 22, "total_tokens": 49}},
        tokens(7, 42, reasoning=22),
    ),
    "gemini within a response": Exchange(
        "/v1internal:generateContent",
        {"response": {"candidates": [{"finishReason": "STOP"}], "modelVersion": "g",
                      "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 5, "totalTokenCount": 9}}},
        tokens(4, 5), {"response_model": "g"},
    ),
    "stored cache of gemini": Exchange(
        "/v1beta/cachedContents", {"name": "cachedContents/x", "usageMetadata": {"totalTokenCount": 3512}}, None, {}, "missing"
    ),
    "searches of responses": Exchange(
        RESPONSES,
        {"id": "resp_1", "object": "response", "usage": {"input_tokens": 9, "output_tokens": 8, "total_tokens": 17},
         "output": [{"type": "web_search_call", "action": {"type": "search"}}, {"type": "web_search_call", "action": {"type": "open_page"}},
                    {"type": "web_search_call"}, {"type": "message", "content": []}]},
        tokens(9, 8), {"web_searches": 2},
    ),
    "searches as counted by responses": Exchange(
        RESPONSES,
        {"id": "resp_1", "object": "response", "usage": {"input_tokens": 9, "output_tokens": 8, "total_tokens": 17},
         "output": [{"type": "web_search_call"}], "tool_usage": {"web_search": {"num_requests": 4}}},
        tokens(9, 8), {"web_searches": 4},
    ),
    "lm studio": Exchange(
        "/api/v1/chat",
        {"model_instance_id": "openai/gpt-oss", "output": [{"type": "message", "content": "hi"}],
         "stats": {"input_tokens": 119, "total_output_tokens": 268, "reasoning_output_tokens": 5, "tokens_per_second": 43.7}},
        tokens(119, 268, reasoning=5), {"response_model": "openai/gpt-oss"},
    ),
    "served by a fallback": Exchange(
        MESSAGES,
        message({"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5, "iterations": [
            {"type": "message", "model": "claude-first", "input_tokens": 10, "output_tokens": 1},
            {"type": "fallback_message", "model": "claude-x", "input_tokens": 10, "output_tokens": 5},
        ]}),
        tokens(10, 5, read=0, written=0), {"fallback_from": "claude-first", "response_model": "claude-x"},
    ),
    "cache within the prompt, once read and once written": Exchange(
        CHAT,
        chat({"prompt_tokens": 2168, "completion_tokens": 100, "total_tokens": 2268,
              "prompt_tokens_details": {"cached_tokens": 2161, "cache_write_tokens": 2161}}),
        tokens(2168, 100, read=2161, written=2161),
    ),
    "an hour's part from litellm": Exchange(
        CHAT,
        chat({"prompt_tokens": 105, "completion_tokens": 6, "total_tokens": 111, "prompt_tokens_details": {
            "cached_tokens": 0, "cache_creation_tokens": 30,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}}),
        tokens(105, 6, read=0, written=30, hour=20),
    ),
}  # fmt: skip

STREAMS |= {
    "cohere": Exchange(
        COHERE,
        events(
            ("message-start", '{"id":"c-1","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}'),
            ("content-delta", '{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"hi"}}}}'),
            ("message-end", '{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":7,"output_tokens":5},"tokens":{"input_tokens":69,"output_tokens":6}}}}'),
        ),
        tokens(69, 6), {"response_id": "c-1", "stop_reason": "COMPLETE", "billed_input_tokens": 7},
    ),
    "cohere v1": Exchange(
        "/v1/chat",
        '{"is_finished":false,"event_type":"stream-start","generation_id":"g"}\n'
        '{"is_finished":false,"event_type":"text-generation","text":"h\u00e9"}\n'
        '{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"response_id":"r-1","text":"hi","meta":{"tokens":{"input_tokens":69,"output_tokens":6}}}}\n',
        tokens(69, 6), {"stop_reason": "COMPLETE", "response_id": "r-1"},
    ),
    "ollama": Exchange(
        OLLAMA,
        '{"model":"l","message":{"role":"assistant","content":"h"},"done":false}\n'
        '{"model":"l","message":{"role":"assistant","content":"\u4f60 {\\"usage\\":1}"},"done":false}\n'
        '{"model":"l","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":298}\n',
        tokens(26, 298), {"response_model": "l", "stop_reason": "stop"},
    ),
    "watsonx": Exchange(
        "/ml/v1/text/generation_stream",
        events(
            ("message", '{"results":[{"generated_text":"","generated_token_count":0,"input_token_count":8,"stop_reason":"not_finished"}]}'),
            ("message", '{"results":[{"generated_text":"x","generated_token_count":3,"input_token_count":0,"stop_reason":"not_finished"}]}'),
            ("message", '{"results":[{"generated_text":"","generated_token_count":11,"input_token_count":0,"stop_reason":"eos_token"}]}'),
        ),
        tokens(8, 11), {"stop_reason": "eos_token"},
    ),
    "dashscope": Exchange(
        "/api/v1/services/aigc/text-generation/generation",
        events(
            ("result", '{"output":{"finish_reason":"null","text":"h"},"usage":{"total_tokens":10,"input_tokens":9,"output_tokens":1},"request_id":"q"}'),
            ("result", '{"output":{"finish_reason":"stop","text":"hi"},"usage":{"total_tokens":11,"input_tokens":9,"output_tokens":2},"request_id":"q"}'),
        ),
        tokens(9, 2), {"stop_reason": "stop"},
    ),
    "run": Exchange(
        "/v1/threads/runs",
        events(
            ("thread.run.created", '{"id":"run_1","object":"thread.run","status":"queued","model":"m","usage":null}'),
            ("thread.message.delta", '{"id":"msg_1","object":"thread.message.delta","delta":{"content":[{"type":"text","text":{"value":"hi"}}]}}'),
            ("thread.run.step.completed", '{"id":"step_1","object":"thread.run.step","run_id":"run_1","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'),
            ("thread.run.completed", '{"id":"run_1","object":"thread.run","status":"completed","model":"m","usage":{"prompt_tokens":20,"completion_tokens":11,"total_tokens":31}}'),
            ("done", "[DONE]"),
        ),
        tokens(20, 11), {"response_id": "run_1", "response_model": "m"},
    ),
    "lm studio": Exchange(
        "/api/v1/chat",
        events(
            ("chat.start", '{"type":"chat.start","model_instance_id":"l"}'),
            ("message.delta", '{"type":"message.delta","content":"hi"}'),
            ("chat.end", '{"type":"chat.end","result":{"model_instance_id":"l","output":[],"stats":{"input_tokens":119,"total_output_tokens":268}}}'),
        ),
        tokens(119, 268), {"response_model": "l"},
    ),
    "image": Exchange(
        "/v1/images/generations",
        events(
            ("image_generation.partial_image", '{"type":"image_generation.partial_image","b64_json":"aaaa","partial_image_index":0}'),
            ("image_generation.completed", '{"type":"image_generation.completed","b64_json":"aaaa","usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}'),
        ),
        tokens(50, 50),
    ),
    "interaction": Exchange(
        "/v1beta/interactions",
        events(
            ("interaction.start", '{"event_type":"interaction.start","interaction":{"id":"i-1","object":"interaction","status":"in_progress"}}'),
            ("content.delta", '{"event_type":"content.delta","delta":{"type":"text","text":"hi"}}'),
            ("interaction.complete", '{"event_type":"interaction.complete","interaction":{"id":"i-1","object":"interaction","model":"g-3","usage":{"total_input_tokens":7,"total_output_tokens":20,"total_thought_tokens":22,"total_tokens":49}}}'),
            ("done", "[DONE]"),
        ),
        tokens(7, 42, reasoning=22), {"response_model": "g-3", "response_id": "i-1"},
    ),
    "conversation of mistral": Exchange(
        "/v1/conversations",
        events(
            ("conversation.response.started", '{"type":"conversation.response.started","conversation_id":"conv"}'),
            ("message.output.delta", '{"type":"message.output.delta","content":"hi"}'),
            ("conversation.response.done", '{"type":"conversation.response.done","usage":{"prompt_tokens":9,"completion_tokens":8,"total_tokens":17}}'),
        ),
        tokens(9, 8),
    ),
    "Groq's own place": Exchange(
        CHAT,
        events(
            '{"model":"m","choices":[{"delta":{"content":"x"},"finish_reason":null}],"x_groq":{"id":"r"}}',
            '{"model":"m","choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}}',
            "[DONE]",
        ),
        tokens(5, 6),
    ),
}  # fmt: skip

# streams of which no event says that it is the last
ENDLESS = {
    "chat without an end mark": Exchange(
        "/v1/chat",
        events(
            '{"object":"chat.completion.chunk","choices":[{"delta":{"content":"x"},"finish_reason":null}]}',
            '{"object":"chat.completion.chunk","choices":[{"delta":{},"finish_reason":"stop"}]}',
            '{"object":"chat.completion.chunk","choices":[],"model":"w","usage":{"prompt_tokens":39,"total_tokens":76,"completion_tokens":37}}',
        ),
        tokens(39, 37),
    ),
    "text generation inference": Exchange(
        "/generate_stream",
        events(
            '{"index":1,"token":{"id":1,"text":"h"},"generated_text":null,"details":null}',
            '{"index":2,"token":{"id":2,"text":"i"},"generated_text":"hi","details":{"finish_reason":"length","generated_tokens":20,"input_length":4}}',
        ),
        tokens(4, 20),
    ),
    "unknown": Exchange("/v1/words", events('{"value":"a"}', '{"value":"b"}'), None, {}, "missing"),
}  # fmt: skip
for _name in ("watsonx", "dashscope"):
    ENDLESS[_name] = STREAMS.pop(_name)
