"""Files on disk: the sink, the rotating file, the names of its files, and how they are found and read."""

from __future__ import annotations

from bamboo_logmetrics.logfiles.rotating import RotatingFile
from bamboo_logmetrics.logfiles.sink import Sink

__all__ = ["RotatingFile", "Sink"]
