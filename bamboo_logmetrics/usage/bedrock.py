"""Usage of Amazon Bedrock: ``converse``, ``invoke``, and the headers of ``invoke``."""

from __future__ import annotations

from bamboo_logmetrics.usage.values import Counts, Tokens

KEYS = frozenset({"inputTokens", "outputTokens"})
METRIC_KEYS = frozenset({"inputTokenCount", "outputTokenCount"})


def tokens(counts: Counts) -> Tokens:
    """Return the tokens of ``converse``. ``inputTokens`` exclude the cache."""
    read = counts.get("cacheReadInputTokens", "cacheReadInputTokenCount")
    written = counts.get("cacheWriteInputTokens", "cacheWriteInputTokenCount")
    prompt = _with_cache(counts.get("inputTokens"), read, written)
    hour = None if written is None else _hour(counts)
    return Tokens(prompt, counts.get("outputTokens"), counts.get("totalTokens"), read, written, hour)


def metrics(counts: Counts) -> Tokens:
    """Return the tokens of ``amazon-bedrock-invocationMetrics``, the last part of a stream."""
    read, written = counts.get("cacheReadInputTokenCount"), counts.get("cacheWriteInputTokenCount")
    prompt = _with_cache(counts.get("inputTokenCount"), read, written)
    return Tokens(prompt, counts.get("outputTokenCount"), None, read, written)


def _with_cache(fresh: int | None, read: int | None, written: int | None) -> int | None:
    return None if fresh is None else fresh + (read or 0) + (written or 0)


def _hour(counts: Counts) -> int | None:
    details = counts.usage.get("cacheDetails")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and detail.get("ttl") == "1h":
            return Counts(detail).get("inputTokens")
    return None
