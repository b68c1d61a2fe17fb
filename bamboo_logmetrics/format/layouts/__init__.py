"""The layouts by their names, and reading back a line of any of them.

Each layout is one object in a module of its own. ``mapping`` has the table by which ``ecs`` and ``otel`` name the keys
of a record, and ``semconv`` the values that their conventions ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bamboo_logmetrics.format.header import NOT_JSON, LineHeader
from bamboo_logmetrics.format.layouts.base import Layout
from bamboo_logmetrics.format.layouts.ecs import ECS
from bamboo_logmetrics.format.layouts.native import NATIVE
from bamboo_logmetrics.format.layouts.otel import OTEL

__all__ = [
    "ECS", "LAYOUTS", "NATIVE", "OTEL", "DecodeHeader", "Layout", "decode_header", "find_ids", "flat_of",
    "register_layout",
]  # fmt: skip

DecodeHeader = Callable[[bytes], LineHeader]

_layouts: dict[str, Layout] = {layout.name: layout for layout in (NATIVE, ECS, OTEL)}
LAYOUTS: Mapping[str, Layout] = _layouts  # in the order in which reading tries them


def register_layout(layout: Layout) -> None:
    """Make a layout known to the option ``layout`` and to everything that reads lines.

    Raises ValueError if another layout has its name.
    """
    if _layouts.setdefault(layout.name, layout) is not layout:
        msg = f"a layout named {layout.name!r} is registered already; choose another name"
        raise ValueError(msg)


def flat_of(decoded: Any) -> dict[str, Any]:
    """Return the flat record of a decoded line of any layout, its header first.

    Raises ValueError for a line of another program. The version and the values are not checked here but in
    :func:`bamboo_logmetrics.format.parse.parse_line`.
    """
    for layout in _layouts.values():
        flat = layout.try_read_back(decoded)
        if flat is not None:
            return flat
    msg = "not a line of this log"
    raise ValueError(msg)


def decode_header(line: bytes) -> tuple[DecodeHeader, LineHeader]:
    """Return the header of a line of any layout, and the function that decodes headers of that layout.

    Raises one of NOT_JSON for any other line.
    """
    for layout in _layouts.values():
        try:
            return layout.decode_header, layout.decode_header(line)
        except NOT_JSON:
            continue
    raise ValueError


def find_ids(line: bytes) -> Iterator[tuple[str, int]]:
    """Give each writer's id and number in a line that cannot be parsed: two lines may have run into one."""
    for pattern in dict.fromkeys(layout.id_pattern for layout in _layouts.values()):
        for match in pattern.finditer(line):
            yield match["writer"].decode(), int(match["seq"])
