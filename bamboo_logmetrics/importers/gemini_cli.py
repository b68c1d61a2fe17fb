"""Events of Gemini CLI sessions, with the times of the session.

A session is a file of lines that is appended to, or in older versions one JSON object. A message is written again when
it changes, and again without its tokens when the session is resumed: for each id the first time and the best tokens
count. Messages that were taken back were made and paid, and count.

A sub-agent has a file of its own, ``chats/<session>/<agent>.jsonl``. It is a session of its own, ``<session>:<agent>``.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.catalogued import CataloguedImporter
from bamboo_logmetrics.importers.facts import CallFact, FileFacts, PointFact, Quality, SessionFact, ToolFact, UsageFact
from bamboo_logmetrics.importers.sources import lines_of, with_compressed
from bamboo_logmetrics.importers.values import count, identifier, label, moment

_NOTHING = Raw(b"")
_FIRST_LINES = 5
_EXIT_CODE = re.compile(rb"Exit Code: (-?\d+)")
_TEXT = re.compile(rb'"text"\s*:\s*"(?!<session_context>)')
_LOOKED_AT = 4096  # bytes of a result
_OF_SUB_AGENTS = "chats"  # the folder above those that are named by sessions and hold their sub-agents
_FAILED = {"error": "tool_error", "cancelled": "cancelled"}


class AgentCall(msgspec.Struct):
    """The arguments of a tool that runs a sub-agent of any type."""

    agent_name: Any = None


class Tool(msgspec.Struct):
    """A tool call within a message; with ``agentId`` it is that of a sub-agent."""

    id: Any = None
    name: Any = None
    status: Any = None
    timestamp: Any = None
    agentId: Any = None  # noqa: N815
    args: Raw = _NOTHING
    result: Raw = _NOTHING


class SessionEntry(msgspec.Struct, rename={"set_": "$set"}):
    """A line: the metadata of the session, a message, or changes; or a whole session of an older version."""

    sessionId: Any = None  # noqa: N815
    kind: Any = None
    id: Any = None
    timestamp: Any = None
    type: Any = None
    tokens: Any = None
    model: Any = None
    startTime: Any = None  # noqa: N815
    toolCalls: list[Tool] | None = None  # noqa: N815
    messages: list[SessionEntry] | None = None
    set_: SessionEntry | None = None
    content: Raw = _NOTHING


_RECORD = msgspec.json.Decoder(SessionEntry)
_AGENT_CALL = msgspec.json.Decoder(AgentCall)


class GeminiCli(CataloguedImporter):
    """Sessions of the Gemini CLI."""

    name = "gemini-cli"
    agent = "gemini-cli"
    help = "Import Gemini CLI sessions: rounds, tool calls and tokens, with their times, but without their texts."
    patterns = with_compressed(("session-*.jsonl", "session*.json", "chats/*/*.jsonl"))
    usual_path = "~/.gemini/tmp"

    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:
        """Return the facts of a session."""
        session = _Session(path)
        pending = b""  # an object of an older version may stand on several lines
        for number, raw in lines_of(path, report):
            try:
                session.add(_RECORD.decode(pending + raw))
                pending = b""
            except (msgspec.DecodeError, UnicodeDecodeError):
                if ".jsonl" not in path.name:
                    pending += raw
                elif not (growing and not raw.endswith(b"\n")):
                    report.problem(path, "not a record of a session", number)
        if pending:
            report.problem(path, "not a record of a session", 1)
        return session.facts()

    def recognises(self, path: Path) -> bool:
        """Return True if one of the first lines of a file belongs to a session."""
        try:
            head = b"".join(raw for _, raw in islice(lines_of(path, ImportReport()), _FIRST_LINES))
        except OSError:
            return True  # it is reported when it is read
        return b'"sessionId"' in head and b'"projectHash"' in head


class _Session:
    def __init__(self, path: Path) -> None:
        self._id = identifier(path.name.split(".json")[0]) or "unknown"
        self._parent = _parent_of(path)
        self._agents: list[SessionFact] = []
        self._kind: str | None = None
        self._times: list[int] = []
        self._calls: dict[str, CallFact] = {}
        self._prompts: dict[str, PointFact] = {}
        self._tools: set[str] = set()
        self._last: int | None = None

    def add(self, record: SessionEntry) -> None:
        """Take one entry."""
        self._id = identifier(record.sessionId) or self._id
        self._kind = label(record.kind) or self._kind
        if (at := moment(record.startTime)) is not None:
            self._times.append(at)
        for message in record.messages or []:
            self._message(message)
        if record.set_ is not None:
            self.add(record.set_)
        self._message(record)

    def _message(self, message: SessionEntry) -> None:
        name, at = identifier(message.id), moment(message.timestamp)
        if name is None or at is None:
            return
        if message.type == "user":
            if name not in self._prompts and _TEXT.search(bytes(message.content)):
                self._prompts[name] = PointFact("prompt", self._id, name, at)
            self._seen(at)
        elif message.type in ("gemini", "model"):
            self._answer(name, at, message)

    def _seen(self, at: int) -> None:
        self._times.append(at)
        self._last = at

    def _answer(self, name: str, at: int, message: SessionEntry) -> None:
        call = self._calls.get(name)
        if call is None:
            start = None if self._last is None else min(self._last, at)
            model = label(message.model) or ""
            call = self._calls[name] = CallFact(
                self._id, name, [], [name], [], [at], start, at, at, model, model, bound={}, followed=True, tools=[]
            )
            self._seen(at)
        usage = _usage_fact(message.tokens)
        if usage is not None:
            call.usage, call.quality = usage, Quality.FINAL if usage.whole else Quality.PARTIAL
            call.model = label(message.model) or call.model
        for tool in message.toolCalls or []:
            self._tool(call, tool)

    def _tool(self, call: CallFact, tool: Tool) -> None:
        tool_id, name, ended = identifier(tool.id), label(tool.name), moment(tool.timestamp)
        if tool_id is None or name is None or ended is None or tool_id in self._tools:
            return
        self._tools.add(tool_id)
        if agent := identifier(tool.agentId):
            self._agents.append(_mentioned(agent, tool, tool_id, call.last))
        match = _EXIT_CODE.search(bytes(tool.result)[:_LOOKED_AT])
        error = _FAILED.get(tool.status) if isinstance(tool.status, str) else None
        if error is None and match and int(match[1]) != 0:  # a shell command that fails is a success there
            error = "exit_code"
        bound = {"error_type": error} if error else {}
        call.tools.append(ToolFact(tool_id, name, call.last, ended, error is not None, dict(bound)))
        self._seen(ended)

    def facts(self) -> FileFacts:
        """Return everything that the file shows."""
        if not self._times:
            return FileFacts([], [], [], [])
        start, calls = min(self._times), list(self._calls.values())
        session = SessionFact(self._id, self._id, start, max(self._times), start, bound={})
        if self._kind == "subagent":
            session.bound["agent_type"] = self._kind
            if self._parent:
                session.id, session.root = f"{self._parent}:{self._id}", self._parent
                session.bound |= {"agent_id": self._id, "parent_session_id": self._parent}
        for agent in self._agents:
            agent.id, agent.root = f"{self._id}:{agent.id}", self._id
            agent.bound["parent_session_id"] = self._id
        if calls:
            session.model, session.model_at = calls[0].model, calls[0].first
        prompts = list(self._prompts.values())
        for call in calls:
            call.session = session.id
            call.followed = call.usage is not None or call.last != self._last  # tokens come behind the message
        for prompt in prompts:
            prompt.session = session.id
        return FileFacts([session, *self._agents], calls, prompts, [])


def _parent_of(path: Path) -> str | None:
    """Return the session in whose folder the file of a sub-agent is, or None."""
    folder = path.absolute().parent
    return identifier(folder.name) if folder.parent.name == _OF_SUB_AGENTS else None


def _mentioned(agent: str, tool: Tool, tool_id: str, at: int) -> SessionFact:
    """Return the fact of the sub-agent that a tool call ran."""
    try:
        chosen = label(_AGENT_CALL.decode(tool.args).agent_name)
    except (msgspec.DecodeError, UnicodeDecodeError):
        chosen = None
    bound = {"agent_id": agent, "agent_type": chosen or label(tool.name), "parent_tool_call_id": tool_id}
    return SessionFact(agent, agent, at, at, at, implied=True, bound=bound)


def _usage_fact(value: Any) -> UsageFact | None:
    """Return the tokens: the prompt has those of tool results, the answer its thoughts."""
    if not isinstance(value, dict):
        return None
    parts = {name: count(value.get(name)) for name in ("input", "output", "cached", "thoughts", "tool", "total")}
    if parts["input"] is None and parts["output"] is None:
        return None
    prompt, output, thoughts = (
        (parts["input"] or 0) + (parts["tool"] or 0),
        parts["output"] or 0,
        parts["thoughts"] or 0,
    )
    if parts["total"] == prompt + output:  # previews of 2025 count thoughts within the output
        thoughts = 0
    return UsageFact(
        prompt=prompt,
        completion=output + thoughts,
        cache_read=parts["cached"],
        reasoning=parts["thoughts"],
        whole=parts["input"] is not None and parts["output"] is not None,
    )


GEMINI_CLI = GeminiCli()
