"""Rates: what a token of each part of a call adds to its cost, in US dollars.

A price is linear in the tokens of a call, within each band of prompt sizes. So a few rates price any number of calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

# by name, in their order. Those of a part are what is added to the rate of the whole: "cache_read", "cache_write" and
# "reasoning" to that of "input" and "output", "cache_write_1h" to that of "cache_write".
RATES = ("request", "input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning", "web_search")

MAX_TOKENS = 2**64 - 1  # tokens

Rates: TypeAlias = tuple[float | None, ...]

# the names of service tiers that Vertex AI and the Gemini API have
_TIERS = {"on_demand_flex": "flex", "on_demand_priority": "priority", "on_demand": "standard"}
# service tiers and speeds that have the standard price
STANDARD = frozenset({"", "auto", "default", "on_demand", "standard"})


def tier_name(tier: str) -> str:
    """Return the usual name of a service tier, in lower case."""
    tier = tier.lower().removeprefix("service_tier_")
    return _TIERS.get(tier, tier)


class CallKind(NamedTuple):
    """Calls that have the same price; a text that is not known is empty."""

    provider: str
    model: str
    tier: str
    speed: str


class Band(NamedTuple):
    """Rates of the calls whose prompt has ``least`` to ``most`` tokens.

    They are not ``exact`` if they are the standard ones, for want of those of a service tier or speed.
    """

    least: int
    most: int
    rates: Rates
    exact: bool = True


class PriceSource(Protocol):
    """Prices by kind of call and time.

    ``name`` names them and their version.
    """

    name: str

    def bands(self, kind: CallKind, time: datetime) -> Sequence[Band]:
        """Return the bands of a kind at a time in UTC; none if its price is not known."""
        ...


class Prices(NamedTuple):
    """Full prices of a token, a request or a search in US dollars; of a part that has none, that of the whole.

    Without ``output`` or ``web_search`` these are not known, and neither is the cost of a call that has some.
    """

    input: float
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None
    request: float = 0.0
    web_search: float | None = None

    def rates(self) -> Rates:
        """Return the rates, in the order of :data:`RATES`."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        write_1h = write if self.cache_write_1h is None else self.cache_write_1h
        reasoning = 0.0
        if self.reasoning is not None and self.output is not None:
            reasoning = self.reasoning - self.output
        added = (read - self.input, write - self.input, write_1h - write)
        return (self.request, self.input, *added, self.output, reasoning, self.web_search)


def merge_bands(layers: Sequence[Sequence[Band]]) -> list[Band]:
    """Return the bands of several sources: of those that have one for a size of prompt, the first."""
    layers = [layer for layer in layers if layer]
    if len(layers) == 1:
        return list(layers[0])
    edges = {edge for layer in layers for band in layer for edge in (band.least, band.most + 1)}
    merged: list[Band] = []
    for least, after in zip(starts := sorted(edges), starts[1:], strict=False):
        fitting = (band for layer in layers for band in layer if band.least <= least <= band.most)
        if (band := next(fitting, None)) is not None:
            merged.append(Band(least, after - 1, band.rates, band.exact))
    return merged
