"""Costs: each call by the price of its own time, tier and size, as genai-prices itself calculates it."""

from __future__ import annotations

import sys
from datetime import datetime
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.log_lines import as_bytes, with_headers

import bamboo_logmetrics as blm

CALL = {
    "event": "chat.round_completed", "session_id": "s", "status": "success", "latency_ms": 1,
    "prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100,
}  # fmt: skip
MODELS = {
    "claude-sonnet-4-5": "anthropic",
    "claude-opus-4-6": "anthropic",
    "gpt-5": "openai",
    "gemini-2.5-pro": "gcp.gemini",
    "deepseek-chat": "deepseek",
    "grok-4": "x_ai",
    "": "openai",
    "no-such-model": "openai",
}
IDS = {"x_ai": "x-ai", "gcp.gemini": "google"}


def summed(path, calls, minutes=None):
    events = [CALL | {"round_id": str(number)} | call for number, call in enumerate(calls)]
    path.write_bytes(as_bytes(with_headers(events, minutes)))
    return blm.summarize(path)


def price(line):
    """Return the cost of a call as the package calculates it; None if its model is not known."""
    usage = {
        "input_tokens": line["prompt_tokens"],
        "output_tokens": line["completion_tokens"],
        "cache_read_tokens": line.get("cache_read_tokens", 0),
        "cache_write_tokens": line.get("cache_write_tokens", 0),
        "cache_write_1h_tokens": line.get("cache_write_1h_tokens", 0),
        "output_reasoning_tokens": line.get("reasoning_tokens", 0),
        "web_searches": line.get("web_searches", 0),
    }
    context = {name: line[name] for name in ("service_tier", "speed") if name in line}
    if line.get("service_tier") == "batch":
        context["processing"] = "batch"
    try:
        return genai_prices.calc_price(
            genai_prices.Usage(**usage),
            line["model"],
            provider_id=IDS.get(line["provider"], line["provider"]),
            genai_request_timestamp=datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")),
            price_context=context or None,
        ).total_price
    except (LookupError, ValueError):
        return None


CALLS = st.lists(
    st.builds(
        lambda model, prompt, parts, output, optional: (
            {
                "model": model, "provider": MODELS[model], "prompt_tokens": prompt, "completion_tokens": output,
                "cache_read_tokens": prompt * parts[0] // 10, "cache_write_tokens": prompt * parts[1] // 10,
                "cache_write_1h_tokens": prompt * parts[1] // 20, "reasoning_tokens": output // 3,
            }
            | optional
        ),
        st.sampled_from(sorted(MODELS)),
        st.sampled_from([0, 1, 200_000, 200_001, 272_001]) | st.integers(0, 10**6),
        st.tuples(st.integers(0, 5), st.integers(0, 5)),
        st.integers(0, 10**5),
        st.fixed_dictionaries(
            {},
            optional={
                "service_tier": st.sampled_from(["default", "priority", "flex", "batch"]),
                "speed": st.sampled_from(["fast", "standard"]),
                "web_searches": st.integers(0, 5),
            },
        ),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=25)
@given(calls=CALLS, minute=st.integers(-600_000, 1_440))
def test_costs_are_those_of_the_package(tmp_path_factory, calls, minute):
    """The cost is the sum of what genai-prices calculates for each call, at its time; the others are counted."""
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    minutes = [minute + 7 * number for number in range(len(calls))]
    totals = summed(path, calls, minutes).totals
    lines = with_headers([CALL | call for call in calls], minutes)
    prices = [cost for line in lines if (cost := price(line)) is not None]
    assert totals.priced_calls == len(prices)
    assert totals.usage_calls == len(calls)
    assert (totals.cost_usd is None) == (not prices)
    assert (totals.cost_usd or 0) == pytest.approx(float(sum(prices)), rel=1e-9, abs=1e-12)


def test_what_the_provider_reports_wins(path):
    """A cost that the provider reported is taken instead of the price, and told apart."""
    known = {"model": "gpt-5", "provider": "openai"}
    totals = summed(path, [known | {"cost_usd": 7.5}, known]).totals
    expected = float(price({**CALL, **known, "timestamp": "2026-11-30T12:00:00Z"}))
    assert totals.cost_usd == pytest.approx(7.5 + expected)
    assert totals.reported_cost_usd == 7.5
    assert totals.priced_calls == 2


def test_an_unknown_price_is_not_zero(path):
    """A call without a price is in no cost, and a warning counts it."""
    summary = summed(path, [{"model": "no-such-model", "provider": "openai"}])
    assert (summary.totals.cost_usd, summary.totals.priced_calls) == (None, 0)
    assert "1 call of 1 without a price: in no cost" in map(str, summary.warnings)
    assert summary.prices == f"genai-prices {genai_prices.__version__}"


def test_a_model_without_a_provider(path):
    """Where no provider is known, the model's name decides; a provider that is not known has no price."""
    assert summed(path, [{"model": "gpt-5"}]).totals.priced_calls == 1
    assert summed(path, [{"model": "gpt-5", "provider": "acme"}]).totals.priced_calls == 0


def test_the_model_that_answered_is_priced(path):
    """The price is that of the model that answered, not of the one that was asked."""
    answered = summed(path, [{"model": "gpt-5", "response_model": "gpt-5-mini", "provider": "openai"}]).totals.cost_usd
    assert answered == summed(path, [{"model": "gpt-5-mini", "provider": "openai"}]).totals.cost_usd


def test_without_genai_prices(path, monkeypatch):
    """Without genai-prices there are reported costs only, and no warning where there is none."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    known = {"model": "gpt-5", "provider": "openai"}
    summary = summed(path, [known])
    assert (summary.totals.cost_usd, summary.prices) == (None, "")
    assert [warning.kind for warning in summary.warnings] == ["no_end"]
    summary = summed(path, [known, known | {"cost_usd": 2}])
    assert summary.totals.cost_usd == 2
    assert "unpriced" in {warning.kind for warning in summary.warnings}


def test_sums_of_costs_are_exact(path):
    """A sum has the same digits whatever the order and the number of threads: no rest of binary fractions is in it."""
    costs = [0.1, 0.2, 0.3, 1e-12, 999_999.7, 0.1, 1e-7] * 40
    sums = {summed(path, [{"cost_usd": cost} for cost in order]).totals.cost_usd for order in (costs, sorted(costs))}
    assert sums == {float(sum(Decimal(str(cost)) for cost in costs))}


@pytest.mark.parametrize("cost", [-0.01, -1e300, 1e6, 1e308, 10**40])
def test_what_is_no_cost(path, cost):
    """A cost below 0, or of more than a million for one call, is as one that was not reported."""
    totals = summed(path, [{"cost_usd": cost}, {"cost_usd": 0.5}, {"cost_usd": 0}]).totals
    assert (totals.cost_usd, totals.reported_cost_usd) == (0.5, 0.5)
    assert (totals.reported_calls, totals.priced_calls, totals.usage_calls) == (2, 2, 3)
    priced = summed(path, [{"cost_usd": cost, "model": "gpt-5", "provider": "openai"}]).totals
    assert (priced.priced_calls, priced.reported_calls) == (1, 0)
    assert 0 < priced.cost_usd < 1


def test_a_price_beyond_a_million_is_not_known(path, tmp_path):
    """A price that gives more than a million for one call gives none, instead of a wrong digit in every sum."""
    (tmp_path / "p.toml").write_text('[[price]]\nmodel = "m"\ninput = 1_000_000\noutput = 0\n')
    events = [CALL | {"round_id": "r", "model": "m", "prompt_tokens": tokens} for tokens in (1_000, 2_000_000)]
    path.write_bytes(as_bytes(with_headers(events)))
    totals = blm.summarize(path, prices=tmp_path / "p.toml").totals
    assert (totals.cost_usd, totals.priced_calls, totals.usage_calls) == (1_000, 1, 2)
