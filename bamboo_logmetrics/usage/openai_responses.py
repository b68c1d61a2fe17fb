"""Usage of the Responses API, and of images and transcriptions, which count alike."""

from __future__ import annotations

from bamboo_logmetrics.usage.openai_chat import including
from bamboo_logmetrics.usage.values import Counts, Tokens

KEYS = frozenset({"input_tokens", "output_tokens"})


def tokens(counts: Counts) -> Tokens:
    """Return the tokens of a usage that has ``input_tokens``, with the cache in it."""
    return including(counts, counts.get("input_tokens"), counts.get("output_tokens"))
