"""Lines that no shipper cuts: a record is shortened where it hurts least."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bamboo_logmetrics import record
from bamboo_logmetrics.layouts import encode

CUT = "…"
_NAMED = 20  # so many cut keys are named; more would lengthen the line again

Render = Callable[[dict[str, Any]], bytes]


def cap(flat: dict[str, Any], limit: int, render: Render = encode) -> tuple[dict[str, Any], bytes]:
    """Return the record and its line, at most ``limit`` bytes long if cutting can do that.

    Args:
        flat: the flat record.
        limit: the line's length in bytes, without its newline.
        render: makes a record's line.
    """
    line = render(flat)
    if len(line) <= limit:
        return flat, line
    flat = dict(flat)
    cut: list[str] = []
    for key in _order(flat):
        if not _shorten(flat, key, len(line) - limit):
            continue
        cut.append(key)
        line = _render_cut(flat, cut, render)
        if len(line) <= limit:
            return flat, line
    for key in _bound_keys(flat):
        del flat[key]
    return flat, _render_cut(flat, [*cut, "bound"], render)


def _render_cut(flat: dict[str, Any], cut: list[str], render: Render) -> bytes:
    flat.pop("truncated", None)
    flat["truncated"] = cut if len(cut) <= _NAMED else [*cut[:_NAMED], CUT]
    return render(flat)


def _order(flat: dict[str, Any]) -> Iterator[str]:
    """Give the keys that may be cut, the first to be cut first; bound ones by their size."""
    if "exception" in flat:
        yield "exception"
    yield from sorted(_bound_keys(flat), key=lambda key: -len(encode(flat[key])))
    yield from (key for key in record.TEXT_FIELDS if key in _fields(flat) and key in flat)
    if "plain" in flat:
        yield "event"


def _fields(flat: dict[str, Any]) -> frozenset[str]:
    return record.NO_FIELDS if "plain" in flat else record.FIELDS.get(flat["event"], record.NO_FIELDS)


def _bound_keys(flat: dict[str, Any]) -> list[str]:
    known = _fields(flat) | record.HEADER_SET | set(record.TRAILER)
    # an unknown kind has no fields of ours, but ids are not to be cut there either
    return [key for key in flat if key not in known and key not in record.META]


def _shorten(flat: dict[str, Any], key: str, excess: int) -> bool:
    """Cut the value of ``key`` so that its JSON loses ``excess`` bytes, or as many as it can."""
    value = flat[key]
    text = value if isinstance(value, str) else encode(value).decode()
    # room for the marker and for this key's entry in "truncated"
    budget = len(encode(text)) - excess - len(key.encode()) - 40
    kept = _prefix(text, budget) + CUT
    if len(encode(kept)) >= len(encode(value)):
        return False
    flat[key] = kept
    return True


def _prefix(text: str, budget: int) -> str:
    """Return the longest start of ``text`` whose JSON, with its quotes, is within ``budget`` bytes."""
    low, high = 0, min(len(text), max(budget, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode(text[:middle])) <= budget:
            low = middle
        else:
            high = middle - 1
    return text[:low]
