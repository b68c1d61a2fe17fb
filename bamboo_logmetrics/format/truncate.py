"""Lines that no shipper cuts: a record is shortened where it hurts least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bamboo_logmetrics.format.fields import HEADER_SET, META, NO_FIELDS, TEXT_FIELDS, TRAILER, fixed_fields
from bamboo_logmetrics.format.strict_json import encode

CUT = "…"
_NAMED = 20  # so many bound values are cut one by one, the longest first; then all are left out
_SHORT = 128  # bytes; a bound value as short as an id or a name is not cut, but left out with the others if need be
_MARK = 40  # bytes, about: CUT, and a key's entry in "truncated"

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
    cut = _Cut(dict(flat), line, limit, render)
    for key in _present(flat, "exception"):
        cut.shorten(key)
    for key in _largest_bound(flat):
        if cut.excess > 0:
            cut.shorten(key, least=_SHORT)
    texts = _texts(flat)
    if cut.excess > sum(_size(flat[key]) - _MARK for key in texts):
        cut.leave_out_bound()
    for key in texts:
        if cut.excess > 0:
            cut.shorten(key)
    if cut.excess > 0:  # the names of what was cut have made it longer again
        cut.leave_out_bound()
    return cut.flat, cut.line


class _Cut:
    """A record on its way to a shorter line."""

    def __init__(self, flat: dict[str, Any], line: bytes, limit: int, render: Render) -> None:
        self.flat = flat
        self.line = line
        self._limit = limit
        self._render = render
        self._names: list[str] = []

    @property
    def excess(self) -> int:
        """How many bytes the line is too long."""
        return len(self.line) - self._limit

    def shorten(self, key: str, least: int = 0) -> None:
        """Cut the value of ``key`` so that the line is not too long, but not below ``least`` bytes."""
        value = self.flat[key]
        text = value if isinstance(value, str) else encode(value).decode()
        # a layout says what was cut at its own length, and may write a list or a mapping longer than its JSON
        without = self._render({**self.flat, key: "", "truncated": [*self._names, key]})
        budget = self._limit - len(without) + _size("") - len(CUT.encode())
        kept = _prefix(text, max(budget, least)) + CUT
        if _size(kept) < _size(value):
            self.flat[key] = kept
            self._say(key)

    def leave_out_bound(self) -> None:
        """Leave out all that was bound."""
        keys = _bound_keys(self.flat)
        if self.excess > 0 and keys:
            for key in keys:
                del self.flat[key]
            self._names = [name for name in self._names if name in self.flat]
            self._say("bound")

    def _say(self, name: str) -> None:
        self._names.append(name)
        self.flat.pop("truncated", None)
        self.flat["truncated"] = list(self._names)
        self.line = self._render(self.flat)


def _size(value: Any) -> int:
    return len(encode(value))


def _present(flat: dict[str, Any], *keys: str) -> list[str]:
    return [key for key in keys if key in flat]


def _largest_bound(flat: dict[str, Any]) -> list[str]:
    """Return the bound keys with the longest values; cutting more of them would not help."""
    sizes = {key: _size(flat[key]) for key in _bound_keys(flat)}
    return sorted(sizes, key=lambda key: -sizes[key])[:_NAMED]


def _texts(flat: dict[str, Any]) -> list[str]:
    known = _fields(flat)
    return _present(flat, *(key for key in TEXT_FIELDS if key in known), *(["event"] if "plain" in flat else []))


def _fields(flat: dict[str, Any]) -> frozenset[str]:
    return NO_FIELDS if "plain" in flat else fixed_fields(flat["event"])


def _bound_keys(flat: dict[str, Any]) -> list[str]:
    known = _fields(flat) | HEADER_SET | set(TRAILER)
    # an unknown kind has no fields of ours, but ids are not to be cut there either
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
