"""The small parts of a JSON answer that hold facts about the call. Contents are skipped without building them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

# a text or a number; anything else is passed over
SCALARS = frozenset({
    "__type", "amazon-bedrock-guardrailAction", "code", "completionReason", "custom_id", "detail", "done",
    "done_reason", "error_description", "eval_count", "event_type", "finishReason", "finish_reason",
    "generated_token_count", "generated_tokens", "generation_token_count", "id", "inputTextTokenCount",
    "input_length", "input_token_count", "is_finished", "message", "model", "modelVersion", "model_instance_id",
    "model_version", "name", "num_tokens_generated", "num_tokens_prompt_total", "object", "prompt_eval_count",
    "prompt_token_count", "requestId", "request_id", "responseId", "response_id", "run_id", "serviceTier",
    "service_tier", "status", "statusCode", "status_code", "stop", "stopReason", "stop_reason", "success", "title",
    "tokenCount", "token_count", "tokens_evaluated", "tokens_predicted", "totalOutputTextTokenCount", "type",
})  # fmt: skip
# read as a whole: small
VALUES = frozenset({
    "amazon-bedrock-invocationMetrics", "base_resp", "error", "incomplete_details", "last_error", "meta", "metrics",
    "promptFeedback", "prompt_feedback", "serviceTier", "statistics", "stats", "tool_usage", "usage",
    "usageMetadata", "usage_metadata", "x_groq",
})  # fmt: skip
# an envelope within the envelope
NESTED = frozenset({
    "action", "delta", "details", "embeddings", "interaction", "message", "output", "response", "result",
})  # fmt: skip
# a list of envelopes, and how many more are within each
LISTS = {"candidates": 0, "choices": 0, "errors": 0, "output": 1, "predictions": 1, "results": 0}

_SCALARS_OR_VALUES = SCALARS | VALUES
_KNOWN = SCALARS | VALUES | NESTED | LISTS.keys()
_OBJECT, _LIST = b"{["
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_ANY = msgspec.json.Decoder()

_LARGEST_VALUE = 65_536  # bytes of one value that is read as a whole
_LONGEST_SCALAR = 16_384  # bytes
_MOST_ITEMS = 1_000  # of one list
_DEPTH = 3  # of envelopes within each other
_BLANK = b"\xef\xbb\xbf \t\r\n"  # and the byte order mark
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

Envelope = dict[str, Any]


def read_envelopes(data: bytes) -> list[Envelope]:
    """Return the envelopes of a JSON text: one for an object, several for a list. Empty if it cannot be read."""
    try:
        return _envelopes(data)
    except _UNREADABLE:
        pass
    if data.lstrip(_BLANK)[:1] not in {b"{", b"["}:
        return []
    try:  # what msgspec refuses and others write: NaN, lone surrogates, bytes that are not UTF-8
        value = json.loads(data.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
        return _envelopes(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except _UNREADABLE:
        return []


def _envelopes(data: bytes) -> list[Envelope]:
    if data.lstrip()[:1] == b"[":
        return [envelope for envelope in map(_if_object, _ITEMS.decode(data)[:_MOST_ITEMS]) if envelope is not None]
    return [_envelope(data, _DEPTH)]


def _if_object(item: msgspec.Raw) -> Envelope | None:
    data = bytes(item)
    return _envelope(data, _DEPTH) if data[:1] == b"{" else None


def _envelope(data: bytes | msgspec.Raw, depth: int) -> Envelope:
    envelope: Envelope = {}
    for key, raw in _FIELDS.decode(data).items():
        if key in _KNOWN and (value := _value(key, raw, depth)) is not None:
            envelope[key] = value
    return envelope


def _value(key: str, raw: msgspec.Raw, depth: int) -> Any:
    view = memoryview(raw)
    first = view[0]
    if first == _OBJECT:
        if key in NESTED:
            return _envelope(raw, depth - 1) if depth else None
        return _ANY.decode(raw) if key in VALUES and len(view) <= _LARGEST_VALUE else None
    if first == _LIST:
        return _list(raw, LISTS[key]) if key in LISTS and depth else None
    return _ANY.decode(raw) if key in _SCALARS_OR_VALUES and len(view) <= _LONGEST_SCALAR else None


def _list(raw: msgspec.Raw, depth: int) -> list[Envelope]:
    items = _ITEMS.decode(raw)[:_MOST_ITEMS]
    return [_envelope(item, depth) for item in items if memoryview(item)[0] == _OBJECT]
