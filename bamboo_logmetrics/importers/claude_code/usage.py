"""The usage of an Anthropic API message, as a transcript holds it."""

from __future__ import annotations

from typing import Any

import msgspec

from bamboo_logmetrics.importers.claude_code.records import Usage
from bamboo_logmetrics.importers.facts import PartFact, UsageFact
from bamboo_logmetrics.importers.values import count, label

# iterations whose tokens are not in the usage of their message, by type: the name of the iteration
_OUTSIDE = {"advisor_message": "advisor", "compaction": "compaction"}
_ITERATIONS = msgspec.json.Decoder(list[Usage])


def usage_fact(usage: Usage | None) -> UsageFact | None:
    """Return the tokens; None if nothing is known. The prompt includes the cached tokens, which Anthropic does not."""
    if usage is None:
        return None
    reported = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    fresh, written, cached = parts = tuple(map(count, reported))
    output = count(usage.output_tokens)
    known = [part for part in parts if part is not None]
    if output is None and not known:
        return None
    malformed = len(known) < len(parts) and any(
        part is None and value is not None for part, value in zip(parts, reported, strict=True)
    )
    return UsageFact(
        prompt=sum(known),
        completion=output or 0,
        cache_read=cached,
        cache_write=written,
        cache_write_1h=_written_for_an_hour(usage, written),
        reasoning=_reasoning(usage, output),
        whole=fresh is not None and output is not None and not malformed,
    )


def _written_for_an_hour(usage: Usage, written: int | None) -> int | None:
    """Return the part of the cache that lives for an hour; the parts count only where they add up to their sum."""
    if not isinstance(usage.cache_creation, dict) or written is None:
        return None
    hour = count(usage.cache_creation.get("ephemeral_1h_input_tokens"))
    minutes = count(usage.cache_creation.get("ephemeral_5m_input_tokens"))
    return hour if hour is not None and hour + (minutes or 0) == written else None


def _reasoning(usage: Usage, output: int | None) -> int | None:
    if not isinstance(usage.output_tokens_details, dict) or output is None:
        return None
    thinking = count(usage.output_tokens_details.get("thinking_tokens"))
    return thinking if thinking is not None and thinking <= output else None


def parts_outside(usage: Usage | None, model: str) -> list[PartFact]:
    """Return the iterations whose tokens are not in the usage of their message."""
    if usage is None or len(bytes(usage.iterations)) <= len(b"null"):
        return []
    try:
        iterations = _ITERATIONS.decode(usage.iterations)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [
        PartFact(_OUTSIDE[part.type], label(part.model) or model, usage_fact(part))
        for part in iterations
        if isinstance(part.type, str) and part.type in _OUTSIDE
    ]


def details(usage: Usage) -> dict[str, Any]:
    """Return the values of a usage besides its tokens: tier and speed as served, searches."""
    values: dict[str, Any] = {}
    if tier := label(usage.service_tier):
        values["service_tier"] = tier
    if speed := label(usage.speed):
        values["speed"] = speed
    server = usage.server_tool_use
    if isinstance(server, dict):
        if searches := count(server.get("web_search_requests")):
            values["web_searches"] = searches
        if fetches := count(server.get("web_fetch_requests")):
            values["web_fetches"] = fetches
    return values
