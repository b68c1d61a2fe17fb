"""Prices in TOML: which entry counts, what a call costs, and what is refused."""

from __future__ import annotations

import pytest
from support.log_lines import as_bytes, with_headers

import bamboo_logmetrics as blm

CALL = {
    "event": "chat.round_completed", "session_id": "s", "round_id": "r", "status": "success", "latency_ms": 1,
    "prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100, "model": "house-1",
}  # fmt: skip
PLAIN = '[[price]]\nmodel = "house-*"\ninput = 2\noutput = 10\n'
BASE = 1_000 * 2e-6 + 100 * 10e-6


def totals(path, prices, **call):
    path.write_bytes(as_bytes(with_headers([CALL | call])))
    file = path.with_name("prices.toml")
    file.write_text(prices)
    return blm.summarize(path, prices=file).totals


def entry(**values):
    return PLAIN + "".join(f"{key} = {value}\n" for key, value in values.items())


COSTS = {
    "the whole only": (PLAIN, {}, BASE),
    "parts without a price cost as the whole": (PLAIN, {"cache_read_tokens": 500, "reasoning_tokens": 60}, BASE),
    "cache reads": (entry(cache_read=0.5), {"cache_read_tokens": 400}, 600 * 2e-6 + 400 * 0.5e-6 + 100 * 10e-6),
    "cache writes, of one hour too": (
        entry(cache_write=2.5, cache_write_1h=4),
        {"cache_write_tokens": 300, "cache_write_1h_tokens": 100},
        700 * 2e-6 + 200 * 2.5e-6 + 100 * 4e-6 + 100 * 10e-6,
    ),
    "reasoning": (entry(reasoning=20), {"reasoning_tokens": 60}, 1_000 * 2e-6 + 40 * 10e-6 + 60 * 20e-6),
    "requests and searches": (entry(request=0.5, web_search=0.01), {"web_searches": 3}, BASE + 0.5 + 0.03),
    "the last one that fits": (PLAIN + PLAIN.replace("2", "4"), {}, BASE + 1_000 * 2e-6),
    "another model": (PLAIN, {"model": "other"}, None),
    "any case, and the model that answered": (PLAIN, {"model": "x", "response_model": "HOUSE-9"}, BASE),
    "nothing but * and ? is special": (PLAIN.replace("house-*", "h[o]u.e?1"), {"model": "h[o]u.e-1"}, BASE),
    "a provider": (entry(provider='"acme*"'), {"provider": "Acme.eu"}, BASE),
    "another provider": (entry(provider='"acme*"'), {"provider": "openai"}, None),
    "a tier": (entry(service_tier='"priority"'), {"service_tier": "PRIORITY"}, BASE),
    "a tier by Vertex's name": (entry(service_tier='"flex"'), {"service_tier": "ON_DEMAND_FLEX"}, BASE),
    "another tier": (entry(service_tier='"batch"'), {"service_tier": "default"}, None),
    "a speed": (entry(speed='"fast"'), {"speed": "fast"}, BASE),
    "another speed": (entry(speed='"fast"'), {}, None),
    "a day": (entry(**{"from": "2026-11-30", "until": "2026-12-01"}), {}, BASE),
    "before": (entry(**{"from": "2026-12-01"}), {}, None),
    "after": (entry(until="2026-11-30T13:00:00+01:00"), {}, None),
    "a time": (entry(**{"from": "2026-11-30T12:00:00"}), {}, BASE),
    "large prompts": (PLAIN + entry(above=999).replace("2", "4"), {}, BASE + 1_000 * 2e-6),
    "prompts that are not larger": (PLAIN + entry(above=1_000).replace("2", "4"), {}, BASE),
    "only large prompts have a price": (entry(above=1_000), {}, None),
    "a reported cost wins": (PLAIN, {"cost_usd": 7}, 7),
    "parts that are more than the whole": (PLAIN, {"cache_read_tokens": 800, "cache_write_tokens": 201}, None),
    "more of one hour than of all": (PLAIN, {"cache_write_1h_tokens": 1}, None),
    "more reasoning than output": (PLAIN, {"reasoning_tokens": 101}, None),
    "free of charge": (PLAIN.replace("= 2", "= 0").replace("= 10", "= 0.0"), {}, 0),
}


@pytest.mark.parametrize("name", COSTS)
def test_costs(path, name):
    """The cost of a call is what one counts by hand; one without a price has none, not 0."""
    prices, call, cost = COSTS[name]
    found = totals(path, prices, **call)
    assert found.cost_usd == (None if cost is None else pytest.approx(cost))
    assert found.priced_calls == (cost is not None)


def test_prices_of_several_times(path):
    """Each call has the price of its own time."""
    path.write_bytes(as_bytes(with_headers([CALL, CALL | {"round_id": "q"}], [0, 60])))
    file = path.with_name("prices.toml")
    file.write_text(PLAIN + entry(**{"from": "2026-11-30T13:00:00"}).replace("2", "4", 1))
    assert blm.summarize(path, prices=file).totals.cost_usd == pytest.approx(2 * BASE + 1_000 * 2e-6)


def test_searches_without_a_price_are_told(path):
    """A call with web searches whose price is not known has a lower bound as its cost, and a warning says so."""
    found = totals(path, PLAIN, web_searches=2)
    assert found.cost_usd == pytest.approx(BASE)
    assert found.partly_priced == 1
    texts = [str(warning) for warning in blm.summarize(path, prices=path.with_name("prices.toml")).warnings]
    assert "1 call of 1 priced in part: the price of a service tier, a speed or web searches is not known" in texts


def test_the_file_comes_before_the_package(path):
    """Calls without a price in the file are priced by genai-prices, also by size of prompt; the result names both."""
    calls = [CALL | {"model": name, "provider": "openai", "round_id": name} for name in ("gpt-5", "gpt-5-mini")]
    calls.append(calls[0] | {"round_id": "large", "prompt_tokens": 2_000})
    path.write_bytes(as_bytes(with_headers(calls)))
    file = path.with_name("prices.toml")
    file.write_text(PLAIN.replace("house-*", "gpt-5") + "above = 1_500\n")
    summary = blm.summarize(path, prices=file)
    assert summary.totals.cost_usd == pytest.approx(
        (1_000 * 1.25e-6 + 100 * 10e-6) + (1_000 * 0.25e-6 + 100 * 2e-6) + (2_000 * 2e-6 + 100 * 10e-6)
    )
    assert summary.prices.startswith("prices.toml (sha256 ")
    assert " and genai-prices " in summary.prices


WRONG = {
    "": "prices.toml, line 1: no price; begin each with a line [[price]]",
    "price = 5": "prices.toml, line 1: no price;",
    "price = [5]": "prices.toml, price 1: a price must be an entry [[price]]; got 5",
    "x = 1\n" + PLAIN: "prices.toml, line 1: unknown key 'x'; prices are entries that begin with [[price]]",
    "\n[prices]\nx = 1\n": "prices.toml, line 2: unknown key 'prices'; ",
    PLAIN + "\n" + PLAIN + "inptu = 2": "prices.toml, line 10: unknown key 'inptu'; use model, provider, ",
    PLAIN + '"in put" = 2': "prices.toml, line 5: unknown key 'in put'; ",
    "# a\n"
    + PLAIN.replace("output", "# "): "prices.toml, line 2: output is missing; each price has model, input, output",
    PLAIN.replace("2", '"2"'): "line 3: input must be US dollars for a million tokens, 0 to 1,000,000; got '2'",
    PLAIN.replace("2", "-1"): "line 3: input must be ",
    PLAIN.replace("2", "nan"): "line 3: input must be ",
    PLAIN.replace("2", "inf"): "line 3: input must be ",
    PLAIN.replace("2", "true"): "line 3: input must be ",
    PLAIN + "web_search = 2e9": "line 5: web_search must be US dollars for one web_search, ",
    PLAIN.replace('"house-*"', "5"): 'line 2: model must be a text such as model = "..."; got 5',
    PLAIN + 'speed = ""': "line 5: speed must be a text ",
    PLAIN + 'from = "2026-01-01"': "line 5: from must be a day such as from = 2026-07-01, without quotes; got '2026",
    PLAIN + "from = 2026-01-01T00:01:00Z": "line 5: from must be a full quarter of an hour; got 2026-01-01 00:01",
    PLAIN + "until = 0001-01-01T00:00:00+02:00": "line 5: until is not within the years 1 to 9999",
    PLAIN + "from = 2026-01-02\nuntil = 2026-01-02": "line 6: until must be later than from",
    PLAIN + "above = 1.5": "line 5: above must be a number of prompt tokens such as 200_000; got 1.5",
    PLAIN + "above = true": "line 5: above must be ",
    'price = [{model = "a", input = 1}]': "prices.toml, price 1: output is missing",
    "[[price]": "prices.toml is neither TOML nor JSON: ",
    "model = 1\nmodel = 2": "prices.toml is neither TOML nor JSON: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_refused(path, text):
    """Anything that is not understood is a ConfigError in one line, with the file, the line and the remedy."""
    with pytest.raises(blm.ConfigError) as caught:
        totals(path, text)
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)
