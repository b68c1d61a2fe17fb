"""Prices in LiteLLM's ``model_prices_and_context_window.json``, applied by LiteLLM's own rules.

A kind of call for which the file says nothing, such as a batch without prices for batches, has no price here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.summary.rates import MAX_TOKENS, STANDARD, Band, CallKind, Prices, tier_name
from bamboo_logmetrics.usage.provider_names import standard_name

_PER_TOKEN = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
}
_SUFFIXES = {
    "batch": "_batches",
    "flex": "_flex",
    "priority": "_priority",
    "fast": "_priority",
    "balanced": "_balanced",
    "ultrafast": "_ultrafast",
}
_PROVIDERS = {  # what LiteLLM has several names for
    "azure_text": "azure.ai.openai",
    "bedrock_converse": "aws.bedrock",
    "bedrock_mantle": "aws.bedrock",
    "moonshot": "moonshot_ai",
    "text-completion-codestral": "mistral_ai",
    "text-completion-openai": "openai",
}
_THRESHOLD = re.compile(r"_above_(\d+)(k?)_tokens")
_THOUSAND = 1_000
_EXAMPLE = "sample_spec"  # an entry that explains the others


class LiteLLMPrices:
    """The prices of LiteLLM's file.

    Args:
        document: the decoded JSON.
        name: the name of the file, for messages.
        version: names the file and its contents.

    Raises ConfigError for a document of another form, or a price that is no number.
    """

    def __init__(self, document: Mapping[str, Any], name: str, version: str) -> None:
        self.name = version
        self._entries: dict[tuple[str, str], Mapping[str, Any]] = {}
        for key, entry in document.items():
            if key == _EXAMPLE:
                continue
            if not isinstance(entry, dict):
                _fail(name, key, "must be an object with the prices of a model")
            if "off_peak_pricing" in entry or not ("input_cost_per_token" in entry or _ranges(entry)):
                continue  # priced by the hour of the day, or by something else than tokens
            _check(name, key, entry)
            provider, names = _names(key, entry)
            for model in names:
                self._entries.setdefault((provider, model), entry)
            self._entries.setdefault(("", key.lower()), entry)
        self._known: dict[CallKind, list[Band]] = {}

    def bands(self, kind: CallKind, time: datetime) -> Sequence[Band]:  # noqa: ARG002 - the file has today's prices
        """Return the bands of a kind; none if its price is not known."""
        if kind not in self._known:
            entry = self._find(kind)
            self._known[kind] = [] if entry is None else list(_bands(entry, kind))
        return self._known[kind]

    def _find(self, kind: CallKind) -> Mapping[str, Any] | None:
        model = kind.model.lower()
        entry = self._entries.get((standard_name(kind.provider), model))
        if entry is None and kind.provider:
            entry = self._entries.get(("", model))
            entry = None if entry is None or "litellm_provider" in entry else entry
        return entry


def _names(key: str, entry: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the provider of an entry, and the names that its model may have in a log."""
    litellm_name = str(entry.get("litellm_provider", ""))
    provider = (
        "gcp.vertex_ai"
        if litellm_name.startswith("vertex_ai")
        else _PROVIDERS.get(litellm_name) or standard_name(litellm_name)
    )
    first, slash, bare = key.partition("/")
    prefixed = slash and provider in {_PROVIDERS.get(first), standard_name(first)}
    return provider, [key.lower(), bare.lower()] if prefixed else [key.lower()]


def _check(name: str, key: str, entry: Mapping[str, Any]) -> None:
    for table in (entry, *(tier for _, tier in _ranges(entry))):
        for field, value in table.items():
            if field.startswith(tuple(_PER_TOKEN.values())) and not _is_price(value):
                _fail(name, key, f"{field:.80} must be US dollars for one token, 0 to 1; got {value!r:.80}")
    search = entry.get("search_context_cost_per_query") or {}
    if not isinstance(search, dict) or not all(map(_is_price, search.values())):
        _fail(name, key, "search_context_cost_per_query must be an object of US dollars for one search")
    special = entry.get("provider_specific_entry") or {}
    if not isinstance(special, dict) or not _is_number(special.get("fast", 1)):
        _fail(name, key, "provider_specific_entry must be an object of numbers")


def _fail(name: str, key: str, text: str) -> None:
    msg = f"{name}, {key!r:.80}: {text}"
    raise ConfigError(msg)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _THOUSAND


def _is_price(value: Any) -> bool:
    return value is None or (_is_number(value) and value <= 1)


def _ranges(entry: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the tables of a price by size of prompt, each with the number of tokens that it begins behind."""
    tiers = entry.get("tiered_pricing")
    ranges = []
    for tier in tiers if isinstance(tiers, list) else ():
        bounds = tier.get("range") if isinstance(tier, dict) else None
        if isinstance(bounds, list) and bounds and isinstance(bounds[0], int | float) and 0 <= bounds[0] < MAX_TOKENS:
            ranges.append((int(bounds[0]), tier))
    return sorted(ranges, key=lambda item: item[0])


def _bands(entry: Mapping[str, Any], kind: CallKind) -> Iterator[Band]:
    """Give the bands of an entry; none if it has no price for such calls."""
    tier, speed = tier_name(kind.tier), kind.speed.lower()
    suffix = _SUFFIXES.get(tier, "")
    factor = 1.0 if speed in STANDARD else (entry.get("provider_specific_entry") or {}).get(speed)
    if factor is None or (suffix == "_batches" and entry.get("input_cost_per_token_batches") is None):
        return
    search = (entry.get("search_context_cost_per_query") or {}).get("search_context_size_medium")
    exact = tier in STANDARD or (suffix != "" and entry.get(f"input_cost_per_token{suffix}") is not None)
    tables = list(_tiered(entry) if _ranges(entry) else _thresholds(entry, suffix, kind.provider))
    starts = [start for start, _ in tables]
    for (start, prices), after in zip(tables, [*starts[1:], MAX_TOKENS + 1], strict=True):
        if "input" in prices:
            scaled = {name: value * factor for name, value in prices.items()}
            yield Band(start, after - 1, Prices(**scaled, web_search=search).rates(), exact)


def _thresholds(entry: Mapping[str, Any], suffix: str, provider: str) -> Iterator[tuple[int, dict[str, float]]]:
    """Give the prices from each number of prompt tokens on: those of a step, else of the step before."""
    suffixes = [suffix] if suffix in {"", "_batches"} else [suffix, ""]  # batches have prices of their own only
    steps = {}
    for key in entry:
        match = _THRESHOLD.search(key)
        if match and key.startswith(tuple(_PER_TOKEN.values())) and key[match.end() :] in suffixes:
            steps[match[0]] = int(match[1]) * (_THOUSAND if match[2] else 1)
    exclusive = provider != "x_ai"  # xAI's steps begin at their number, others' behind it
    prices: dict[str, float] = {}
    for step, tokens in [("", -1), *sorted(steps.items(), key=lambda item: item[1])]:
        for name, key in _PER_TOKEN.items():
            values = (entry.get(f"{key}{step}{each}") for each in suffixes)
            known = [value for value in values if value is not None]
            if known:
                prices[name] = float(known[0])
        yield (tokens + exclusive if step else 0), dict(prices)


def _tiered(entry: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, float]]]:
    """Give the prices of a table of ranges; what lies beyond the last has its prices."""
    output = entry.get("output_cost_per_token")
    for number, (least, tier) in enumerate(_ranges(entry)):
        prices = {name: float(tier[key]) for name, key in _PER_TOKEN.items() if tier.get(key) is not None}
        if output is not None:
            prices.setdefault("output", float(output))
        yield (least + 1 if number else 0), prices
