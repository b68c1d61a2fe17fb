"""What this package raises.

BambooLogError
├── ConfigError     a bad option, or a path that is not a regular file (also a ValueError)
├── DecodeError     a text that is not one of our events or lines (also a ValueError)
└── PlatformError   a platform the promises do not hold on (also a RuntimeError)

Logging itself never raises any of these: a disk that fails is counted and
reported as a :class:`~bamboo_logmetrics.StorageError` *event*.
"""

from __future__ import annotations

__all__ = ["BambooLogError", "ConfigError", "DecodeError", "PlatformError"]


class BambooLogError(Exception):
    """Base of everything this package raises."""


class ConfigError(BambooLogError, ValueError):
    """An option has no meaning, or the path is not a regular file."""


class DecodeError(BambooLogError, ValueError):
    """A text is not an event or a line that this version understands."""


class PlatformError(BambooLogError, RuntimeError):
    """The platform lacks what the guarantees rest on (``fcntl``, or the GIL)."""
