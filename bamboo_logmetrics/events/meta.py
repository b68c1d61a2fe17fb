"""Identity, time and trace of an event."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from msgspec import field
from uuid_utils import uuid4

from bamboo_logmetrics.events.base import Id, Model, model

if TYPE_CHECKING:
    from typing_extensions import Self


def _new_id() -> str:
    return str(uuid4())


def _now() -> datetime:
    return datetime.now(timezone.utc)  # looked up at each call: freezegun replaces the name in this module


@model
class EventMeta(Model, frozen=True, kw_only=True):
    """Identity, time and trace of an event.

    Args:
        event_id: any non-empty text; a UUID v4 when left out.
        occurred_at: when it happened, an aware datetime, kept as UTC; now when left out.
        trace_id: links the events of one request across services; or None.
    """

    event_id: Id = field(default_factory=_new_id)
    occurred_at: datetime = field(default_factory=_now)
    trace_id: str | None = None

    @classmethod
    def new(cls) -> Self:
        """Make the meta of an event that happens now, without a trace id."""
        return cls()

    @classmethod
    def with_trace_id(cls, trace_id: str) -> Self:
        """Make the meta of an event that happens now, within the trace ``trace_id``."""
        return cls(trace_id=trace_id)


def new_meta() -> EventMeta:
    """Return the meta of an event that happens now; one call where the defaults of EventMeta would be two."""
    return EventMeta(event_id=str(uuid4()), occurred_at=datetime.now(timezone.utc))
