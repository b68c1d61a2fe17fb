"""The layout ``native``: the flat record as it is, one JSON object a line."""

from __future__ import annotations

from typing import Any

import msgspec

from bamboo_logmetrics.format.header import LineHeader
from bamboo_logmetrics.format.layouts.base import Layout


class NativeLayout(Layout):
    """One flat record a line."""

    name = "native"
    min_line_bytes = 1_000
    line_start = '{"timestamp":"0000-00-00T00:00:00.000000Z","level":"*","event":"*","v":0,"writer":"'

    # the bare C function: verify calls it for nearly every line
    decode_header = staticmethod(msgspec.json.Decoder(LineHeader).decode)

    def write(self, flat: dict[str, Any]) -> dict[str, Any]:
        """Return the flat record itself."""
        return flat

    def read_back(self, decoded: Any) -> dict[str, Any]:
        """Return the decoded line itself."""
        return decoded  # type: ignore[no-any-return]


NATIVE = NativeLayout()
