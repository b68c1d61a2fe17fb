"""Costs of lines, made without DuckDB: a call after the other, by the public function of genai-prices."""

from __future__ import annotations

from datetime import datetime

import genai_prices

from support.summing import calls_of

_IDS = {"x_ai": "x-ai", "azure.ai.openai": "azure", "azure.ai.inference": "azure", "gcp.gen_ai": "google"}
_PARTS = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "web_searches": "web_searches",
}


def cost_of(line, provider=None):
    """Return the cost of a line of a call: what was reported, else the price; None if that is not known."""
    if "cost_usd" in line:
        return line["cost_usd"]
    usage = {part: line.get(name, 0) for part, name in _PARTS.items()}
    if (
        usage["cache_read_tokens"] + usage["cache_write_tokens"] > usage["input_tokens"]
        or usage["cache_write_1h_tokens"] > usage["cache_write_tokens"]
        or usage["output_reasoning_tokens"] > usage["output_tokens"]
    ):
        return None
    provider = line.get("provider", provider)
    context = {name: line[name] for name in ("service_tier", "speed") if name in line}
    if line.get("service_tier") == "batch":
        context["processing"] = "batch"
    try:
        price = genai_prices.calc_price(
            genai_prices.Usage(**usage),
            line.get("response_model") or line.get("model") or "",
            provider_id=_IDS.get(provider, provider),
            genai_request_timestamp=datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")),
            price_context=context or None,
        )
    except (LookupError, ValueError):
        return None
    return float(price.total_price)


def recount_costs(lines):
    """Return the cost of all counted calls of lines, and how many have one."""
    costs = [cost_of(line) for line in calls_of(lines)]
    known = [cost for cost in costs if cost is not None]
    return (sum(known) if known else None), len(known)
