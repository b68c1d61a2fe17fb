"""The interface of a layout, the form in which a record stands in its line."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any

import msgspec

from bamboo_logmetrics.format.header import LineHeader

# exceptions that reading back JSON of another form may raise
_OTHER_FORM = (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError)


class Layout(ABC):
    """One layout: how its lines are written, read back and recognized.

    A new layout is a subclass; :func:`bamboo_logmetrics.format.layouts.register_layout` makes it known.

    Attributes:
        name: the value of the option ``layout``.
        min_line_bytes: the smallest ``max_line_bytes`` in which every event fits with all of its ids and numbers.
        id_pattern: finds the writer's id and the line's number, its groups ``writer`` and ``seq``, in a line that
            cannot be parsed. The default fits layouts that write the keys ``writer`` and ``seq`` next to each other.
        line_start: the beginning of every line, with ``0`` for each digit and ``*`` for each text within quotes. A
            torn last line that begins so is cut away by the next writer. Without it, a torn line is recognized by
            ``id_pattern`` alone.
    """

    name: str
    min_line_bytes: int
    id_pattern: re.Pattern[bytes] = re.compile(rb'"writer":"(?P<writer>[0-9a-f]{20})","seq":(?P<seq>\d{1,16})')

    line_start: str = ""

    @abstractmethod
    def write(self, flat: dict[str, Any]) -> Any:
        """Return the JSON value that stands in the line of a flat record.

        The line must differ from lines of other writers within its first 1,024 bytes, by which log shippers tell files
        apart: so the writer's id belongs near the beginning.
        """

    @abstractmethod
    def read_back(self, decoded: Any) -> dict[str, Any]:
        """Return the flat record that :meth:`write` made a JSON value of, its header first.

        Raises any of AttributeError, LookupError, TypeError, ValueError or OverflowError for JSON of another form.
        """

    def decode_header(self, line: bytes, /) -> LineHeader:
        """Return the header of a line of this layout; override it with something faster.

        Raises ValueError or RecursionError for any other line.
        """
        flat = self.try_read_back(msgspec.json.decode(line))
        return msgspec.convert(flat, LineHeader)

    def try_read_back(self, decoded: Any) -> dict[str, Any] | None:
        """Return the flat record of a decoded line, or None if the line is not of this layout."""
        try:
            flat = self.read_back(decoded)
        except _OTHER_FORM:
            return None
        return flat if is_flat(flat) else None


def is_flat(value: Any) -> bool:
    """Return True if a value looks like the flat record of a line, whatever its version."""
    return isinstance(value, dict) and isinstance(value.get("event"), str) and "v" in value
