"""Events of Claude Code transcripts, with the times of the transcript.

- A **session** is one ``sessionId``. A sub-agent is a session of its own, ``<sessionId>:<agentId>``, with
  ``parent_session_id`` bound. An older CLI nests the messages of a sub-agent in ``progress`` lines of its parent; a
  newer one writes side-chain records. A session lasts from its earliest to its latest record. Its status depends on
  how it ends: ``cancelled`` after an interrupt, ``error`` after a request that failed for good, else ``completed``.
- A **round** is one ``message.id`` of a real model. It belongs to the session that shows it first, so that a copied
  history does not count twice. It starts at the record that the ``parentUuid`` of its first line names (for a nested
  message: at the record of the sub-agent before it) and ends with its latest line. Its status is ``success``;
  ``cancelled`` or ``error`` if an interrupt or an API error directly follows a message without a stop reason. An
  interrupt "for tool use" stopped a tool; the round before it is complete.
- A **tool call** is a ``tool_use`` with a ``tool_result``. It failed if ``is_error`` is true.
- The **message count** at the end of a session is the number of its prompts and rounds. A prompt is a ``user`` record
  that somebody wrote, or the task of a sub-agent. Tool results, interrupts, the summary of a compaction, meta records
  and commands that the CLI answered itself are not prompts.

A missing usage or start is 0, with ``usage_source`` or ``latency_source`` bound as "missing". ``usage_source`` is
"partial" if the last line of a message has no stop reason: then its ``output_tokens`` come from the start of the
stream (true of most messages of CLI 2.1.42 and before).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bamboo_logmetrics.events import (
    ChatEvent,
    EventMeta,
    MessageCountUpdated,
    RoundCompleted,
    RoundStarted,
    RoundStatus,
    SessionCompleted,
    SessionStarted,
    SessionStatus,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.importers.base import ImportedEvent, Importer, ImportReport, read_each
from bamboo_logmetrics.importers.claude_code.transcript import Answer, Marker, TranscriptEntry, read_entries

_NAMESPACE = uuid.UUID("3f0f6d3a-8a53-4f0e-9c0f-52a1a0c7d9b4")  # must never change: event ids are made from it
_MS = timedelta(milliseconds=1)
_NO_USAGE = TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)

_SESSION_STATUSES = {
    Marker.PROMPT: SessionStatus.COMPLETED,
    Marker.INTERRUPT: SessionStatus.CANCELLED,
    Marker.TOOL_INTERRUPT: SessionStatus.CANCELLED,
    Marker.GAVE_UP: SessionStatus.ERROR,
}
_ROUND_STATUSES = {
    Marker.INTERRUPT: RoundStatus.CANCELLED,
    Marker.API_ERROR: RoundStatus.ERROR,
    Marker.GAVE_UP: RoundStatus.ERROR,
}


class ClaudeCode(Importer):
    """Transcripts of Claude Code.

    Events of one id come from two files if a sub-agent has a file of its own and is nested in the file of its parent.
    Its own file holds more of it, and :meth:`find` sorts that file before its parent's.
    """

    name = "claude-code"
    help = (
        "Import Claude Code transcripts: sessions, rounds, tool calls and tokens, with their times, but without their "
        "texts."
    )
    patterns = ("*.jsonl",)
    usual_path = "~/.claude/projects"

    def read(self, files: Sequence[Path], report: ImportReport) -> Iterator[ImportedEvent]:
        """Yield the events of each transcript in order of time. No two events of one transcript have the same id."""
        return read_each(files, report, _read_file)


CLAUDE_CODE = ClaudeCode()


def _read_file(path: Path, report: ImportReport) -> Iterator[ImportedEvent]:
    transcript = _Transcript()
    for entry in read_entries(path, report):
        transcript.add(entry)
    yield from transcript.events()


@dataclass(slots=True)
class _Session:
    id: str
    start: datetime
    end: datetime
    agent_id: str | None = None
    parent_id: str | None = None
    version: str | None = None
    project: str | None = None
    model: str = ""
    messages: int = 0
    status: SessionStatus = SessionStatus.COMPLETED
    error: str | None = None
    last_uuid: str | None = None

    def extend_to(self, at: datetime) -> None:
        self.start = min(self.start, at)
        self.end = max(self.end, at)

    def bound(self, **extra: object) -> dict[str, object]:
        values = {
            "importer": ClaudeCode.name,
            "project": self.project,
            "cli_version": self.version,
            "agent_id": self.agent_id,
            "parent_session_id": self.parent_id,
            **extra,
        }
        return {key: value for key, value in values.items() if value is not None}


@dataclass(slots=True)
class _Tool:
    id: str
    name: str
    at: datetime


@dataclass(slots=True)
class _Round:
    id: str
    session: _Session
    model: str
    version: str | None
    parent: str | None
    first: datetime
    last: datetime
    tools: list[_Tool]
    usage: TokenUsage | None = None
    final: bool = False
    cut: RoundStatus = RoundStatus.SUCCESS
    cause: str | None = None


class _Transcript:
    """The ids, times and counts of a transcript, without its texts."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._rounds: dict[str, _Round] = {}
        # by uuid: the time of a line, and its round
        self._seen: dict[str, tuple[datetime, _Round | None]] = {}
        self._roots: dict[str, str] = {}
        self._tools: set[str] = set()
        self._results: dict[str, tuple[datetime, bool]] = {}

    def add(self, entry: TranscriptEntry) -> None:
        agent = self._agent(entry) if entry.is_sidechain else None
        session = self._session(entry, agent, entry.session_id)
        self._apply(entry, session, entry.parent)
        if inner := entry.inner:  # nested: it has no parentUuid, so the entry before it is its parent
            nested = self._session(inner, inner.agent_id, session.id)
            self._apply(inner, nested, nested.last_uuid)

    def _agent(self, entry: TranscriptEntry) -> str:
        """Return the id of the sub-agent of a side chain; of the oldest CLIs, which have none, its first uuid."""
        if entry.agent_id:
            return entry.agent_id
        return self._roots.setdefault(entry.uuid, self._roots.get(entry.parent or "", entry.uuid))

    def _session(self, entry: TranscriptEntry, agent: str | None, parent_id: str) -> _Session:
        session_id = f"{entry.session_id}:{agent}" if agent else entry.session_id
        session = self._sessions.get(session_id)
        if session is None:
            session = _Session(session_id, entry.at, entry.at, agent, parent_id if agent else None)
            self._sessions[session_id] = session
        session.version = session.version or entry.version
        session.project = session.project or entry.project
        session.extend_to(entry.at)
        return session

    def _apply(self, entry: TranscriptEntry, session: _Session, parent: str | None) -> None:
        round_ = self._answer(entry, entry.answer, session, parent) if entry.answer else None
        if entry.uuid not in self._seen:  # a CLI that resumes a session may write records again
            self._note(entry, session, parent)
        self._seen.setdefault(entry.uuid, (entry.at, round_))
        session.last_uuid = entry.uuid
        for tool_id, failed in entry.results:
            self._results.setdefault(tool_id, (entry.at, failed))

    def _answer(self, entry: TranscriptEntry, answer: Answer, session: _Session, parent: str | None) -> _Round:
        round_ = self._rounds.get(answer.message_id)
        if round_ is None:
            at = entry.at
            round_ = _Round(answer.message_id, session, answer.model, entry.version, parent, at, at, [])
            self._rounds[answer.message_id] = round_
            session.model = session.model or answer.model
            session.messages += 1
        round_.first, round_.last = min(round_.first, entry.at), max(round_.last, entry.at)
        round_.usage = answer.usage or round_.usage
        round_.final = answer.final
        for tool_id, name in answer.tools:
            if tool_id not in self._tools:
                self._tools.add(tool_id)
                round_.tools.append(_Tool(tool_id, name, entry.at))
        return round_

    def _note(self, entry: TranscriptEntry, session: _Session, parent: str | None) -> None:
        """Update the status of the session, and of the answer before the entry."""
        session.messages += entry.marker is Marker.PROMPT
        if entry.answer or entry.results:
            session.status, session.error = SessionStatus.COMPLETED, None
        if entry.marker in _SESSION_STATUSES:
            session.status, session.error = _SESSION_STATUSES[entry.marker], entry.cause
        if entry.marker in _ROUND_STATUSES:
            _, before = self._seen.get(parent or "", (None, None))
            before = before or self._rounds.get(entry.interrupted or "")
            if before:
                before.cut, before.cause = _ROUND_STATUSES[entry.marker], entry.cause

    def events(self) -> list[ImportedEvent]:
        """Return the events in order of time; events of the same time stay in the order of the file."""
        rounds = [event for round_ in self._rounds.values() for event in self._round_events(round_)]
        sessions = self._sessions.values()
        starts = [_session_start(session) for session in sessions]
        ends = [event for session in sessions for event in _session_end(session)]
        return sorted(starts + rounds + ends, key=lambda imported: imported.event.meta.occurred_at)

    def _round_events(self, round_: _Round) -> Iterator[ImportedEvent]:
        began, _ = self._seen.get(round_.parent or "", (None, None))
        start = round_.first if began is None else min(began, round_.last)  # the clock may have stepped back
        session = round_.session
        session.extend_to(start)
        session.extend_to(round_.last)
        yield _round_start(round_, start)
        yield _round_end(round_, None if began is None else (round_.last - start) // _MS)
        for tool in round_.tools:
            if tool.id in self._results:
                ended, failed = self._results[tool.id]
                session.extend_to(ended)
                yield _tool_called(round_, tool, ended, failed=failed)


def _meta(kind: type[ChatEvent], at: datetime, *ids: str) -> EventMeta:
    # Ids are printable, so no two lists of ids have the same text.
    return EventMeta(event_id=str(uuid.uuid5(_NAMESPACE, "\n".join((kind.kind, *ids)))), occurred_at=at)


def _session_start(session: _Session) -> ImportedEvent:
    meta = _meta(SessionStarted, session.start, session.id)
    return ImportedEvent(SessionStarted(session_id=session.id, model=session.model, meta=meta), session.bound())


def _session_end(session: _Session) -> Iterator[ImportedEvent]:
    meta = _meta(MessageCountUpdated, session.end, session.id)
    count = MessageCountUpdated(session_id=session.id, message_count=session.messages, meta=meta)
    yield ImportedEvent(count, session.bound())
    meta = _meta(SessionCompleted, session.end, session.id)
    completed = SessionCompleted(session_id=session.id, status=session.status, meta=meta)
    yield ImportedEvent(completed, session.bound(error=session.error))


def _round_start(round_: _Round, start: datetime) -> ImportedEvent:
    session = round_.session
    event = RoundStarted(
        round_id=round_.id,
        session_id=session.id,
        model=round_.model,
        meta=_meta(RoundStarted, start, session.id, round_.id),
    )
    return ImportedEvent(event, session.bound(cli_version=round_.version))


def _round_end(round_: _Round, latency_ms: int | None) -> ImportedEvent:
    session = round_.session
    complete = round_.final or round_.cut is RoundStatus.SUCCESS
    event = RoundCompleted(
        round_id=round_.id,
        session_id=session.id,
        status=RoundStatus.SUCCESS if complete else round_.cut,
        usage=round_.usage or _NO_USAGE,
        latency_ms=latency_ms or 0,
        error=None if complete else round_.cause,
        meta=_meta(RoundCompleted, round_.last, session.id, round_.id),
    )
    bound = session.bound(
        cli_version=round_.version,
        model=round_.model,
        usage_source="missing" if round_.usage is None else None if round_.final else "partial",
        latency_source="missing" if latency_ms is None else None,
    )
    return ImportedEvent(event, bound)


def _tool_called(round_: _Round, tool: _Tool, ended: datetime, *, failed: bool) -> ImportedEvent:
    session = round_.session
    event = ToolCalled(
        tool_call_id=tool.id,
        round_id=round_.id,
        session_id=session.id,
        tool_name=tool.name,
        latency_ms=max(0, (ended - tool.at) // _MS),
        success=not failed,
        meta=_meta(ToolCalled, ended, session.id, tool.id),
    )
    return ImportedEvent(event, session.bound(cli_version=round_.version))
