"""Usage of chat completions, completions and embeddings of OpenAI, and of the many providers that answer alike."""

from __future__ import annotations

from bamboo_logmetrics.usage.values import Counts, Tokens

KEYS = frozenset({"prompt_tokens", "completion_tokens"})

_PROMPT_DETAILS = ("prompt_tokens_details", "prompt_token_details", "input_tokens_details", "input_token_details")
_COMPLETION_DETAILS = (
    "completion_tokens_details", "completion_token_details", "output_tokens_details", "output_token_details",
    "details",
)  # fmt: skip
# within the details, then beside them: DeepSeek, Moonshot, Together, xAI, Mistral, Databricks, LiteLLM
_READ = ("cached_tokens", "cache_read_tokens", "cache_read_input_tokens", "cache_read")
_READ_BESIDE = (
    "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens", "num_cached_tokens",
    "cached_prompt_text_tokens", "cache_read_tokens",
)  # fmt: skip
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens", "cache_creation")
_CREATION = ("cache_creation", "cache_creation_token_details")
_HOUR, _MINUTES = "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"
_THOUGHT = ("reasoning_tokens", "thinking_tokens", "reasoning")


def tokens(counts: Counts) -> Tokens:
    """Return the tokens of a usage that has ``prompt_tokens``."""
    return including(counts, counts.get("prompt_tokens"), counts.get("completion_tokens"))


def including(counts: Counts, prompt: int | None, completion: int | None) -> Tokens:
    """Return the tokens of a usage whose prompt includes the cache.

    Two peculiarities show in the sums: a prompt that excludes the cache, a completion that excludes reasoning (xAI).
    """
    tokens = Tokens(prompt, completion, counts.get("total_tokens"))
    tokens.cache_read = _first(counts.within(_PROMPT_DETAILS, *_READ), counts.get(*_READ_BESIDE))
    tokens.cache_write = _first(counts.within(_PROMPT_DETAILS, *_WRITTEN), counts.get(*_WRITTEN))
    tokens.cache_write_1h = written_for_an_hour(counts, tokens.cache_write)
    tokens.reasoning = _first(counts.within(_COMPLETION_DETAILS, *_THOUGHT), counts.get(*_THOUGHT))
    if prompt is None or completion is None:
        return tokens
    read, written = tokens.cache_read or 0, tokens.cache_write or 0
    if max(read, written) > prompt or (read + written and tokens.total == prompt + completion + read + written):
        tokens.prompt = prompt + read + written
    elif tokens.reasoning and tokens.total == prompt + completion + tokens.reasoning:
        tokens.completion = completion + tokens.reasoning
    return tokens


def written_for_an_hour(counts: Counts, written: int | None) -> int | None:
    """Return the part of the cache that lives for an hour; the parts count only where they add up to their sum."""
    if written is None:
        return None
    inner = counts
    for group in _PROMPT_DETAILS:  # LiteLLM
        details = counts.usage.get(group)
        if isinstance(details, dict) and not details.keys().isdisjoint(_CREATION):
            inner = Counts(details)
    hour, minutes = inner.within(_CREATION, _HOUR), inner.within(_CREATION, _MINUTES)
    return hour if hour is not None and hour + (minutes or 0) == written else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
