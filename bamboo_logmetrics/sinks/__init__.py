"""Where lines go."""

from __future__ import annotations

from bamboo_logmetrics.sinks.base import Sink
from bamboo_logmetrics.sinks.rotating import RotatingFile

__all__ = ["RotatingFile", "Sink"]
