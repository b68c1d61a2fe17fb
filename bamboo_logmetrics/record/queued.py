"""What travels from the caller to the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from bamboo_logmetrics.record.snapshot import KeyValues


class Ack:
    """What a caller waits for under durability ``write`` and ``fsync``: True, False, or None while open."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: bool | None = None


class QueuedRecord(msgspec.Struct, gc=False):  # gc: it is in no cycle, and a full queue would hold up each collection
    """One event or plain line, with everything read that the caller could still change.

    Args:
        event: the event, or the text.
        bound: what was given in the call.
        context: what was bound before.
        level: of a plain line, or of a call that logged an event; None for an emitted one.
        time_ns: when a plain line or a system event was logged, since the epoch.
        exception: its text.
        ack: who waits for it to be stored.
    """

    event: Any
    bound: Mapping[str, Any] | KeyValues
    context: Mapping[str, Any]
    level: str | None = None
    time_ns: int | None = None
    exception: str | None = None
    ack: Ack | None = None
