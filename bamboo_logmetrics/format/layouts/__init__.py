"""The forms of a line, and the way from a record to its bytes.

A layout is a function from the flat record to the object that is written; ``native`` is the record itself. The table
in ``mapping`` says where its keys stand in the two others. :func:`flat_of` is the way back, from any of the three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bamboo_logmetrics.format.layouts.ecs import from_ecs, to_ecs
from bamboo_logmetrics.format.layouts.otel import from_otel, to_otel

__all__ = ["LAYOUTS", "Layout", "flat_of", "native"]

Layout = Callable[[dict[str, Any]], dict[str, Any]]


def native(flat: dict[str, Any]) -> dict[str, Any]:
    """Return the flat record as it is."""
    return flat


LAYOUTS: Mapping[str, Layout] = {"native": native, "ecs": to_ecs, "otel": to_otel}


# by a key that each line of the layout has
_WAYS_BACK: Mapping[str, Layout] = {"@timestamp": from_ecs, "timeUnixNano": from_otel}

# what a way back may meet in JSON of another form
_FOREIGN = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)


def flat_of(decoded: Any) -> dict[str, Any]:
    """Return the flat record of a decoded line, in whatever layout it was written; its header comes first.

    Raises ValueError for what is no line of this log. Whether its version is known, and its values are right, is for
    :func:`bamboo_logmetrics.format.parse.parse_line` to say.
    """
    if _is_flat(decoded):
        return decoded  # type: ignore[no-any-return]
    for name, way_back in _WAYS_BACK.items():
        try:
            flat = way_back(decoded) if name in decoded else {}
        except _FOREIGN:
            continue
        if _is_flat(flat):
            return flat
    msg = "not a line of this log"
    raise ValueError(msg)


def _is_flat(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("event"), str) and "v" in data
