"""Prices of genai-prices: provider, tier of service, speed, size, cache writes and searches, counted by hand."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone

import genai_prices
import pytest
from genai_prices import data_snapshot
from support.log_lines import as_bytes, with_headers

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.summary.package_prices import PackagePrices
from bamboo_logmetrics.reading.summary.rates import CallKind

CALL = {
    "event": "chat.round_completed", "session_id": "s", "round_id": "r", "status": "success", "latency_ms": 1,
    "prompt_tokens": 100_000, "completion_tokens": 10_000, "total_tokens": 110_000,
}  # fmt: skip
GPT = {"model": "gpt-5", "provider": "openai"}  # 1.25, 10 dollars for a million tokens
SONNET = {"model": "claude-sonnet-4-5", "provider": "anthropic"}  # 3, 15
GEMINI = {"model": "gemini-2.5-pro", "provider": "gcp.gemini"}  # 1.25, 10; above 200,000: 2.5, 15

BY_HAND = {
    "standard": (GPT, 0.125 + 0.1),
    "the default tier": (GPT | {"service_tier": "default"}, 0.125 + 0.1),
    "cache reads": (GPT | {"cache_read_tokens": 40_000}, 0.075 + 0.005 + 0.1),
    "a batch at half the price": (GPT | {"service_tier": "batch"}, 0.0625 + 0.05),
    "flex at half the price": (GPT | {"service_tier": "flex"}, 0.0625 + 0.05),
    "priority at twice the price": (GPT | {"service_tier": "priority"}, 0.25 + 0.2),
    "searches": (GPT | {"web_searches": 3}, 0.225 + 0.03),
    "searches of Anthropic": (SONNET | {"web_searches": 2}, 0.3 + 0.15 + 0.02),
    "cache writes": (SONNET | {"cache_write_tokens": 20_000}, 0.24 + 0.075 + 0.15),
    "cache writes of one hour": (
        SONNET | {"cache_write_tokens": 20_000, "cache_write_1h_tokens": 8_000},
        0.24 + 0.045 + 0.048 + 0.15,
    ),
    "a batch of Anthropic": (SONNET | {"service_tier": "batch"}, 0.15 + 0.075),
    "up to a size": (GEMINI | {"prompt_tokens": 200_000}, 0.25 + 0.1),
    "above it": (GEMINI | {"prompt_tokens": 200_001}, 200_001 * 2.5e-6 + 0.15),
    "another provider, another price": ({"model": "llama-3.3-70b-versatile", "provider": "groq"}, 0.059 + 0.0079),
    "Azure": (GPT | {"provider": "azure.ai.openai"}, 0.125 + 0.1),
    "xAI": ({"model": "grok-4", "provider": "x_ai"}, 0.3 + 0.15),
    "Vertex": (GEMINI | {"provider": "gcp.vertex_ai"}, 0.125 + 0.1),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_costs_by_hand(path, name):
    """The cost of a call is what one counts by hand from the provider's price list."""
    call, cost = BY_HAND[name]
    path.write_bytes(as_bytes(with_headers([CALL | call])))
    totals = blm.summarize(path).totals
    assert totals.cost_usd == pytest.approx(cost)
    assert (totals.partly_priced, totals.reported_calls) == (0, 0)


# of models whose fast price genai-prices knows from version 0.2 on
FAST = {"fast": 1 + 0.5, "standard": 0.5 + 0.25}


@pytest.mark.parametrize("speed", FAST)
def test_speed_as_served(path, speed):
    """A fast answer has the price of fast ones; where it is not known the standard price is told as such."""
    call = CALL | {"model": "claude-opus-4-8", "provider": "anthropic", "speed": speed}
    path.write_bytes(as_bytes(with_headers([call])))
    totals = blm.summarize(path).totals
    if totals.partly_priced:
        assert genai_prices.__version__.startswith("0.1.")
        assert (speed, totals.cost_usd) == ("fast", FAST["standard"])
    else:
        assert totals.cost_usd == pytest.approx(FAST[speed])


UNKNOWN = [
    SONNET | {"speed": "fast"},
    SONNET | {"service_tier": "flex"},
    GPT | {"provider": "azure.ai.openai", "service_tier": "priority"},
    {"model": "deepseek-chat", "provider": "deepseek", "web_searches": 1},
]


@pytest.mark.parametrize("call", UNKNOWN, ids=range(len(UNKNOWN)))
def test_calls_that_are_priced_in_part(path, call):
    """A speed, tier or search without a price of its own is told: the cost is that of a standard call."""
    path.write_bytes(as_bytes(with_headers([CALL | call])))
    summary = blm.summarize(path)
    assert (summary.totals.priced_calls, summary.totals.partly_priced) == (1, 1)
    assert "partly_priced" in {warning.kind for warning in summary.warnings}


def test_estimates_of_programs_are_not_costs(path):
    """An estimate of a program, such as Claude Code's, is no cost."""
    path.write_bytes(as_bytes(with_headers([CALL | {"model": "no-such", "cost_usd_estimate": 3}])))
    assert blm.summarize(path).totals.cost_usd is None


def test_prices_change_with_time():
    """The price is that of the time of the call, not of today."""
    kind = CallKind("deepseek", "deepseek-chat", "", "")
    rates = {
        PackagePrices().bands(kind, datetime(2025, month, 1, hour, 30, tzinfo=timezone.utc))[0].rates
        for month, hour in [(3, 12), (3, 20), (11, 12)]
    }
    assert len(rates) >= 2


def test_the_prices_of_the_application(monkeypatch):
    """An application that updates genai-prices sums up by what it has, and the version says so."""
    snapshot = data_snapshot.DataSnapshot(
        data_snapshot.get_snapshot().providers, from_auto_update=True, timestamp=datetime(2026, 5, 4)
    )
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", snapshot)
    assert PackagePrices().name == f"genai-prices {genai_prices.__version__} with data of 2026-05-04"


def test_a_package_that_cannot_be_imported(path, monkeypatch):
    """An installed package that does not work is told, and not taken for one that is not installed."""
    path.write_bytes(as_bytes(with_headers([CALL])))
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    with pytest.raises(blm.ConfigError, match=r"genai-prices cannot be used: .*; pip install --upgrade"):
        blm.summarize(path)


def test_the_package_is_imported_for_prices_only(path):
    """Where every cost was reported the package is named, but not imported."""
    path.write_bytes(as_bytes(with_headers([CALL | {"cost_usd": 1}])))
    code = "import sys, bamboo_logmetrics as b; print(b.summarize(sys.argv[1]).prices, 'genai_prices' in sys.modules)"
    command = [sys.executable, "-c", code, path]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output == f"genai-prices {genai_prices.__version__} False\n"
    assert blm.summarize(path).prices == f"genai-prices {genai_prices.__version__}"
