"""Usage of Gemini: ``generateContent`` of Google AI and of Vertex AI, and the Interactions API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.usage.values import Counts, Tokens

KEYS = frozenset({"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"})
INTERACTION_KEYS = frozenset({"total_input_tokens", "total_output_tokens"})

# the names of the Python SDK
_SNAKE = {
    "prompt_token_count": "promptTokenCount",
    "candidates_token_count": "candidatesTokenCount",
    "response_token_count": "responseTokenCount",
    "thoughts_token_count": "thoughtsTokenCount",
    "total_token_count": "totalTokenCount",
    "tool_use_prompt_token_count": "toolUsePromptTokenCount",
    "cached_content_token_count": "cachedContentTokenCount",
    "service_tier": "serviceTier",
    "traffic_type": "trafficType",
}

SNAKE_KEYS = frozenset({"candidates_token_count", "total_token_count", "thoughts_token_count"})


def camel(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usage with the names of the REST API."""
    return {_SNAKE.get(key, key): value for key, value in usage.items()}


def tokens(counts: Counts) -> Tokens:
    """Return the tokens. Google leaves out what is zero.

    Thoughts are beside the candidates, except in previews of spring 2025, where the total shows that they are within.
    """
    asked, tool = counts.get("promptTokenCount"), counts.get("toolUsePromptTokenCount")
    answered, thoughts = counts.get("candidatesTokenCount", "responseTokenCount"), counts.get("thoughtsTokenCount")
    total, read = counts.get("totalTokenCount"), counts.get("cachedContentTokenCount")
    prompt = None if asked is None else asked + (tool or 0)
    completion = None if answered is None else answered + (thoughts or 0)
    if asked is not None and answered is not None and thoughts:
        within = total in {asked + answered, asked + (tool or 0) + answered}
        completion = answered if within else answered + thoughts
    if completion is None and (thoughts is not None or total is not None or prompt is not None):
        completion = max(thoughts or 0, (total or 0) - (prompt or 0)) if prompt is not None else thoughts
    if prompt is None and total is not None and completion is not None:
        prompt = max(total - completion, tool or 0)
    return Tokens(prompt, completion, total, read, None, None, thoughts)


def interaction(counts: Counts) -> Tokens:
    """Return the tokens of an interaction."""
    asked, tool = counts.get("total_input_tokens"), counts.get("total_tool_use_tokens")
    answered = counts.get("total_output_tokens")
    thoughts = counts.get("total_thought_tokens", "total_reasoning_tokens")
    total, read = counts.get("total_tokens"), counts.get("total_cached_tokens")
    prompt = None if asked is None else asked + (tool or 0)
    completion = None if answered is None else answered + (thoughts or 0)
    if None not in {asked, answered} and thoughts and total == (asked or 0) + (tool or 0) + (answered or 0):
        completion = answered
    return Tokens(prompt, completion, total, read, None, None, thoughts)
