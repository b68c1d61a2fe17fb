"""Events of what is known about a call or a tool, with ids that depend only on the record."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from bamboo_logmetrics.events import (
    EventMeta,
    RequestCompleted,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.events.times import from_ns
from bamboo_logmetrics.importers.base import ImportedEvent, Note
from bamboo_logmetrics.usage.facts import MISSING, REPORTED

_NAMESPACE = uuid.UUID("7d0c1f0e-5a4b-4d0e-9a44-6f2f6f3d2b11")  # must never change: event ids are made from it
_NO_USAGE = TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
_MS = 1_000_000  # nanoseconds


def meta(time_ns: int, *ids: str) -> EventMeta:
    """Return the meta of an event with an id that is made of other ids."""
    return EventMeta(event_id=str(uuid.uuid5(_NAMESPACE, "\n".join(ids))), occurred_at=from_ns(time_ns))


@dataclass(slots=True)
class Call:
    """A model call.

    Args:
        key: the id of the record.
        session_id: its session.
        model: the model that was asked for.
        ended_ns: its end.
        latency_ms: how long it took; None if it is not known.
        usage, usage_source: its tokens.
        error: the text of its error; None if it did not fail.
        bound: what is bound from its beginning on.
        bound_at_end: what is known only at its end.
    """

    key: str
    session_id: str
    model: str
    ended_ns: int
    latency_ms: float | None
    usage: TokenUsage | None
    usage_source: str
    error: str | None = None
    bound: dict[str, Any] = field(default_factory=dict)
    bound_at_end: dict[str, Any] = field(default_factory=dict)

    @property
    def round_id(self) -> str:
        """The id of the round: that of the span, or one made of the record."""
        return self.key.rpartition(":")[2]

    @property
    def started_ns(self) -> int:
        """Its beginning; the end if that is not known."""
        return max(0, self.ended_ns - int((self.latency_ms or 0) * _MS))

    def events(self) -> list[ImportedEvent]:
        """Return the two events of a round."""
        started = RoundStarted(
            round_id=self.round_id,
            session_id=self.session_id,
            model=self.model,
            meta=meta(self.started_ns, "round started", self.key),
        )
        completed = RoundCompleted(
            round_id=self.round_id,
            session_id=self.session_id,
            status="success" if self.error is None else "error",
            usage=self.usage or _NO_USAGE,
            latency_ms=self.latency_ms or 0,
            error=self.error,
            meta=meta(self.ended_ns, "round completed", self.key),
        )
        at_end = {"model": self.model, **self.bound, **self.bound_at_end}
        if self.usage_source != REPORTED:
            at_end["usage_source"] = self.usage_source
        if self.latency_ms is None:
            at_end["latency_source"] = MISSING
        return [ImportedEvent(started, self.bound), ImportedEvent(completed, at_end)]


def session_started(session_id: str, model: str, time_ns: int, bound: dict[str, Any]) -> ImportedEvent:
    """Return the begin of a session; it is the same event for whatever record of the session comes first."""
    event = SessionStarted(session_id=session_id, model=model, meta=meta(time_ns, "session started", session_id))
    return ImportedEvent(event, bound)


def session_completed(session_id: str, key: str, time_ns: int, bound: dict[str, Any], *, failed: bool) -> ImportedEvent:
    """Return the end of a session."""
    status = "error" if failed else "completed"
    event = SessionCompleted(
        session_id=session_id, status=status, meta=meta(time_ns, "session completed", session_id, key)
    )
    return ImportedEvent(event, bound)


def tool_called(
    key: str, ids: tuple[str, str, str], name: str, ended_ns: int, latency_ms: float | None, *, success: bool,
    bound: dict[str, Any],
) -> ImportedEvent:  # fmt: skip
    """Return a tool call; ``ids`` are its own, that of its round and that of its session."""
    tool_call_id, round_id, session_id = ids
    bound = dict(bound)
    if latency_ms is None:
        bound["latency_source"] = MISSING
    if not round_id:
        bound["round_source"] = MISSING
    event = ToolCalled(
        tool_call_id=tool_call_id,
        round_id=round_id,
        session_id=session_id,
        tool_name=name,
        latency_ms=latency_ms or 0,
        success=success,
        meta=meta(ended_ns, "tool called", key),
    )
    return ImportedEvent(event, bound)


def request_failed(
    key: str, time_ns: int, status_code: int, latency_ms: float | None, *, error: str, bound: dict[str, Any]
) -> ImportedEvent:
    """Return a request that failed."""
    if latency_ms is None:
        bound = {**bound, "latency_source": MISSING}
    event = RequestCompleted(
        request_id=key.rpartition(":")[2],
        status_code=status_code,
        status="timeout" if "timeout" in error.lower() or "timed out" in error.lower() else "error",
        usage=None,
        latency_ms=latency_ms or 0,
        error=error,
        meta=meta(time_ns, "request completed", key),
    )
    return ImportedEvent(event, bound)


def note(text: str, session_id: str, key: str, time_ns: int, bound: dict[str, Any]) -> ImportedEvent:
    """Return a plain line."""
    return ImportedEvent(Note(text, session_id, meta(time_ns, "note", key)), bound)
