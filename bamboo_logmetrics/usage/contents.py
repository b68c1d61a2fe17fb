"""Events of a stream that carry content and no fact: most of them, so they pass without being decoded."""

from __future__ import annotations

import re

from bamboo_logmetrics.usage.envelope import Envelope

_HEAD = 80  # bytes in which the type of an event stands
_RESPONSES = (b'{"type":"response.', b'{"type": "response.')
# Anthropic's, then Cohere's
_DELTAS = tuple(
    b'{"type":' + space + b'"' + name + b'"'
    for name in (b"content_block_delta", b"content-delta", b"tool-call-delta", b"tool-plan-delta")
    for space in (b"", b" ")
)
_DELTA = b'.delta"'
_TYPES = re.compile(
    r"(?:.*[._-])?delta|text-generation|.*partial_image|response.output_item.done"
)  # of events that carry content
_ANY_CONTENT = re.compile(
    rb'"(?:content|text|thinking|reasoning|reasoning_content|reasoning_details|arguments|refusal|response|parts'
    rb'|tool_calls|toolUse|audio|data|generated_text|outputText|generation|completion|message|output_text|embedding)"'
    rb'\s*:\s*(?:"(?!")|\[\s*[^\]\s]|\{)'
)


def is_done(data: bytes) -> bool:
    """Return whether data is the end mark of chat completions."""
    return len(data) < _HEAD and data.strip() == b"[DONE]"


def is_content_alone(data: bytes) -> bool:
    """Return whether an event can hold no fact, by its type or because no key of a fact is in it.

    A quote within a text has a backslash before it, so a quoted name is a key or a value of its own.
    """
    if data.startswith(_DELTAS):
        return True
    if data.startswith(_RESPONSES):
        return data.find(_DELTA, 0, _HEAD) > 0
    if b'"done":false' in data:  # Ollama
        return b'_count"' not in data and b'"error"' not in data and b"\\u00" not in data
    return (
        data.count(b"finish_reason") == 1
        and (b'"finish_reason":null' in data or b'"finish_reason": null' in data)
        and b'"error"' not in data
        and b"x_groq" not in data
        and b"\\u00" not in data  # a name may be written in escapes
        and (b"usage" not in data or (data.count(b"usage") == 1 and b'"usage":null' in data))
    )


def has_content(envelope: Envelope, data: bytes) -> bool:
    """Return whether an event carries content: by its type if it has one, else by what is in it."""
    kind = envelope.get("type") or envelope.get("event_type")
    if isinstance(kind, str) and "choices" not in envelope:
        return _TYPES.fullmatch(kind) is not None and kind != "message_delta"
    return _ANY_CONTENT.search(data.replace(b'"message":{"role"', b"")) is not None
