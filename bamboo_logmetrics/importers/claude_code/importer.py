"""Claude Code transcripts as events, with the times of the transcript.

What becomes what:

- A **session** is one ``sessionId``. A sub-agent is a session of its own,
  ``<sessionId>:<agentId>``, with ``parent_session_id`` bound, both where an older CLI nested its
  messages in the parent's ``progress`` lines and where it has side-chain records. It spans its
  earliest to its latest record. Its status is what it ends in: ``cancelled`` in an interrupt,
  ``error`` in a request that failed for good, else ``completed``.
- A **round** is one ``message.id`` of a real model; the session that shows it first has it, so
  that a copied history is not paid twice. It starts at the record that its first line's
  ``parentUuid`` names (of a nested message: at the sub-agent's record before it) and ends with its
  latest line. Its status is ``success``; ``cancelled`` or ``error`` where an interrupt or an API
  error follows right on a message that got no stop reason. An interrupt "for tool use" stopped a
  tool: the round before it is whole.
- A **tool call** is a ``tool_use`` with a ``tool_result``; it failed when ``is_error`` is true.
- The **message count**, once at a session's end, is its prompts and its rounds. A prompt is a
  ``user`` record that somebody wrote (a sub-agent's task too): not a tool result, an interrupt, a
  compaction's summary, a meta record or a command that the CLI answered by itself.

A missing usage or start is 0 with ``usage_source`` or ``latency_source`` bound as "missing".
``usage_source="partial"``: the message's last line has no stop reason, so its ``output_tokens``
is what the start of the stream said (most messages of CLI 2.1.42 and before).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
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
from bamboo_logmetrics.importers.claude_code.transcript import Answer, Problem, Said, TranscriptEntry, read

__all__ = ["Problem", "convert", "find"]

Pair = tuple[ChatEvent, dict[str, object]]

_NAMESPACE = uuid.UUID("3f0f6d3a-8a53-4f0e-9c0f-52a1a0c7d9b4")  # never to change: event ids are made of it
_MS = timedelta(milliseconds=1)
_NO_USAGE = TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)

_ENDS = {
    Said.PROMPT: SessionStatus.COMPLETED,
    Said.INTERRUPT: SessionStatus.CANCELLED,
    Said.TOOL_INTERRUPT: SessionStatus.CANCELLED,
    Said.GAVE_UP: SessionStatus.ERROR,
}
_CUTS = {
    Said.INTERRUPT: RoundStatus.CANCELLED,
    Said.API_ERROR: RoundStatus.ERROR,
    Said.GAVE_UP: RoundStatus.ERROR,
}


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the transcripts: a file as given, of a directory every ``.jsonl`` below it, sorted.

    Raises FileNotFoundError for a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            # By parts, "s1/subagents/a.jsonl" comes before "s1.jsonl": a sub-agent's own file has more
            # than what its parent's file nests of it, and who skips known event ids keeps the first.
            below = (item for item in path.rglob("*.jsonl") if item.is_file())
            found.update(dict.fromkeys(sorted(below, key=lambda item: item.parts)))
        elif path.exists():
            found[path] = None
        else:
            msg = f"no such file or directory: {path}; give a transcript or a folder such as ~/.claude/projects"
            raise FileNotFoundError(msg)
    return list(found)


def _no_progress(_: int) -> None:
    """Show nothing."""


def convert(
    path: Path,
    on_problem: Callable[[Problem], None],
    on_progress: Callable[[int], None] = _no_progress,
) -> Iterator[Pair]:
    """Yield the events of one transcript with what is to be bound to each, in time order.

    ``on_progress`` gets the number of bytes read since its last call; together they are the file's
    size. The same file gives the same event ids, and no two events of a file share one. Events of
    one id come from two files where a sub-agent is in its own file and nested in its parent's.
    """
    transcript = _Transcript()
    for record in read(path, on_problem, on_progress):
        transcript.add(record)
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

    def span(self, at: datetime) -> None:
        self.start = min(self.start, at)
        self.end = max(self.end, at)

    def bound(self, **more: object) -> dict[str, object]:
        known = {
            "importer": "claude-code",
            "project": self.project,
            "cli_version": self.version,
            "agent_id": self.agent_id,
            "parent_session_id": self.parent_id,
            **more,
        }
        return {key: value for key, value in known.items() if value is not None}


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
    """What is kept of a transcript: ids, times and counts, never its text."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._rounds: dict[str, _Round] = {}
        self._seen: dict[str, tuple[datetime, _Round | None]] = {}  # by uuid: its time, the round it is a line of
        self._roots: dict[str, str] = {}
        self._tools: set[str] = set()
        self._results: dict[str, tuple[datetime, bool]] = {}

    def add(self, record: TranscriptEntry) -> None:
        agent = self._agent(record) if record.is_sidechain else None
        session = self._session(record, agent, record.session_id)
        self._apply(record, session, record.parent)
        if inner := record.inner:  # nested: without a parentUuid, so what comes before it is its parent
            nested = self._session(inner, inner.agent_id, session.id)
            self._apply(inner, nested, nested.last_uuid)

    def _agent(self, record: TranscriptEntry) -> str:
        """Return the agent of a side chain; the oldest CLIs did not name it, so its first record does."""
        if record.agent_id:
            return record.agent_id
        return self._roots.setdefault(record.uuid, self._roots.get(record.parent or "", record.uuid))

    def _session(self, record: TranscriptEntry, agent: str | None, parent_id: str) -> _Session:
        session_id = f"{record.session_id}:{agent}" if agent else record.session_id
        session = self._sessions.get(session_id)
        if session is None:
            session = _Session(session_id, record.at, record.at, agent, parent_id if agent else None)
            self._sessions[session_id] = session
        session.version = session.version or record.version
        session.project = session.project or record.project
        session.span(record.at)
        return session

    def _apply(self, record: TranscriptEntry, session: _Session, parent: str | None) -> None:
        round_ = self._answer(record, record.answer, session, parent) if record.answer else None
        if record.uuid not in self._seen:  # a CLI that resumes may write records again
            self._note(record, session, parent)
        self._seen.setdefault(record.uuid, (record.at, round_))
        session.last_uuid = record.uuid
        for tool_id, failed in record.results:
            self._results.setdefault(tool_id, (record.at, failed))

    def _answer(self, record: TranscriptEntry, answer: Answer, session: _Session, parent: str | None) -> _Round:
        round_ = self._rounds.get(answer.message_id)
        if round_ is None:
            at = record.at
            round_ = _Round(answer.message_id, session, answer.model, record.version, parent, at, at, [])
            self._rounds[answer.message_id] = round_
            session.model = session.model or answer.model
            session.messages += 1
        round_.first, round_.last = min(round_.first, record.at), max(round_.last, record.at)
        round_.usage = answer.usage or round_.usage
        round_.final = answer.final
        for tool_id, name in answer.tools:
            if tool_id not in self._tools:
                self._tools.add(tool_id)
                round_.tools.append(_Tool(tool_id, name, record.at))
        return round_

    def _note(self, record: TranscriptEntry, session: _Session, parent: str | None) -> None:
        """Take what a record says about its session's end and about the answer before it."""
        session.messages += record.said is Said.PROMPT
        if record.answer or record.results:
            session.status, session.error = SessionStatus.COMPLETED, None
        if record.said in _ENDS:
            session.status, session.error = _ENDS[record.said], record.cause
        if record.said in _CUTS:
            _, before = self._seen.get(parent or "", (None, None))
            before = before or self._rounds.get(record.interrupted or "")
            if before:
                before.cut, before.cause = _CUTS[record.said], record.cause

    def events(self) -> list[Pair]:
        """Return the events by time; what happened at the same time stays in the order of the file."""
        rounds = [pair for round_ in self._rounds.values() for pair in self._round_events(round_)]
        sessions = self._sessions.values()
        starts = [_session_start(session) for session in sessions]
        ends = [pair for session in sessions for pair in _session_end(session)]
        return sorted(starts + rounds + ends, key=lambda pair: pair[0].meta.occurred_at)

    def _round_events(self, round_: _Round) -> Iterator[Pair]:
        began, _ = self._seen.get(round_.parent or "", (None, None))
        start = round_.first if began is None else min(began, round_.last)  # a clock may step back
        session = round_.session
        session.span(start)
        session.span(round_.last)
        yield _round_start(round_, start)
        yield _round_end(round_, None if began is None else (round_.last - start) // _MS)
        for tool in round_.tools:
            if tool.id in self._results:
                ended, failed = self._results[tool.id]
                session.span(ended)
                yield _tool_called(round_, tool, ended, failed=failed)


def _meta(kind: type[ChatEvent], at: datetime, *ids: str) -> EventMeta:
    # Ids are printable, so no two lists of them give one text.
    return EventMeta(event_id=str(uuid.uuid5(_NAMESPACE, "\n".join((kind.kind, *ids)))), occurred_at=at)


def _session_start(session: _Session) -> Pair:
    meta = _meta(SessionStarted, session.start, session.id)
    return SessionStarted(session_id=session.id, model=session.model, meta=meta), session.bound()


def _session_end(session: _Session) -> Iterator[Pair]:
    meta = _meta(MessageCountUpdated, session.end, session.id)
    yield MessageCountUpdated(session_id=session.id, message_count=session.messages, meta=meta), session.bound()
    meta = _meta(SessionCompleted, session.end, session.id)
    bound = session.bound(error=session.error)
    yield SessionCompleted(session_id=session.id, status=session.status, meta=meta), bound


def _round_start(round_: _Round, start: datetime) -> Pair:
    session = round_.session
    event = RoundStarted(
        round_id=round_.id,
        session_id=session.id,
        model=round_.model,
        meta=_meta(RoundStarted, start, session.id, round_.id),
    )
    return event, session.bound(cli_version=round_.version)


def _round_end(round_: _Round, latency_ms: int | None) -> Pair:
    session = round_.session
    whole = round_.final or round_.cut is RoundStatus.SUCCESS
    event = RoundCompleted(
        round_id=round_.id,
        session_id=session.id,
        status=RoundStatus.SUCCESS if whole else round_.cut,
        usage=round_.usage or _NO_USAGE,
        latency_ms=latency_ms or 0,
        error=None if whole else round_.cause,
        meta=_meta(RoundCompleted, round_.last, session.id, round_.id),
    )
    bound = session.bound(
        cli_version=round_.version,
        model=round_.model,
        usage_source="missing" if round_.usage is None else None if round_.final else "partial",
        latency_source="missing" if latency_ms is None else None,
    )
    return event, bound


def _tool_called(round_: _Round, tool: _Tool, ended: datetime, *, failed: bool) -> Pair:
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
    return event, session.bound(cli_version=round_.version)
