"""Masking of secrets in a whole flat record."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from bamboo_logmetrics.format.fields import NO_FIELDS, fixed_fields, own_fields, unmasked_keys
from bamboo_logmetrics.format.redact.values import free_key, mask_text, mask_value

_NUMBERS = frozenset({int, float})


def redact_flat(flat: MutableMapping[str, Any]) -> None:
    """Mask secrets in a flat record, in place."""
    kind = flat.get("event")
    fields = own = NO_FIELDS
    if isinstance(kind, str):
        fields = NO_FIELDS if "plain" in flat else fixed_fields(kind)
        own = NO_FIELDS if "plain" in flat else own_fields(kind)
        flat["event"] = kind if fields else mask_text(kind)
    kept = unmasked_keys(fields)
    renamed: dict[str, str] = {}
    for key, value in flat.items():
        if key in kept:
            continue
        name = mask_text(key)
        if name is not key:
            renamed[key] = name
        if key in own and type(value) in _NUMBERS:
            continue  # a count, whatever its name: the class says that it is a number, and reads it back as one
        flat[key] = mask_value(key, value)
    if renamed:
        _rename(flat, renamed)


def _rename(flat: MutableMapping[str, Any], renamed: dict[str, str]) -> None:
    """Give keys that are secrets another name, and leave all keys in their order."""
    items = list(flat.items())
    flat.clear()
    for key, value in items:
        flat[free_key(renamed.get(key, key), flat)] = value
