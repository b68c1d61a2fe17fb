"""The facts of one Claude Code transcript: its sessions, answers, tool calls, prompts and failures.

What a line means for the answer before it is decided within its chain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.claude_code.chains import Chain, Chains, Entry, Seen
from bamboo_logmetrics.importers.claude_code.details import call_values, extend, origin_of, quality_of, tool_values
from bamboo_logmetrics.importers.claude_code.grouping import Group, Groups
from bamboo_logmetrics.importers.claude_code.meaning import (
    Marker,
    blocks_of,
    failure,
    is_queued_prompt,
    marker_of,
    tool_error,
)
from bamboo_logmetrics.importers.claude_code.records import (
    TOOL_RESULT,
    Block,
    Line,
    Message,
    Progress,
    ToolResult,
    Usage,
    decode_object,
    may_be_record,
    nested_line,
    read_records,
)
from bamboo_logmetrics.importers.claude_code.usage import details, parts_outside, usage_fact
from bamboo_logmetrics.importers.facts import CallFact, FileFacts, PointFact, Quality, ToolFact, UsageFact
from bamboo_logmetrics.importers.values import count, identifier, label, milliseconds, moment

_CONTENT = ("user", "assistant")
_SESSION_ENDS = {
    Marker.PROMPT: "completed",
    Marker.INTERRUPT: "cancelled",
    Marker.TOOL_INTERRUPT: "cancelled",
    Marker.GAVE_UP: "error",
}
_ROUND_ENDS = {Marker.INTERRUPT: "cancelled", Marker.API_ERROR: "error", Marker.GAVE_UP: "error"}
_SYNTHETIC = "<synthetic>"
_TOOL_USES = ("tool_use", "server_tool_use", "mcp_tool_use")  # not sets: what is looked up may be of any type
_COMPACTIONS = ("compact_boundary", "microcompact_boundary")


def scan(path: Path, report: ImportReport, *, growing: bool = False) -> FileFacts:
    """Return the facts of a transcript. Raises OSError if it cannot be read."""
    transcript = _Transcript(path, report)
    is_transcript = False
    for line in read_records(path, report, growing=growing):
        transcript.add(line)
        is_transcript = is_transcript or may_be_record(line)
    facts = transcript.facts()
    if is_transcript or not facts.sessions:
        return facts
    report.counts["files of another tool, left out"] += 1
    return FileFacts([], [], [], [])


class _Transcript:
    def __init__(self, path: Path, report: ImportReport) -> None:
        self._path = path
        self._report = report
        self._chains = Chains(path)
        self._groups = Groups()
        self._points: dict[tuple[str, str, str], PointFact] = {}
        self._seen: dict[str, Seen] = {}
        self._uses: dict[str, tuple[Group, ToolFact]] = {}
        self._orphans: dict[str, ToolFact] = {}
        self._session = identifier(path.name.split(".")[0]) or "unknown"
        self._at: int | None = None

    def add(self, line: Line) -> None:
        """Take one record."""
        content = line.type in _CONTENT or (line.type == "progress" and line.data is not None)
        uuid, at = identifier(line.uuid), moment(line.timestamp)
        session_id = identifier(line.sessionId)
        if uuid is None and not content:  # file-history-snapshot, mode ...: outside the tree of the conversation
            if session_id and at is not None:
                self._chains.note_own_time(session_id, at)
            return
        if at is None and not content:
            return
        self._at = at = at if at is not None else self._at or self._path.stat().st_mtime_ns // 1000
        self._session = session_id or self._session
        agent = self._chains.agent_of(line, uuid) if line.isSidechain is True else None
        chain = self._chains.chain_of(line, self._session, agent, at)
        self._apply(Entry(line, chain, uuid, at, identifier(line.parentUuid), uuid in self._seen))
        if line.type == "progress" and line.data is not None:
            self._nested(line, line.data, chain, at)

    def _nested(self, line: Line, data: Progress, chain: Chain, at: int) -> None:
        """Take the record of a sub-agent within a line of an older CLI."""
        inner = data.message
        if data.type != "agent_progress" or inner is None or inner.type not in _CONTENT:
            return
        nested = nested_line(inner, line)
        agent = identifier(data.agentId) or identifier(line.parentToolUseID) or "nested"
        inner_at = moment(inner.timestamp)
        at = at if inner_at is None else inner_at
        child = self._chains.chain_of(nested, chain.session.root, agent, at)
        if tool := identifier(line.parentToolUseID):
            child.session.bound.setdefault("parent_tool_call_id", tool)
        uuid = identifier(inner.uuid)  # it has no parentUuid, so the line before it is its parent
        self._apply(Entry(nested, child, uuid, at, child.last_line, uuid in self._seen))

    def _apply(self, entry: Entry) -> None:
        line, chain, uuid, at, parent, repeated = entry
        before = self._seen.get(parent or "")
        seen = Seen(at) if before is None else Seen(at, behind=before.behind, opens=before.opens)
        if line.type == "user":
            self._user(entry, seen)
        elif line.type == "assistant":
            seen.group = self._assistant(entry)
            if seen.group is not None:
                seen.behind, seen.opens = seen.group, True
        elif line.type == "system" and not repeated:
            self._system(entry, seen)
        elif line.type == "attachment" and not repeated and is_queued_prompt(line):
            self._point("prompt", entry)
        if uuid is not None:
            self._seen.setdefault(uuid, seen)
            chain.last_line = uuid

    # -- user lines ---------------------------------------------------------------------------

    def _user(self, entry: Entry, seen: Seen) -> None:
        line, chain, uuid, at, _, repeated = entry
        blocks = blocks_of(line.message)
        results = [block for block in blocks if isinstance(block, Block) and block.type == "tool_result"]
        for block in results:
            self._result(entry, block)
        marker = marker_of(line, blocks)
        if repeated:
            if marker is Marker.PROMPT:  # the copy of another session in the same file
                self._groups.close(chain.session.id)
            return
        if marker is Marker.PROMPT:
            self._point("prompt", entry)
            chain.turn = identifier(line.promptId) or uuid or chain.turn
        elif marker in {Marker.INTERRUPT, Marker.TOOL_INTERRUPT}:
            self._point("note", entry, "interrupted by the user")
        if marker is Marker.PROMPT:
            seen.behind, seen.opens = None, True
        if results:
            uses = [self._uses.get(identifier(block.tool_use_id) or "") for block in results]
            seen.behind, seen.opens = next((use[0] for use in uses if use), None), all(uses)
            chain.end(at, "completed")
        self._mark(marker, entry, None)

    def _result(self, entry: Entry, block: Block) -> None:
        line, at = entry.line, entry.at
        tool_id = identifier(block.tool_use_id)
        if tool_id is None:
            self._report.counts["tool results without an id, left out"] += 1
            return
        result = decode_object(line.toolUseResult, TOOL_RESULT)
        failed = block.is_error is True
        bound: dict[str, Any] = {"error_type": tool_error(line, block)} if failed else {}
        if result is not None:
            self._described(result, entry, tool_id)
            duration = milliseconds(result.durationMs)
            bound |= {} if duration is None else {"execution_ms": duration}
        if isinstance(line.permissionDecision, dict) and line.permissionDecision.get("source") == "config":
            bound["wait_ms"] = 0
        group, tool = self._uses.get(tool_id, (None, None))
        if tool is None or group is None:
            self._orphans.setdefault(tool_id, ToolFact(tool_id, "", at, at, failed, bound))
            if entry.chain.latest:  # the use may be of a line that is not here
                entry.chain.latest.answered = True
            return
        group.answered = True
        if tool.ended is None:
            tool.ended, tool.failed = at, failed
            tool.bound |= bound
            extend(self._chains[group.call.session].session, at)

    def _described(self, result: ToolResult, entry: Entry, tool_id: str) -> None:
        """Take what a tool's result tells of a sub-agent: its usage is that of the agent's last call."""
        agent, line, at = identifier(result.agentId), entry.line, entry.at
        if agent is None:
            return
        root = entry.chain.session.root
        session_id = f"{root}:{agent}"
        values = {"agent_id": agent, "parent_session_id": root, "parent_tool_call_id": tool_id}
        if agent_type := label(result.agentType):
            values["agent_type"] = agent_type
        self._chains.mention(session_id, values)
        usage = usage_fact(result.usage)
        if usage is None or result.isAsync is True:
            return
        began = at - 1000 * (milliseconds(result.totalDurationMs) or 0)
        child = self._chains.get(session_id) or self._chains.chain_of(line, root, agent, began)
        extend(child.session, at)
        last = self._seen.get(child.last_line or "")
        model = label(result.resolvedModel) or child.session.model
        call = CallFact(
            session_id, None, [], [f"{tool_id}:{agent}"], [], [at], last.at if last else child.session.start, at, at,
            model, model, usage, Quality.FINAL if usage.whole else Quality.PARTIAL,
            bound=call_values(line) | details(result.usage or Usage()), agent=agent, described=True, followed=True,
        )  # fmt: skip
        self._groups.calls.append(call)

    # -- assistant lines ----------------------------------------------------------------------

    def _assistant(self, entry: Entry) -> Group | None:
        line, chain, uuid, at, parent, repeated = entry
        message = line.message or Message()
        if line.isApiErrorMessage is True:
            if not repeated:
                self._gave_up(entry)
            return None
        if message.model == _SYNTHETIC or (line.message is None and line.requestId is None):
            return None  # "No response requested.": written by the CLI, no model was called
        usage = usage_fact(message.usage)
        request_id = identifier(line.requestId)
        name = identifier(message.id) or ""
        group = self._groups.find(chain.session.id, name, request_id, (uuid, parent), at=at, usage=usage)
        if group is None:
            group = self._new_call(entry, name, usage)
        self._groups.note(group, name, request_id, uuid)
        self._extend_call(group.call, entry, message, usage)
        for block in blocks_of(message):
            if isinstance(block, Block) and block.type in _TOOL_USES:
                self._tool_use(group, block, entry)
        if not repeated:
            chain.end(at, "completed")
        return group

    def _new_call(self, entry: Entry, name: str, usage: UsageFact | None) -> Group:
        line, chain, _, at, parent, _ = entry
        for before in chain.open:
            before.call.followed = True
        chain.open.clear()
        model = label(line.message.model) if line.message else None
        call = CallFact(
            chain.session.id, name or None, [], [], [parent] if parent else [], [], None, at, at,
            model or "", label(line.requestedModel) or model or "",
            bound=call_values(line) | ({"turn_id": chain.turn} if chain.turn else {}),
            origin=origin_of(line, chain.session.root),
        )  # fmt: skip
        call.agent = chain.session.bound.get("agent_id")
        seen = self._seen.get(identifier(line.parentUuid) or "")
        call.begins = seen is not None and seen.opens_an_answer(name)
        group = self._groups.start(call, name, usage)
        chain.open.append(group)
        chain.latest = group
        if not chain.session.model and model:
            chain.session.model, chain.session.model_at = model, at
        return group

    def _extend_call(self, call: CallFact, entry: Entry, message: Message, usage: UsageFact | None) -> None:
        line, _, uuid, at, parent, _ = entry
        call.first, call.last = min(call.first, at), max(call.last, at)
        call.times.append(at)
        if uuid:
            call.lines.append(uuid)
        if isinstance(line.forkedFrom, dict) and (original := identifier(line.forkedFrom.get("messageUuid"))):
            call.lines.append(original)
        if parent:
            call.parents.append(parent)
        request_id = identifier(line.requestId)
        if request_id and request_id not in call.request_ids:
            call.request_ids.append(request_id)
            call.bound.setdefault("provider_request_id", request_id)
        quality = quality_of(usage, message)
        if usage is not None and quality >= call.quality:
            call.usage, call.quality = usage, quality
            call.model = label(message.model) or call.model
            call.bound |= details(message.usage or Usage())
            call.parts = parts_outside(message.usage, call.model) or call.parts
        call.asked = call.asked or label(message.model) or ""
        call.model = call.model or label(message.model) or ""
        if stop := label(message.stop_reason):
            call.bound["stop_reason"] = stop

    def _tool_use(self, group: Group, block: Block, entry: Entry) -> None:
        tool_id, name = identifier(block.id), label(block.name)
        if tool_id is None or name is None:
            self._report.counts["tool calls without an id or a name, left out"] += 1
            return
        if tool_id in group.tools:
            return
        group.tools.add(tool_id)
        tool = ToolFact(tool_id, name, entry.at, bound=tool_values(name, block, entry.line))
        group.call.tools.append(tool)
        known = self._uses.get(tool_id)
        if known and known[1].ended is None and known[0].call.session != group.call.session:
            return  # a copy under another session
        self._uses[tool_id] = (group, tool)
        if early := self._orphans.pop(tool_id, None):
            tool.ended, tool.failed, tool.bound = early.ended, early.failed, tool.bound | early.bound

    # -- failures and other marks -------------------------------------------------------------

    def _gave_up(self, entry: Entry) -> None:
        before = self._seen.get(entry.parent or "")
        point = self._request(entry, before, (before.attempt if before else 0) + 1)
        self._mark(Marker.GAVE_UP, entry, point.text)

    def _system(self, entry: Entry, seen: Seen) -> None:
        line, chain = entry.line, entry.chain
        before = self._seen.get(entry.parent or "")
        if line.subtype == "api_error":
            seen.attempt = count(line.retryAttempt) or (before.attempt if before else 0) + 1
            seen.wait = milliseconds(line.retryInMs) or 0
            point = self._request(entry, before, seen.attempt)
            if line.retryInMs is not None:
                point.bound["retry_wait_ms"] = seen.wait
            self._mark(Marker.API_ERROR, entry, point.text)
        elif line.subtype == "turn_duration":
            duration = milliseconds(line.durationMs)
            group = (before.group if before else None) or chain.latest
            if duration is not None and group is not None:
                group.call.bound["turn_duration_ms"] = duration
        elif line.subtype in _COMPACTIONS:
            point = self._point("note", entry, "conversation compacted")
            if isinstance(line.compactMetadata, dict):
                trigger, tokens = (
                    label(line.compactMetadata.get("trigger")),
                    count(line.compactMetadata.get("preTokens")),
                )
                point.bound |= {"trigger": trigger} if trigger else {}
                point.bound |= {"tokens_before": tokens} if tokens is not None else {}

    def _request(self, entry: Entry, before: Seen | None, attempt: int) -> PointFact:
        """Note a failed request; its latency counts from the line before it, or from the end of the wait there."""
        code, cause = failure(entry.line)
        point = self._point("request", entry, cause)
        point.fields = {"status_code": code}
        point.bound["attempt"] = attempt
        if entry.chain.turn:
            point.bound["turn_id"] = entry.chain.turn
        if before is None:
            point.bound["latency_source"] = "missing"
        else:
            point.fields["latency_ms"] = max(0, (entry.at - before.at) // 1000 - before.wait)
        return point

    def _point(self, kind: str, entry: Entry, text: str | None = None) -> PointFact:
        session = entry.chain.session
        name = entry.uuid or f"{session.id}:{entry.at}"
        bound, origin = call_values(entry.line), origin_of(entry.line, session.root)
        point = PointFact(kind, session.id, name, entry.at, text, bound=bound, origin=origin, fields={})
        return self._points.setdefault((kind, session.id, name), point)

    def _mark(self, marker: Marker, entry: Entry, cause: str | None) -> None:
        """Note what a line means for its session and for the answer before it."""
        if marker is Marker.NONE:
            return
        chain = entry.chain
        if marker in _SESSION_ENDS:
            chain.end(entry.at, _SESSION_ENDS[marker], cause)
        if marker in _ROUND_ENDS:
            seen = self._seen.get(entry.parent or "")
            group = (seen.group if seen else None) or self._named(chain, label(entry.line.interruptedMessageId))
            if group and group.call.quality != Quality.FINAL:
                group.call.status, group.call.error = _ROUND_ENDS[marker], cause
        for before in chain.open:
            before.call.followed = True
        if marker is Marker.PROMPT:
            self._groups.close(chain.session.id)
            chain.open.clear()

    @staticmethod
    def _named(chain: Chain, message: str | None) -> Group | None:
        return next((group for group in reversed(chain.open) if message and group.call.message_id == message), None)

    # -- the result ---------------------------------------------------------------------------

    def facts(self) -> FileFacts:
        """Return everything that the transcript shows."""
        for call in self._groups.calls:
            self._finish(call)
        sessions = self._chains.sessions(self._at or 0)
        return FileFacts(sessions, self._groups.calls, list(self._points.values()), list(self._orphans.values()))

    def _finish(self, call: CallFact) -> None:
        session = self._chains[call.session].session
        if not call.described and (began := self._began(call)) is not None:
            call.start = min(began, call.last)  # the clock may have stepped back
        extend(session, call.last, call.first if call.start is None else call.start)
        call.parents = [parent for parent in dict.fromkeys(call.parents) if parent not in call.lines]
        if call.asked and call.asked != call.model:
            call.bound |= {"fallback_from": call.asked, "response_model": call.model}

    def _began(self, call: CallFact) -> int | None:
        """Return the time of the line that the first line answers; lines without ids have none."""
        parent = call.parents[0] if call.parents else None
        seen = self._seen.get(parent or "")
        return seen.at if seen is not None and parent not in call.lines else None
