"""Truncation of long lines, in the order that loses least: log shippers would cut or drop them.

The exception is cut first, then the longest bound values, then the event's free text. Ids and numbers stay whole; if
that is not enough, all bound values are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bamboo_logmetrics.format.fields import HEADER_SET, META, NO_FIELDS, TEXT_FIELDS, TRAILER, fixed_fields, own_fields
from bamboo_logmetrics.format.strict_json import encode

CUT = "…"
_NAMED = 20  # bound values that are cut one by one, the longest first; then all are removed
_SHORT = 128  # bytes; a shorter bound value, such as an id, is not cut; it is removed with the others if need be
_MARK = 40  # bytes, about: the length of CUT and of a key in "truncated"

Render = Callable[[dict[str, Any]], bytes]


def cap(flat: dict[str, Any], limit: int, render: Render = encode) -> tuple[dict[str, Any], bytes]:
    """Return the record and its line, cut to ``limit`` bytes or as near to that as cutting gets.

    Args:
        flat: the flat record.
        limit: the greatest length of the line in bytes, without its newline.
        render: returns a record's line.
    """
    line = render(flat)
    if len(line) <= limit:
        return flat, line
    cut = _Cut(dict(flat), line, limit, render)
    for key in _present(flat, "exception"):
        cut.shorten(key)
    for key in _largest_bound(flat):
        if cut.excess > 0:
            cut.shorten(key, least=_SHORT)
    texts = _texts(flat)
    if cut.excess > sum(_size(cut.flat[key]) - _MARK for key in texts):
        cut.remove_bound()
    for key in texts:
        if cut.excess > 0:
            cut.shorten(key)
    if cut.excess > 0:  # the names in "truncated" have made the line longer again
        cut.remove_bound()
    return cut.flat, cut.line


class _Cut:
    """A record that is being shortened, with its current line."""

    def __init__(self, flat: dict[str, Any], line: bytes, limit: int, render: Render) -> None:
        self.flat = flat
        self.line = line
        self._limit = limit
        self._render = render
        self._names: list[str] = list(flat.get("truncated", ()))

    @property
    def excess(self) -> int:
        """The number of bytes by which the line is too long."""
        return len(self.line) - self._limit

    def shorten(self, key: str, least: int = 0) -> None:
        """Cut the value of ``key`` until the line fits, but not below ``least`` bytes."""
        value = self.flat[key]
        text = value if isinstance(value, str) else encode(value).decode()
        # rendered, because layouts write "truncated", lists and mappings at different lengths
        without = self._render({**self.flat, key: "", "truncated": self._names_with(key)})
        budget = self._limit - len(without) + _size("") - len(CUT.encode())
        kept = _prefix(text, max(budget, least)) + CUT
        if _size(kept) < _size(value):
            self.flat[key] = kept
            self._mark_truncated(key)

    def remove_bound(self) -> None:
        """Remove all bound values."""
        keys = _bound_keys(self.flat)
        if self.excess > 0 and keys:
            for key in keys:
                del self.flat[key]
            self._names = [name for name in self._names if name in self.flat and name != "bound"]
            self._mark_truncated("bound")

    def _names_with(self, name: str) -> list[str]:
        return self._names if name in self._names else [*self._names, name]

    def _mark_truncated(self, name: str) -> None:
        self._names = self._names_with(name)
        self.flat.pop("truncated", None)
        self.flat["truncated"] = list(self._names)
        self.line = self._render(self.flat)


def _size(value: Any) -> int:
    return len(encode(value))


def _present(flat: dict[str, Any], *keys: str) -> list[str]:
    return [key for key in keys if key in flat]


def _largest_bound(flat: dict[str, Any]) -> list[str]:
    """Return the bound keys with the longest values, the longest first."""
    sizes = {key: _size(flat[key]) for key in [*_bound_keys(flat), *_own_texts(flat)]}
    return sorted(sizes, key=lambda key: -sizes[key])[:_NAMED]


def _texts(flat: dict[str, Any]) -> list[str]:
    known = _fields(flat)
    fixed = _present(flat, *(key for key in TEXT_FIELDS if key in known), *(["event"] if "plain" in flat else []))
    return [*(key for key in fixed if isinstance(flat[key], str)), *_own_texts(flat)]


def _own_texts(flat: dict[str, Any]) -> list[str]:
    """Return the keys of the text fields of an application's own event: cut, but never removed, or it is no event."""
    own = _own_fields(flat)
    return [key for key, value in flat.items() if key in own and isinstance(value, str)]


def _fields(flat: dict[str, Any]) -> frozenset[str]:
    return NO_FIELDS if "plain" in flat else fixed_fields(flat["event"])


def _own_fields(flat: dict[str, Any]) -> frozenset[str]:
    return NO_FIELDS if "plain" in flat else own_fields(flat["event"])


def _bound_keys(flat: dict[str, Any]) -> list[str]:
    known = _fields(flat) | _own_fields(flat) | HEADER_SET | set(TRAILER)
    # an unknown kind has no known fields, but its ids must not be cut either
    return [key for key in flat if key not in known and key not in META]


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
