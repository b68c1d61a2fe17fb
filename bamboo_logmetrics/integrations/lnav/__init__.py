"""lnav: a format for the lines of the layout native, with its times, levels, sessions and numbers."""

from __future__ import annotations

from bamboo_logmetrics.integrations.base import read_text


def log_format() -> str:
    """Return the format as JSON, for ``lnav -i``."""
    return read_text(__name__, "lnav.json")
