"""Masking of secrets in a whole flat record."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from bamboo_logmetrics.format.fields import HEADER_SET, NO_FIELDS, TEXT_FIELDS, fixed_fields, own_fields
from bamboo_logmetrics.format.redact.values import mask_text, mask_value

_NUMBERS = frozenset({int, float})


def redact_flat(flat: MutableMapping[str, Any]) -> None:
    """Mask secrets in a flat record, in place."""
    kind = flat.get("event")
    fields = own = NO_FIELDS
    if isinstance(kind, str):
        fields = NO_FIELDS if "plain" in flat else fixed_fields(kind)
        own = NO_FIELDS if "plain" in flat else own_fields(kind)
        flat["event"] = kind if fields else mask_text(kind)
    for key, value in flat.items():
        if key in HEADER_SET or (key in fields and key not in TEXT_FIELDS):
            continue
        if key in own and type(value) in _NUMBERS:
            continue  # a count, whatever its name: the class says that it is a number, and reads it back as one
        flat[key] = mask_value(key, value)
