"""The facts of one session of OpenCode.

A fork copies messages under new ids, with their times, models, tokens and costs. A copy is older than its session; by
that and by what it shares with its original it is recognised, in whatever file and import that was seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bamboo_logmetrics.importers.facts import CallFact, FileFacts, PointFact, Quality, SessionFact, ToolFact, UsageFact
from bamboo_logmetrics.importers.opencode.records import (
    Entry,
    Metadata,
    Original,
    Part,
    Session,
    State,
    decoded,
    time_of,
    usage_of,
)
from bamboo_logmetrics.importers.values import count, identifier, label, project
from bamboo_logmetrics.usage.provider_names import standard_name

_ABORTED = "MessageAbortedError"
_REJECTED = re.compile(r"(\w+: )?The user (rejected|dismissed)|(\w+: )?Rule prevents tool usage", re.IGNORECASE)
_STOPPED = "Tool execution aborted"
_OUTSIDE_ANSWERS = ("compaction", "subtask")  # parts of messages that no person wrote


class SessionFacts:
    """Collects the facts of a session.

    Args:
        session: the session.
        original: returns the original of a copied message, None if it is gone.
        root: the session of the person.
        spawned: by the id of a sub-agent's session, the tool call that started it; this adds to it.
    """

    def __init__(
        self, session: Session, original: Callable[[Entry], Original | None], root: str, spawned: dict[str, str]
    ) -> None:
        self._session = session
        self._original = original
        self._root = root
        self._spawned = spawned
        self._calls: list[CallFact] = []
        self._points: list[PointFact] = []
        self._times: list[int] = []  # of what began here
        self._earliest: list[int] = []
        self._names: dict[str, str] = {}  # of messages: the ids of their originals
        self._forked_from: str | None = None
        self._status: tuple[str, str | None, int] = ("completed", None, -1)

    def of(self, entries: list[Entry]) -> FileFacts:
        """Return the facts of the messages of the session, which are in order of time."""
        for index, entry in enumerate(entries):
            copied = self._session.created is not None and entry.created < self._session.created
            original = self._original(entry) if copied else None
            if original is not None and original.session != self._session.id:
                self._forked_from = original.session
            else:
                self._times += [entry.created, entry.completed or entry.created]
            self._names[entry.id] = original.id if original else entry.id
            self._earliest.append(entry.created)
            if entry.message.role == "user":
                self._prompt(entry)
            else:
                self._answer(entry, copied=copied, followed=copied or index + 1 < len(entries))
        if not entries:
            return FileFacts([], [], [], [])
        return FileFacts([self._fact(entries)], self._calls, self._points, [])

    def _fact(self, entries: list[Entry]) -> SessionFact:
        session = self._session
        times = self._times if session.created is None else [session.created, *self._times]
        status, error, status_at = self._status
        first = next((call for call in self._calls if call.model), None)
        return SessionFact(
            session.id,
            self._root,
            min(times or self._earliest),
            max(times or self._earliest),
            min(self._earliest),
            session.created,
            first.model if first else next((entry.model for entry in entries if entry.model), ""),
            first.first if first else 0,
            status,
            error,
            status_at,
            None if session.parent else self._forked_from,
            bound=self._bound(entries),
        )

    def _bound(self, entries: list[Entry]) -> dict[str, Any]:
        session = self._session
        agents = (label(entry.message.agent) or label(entry.message.mode) for entry in entries)
        values = {
            "project": project(session.directory),
            "client_version": session.version,
            "parent_session_id": session.parent,
            "parent_tool_call_id": self._spawned.get(session.id),
            "agent_type": (session.agent or next(filter(None, agents), None)) if session.parent else None,
        }
        return {key: value for key, value in values.items() if value is not None}

    # -- prompts ------------------------------------------------------------------------------

    def _prompt(self, entry: Entry) -> None:
        name = self._names[entry.id]
        for part in entry.parts:
            if part.type == "compaction":
                bound = {"trigger": "auto" if part.auto is True else "manual"}
                self._note("conversation compacted", f"{name}:compaction", entry.created, bound)
        kinds = [part.type for part in entry.parts if part.synthetic is not True]
        if (kinds or not entry.parts) and not any(kind in _OUTSIDE_ANSWERS for kind in kinds):
            self._points.append(PointFact("prompt", self._session.id, name, entry.created))

    def _note(self, text: str, name: str, at: int, bound: dict[str, Any]) -> None:
        self._points.append(PointFact("note", self._session.id, name, at, text, {}, bound))

    # -- answers ------------------------------------------------------------------------------

    def _answer(self, entry: Entry, *, copied: bool, followed: bool) -> None:
        error = entry.message.error if isinstance(entry.message.error, dict) else None
        failure = label(error.get("name")) or "error" if error else None
        usage, steps = _usage(entry)
        tools = self._tools(entry)
        for part in entry.parts:
            if part.type == "retry":
                self._failed(entry, part.error, time_of(part.time, "created") or entry.created, part.attempt)
        ended = entry.completed or entry.created
        if failure is not None and failure != _ABORTED:
            self._failed(entry, error, ended, None)
        if failure is None or failure == _ABORTED or usage or tools:
            call = self._call(entry, tools, usage, copied=copied)
            call.followed = followed or entry.completed is not None or failure is not None
            if steps > 1:
                call.bound["calls"] = steps
            if failure is not None:
                call.status, call.error = ("cancelled" if failure == _ABORTED else "error"), failure
        if failure == _ABORTED:
            self._note("interrupted by the user", f"{self._names[entry.id]}:aborted", ended, {})
        status = "completed" if failure is None else "cancelled" if failure == _ABORTED else "error"
        self._status = (status, failure if status == "error" else None, ended)

    def _call(self, entry: Entry, tools: list[ToolFact], usage: UsageFact | None, *, copied: bool) -> CallFact:
        message = entry.message
        whole = entry.mark(whole=entry.completed is not None)
        # A copy has the mark as a line; of its original it is the line before: so two originals are never one call.
        marks = [whole] if entry.completed is None else [whole, entry.mark(whole=False)]
        parent = identifier(message.parentID) or ""
        bound = {
            "provider": _provider(entry),
            "stop_reason": label(message.finish),
            "turn_id": self._names.get(parent, parent) or None,
            "cost_usd_estimate": message.cost if type(message.cost) in (int, float) and message.cost > 0 else None,
        }
        last = _said_until(entry, tools)
        call = CallFact(
            self._session.id, None, [], [entry.id, whole] if copied else [entry.id], [] if copied else marks, [],
            entry.created, entry.created, last, entry.model, entry.model, usage,
            Quality.MISSING if usage is None else Quality.FINAL if usage.whole else Quality.PARTIAL,
            bound={key: value for key, value in bound.items() if value is not None}, tools=tools,
        )  # fmt: skip
        self._calls.append(call)
        return call

    def _failed(self, entry: Entry, error: Any, at: int, attempt: Any) -> None:
        """Take a request that failed; of the error only its name and its status code."""
        error = error if isinstance(error, dict) else {}
        data = error.get("data") if isinstance(error.get("data"), dict) else {}
        code = count(data.get("statusCode"))
        fields = {"latency_ms": max(0, at - entry.created) // 1000} if attempt is None else {}
        if code is not None and code <= 599:  # noqa: PLR2004 - the last status code of HTTP
            fields["status_code"] = code
        number = count(attempt)
        bound: dict[str, Any] = {"model": entry.model, "provider": _provider(entry), "attempt": number}
        if "latency_ms" not in fields:
            bound["latency_source"] = "missing"
        name = f"{self._names[entry.id]}:{at if number is None else number}"
        bound = {key: value for key, value in bound.items() if value}
        self._points.append(
            PointFact("request", self._session.id, name, at, label(error.get("name")) or "error", fields, bound)
        )

    # -- tools --------------------------------------------------------------------------------

    def _tools(self, entry: Entry) -> list[ToolFact]:
        tools: dict[str, ToolFact] = {}
        for part in entry.parts:
            tool = self._tool(part, entry) if part.type == "tool" else None
            if tool is not None:
                if tool.id in tools:  # a gateway that gives one id to several calls
                    tool.id = f"{tool.id}:{len(tools)}"
                tools[tool.id] = tool
        return list(tools.values())

    def _tool(self, part: Part, entry: Entry) -> ToolFact | None:
        tool_id, name = identifier(part.callID), label(part.tool)
        if tool_id is None or name is None:
            return None
        state = decoded(State, part.state) or State()
        metadata = decoded(Metadata, state.metadata) or Metadata()
        for child in (identifier(metadata.sessionId), identifier(metadata.sessionID)):
            if child is not None:
                self._spawned.setdefault(child, tool_id)
        start, end = time_of(state.time, "start"), time_of(state.time, "end")
        bound: dict[str, Any] = {}
        if state.status in ("completed", "error") and (start is None or end is None):
            bound["latency_source"] = "missing"
            end = end or start or entry.completed or entry.created
        error = _tool_error(state, metadata)
        if error:
            bound["error_type"] = error
        at = entry.created if start is None else start
        return ToolFact(tool_id, name, at, None if end is None else max(at, end), error is not None, bound)


def _provider(entry: Entry) -> str | None:
    return None if entry.provider is None else standard_name(entry.provider)


def _tool_error(state: State, metadata: Metadata) -> str | None:
    """Return the kind of failure of a tool call; None if it did not fail."""
    if state.status == "completed":
        return "exit_code" if type(metadata.exit) is int and metadata.exit != 0 else None
    if state.status != "error":
        return None
    text = state.error if isinstance(state.error, str) else ""
    if _REJECTED.match(text):
        return "rejected"
    if metadata.interrupted is True or text.startswith(_STOPPED):
        return "interrupted"
    return "tool_error"


def _usage(entry: Entry) -> tuple[UsageFact | None, int]:
    """Return the tokens of an answer, and the number of its steps.

    A message has the tokens of its last step, so that of several steps the sum is right.
    """
    steps = [usage for part in entry.parts if part.type == "step-finish" and (usage := usage_of(part.tokens))]
    if len(steps) < 2:  # noqa: PLR2004
        return usage_of(entry.message.tokens) or (steps[0] if steps else None), len(steps)
    parts = {
        name: sum(values) if (values := [value for one in steps if (value := getattr(one, name)) is not None]) else None
        for name in ("cache_read", "cache_write", "reasoning")
    }
    prompt, completion = sum(one.prompt for one in steps), sum(one.completion for one in steps)
    return UsageFact(prompt, completion, **parts, whole=all(one.whole for one in steps)), len(steps)


def _said_until(entry: Entry, tools: list[ToolFact]) -> int:
    """Return the end of what the model said: the answer is complete only after the tools that it asked for."""
    if not tools:
        return max(entry.created, entry.completed or entry.created)
    ends = [time_of(part.time, "end") for part in entry.parts if part.type in ("text", "reasoning")]
    return max([entry.created, *(tool.at for tool in tools), *(end for end in ends if end is not None)])


def roots_of(sessions: Mapping[str, Session]) -> dict[str, str]:
    """Return, by the id of each session, that of the session of the person."""
    roots = {}
    for name in sessions:
        root, seen = name, {name}
        while (session := sessions.get(root)) and session.parent and session.parent not in seen:
            root = session.parent
            seen.add(root)
        roots[name] = root
    return roots
