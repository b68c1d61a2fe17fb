"""Where lines go."""

from __future__ import annotations

from bamboo_logmetrics.logfiles.rotating import RotatingFile
from bamboo_logmetrics.logfiles.sink import Sink

__all__ = ["RotatingFile", "Sink"]
