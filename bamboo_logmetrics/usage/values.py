"""Checked values of provider answers: counts, names, amounts of money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

LARGEST_COUNT = 2**53  # the largest integer that every JSON reader holds exactly; real counts are far smaller
_LONGEST_NUMBER = 16  # digits of a count that comes as a text
_LONGEST_NAME = 200  # characters
_LONGEST_MESSAGE = 2_000  # characters


def count(value: Any) -> int | None:
    """Return a count; ``5.0`` and ``"5"`` are 5. None if it is none."""
    if (type(value) is float and value.is_integer()) or (type(value) is str and _is_digits(value)):
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


def name(value: Any) -> str | None:
    """Return a short printable text, such as a model or an id."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable():
        return value
    return None


def message(value: Any) -> str | None:
    """Return the text of an error, cut to 2,000 characters."""
    return value[:_LONGEST_MESSAGE] if isinstance(value, str) and value else None


def amount(value: Any) -> float | None:
    """Return an amount of money; a text is read as a number."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER * 2:
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) not in {int, float} or not 0 <= value <= LARGEST_COUNT or not isfinite(value):
        return None
    return float(value)


class Counts:
    """Counts of one usage mapping. Remembers whether a value was there that is no count.

    Args:
        usage: The mapping, as the provider sent it.
    """

    __slots__ = ("malformed", "usage")

    def __init__(self, usage: Mapping[str, Any]) -> None:
        self.usage = usage
        self.malformed = False

    def get(self, *keys: str) -> int | None:
        """Return the first of these counts that is reported."""
        return self._first(self.usage, keys)

    def within(self, groups: tuple[str, ...], *keys: str) -> int | None:
        """Return the first of these counts that is reported in one of the nested mappings."""
        for group in groups:
            nested = self.usage.get(group)
            if isinstance(nested, dict):
                value = self._first(nested, keys)
                if value is not None:
                    return value
        return None

    def _first(self, mapping: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
        for key in keys:
            value = mapping.get(key)
            if value is None:
                continue
            number = count(value)
            if number is not None:
                return number
            self.malformed = True
        return None


@dataclass(slots=True)
class Tokens:
    """Normalised counts of one call. None is not reported. The prompt includes the cache."""

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
