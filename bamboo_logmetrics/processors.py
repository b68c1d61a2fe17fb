"""structlog processors for applications that keep their own structlog configuration, renderer and handlers.

Add :func:`expand` before the renderer to write typed events in the native layout; :func:`redact` and :class:`Cap` may
follow it::

    structlog.configure(processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        bamboo_logmetrics.processors.expand,
        structlog.processors.JSONRenderer(),
    ])
"""

# ruff: noqa: ARG001, ARG002 - a structlog processor's signature

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format import flatten, truncate
from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.record.snapshot import all_scalar, freeze_mapping

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

__all__ = ["Cap", "expand", "redact"]


def expand(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
    """Turn an event that was logged into its flat record, and mark any other line as plain.

    A plain line keeps the ``level`` and ``timestamp`` that earlier processors set; without them it gets the name of
    the method and the current time. Values of any type are turned into plain data, without an exception.

    Args:
        logger: as structlog passes it; not used.
        method_name: the level of a plain line without one.
        event_dict: structlog's event dictionary, with the event or the text under ``event``.

    Returns:
        The flat record, a new dictionary; ``exc_info`` stays in it for the renderer.

    Raises:
        TypeError: the event is a base class such as ``ChatEvent``, which has no kind.
    """
    event = event_dict.pop("event", "")
    bound = dict(event_dict)
    exc_info = bound.pop("exc_info", None)
    if isinstance(event, MetricsEvent):
        flat = flatten.expand(event, freeze_mapping(bound), timestamp=format_ns(time.time_ns()))
    else:
        level = str(bound.pop("level", method_name))
        timestamp = str(bound.pop("timestamp", None) or format_ns(time.time_ns()))
        flat = flatten.expand_plain(str(event), freeze_mapping(bound), level=level, timestamp=timestamp)
    if exc_info is not None:  # the renderer or the formatter shows it
        flat["exc_info"] = exc_info
    return flat


def redact(logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
    """Mask secrets in the plain text, errors, exceptions and bound values of a flat record.

    Ids, counts and the other fields of an event are left as they are.

    Args:
        logger: as structlog passes it; not used.
        method_name: as structlog passes it; not used.
        event_dict: the flat record, which is changed in place.

    Returns:
        The same dictionary.
    """
    redact_flat(event_dict)
    return event_dict


class Cap:
    """Cut a flat record whose JSON would be longer than a limit.

    The exception is cut first, then bound values, then the error or the plain text; ids are never cut. ``truncated``
    in the record names the keys that were cut.

    Args:
        max_line_bytes: the limit in bytes.
    """

    def __init__(self, max_line_bytes: int = 32_000) -> None:
        self.max_line_bytes = max_line_bytes

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> EventDict:
        """Return a new record, cut if it was too long; ``exc_info`` stays in it for the renderer."""
        flat = dict(event_dict)
        exc_info = flat.pop("exc_info", None)  # the renderer or the formatter shows it
        flat, _ = truncate.cap(flat if all_scalar(flat) else freeze_mapping(flat), self.max_line_bytes)
        if exc_info is not None:
            flat["exc_info"] = exc_info
        return flat
