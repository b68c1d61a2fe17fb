"""Usage of Cohere: ``tokens`` is the usage, ``billed_units`` is what is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.usage.values import Counts, Tokens, amount, count

KEYS = frozenset({"tokens", "billed_units"})


def tokens(counts: Counts) -> Tokens:
    """Return the tokens; without them the billed ones, which are a lower bound."""
    prompt, completion = counts.within(("tokens",), "input_tokens"), counts.within(("tokens",), "output_tokens")
    if prompt is None and completion is None:
        prompt = counts.within(("billed_units",), "input_tokens")
        completion = counts.within(("billed_units",), "output_tokens")
        counts.malformed = completion is not None  # an embedding has no more than what is billed
    if prompt is not None and completion is None:
        completion = 0  # of an embedding
    return Tokens(prompt, completion, None, counts.get("cached_tokens"))


def billed(usage: Mapping[str, Any]) -> dict[str, float]:
    """Return the units that are paid for, as bound names. They may be fractions."""
    units = usage.get("billed_units")
    if not isinstance(units, dict):
        return {}
    names = {"billed_input_tokens": "input_tokens", "billed_output_tokens": "output_tokens"}
    values = {bound: units.get(key) for bound, key in names.items()}
    numbers = {bound: amount(value) if count(value) is None else count(value) for bound, value in values.items()}
    return {bound: number for bound, number in numbers.items() if number is not None}
