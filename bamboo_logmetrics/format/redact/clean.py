"""Records and values without secrets, found quickly: nearly all are, and are then written as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bamboo_logmetrics.format.fields import NO_FIELDS, fixed_fields, unmasked_keys
from bamboo_logmetrics.format.redact.values import KNOWN_CLEAN, is_command, mask_text, may_show
from bamboo_logmetrics.record.integers import integer
from bamboo_logmetrics.record.packed import Raw
from bamboo_logmetrics.record.snapshot import SCALARS

LONGEST_TEXT = 4_000  # characters; a longer text may have to be clipped before it is searched
_SMALL = 2**30  # a number below it is within 64 bits, and quickly compared
_QUOTE = ord('"')
_MOST_CLEAN, _LONGEST_CLEAN = 4_096, 200
_CLEAN_JSON: set[bytes] = set()  # short packed values without secrets: most values come again


def is_clean_flat(flat: Mapping[str, Any]) -> bool:
    """Return True if redaction would change nothing in a flat record, and no text in it is long."""
    kind = "" if "plain" in flat else flat["event"]
    unmasked = unmasked_keys(fixed_fields(kind) if kind else NO_FIELDS)
    keys = [key for key in flat if key not in unmasked]
    return all(map(may_show, keys)) and are_clean([flat[key] for key in keys]) and is_clean(flat["event"])


def are_clean(values: Iterable[Any]) -> bool:
    """Return True if values, also nested ones, are written as they are: without secrets, and within 64 bits."""
    for value in values:
        cls = type(value)
        if cls is str:
            if value not in KNOWN_CLEAN and not is_clean(value):
                return False
        elif cls is int:
            if not -_SMALL < value < _SMALL and integer(value) is not value:
                return False
        elif cls is Raw:
            if not _is_clean_json(bytes(value)):
                return False
        elif cls not in SCALARS and not _is_clean_container(value):
            return False
    return True


def _is_clean_json(json: bytes) -> bool:
    """Return True if a packed value is written as it is. A packed text is a UUID or a time."""
    if json in _CLEAN_JSON or json[0] == _QUOTE:
        return True
    clean = len(json) <= LONGEST_TEXT and are_clean([msgspec.json.decode(json)])
    if clean and len(json) <= _LONGEST_CLEAN:
        if len(_CLEAN_JSON) >= _MOST_CLEAN:
            _CLEAN_JSON.clear()
        _CLEAN_JSON.add(json)
    return clean


def _is_clean_container(value: Any) -> bool:
    if type(value) is dict:
        return all(map(may_show, value)) and not ("value" in value or "Value" in value) and are_clean(value.values())
    return type(value) is list and not _may_name(value) and are_clean(value)


def _may_name(items: list[Any]) -> bool:
    """Return True for a list whose texts may name each other: a pair, or a flag and its value."""
    if len(items) == 2 and type(items[0]) is str and not may_show(items[0]):  # noqa: PLR2004
        return True
    return is_command([item for item in items if type(item) is str])


def is_clean(text: str) -> bool:
    """Return True if a text is written as it is: it is short enough and has no secrets."""
    return text in KNOWN_CLEAN or (len(text) <= LONGEST_TEXT and mask_text(text) == text)
