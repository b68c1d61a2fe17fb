"""Rates, and bands of several sources."""

from __future__ import annotations

from bamboo_logmetrics.reading.summary.rates import MAX_TOKENS, RATES, Band, Prices, merge_bands, tier_name

A, B = (1.0,), (2.0,)


def test_parts_add_to_the_whole():
    """The rate of a part is the difference to the whole; without a price of its own there is none."""
    assert dict(zip(RATES, Prices(2, 10, cache_read=0.5, cache_write_1h=4, reasoning=8).rates(), strict=True)) == {
        "request": 0, "input": 2, "cache_read": -1.5, "cache_write": 0, "cache_write_1h": 2, "output": 10,
        "reasoning": -2, "web_search": None,
    }  # fmt: skip
    assert Prices(2).rates() == (0, 2, 0, 0, 0, None, 0, None)


def test_the_first_source_comes_first():
    """Where the first source has no band for a size of prompt, the next one counts."""
    assert merge_bands([]) == merge_bands([[], []]) == []
    assert merge_bands([[], [Band(0, MAX_TOKENS, A)]]) == [Band(0, MAX_TOKENS, A)]
    merged = merge_bands([[Band(10, 19, A), Band(30, MAX_TOKENS, A)], [Band(0, 14, B), Band(15, 24, B, exact=False)]])
    assert [(band.least, band.most, band.rates) for band in merged] == [
        (0, 9, B), (10, 14, A), (15, 19, A), (20, 24, B), (30, MAX_TOKENS, A),
    ]  # fmt: skip
    assert [band.exact for band in merged] == [True, True, True, False, True]


def test_names_of_tiers():
    """Google's names of tiers mean the usual ones."""
    names = ["ON_DEMAND", "ON_DEMAND_FLEX", "ON_DEMAND_PRIORITY", "SERVICE_TIER_FLEX", "Priority", "batch", ""]
    assert [tier_name(name) for name in names] == ["standard", "flex", "priority", "flex", "priority", "batch", ""]
