"""Checked values of attributes: programs write numbers as numbers or as text. A value that cannot be used is None."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from bamboo_logmetrics.events import TokenUsage
from bamboo_logmetrics.importers.otlp.records import Attributes
from bamboo_logmetrics.importers.otlp.tables import Tokens
from bamboo_logmetrics.importers.values import count, label
from bamboo_logmetrics.usage.facts import MISSING, PARTIAL, REPORTED

_LONGEST_NUMBER = 32  # characters
_LARGEST = 2**53


def number(value: Any) -> int | float | None:
    """Return a number that is not negative."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and value.isascii():
        try:
            value = float(value) if any(letter in value for letter in ".eE") else int(value)
        except ValueError:
            return None
    if type(value) not in {int, float} or not math.isfinite(value) or not 0 <= value <= _LARGEST:
        return None
    known: int | float = value
    return known


def first_number(attributes: Attributes, names: Iterable[str]) -> int | float | None:
    """Return the first number under these names."""
    return next((value for name in names if (value := number(attributes.get(name))) is not None), None)


def first_label(attributes: Attributes, names: Iterable[str]) -> str | None:
    """Return the first short text under these names."""
    return next((value for name in names if (value := label(attributes.get(name))) is not None), None)


def is_true(value: Any) -> bool | None:
    """Return a truth value, which may be written as text."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def tokens_of(attributes: Attributes, table: Tokens) -> tuple[TokenUsage | None, str]:
    """Return the usage of a call and its ``usage_source``. None is not reported, and never zero."""
    prompt, completion = _sum(attributes, table.prompt), _sum(attributes, table.completion)
    if prompt is None and completion is None:
        return None, MISSING
    own = _count(attributes, table.completion[0])
    if own is not None and prompt is not None and _count(attributes, table.total) == prompt + own:
        completion = own
    usage = TokenUsage(
        prompt_tokens=prompt or 0,
        completion_tokens=completion or 0,
        total_tokens=(prompt or 0) + (completion or 0),
        cache_read_tokens=_count(attributes, table.cache_read),
        cache_write_tokens=_count(attributes, table.cache_write),
        cache_write_1h_tokens=_count(attributes, table.cache_write_1h),
        reasoning_tokens=_count(attributes, table.reasoning),
    )
    return usage, PARTIAL if prompt is None or completion is None else REPORTED


def _count(attributes: Attributes, name: str) -> int | None:
    return count(number(attributes.get(name)))


def _sum(attributes: Attributes, names: tuple[str, ...]) -> int | None:
    """Return the sum of parts; None without the first."""
    parts = [_count(attributes, name) for name in names]
    return None if parts[0] is None else sum(part or 0 for part in parts)
