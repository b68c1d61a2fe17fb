"""The exceptions of this package.

BambooLogError
├── ConfigError         an option or a path that is not allowed (also a ValueError)
├── DecodeError         a text that is not an event or a line of this package (also a ValueError)
├── PlatformError       a platform without what the guarantees need (also a RuntimeError)
└── usage.UnknownUsage  an object that is no usage of a known kind (also a TypeError)

Logging itself raises none of these: records that a failing disk loses are counted, and reported as a
:class:`~bamboo_logmetrics.StorageError` *event*.
"""

from __future__ import annotations

__all__ = ["BambooLogError", "ConfigError", "DecodeError", "PlatformError"]


class BambooLogError(Exception):
    """Base class of the exceptions of this package."""


class ConfigError(BambooLogError, ValueError):
    """An option is unknown or its value is not allowed, a path cannot be that of a log, or no log is configured.

    The message names the option or the path, the value, and the values that are allowed.
    """


class DecodeError(BambooLogError, ValueError):
    """A text is not an event or a line that this version can read."""


class PlatformError(BambooLogError, RuntimeError):
    """The platform lacks what the guarantees need: ``fcntl.flock`` (Windows), or the GIL (free-threaded builds)."""
