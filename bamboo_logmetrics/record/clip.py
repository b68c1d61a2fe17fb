"""Clipping of values: no line holds more than a few thousand characters, and every later step takes time for each."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

CUT = "…"
LONGEST_KEY = 256  # characters; a longer key is cut

_MOST_KEYS = 100  # of a record that need not be measured key by key
_ITEM, _TEXT = 2, 8  # characters that an item takes at least, and a text beside its own: each takes time as well


def size(value: Any, most: int) -> int:
    """Return about how many characters a value has, with all that is in it; about ``most`` if there are more."""
    if isinstance(value, str):
        return len(value) + _TEXT
    total = _ITEM
    if isinstance(value, dict):
        for key, item in value.items():
            if total >= most:
                break
            total += len(key) + _TEXT + size(item, most - total)
    elif isinstance(value, list):
        for item in value:
            if total >= most:
                break
            total += size(item, most - total)
    return total


def clip(value: Any, most: int) -> Any:
    """Return a value with its texts and items cut to about ``most`` characters in all; what was cut ends with CUT."""
    return _clip(value, most)[0]


def _clip(value: Any, most: int) -> tuple[Any, int]:
    """Return the clipped value, and how many characters are left."""
    if isinstance(value, str):
        kept = value if len(value) <= most else value[: max(most, 0)] + CUT
        return kept, most - len(kept) - _TEXT
    if isinstance(value, dict):
        return _clip_dict(value, most)
    if not isinstance(value, list):
        return value, most - _ITEM
    items: list[Any] = []
    for item in value:
        if most <= 0:
            items.append(CUT)
            break
        kept, most = _clip(item, most)
        items.append(kept)
    return items, most - _ITEM


def _clip_dict(values: dict[str, Any], most: int) -> tuple[dict[str, Any], int]:
    items: dict[str, Any] = {}
    for key, item in values.items():
        if most <= 0:
            items[CUT] = CUT
            break
        name = clip_key(key, items)
        items[name], most = _clip(item, most - len(name) - _TEXT)
    return items, most - _ITEM


def clip_key(key: str, used: Any) -> str:
    """Return a key, cut if it is too long; two keys with the same beginning stay two."""
    return key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}{CUT}{len(used)}"


def is_short_flat(flat: Mapping[str, Any]) -> bool:
    """Return True if a flat record has few keys, none of them long: then its values decide whether it is clipped."""
    return len(flat) <= _MOST_KEYS and max(map(len, flat)) <= LONGEST_KEY


def clip_flat(flat: dict[str, Any], most: int, whole: Container[str]) -> list[str]:
    """Cut the values of a flat record so that they have about ``most`` characters in all, in place.

    The longest values are cut to one length; shorter ones stay as they are. Return the keys of those that were cut.

    Args:
        flat: the flat record.
        most: the number of characters.
        whole: the keys whose values are never cut, such as ids.
    """
    if any(len(key) > LONGEST_KEY for key in flat):
        items = list(flat.items())
        flat.clear()
        for key, value in items:
            flat[key if key in whole else clip_key(key, flat)] = value
    sizes = {key: size(value, most) for key, value in flat.items() if key not in whole}
    if sum(sizes.values()) <= most:
        return []
    longest = _common_length(sorted(sizes.values()), most)
    long = [key for key, length in sizes.items() if length > longest]
    for key in long:
        flat[key] = clip(flat[key], longest)
    return long


def _common_length(lengths: list[int], most: int) -> int:
    """Return the length to which the longest are cut, so that all together have ``most`` at most."""
    left = most
    for index, length in enumerate(lengths):
        share = left // (len(lengths) - index)
        if length > share:
            return share
        left -= length
    return most
