"""Prices in LiteLLM's file: which entry counts, and what a call costs by it."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.summary.price_files import read_price_file
from bamboo_logmetrics.reading.summary.rates import CallKind

FLAT = {"input_cost_per_token": 3e-6, "output_cost_per_token": 15e-6}
FILE = {
    "sample_spec": {"input_cost_per_token": "explains", "litellm_provider": "one of"},
    "sonnet": FLAT
    | {
        "litellm_provider": "anthropic",
        "cache_read_input_token_cost": 0.3e-6,
        "cache_creation_input_token_cost": 3.75e-6,
        "cache_creation_input_token_cost_above_1hr": 6e-6,
        "input_cost_per_token_above_200k_tokens": 6e-6,
        "output_cost_per_token_above_200k_tokens": 22.5e-6,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 12e-6,
        "input_cost_per_token_batches": 1.5e-6,
        "output_cost_per_token_batches": 7.5e-6,
        "search_context_cost_per_query": {"search_context_size_medium": 0.01},
        "provider_specific_entry": {"us": 1.1, "fast": 2},
    },
    "gpt": FLAT
    | {"litellm_provider": "openai", "input_cost_per_token_priority": 6e-6, "output_cost_per_token_priority": 30e-6},
    "gemini/flash": FLAT | {"litellm_provider": "gemini", "output_cost_per_reasoning_token": 20e-6},
    "flash": FLAT | {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 4e-6},
    "xai/grok": FLAT | {"litellm_provider": "xai", "input_cost_per_token_above_128k_tokens": 6e-6},
    "dashscope/qwen": {
        "litellm_provider": "dashscope",
        "output_cost_per_token": 9e-6,
        "tiered_pricing": [
            {"range": [32000.0, 64000.0], "input_cost_per_token": 2e-6},
            {"range": [0, 32000.0], "input_cost_per_token": 1e-6, "output_cost_per_token": 5e-6},
        ],
    },
    "dashscope/images": {
        "litellm_provider": "dashscope",
        "tiered_pricing": [
            {"range": [0, 9], "input_cost_per_image": 1},
            {"range": [9, 99], "input_cost_per_token": 1e-6},
        ],
    },
    "search": {"litellm_provider": "exa_ai", "tiered_pricing": [{"max_results_range": [0, 25]}]},
    "image": {"litellm_provider": "openai", "output_cost_per_image": 0.04},
    "night": FLAT | {"litellm_provider": "deepseek", "off_peak_pricing": {}},
    "embedding": {"litellm_provider": "openai", "input_cost_per_token": 1e-7},
    "My-Model": FLAT,
}
NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)


def read(tmp_path, document):
    file = tmp_path / "prices.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return read_price_file(file)


def rates(source, provider, model, tier="", speed=""):
    """Return the first tokens of each band, and its rates in dollars for a million."""
    bands = source.bands(CallKind(provider, model, tier, speed), NOW)
    return {
        band.least: [None if rate is None else pytest.approx(rate * 1e6, abs=1e-9) for rate in band.rates]
        for band in bands
    }


CASES = {
    "all parts, steps": (
        ("anthropic", "Sonnet"),
        {0: [0, 3, -2.7, 0.75, 2.25, 15, 0, 10_000], 200_001: [0, 6, -5.7, -2.25, 8.25, 22.5, 0, 10_000]},
    ),
    "a batch": (("anthropic", "sonnet", "batch"), {0: [0, 1.5, 0, 0, 0, 7.5, 0, 10_000]}),
    "fast": (
        ("anthropic", "sonnet", "", "fast"),
        {0: [0, 6, -5.4, 1.5, 4.5, 30, 0, 10_000], 200_001: [0, 12, -11.4, -4.5, 16.5, 45, 0, 10_000]},
    ),
    "a batch without a price for it": (("openai", "gpt", "batch"), {}),
    "fast without a price for it": (("openai", "gpt", "", "fast"), {}),
    "a tier": (("openai", "gpt", "priority"), {0: [0, 6, 0, 0, 0, 30, 0, None]}),
    "a tier without a price of its own": (("openai", "gpt", "flex"), {0: [0, 3, 0, 0, 0, 15, 0, None]}),
    "a prefix, reasoning": (("gcp.gemini", "flash"), {0: [0, 3, 0, 0, 0, 15, 5, None]}),
    "another provider of the model": (("gcp.vertex_ai", "flash"), {0: [0, 4, 0, 0, 0, 15, 0, None]}),
    "no provider": (("", "gpt"), {0: [0, 3, 0, 0, 0, 15, 0, None]}),
    "an entry without a provider": (("acme", "my-model"), {0: [0, 3, 0, 0, 0, 15, 0, None]}),
    "a provider that has it not": (("acme", "gpt"), {}),
    "a step that includes its number": (
        ("x_ai", "grok"),
        {0: [0, 3, 0, 0, 0, 15, 0, None], 128_000: [0, 6, 0, 0, 0, 15, 0, None]},
    ),
    "ranges": (("dashscope", "qwen"), {0: [0, 1, 0, 0, 0, 5, 0, None], 32_001: [0, 2, 0, 0, 0, 9, 0, None]}),
    "a range without tokens": (("dashscope", "images"), {10: [0, 1, 0, 0, 0, None, 0, None]}),
    "output that has no price": (("openai", "embedding"), {0: [0, 0.1, 0, 0, 0, None, 0, None]}),
    "priced by something else": (("openai", "image"), {}),
    "priced by other ranges": (("exa_ai", "search"), {}),
    "priced by the hour": (("deepseek", "night"), {}),
    "the example": (("one of", "sample_spec"), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_rates(tmp_path, name):
    """A kind of call has the rates that LiteLLM's own rules give, or none."""
    kind, expected = CASES[name]
    source = read(tmp_path, FILE)
    assert rates(source, *kind) == expected
    assert rates(source, *kind) == expected  # once more, from memory


def test_standard_prices_for_want_of_others(tmp_path):
    """A tier without a price of its own has the standard one, which is told as not exact."""
    source = read(tmp_path, FILE)
    exact = {tier: source.bands(CallKind("openai", "gpt", tier, ""), NOW)[0].exact for tier in ("", "priority", "flex")}
    assert exact == {"": True, "priority": True, "flex": False}
    assert not source.bands(CallKind("openai", "gpt", "scale", ""), NOW)[0].exact


WRONG = {
    "[1": "prices.json is neither TOML nor JSON",
    "{": "prices.json is not JSON: ",
    '{"a": 1}': "prices.json, 'a': must be an object with the prices of a model",
    '{"a": {"input_cost_per_token": "x"}}': "input_cost_per_token must be US dollars for one token, 0 to 1; got 'x'",
    '{"a": {"input_cost_per_token": 3}}': "input_cost_per_token must be US dollars for one token, 0 to 1; got 3",
    '{"a": {"input_cost_per_token": NaN}}': "0 to 1; got nan",
    '{"a": {"input_cost_per_token": 0, "search_context_cost_per_query": 1}}': "search_context_cost_per_query must be",
    '{"a": {"input_cost_per_token": 0, "provider_specific_entry": {"fast": -2}}}': "provider_specific_entry must be",
    '{"a":' * 100_000: "prices.json is not JSON: ",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_refused(tmp_path, text):
    """A document of another form, or a price that is none, is a ConfigError that names the entry."""
    with pytest.raises(blm.ConfigError) as caught:
        read(tmp_path, text)
    assert WRONG[text] in str(caught.value)
