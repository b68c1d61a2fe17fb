"""The shapes of usage: which one a mapping has, and how each becomes tokens and bound names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bamboo_logmetrics.events.usage import TokenUsage
from bamboo_logmetrics.usage import anthropic, bedrock, cohere, counters, gemini, openai_chat, openai_responses
from bamboo_logmetrics.usage.envelope import Envelope
from bamboo_logmetrics.usage.facts import MISSING, PARTIAL, REPORTED, CallFacts
from bamboo_logmetrics.usage.providers import Endpoint
from bamboo_logmetrics.usage.values import Counts, Tokens, amount, count, name

Reader = Callable[[Counts], Tokens]

# in this order: the first whose keys a usage has reads it
_READERS: tuple[tuple[frozenset[str], Reader], ...] = (
    (openai_chat.KEYS, openai_chat.tokens),
    (gemini.KEYS, gemini.tokens),
    (gemini.INTERACTION_KEYS, gemini.interaction),
    (anthropic.CACHE_KEYS, anthropic.tokens),
    (openai_responses.KEYS, openai_responses.tokens),
    (bedrock.KEYS, bedrock.tokens),
    (bedrock.METRIC_KEYS, bedrock.metrics),
    (cohere.KEYS, cohere.tokens),
    (counters.KEYS, counters.tokens),
)
_TICK = 1e-10  # USD, of xAI
_USAGES = ("usage", "usageMetadata", "usage_metadata", "amazon-bedrock-invocationMetrics")
_USUAL = frozenset({"usage"})
_PLACES = (
    frozenset(_USAGES) | counters.KEYS | {"x_groq", "meta", "metrics", "details", "stats", "results", "predictions"}
)


def usage_in(envelope: Envelope) -> dict[str, Any]:
    """Return the usage that an envelope holds itself. Empty if there is none."""
    places = _PLACES & envelope.keys()
    if places <= _USUAL:  # by far the most
        usage = envelope.get("usage")
        return usage if isinstance(usage, dict) else {}
    usage = {}
    for key in _USAGES:
        value = envelope.get(key)
        if isinstance(value, dict):
            usage.update(gemini.camel(value) if key == "usage_metadata" else value)
    groq = envelope.get("x_groq")
    if isinstance(groq, dict) and isinstance(groq.get("usage"), dict):
        usage = {**groq["usage"], **usage}
    usage.update(counters.in_lists(envelope))
    for key in ("meta", "metrics"):  # Cohere v1 and embeddings; Replicate
        value = envelope.get(key)
        if isinstance(value, dict) and not usage and (cohere.KEYS | counters.KEYS) & value.keys():
            usage.update(value)
    usage.update(counters.at_top(envelope))
    return usage


def is_usage(fields: Mapping[str, Any]) -> bool:
    """Return whether a mapping is a usage itself."""
    keys = fields.keys()
    return any(known & keys for known, _ in _READERS) or bool((gemini.SNAKE_KEYS | {"total_tokens"}) & keys)


def fill(facts: CallFacts, usage: Mapping[str, Any], *, is_anthropic: bool, endpoint: Endpoint | None) -> None:
    """Put the tokens, their source and what else a usage tells into the facts."""
    if not usage:
        return
    counts = Counts(usage)
    reader = _reader(usage, is_anthropic=is_anthropic)
    tokens = reader(counts) if reader else _total_alone(counts, endpoint)
    facts.usage, facts.usage_source = usage_of(tokens, counts)
    facts.bound.update(_details(usage))
    if model := anthropic.fallback_from(usage):
        facts.bound["fallback_from"] = model
    for iteration, part in anthropic.iterations(usage):
        inner = Counts(part)
        iteration.model = iteration.model or facts.bound.get("response_model", "")
        iteration.usage = usage_of(anthropic.tokens(inner), inner)[0]
        facts.iterations.append(iteration)


def _reader(usage: Mapping[str, Any], *, is_anthropic: bool) -> Reader | None:
    if is_anthropic and anthropic.KEYS & usage.keys() and not openai_chat.KEYS & usage.keys():
        return anthropic.tokens
    return next((reader for keys, reader in _READERS if keys & usage.keys()), None)


def _total_alone(counts: Counts, endpoint: Endpoint | None) -> Tokens:
    """Return the tokens where only their total is known. An embedding has a prompt alone."""
    total = counts.get("total_tokens", "totalTokens")
    if endpoint is not None and ("embed" in endpoint.name or "rerank" in endpoint.name):
        return Tokens(total, None if total is None else 0, total)
    return Tokens(total=total)


def usage_of(tokens: Tokens, counts: Counts) -> tuple[TokenUsage | None, str]:
    """Return the usage and its source. A required count that is not known is 0, and the usage is partial."""
    prompt, completion, total = tokens.prompt, tokens.completion, tokens.total
    if prompt is None and completion is None and not total:
        return None, MISSING
    if total is not None and prompt is not None and completion is None:
        completion = max(total - prompt, 0)
    elif total is not None and completion is not None and prompt is None:
        prompt = max(total - completion, 0)
    whole = prompt is not None and completion is not None and not counts.malformed
    prompt, completion = prompt or 0, completion or 0
    usage = TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion if total is None else total,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        cache_write_1h_tokens=tokens.cache_write_1h,
        reasoning_tokens=tokens.reasoning,
    )
    return usage, REPORTED if whole else PARTIAL


def _details(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a usage besides its tokens: tier and speed as served, searches, costs, billed units."""
    values: dict[str, Any] = dict(cohere.billed(usage))
    if tier := name(usage.get("service_tier") or usage.get("serviceTier") or usage.get("trafficType")):
        values["service_tier"] = tier
    if speed := name(usage.get("speed")):
        values["speed"] = speed
    server = usage.get("server_tool_use")
    server = server if isinstance(server, dict) else {}
    searches = count(server.get("web_search_requests")) or count(usage.get("num_search_queries"))
    if searches:
        values["web_searches"] = searches
    if fetches := count(server.get("web_fetch_requests")):
        values["web_fetches"] = fetches
    cost = _cost(usage)
    if cost is not None:
        values["cost_usd"] = cost
    return values


def _cost(usage: Mapping[str, Any]) -> float | None:
    """Return the cost that the provider reports: xAI, Perplexity, OpenRouter and LiteLLM, DeepInfra."""
    ticks = count(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks * _TICK
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    return amount(usage.get("estimated_cost") if cost is None else cost)
