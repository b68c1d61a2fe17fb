"""A record on its way from the caller to the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Ack:
    """The answer to a caller under durability ``write`` and ``fsync``: stored, not stored, or None while open."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: bool | None = None


class KeyValues(msgspec.Struct, frozen=True, gc=False):
    """The scalars of a call and their names; made in a fifth of the time that a dictionary takes.

    Args:
        names: the keys, the same tuple at every call.
        values: the scalars, as many as names.
    """

    names: tuple[str, ...]
    values: tuple[Any, ...]


def as_dict(bound: Mapping[str, Any] | KeyValues) -> Mapping[str, Any]:
    """Return bound values as a mapping."""
    return dict(zip(bound.names, bound.values, strict=True)) if type(bound) is KeyValues else bound  # type: ignore[return-value]


class QueuedRecord(msgspec.Struct, gc=False):  # gc: it is in no cycle, and a full queue would slow each collection down
    """One event or plain line. It holds nothing that the caller can still change.

    Args:
        event: the event, or the text.
        bound: the values of the call.
        context: the values that were bound to the logger.
        level: of a plain line, or of a call that logged an event; None for an emitted event.
        time_ns: when a plain line or a system event was logged, in nanoseconds since the epoch.
        exception: the traceback as text.
        ack: the answer that a durable caller waits for; None if nobody waits.
        slots: places in the queue beyond the one that each record takes, for long texts.
    """

    event: Any
    bound: Mapping[str, Any] | KeyValues
    context: Mapping[str, Any]
    level: str | None = None
    time_ns: int | None = None
    exception: str | None = None
    ack: Ack | None = None
    slots: int = 0
