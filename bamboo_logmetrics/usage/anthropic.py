"""Usage of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.usage.facts import Iteration
from bamboo_logmetrics.usage.openai_chat import written_for_an_hour
from bamboo_logmetrics.usage.values import Counts, Tokens, name

KEYS = frozenset({"input_tokens", "output_tokens"})
CACHE_KEYS = frozenset({"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"})
TYPES = frozenset({"message", "message_start", "message_delta"})  # of bodies and events

# iterations whose tokens are not in the usage of their message, by type: the name of the iteration
OUTSIDE = {"advisor_message": "advisor", "compaction": "compaction"}


def tokens(counts: Counts) -> Tokens:
    """Return the tokens. Anthropic's ``input_tokens`` exclude the cache; the prompt includes it."""
    fresh = counts.get("input_tokens")
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    prompt = None if fresh is None else fresh + (read or 0) + (written or 0)
    if prompt is None and (read or written):
        prompt, counts.malformed = (read or 0) + (written or 0), True  # a lower bound
    return Tokens(
        prompt,
        counts.get("output_tokens"),
        None,
        read,
        written,
        written_for_an_hour(counts, written),
        counts.within(("output_tokens_details",), "thinking_tokens"),
    )


def fallback_from(usage: Mapping[str, Any]) -> str | None:
    """Return the model that was asked first and declined, where another one answered."""
    parts = usage.get("iterations")
    by_type = (
        [(part.get("type"), name(part.get("model"))) for part in parts if isinstance(part, dict)]
        if isinstance(parts, list)
        else []
    )
    served = {model for kind, model in by_type if kind == "fallback_message"}
    asked = (model for kind, model in by_type if kind == "message" and model and model not in served)
    return next(asked, None) if served else None


def iterations(usage: Mapping[str, Any]) -> list[tuple[Iteration, Mapping[str, Any]]]:
    """Return the iterations outside the usage, without their tokens, and the usage of each."""
    parts = usage.get("iterations")
    if not isinstance(parts, list):
        return []
    return [
        (Iteration(OUTSIDE[part["type"]], name(part.get("model")) or ""), part)
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] in OUTSIDE
    ]
