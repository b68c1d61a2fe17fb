"""A layout of an application: each line is a JSON array, with the header's values first.

It uses only what the package offers for a new layout: the class ``Layout`` and ``register_layout``.
"""

from __future__ import annotations

import re
from typing import Any

from bamboo_logmetrics.format.layouts import Layout

MARK = "toy"
HEADER = ("timestamp", "level", "event", "v", "writer", "seq")


class ToyLayout(Layout):
    """``["toy", <timestamp>, <level>, <event>, <v>, <writer>, <seq>, {<all other keys>}]``."""

    name = "toy"
    min_line_bytes = 1_000
    id_pattern = re.compile(rb'"(?P<writer>[0-9a-f]{20})",(?P<seq>\d{1,16})')

    def write(self, flat: dict[str, Any]) -> list[Any]:
        """Return a flat record as an array."""
        others = dict(flat)
        return [MARK, *(others.pop(key, None) for key in HEADER), others]

    def read_back(self, decoded: Any) -> dict[str, Any]:
        """Return the flat record of an array."""
        mark, *values, others = decoded
        if mark != MARK:
            raise ValueError
        return {key: value for key, value in zip(HEADER, values, strict=True) if value is not None} | others


TOY = ToyLayout()
