"""Makes the events of everything that is due, in order of time over all files of a run, in bounded memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from hashlib import sha1
from typing import Any, NamedTuple

from bamboo_logmetrics.events import (
    EventMeta,
    MessageCountUpdated,
    RequestCompleted,
    RoundCompleted,
    RoundStarted,
    RoundStatus,
    SessionCompleted,
    SessionStarted,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.importers.base import ImportedEvent, Note
from bamboo_logmetrics.importers.catalog import Catalog
from bamboo_logmetrics.importers.facts import CallFact, PartFact, PointFact, Quality, SessionFact, ToolFact
from bamboo_logmetrics.importers.items import decode
from bamboo_logmetrics.importers.owners import Owners
from bamboo_logmetrics.importers.values import datetime_of

_NAMESPACE = uuid.UUID("3f0f6d3a-8a53-4f0e-9c0f-52a1a0c7d9b4").bytes  # must never change: event ids are made from it
_NO_USAGE = TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
_FIRST, _BETWEEN, _LAST = range(3)  # at one time: starts of sessions, then everything else, then their ends
_CACHED = 4096  # sessions
_ROUND_STATUSES = {status.value: status for status in RoundStatus}
_OF_THE_END = {
    "stop_reason",
    "turn_duration_ms",
    "service_tier",
    "speed",
    "web_searches",
    "web_fetches",
    "response_model",
}
# the values of a whole call that its iterations do not share
_OF_THE_WHOLE = ("stop_reason", "turn_duration_ms", "fallback_from", "response_model", "web_searches", "web_fetches")
# the values of a session that stand in each of its lines
_OF_SESSION = (
    "importer", "agent", "project", "git_branch", "client_version", "entrypoint", "provider", "agent_id", "agent_type",
    "parent_session_id", "parent_tool_call_id", "forked_from",
)  # fmt: skip


_PLAN = """
INSERT INTO timeline SELECT at, 1, id, 0 FROM item WHERE state = 0 AND hold <= :before AND kind = 'call'
UNION ALL SELECT until, 1, id, 1 FROM item WHERE state = 0 AND hold <= :before AND kind <> 'tool'
UNION ALL SELECT until, 1, id, 0 FROM item WHERE state = 0 AND hold <= :before AND kind = 'tool'
    AND NOT EXISTS (SELECT 1 FROM item AS of WHERE of.id = item.call AND of.state = 0 AND of.hold > :before)
ORDER BY 1, 2, 3, 4
"""
# the timeline is stored in this order, so that nothing is sorted together with the facts
_IN_ORDER = """
SELECT rank, timeline.item, step, item.kind, item.session, item.round_id, item.data, of.round_id FROM timeline
LEFT JOIN item ON rank = 1 AND item.id = timeline.item LEFT JOIN item AS of ON of.id = item.call
ORDER BY timeline.at, rank, timeline.item, step
"""


class Due(NamedTuple):
    """An event that is due.

    Args:
        imported: the event.
        mark: the statement and its values that note it as written; None while more events of its item follow.
    """

    imported: ImportedEvent
    mark: tuple[str, tuple[int, ...]] | None


class Timeline:
    """The events of a run.

    Args:
        catalog: the merged facts.
        before: only what has not changed since this time (microseconds) counts as ended; None for everything.
    """

    def __init__(self, catalog: Catalog, before: int | None) -> None:
        self._catalog = catalog
        self._execute = catalog.store.execute
        self._before = 2**61 if before is None else before
        self._owners = Owners(catalog)
        self._bound: dict[int, tuple[SessionFact, dict[str, Any]]] = {}

    def events(self) -> Iterator[Due]:
        """Yield the events that are due in order of time."""
        self._owners.decide()
        self._execute("DELETE FROM timeline")
        self._plan_items()
        self._plan_sessions()
        makers: dict[str, Callable[..., list[ImportedEvent]]] = {
            "call": self._call,
            "tool": self._tool,
            "request": self._point,
            "note": self._point,
        }
        for rank, number, step, kind, session, name, data, of in self._execute(_IN_ORDER):
            if rank == _FIRST:
                yield self._session_start(number)
            elif rank == _LAST:
                yield from self._session_end(number, again=bool(step))
            else:
                imported_events = makers[kind](decode(kind, data), session, name or "", of if kind == "tool" else step)
                last = imported_events.pop()
                for imported in imported_events:
                    yield Due(imported, None)
                done = kind != "call" or step == 1
                yield Due(last, ("UPDATE item SET state = 1 WHERE id = ?", (number,)) if done else None)

    # -- the plan -----------------------------------------------------------------------------

    def _plan_items(self) -> None:
        """Put everything that is due on the timeline; a tool call waits for its call."""
        self._execute(_PLAN, {"before": self._before})

    def _plan_sessions(self) -> None:
        """Put the starts and ends of sessions on the timeline: a start before the first event, an end when settled."""
        due = {number for (number,) in self._execute(
            "SELECT DISTINCT item.session FROM timeline JOIN item ON item.id = timeline.item"
        )}  # fmt: skip
        rows = self._execute("SELECT id, hold, started, ended FROM session WHERE changed = 1 AND data IS NOT NULL")
        plan: list[tuple[int, int, int, int]] = []  # sessions are few
        for number, hold, started, ended in rows.fetchall():
            fact = self._catalog.session(number)
            if self._owners.is_copy(number, fact):
                continue
            settled = hold <= self._before
            if not started and (settled or number in due):
                plan.append((fact.start, _FIRST, number, 0))
            if settled and (ended is None or fact.end > ended):
                plan.append((fact.end, _LAST, number, 0 if ended is None else 1))
        self._catalog.store.executemany("INSERT INTO timeline VALUES (?, ?, ?, ?)", plan)

    # -- sessions -----------------------------------------------------------------------------

    def _meta(self, kind: str, at: int, *ids: str) -> EventMeta:
        # Ids are printable, so no two lists of ids have the same text.
        return EventMeta(event_id=_uuid5("\n".join((kind, *ids))), occurred_at=datetime_of(at))

    def _session(self, number: int) -> tuple[SessionFact, dict[str, Any]]:
        """Return a session and the values that stand in each of its lines."""
        known = self._bound.get(number)
        if known is None:
            fact = self._catalog.session(number)
            values = {**fact.bound, "forked_from": self._owners.forked_from(number, fact)}
            bound: dict[str, Any] = {key: values[key] for key in _OF_SESSION if values.get(key) is not None}
            if len(self._bound) > _CACHED:
                self._bound.clear()
            known = self._bound[number] = fact, bound
        return known

    def _session_start(self, number: int) -> Due:
        fact, bound = self._session(number)
        meta = self._meta(SessionStarted.kind, fact.start, fact.id)
        event = SessionStarted(session_id=fact.id, model=self._owners.first_model(number) or fact.model, meta=meta)
        return Due(ImportedEvent(event, bound), ("UPDATE session SET started = 1 WHERE id = ?", (number,)))

    def _session_end(self, number: int, *, again: bool) -> Iterator[Due]:
        fact, bound = self._session(number)
        ids = (fact.id, str(fact.end)) if again else (fact.id,)  # the session went on after an end that was written
        meta = self._meta(MessageCountUpdated.kind, fact.end, *ids)
        count = self._owners.messages(number)
        yield Due(ImportedEvent(MessageCountUpdated(session_id=fact.id, message_count=count, meta=meta), bound), None)
        meta = self._meta(SessionCompleted.kind, fact.end, *ids)
        completed = SessionCompleted(session_id=fact.id, status=fact.status, meta=meta)
        if fact.error is not None:
            bound = {**bound, "error": fact.error}
        mark = ("UPDATE session SET ended = ?, changed = 0 WHERE id = ?", (fact.end, number))
        yield Due(ImportedEvent(completed, bound), mark)

    # -- calls, tools, failures ---------------------------------------------------------------

    def _call(self, call: CallFact, number: int, round_id: str, step: int) -> list[ImportedEvent]:
        session, bound = self._session(number)
        start = call.first if call.start is None else call.start
        bound = {**bound, **call.bound}
        if step == 0:
            started = RoundStarted(
                round_id=round_id,
                session_id=session.id,
                model=call.asked or call.model,
                meta=self._meta(RoundStarted.kind, start, session.id, round_id),
            )
            return [ImportedEvent(started, {key: value for key, value in bound.items() if key not in _OF_THE_END})]
        complete = call.quality == Quality.FINAL or call.status == "success"
        completed = RoundCompleted(
            round_id=round_id,
            session_id=session.id,
            status=RoundStatus.SUCCESS if complete else _ROUND_STATUSES[call.status],
            usage=call.usage.tokens() if call.usage else _NO_USAGE,
            latency_ms=0 if call.start is None else max(0, call.last - start) // 1000,
            error=None if complete else call.error,
            meta=self._meta(RoundCompleted.kind, call.last, session.id, round_id),
        )
        bound["model"] = call.model
        if call.quality != Quality.FINAL:
            bound["usage_source"] = "missing" if call.usage is None else "partial"
        if call.start is None:
            bound["latency_source"] = "missing"
        parts = [self._part(part, call, session, round_id, index) for index, part in enumerate(call.parts, 1)]
        return [ImportedEvent(completed, bound), *parts]

    def _part(self, part: PartFact, call: CallFact, session: SessionFact, parent: str, index: int) -> ImportedEvent:
        """Return an iteration that is outside the usage of its call, as a round of its own."""
        round_id = f"{parent}:{part.name}:{index}"
        usage = part.usage
        event = RoundCompleted(
            round_id=round_id,
            session_id=session.id,
            status=RoundStatus.SUCCESS,
            usage=usage.tokens() if usage else _NO_USAGE,
            latency_ms=0,
            meta=self._meta(RoundCompleted.kind, call.last, session.id, round_id),
        )
        _, bound = self._session(self._catalog.session_id(session.id))
        bound = {**bound, **call.bound, "model": part.model, "iteration": part.name, "parent_round_id": parent}
        for name in _OF_THE_WHOLE:
            bound.pop(name, None)
        bound["latency_source"] = "missing"
        if usage is None or not usage.whole:
            bound["usage_source"] = "missing" if usage is None else "partial"
        return ImportedEvent(event, bound)

    def _tool(self, tool: ToolFact, number: int, mark: str, round_id: str) -> list[ImportedEvent]:
        session, bound = self._session(number)
        ended = tool.at if tool.ended is None else tool.ended
        latency = max(0, ended - tool.at) // 1000
        bound = {**bound, **tool.bound}
        if "execution_ms" in bound:
            bound.setdefault("wait_ms", max(0, latency - bound["execution_ms"]))
        event = ToolCalled(
            tool_call_id=tool.id,
            round_id=round_id,
            session_id=session.id,
            tool_name=tool.name,
            latency_ms=latency,
            success=not tool.failed,
            meta=self._meta(ToolCalled.kind, ended, session.id, tool.id, *([mark] if mark else [])),
        )
        return [ImportedEvent(event, bound)]

    def _point(self, point: PointFact, number: int, _: str, _step: int) -> list[ImportedEvent]:
        session, bound = self._session(number)
        bound = {**bound, **point.bound}
        if point.kind == "note":
            return [ImportedEvent(Note(point.text or "", session.id, self._meta("note", point.at, point.id)), bound)]
        text = point.text or "api_error"
        event = RequestCompleted(
            request_id=point.id,
            status_code=point.fields.get("status_code", 0),
            status="timeout" if _is_timeout(text) else "error",
            latency_ms=point.fields.get("latency_ms", 0),
            error=text,
            meta=self._meta(RequestCompleted.kind, point.at, point.id),
        )
        return [ImportedEvent(event, {**bound, "session_id": session.id})]


def _uuid5(name: str) -> str:
    """Return the text of ``uuid.uuid5(_NAMESPACE, name)``, in a third of its time."""
    digest = bytearray(sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _is_timeout(error: str) -> bool:
    return "timeout" in error.lower() or "timedout" in error.lower() or error.startswith("408")
