"""The facts of one Codex rollout: a thread with its turns, calls and tool calls.

The usage of a call comes behind it: a ``token_usage_record`` with the id of the response, a ``token_count`` event, or
both. What the model said since the last usage belongs to it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.codex.records import Line, Payload, read_records
from bamboo_logmetrics.importers.facts import CallFact, FileFacts, PointFact, Quality, SessionFact, ToolFact, UsageFact
from bamboo_logmetrics.importers.values import branch, count, identifier, label, milliseconds, moment, project

# not sets: what is looked up may be of any type
_TOOL_USES = ("function_call", "custom_tool_call", "local_shell_call")
_TOOL_RESULTS = ("function_call_output", "custom_tool_call_output")
_SAID = ("reasoning", "message", "web_search_call", *_TOOL_USES)
_NEW_AGENT = b"You are the newly spawned agent"
_EXIT_CODE = re.compile(rb"(?:[Pp]rocess exited with code|[Ee]xit [Cc]ode:?) (-?\d+)")
_REJECTED = re.compile(rb'^"?(?:exec command )?rejected by user', re.IGNORECASE)
_BURST = 2_000_000  # microseconds within which a fork writes the history that it replays
_LOOKED_AT = 4096  # bytes of an output


def scan(path: Path, report: ImportReport, *, growing: bool = False) -> FileFacts:
    """Return the facts of a rollout. Raises OSError if it cannot be read."""
    rollout = _Rollout(path)
    for line in read_records(path, report, growing=growing):
        at = moment(line.timestamp)
        if line.payload is not None and at is not None:
            rollout.add(line, line.payload, at)
    return rollout.facts()


class _Rollout:
    def __init__(self, path: Path) -> None:
        self._name = identifier(path.name.split(".jsonl")[0].removeprefix("rollout-")[20:]) or "unknown"
        self._session: SessionFact | None = None
        self._bound: dict[str, Any] = {}
        self._replaying = self._at_new_agent = False
        self._began = 0
        self._model = ""
        self._total: Any = None  # a fork's begins at that of its parent, and its first event may repeat it
        self._reset()

    def _reset(self) -> None:
        """Forget the history that a fork replays."""
        self._calls: list[CallFact] = []
        self._points: list[PointFact] = []
        self._tools: dict[str, ToolFact] = {}
        self._open: list[ToolFact] = []
        self._turn: str | None = None
        self._asked_at: int | None = None  # the time from which a call counts
        self._said: list[int] = []
        self._recorded = False
        self._turn_start = 0

    def add(self, line: Line, payload: Payload, at: int) -> None:
        """Take one record."""
        if line.type == "session_meta":
            self._meta(payload, at)
            return
        session = self._start(at)
        session.end = max(session.end, at)
        if line.type == "turn_context":
            self._model = label(payload.model) or self._model
        elif line.type == "token_usage_record":
            self._recorded = True
            self._usage(payload.usage, at, identifier(payload.response_id))
        elif line.type == "response_item":
            self._item(payload, at)
        elif line.type == "event_msg":
            self._event(payload, at)

    def _start(self, at: int, name: str | None = None) -> SessionFact:
        if self._session is None:
            name = name or self._name
            self._session = SessionFact(name, name, at, at, at, bound=self._bound)
            self._began = at
        return self._session

    def _meta(self, payload: Payload, at: int) -> None:
        """Take the description of the thread; a second one is that of the parent whose history is replayed."""
        name = identifier(payload.id)
        if self._session is not None:
            self._replaying = self._replaying or (name is not None and name != self._session.id)
            return
        session = self._start(at, name)
        session.forked_from = identifier(payload.forked_from_id)
        git = payload.git if isinstance(payload.git, dict) else {}
        values = {
            "project": project(payload.cwd) if isinstance(payload.cwd, str) else None,
            "client_version": label(payload.cli_version),
            "entrypoint": label(payload.originator),
            "provider": label(payload.model_provider),
            "git_branch": branch(git.get("branch")),
            "agent_type": label(payload.agent_role),
            "parent_session_id": _parent(payload.source),
        }
        self._bound |= {key: value for key, value in values.items() if value is not None}
        if "parent_session_id" in self._bound:
            session.forked_from = None  # a sub-agent

    # -- what the model said and what tools answered ----------------------------------------

    def _item(self, payload: Payload, at: int) -> None:
        if payload.type in _TOOL_RESULTS:
            self._result(payload, at)
        elif payload.type in _SAID and not (payload.type == "message" and payload.role != "assistant"):
            self._said.append(at)
            if payload.type in _TOOL_USES:
                self._tool_use(payload, at)
        elif payload.type == "message":
            self._asked_at = at if not self._said else self._asked_at

    def _tool_use(self, payload: Payload, at: int) -> None:
        tool_id, name = identifier(payload.call_id), label(payload.name) or label(payload.type)
        if tool_id is None or name is None or tool_id in self._tools:
            return
        bound: dict[str, Any] = {}
        if name.startswith("mcp__") and (server := name.removeprefix("mcp__").partition("__")[0]):
            bound["mcp_server"] = server
        tool = self._tools[tool_id] = ToolFact(tool_id, name, at, bound=bound)
        self._open.append(tool)

    def _result(self, payload: Payload, at: int) -> None:
        output = bytes(payload.output)[:_LOOKED_AT]
        self._at_new_agent = self._at_new_agent or _NEW_AGENT in output
        tool = self._tools.get(identifier(payload.call_id) or "")
        if tool is None:
            return
        if tool.ended is None:
            tool.ended = at
        if "error_type" not in tool.bound and "exit_code" not in tool.bound:
            match = _EXIT_CODE.search(output)
            if match and int(match[1]) != 0:
                _fail(tool, "exit_code")
            elif _REJECTED.match(output):
                _fail(tool, "rejected")
        self._asked_at = at

    def _event(self, payload: Payload, at: int) -> None:
        kind = payload.type
        if kind == "token_count":
            self._count(payload.info, at)
        elif kind == "user_message" or (
            kind == "item_completed" and payload.item and payload.item.type == "UserMessage"
        ):
            self._prompt(at)
        elif kind == "task_started":
            if self._replaying and self._at_new_agent:
                self._replaying = False
                self._reset()
                session = self._start(at)
                session.start = session.earliest = at
            self._turn, self._asked_at, self._turn_start = identifier(payload.turn_id), at, len(self._calls)
        elif kind == "task_complete":
            self._end_turn(payload, at, "completed")
        elif kind == "turn_aborted":
            self._end_turn(payload, at, "cancelled")
        elif kind in ("exec_command_end", "patch_apply_end", "item_completed"):
            self._tool_end(payload)

    def _prompt(self, at: int) -> None:
        session = self._start(at)
        self._points.append(PointFact("prompt", session.id, f"{session.id}:{at}", at))
        self._asked_at = at

    def _tool_end(self, payload: Payload) -> None:
        item = payload.item
        tool = self._tools.get(identifier(item.id if item else payload.call_id) or "")
        if tool is None:
            return
        code = count(item.exit_code if item else payload.exit_code)
        status = item.status if item else payload.status
        if (item.exit_code if item else payload.exit_code) not in (0, None):
            _fail(tool, "exit_code")
        elif payload.success is False or status == "failed":
            _fail(tool, "tool_error")
        elif status == "declined":
            _fail(tool, "rejected")
        if code == 0:
            tool.bound["exit_code"] = 0

    # -- usage --------------------------------------------------------------------------------

    def _count(self, info: Any, at: int) -> None:
        """Take a ``token_count``, unless it repeats the record before it, or the last one."""
        if not isinstance(info, dict):
            return
        total, recorded = info.get("total_token_usage"), self._recorded
        self._recorded = False
        if recorded or (total is not None and total == self._total):
            self._total = total
            return
        self._total = total
        self._usage(info.get("last_token_usage"), at, None, total)

    def _usage(self, value: Any, at: int, response: str | None, total: Any = None) -> None:
        usage = _usage_fact(value)
        if usage is None:
            return
        session = self._start(at)
        amount = total.get("total_tokens") if isinstance(total, dict) else None
        mark = response or f"{session.id}:{at}:{amount}"
        last = self._said[-1] if self._said else at
        call = CallFact(
            session.id, response, [], [mark], [], [at], self._asked_at, last, last, self._model, self._model, usage,
            Quality.FINAL if usage.whole else Quality.PARTIAL, bound={}, followed=True, tools=self._open,
        )  # fmt: skip
        self._close(call)

    def _close(self, call: CallFact) -> None:
        if call.start is not None:
            call.start = min(call.start, call.first)
        if self._turn:
            call.bound["turn_id"] = self._turn
        if call.message_id:
            call.bound["response_id"] = call.message_id
        self._calls.append(call)
        self._open, self._said = [], []

    def _end_turn(self, payload: Payload, at: int, status: str) -> None:
        session = self._start(at)
        session.status, session.status_at = status, at
        if self._said and (self._open or status == "cancelled"):  # the model answered, and its usage is in no line
            mark = f"{session.id}:{self._said[0]}"
            call = CallFact(
                session.id, None, [], [mark], [], [], self._asked_at, self._said[0], self._said[-1], self._model,
                self._model, status="cancelled" if status == "cancelled" else "success", bound={}, followed=True,
                tools=self._open,
            )  # fmt: skip
            self._close(call)
        self._said = []
        calls = self._calls[self._turn_start :]
        first_token = milliseconds(payload.time_to_first_token_ms)
        if calls and first_token is not None:
            calls[0].bound["time_to_first_token_ms"] = first_token
        duration = milliseconds(payload.duration_ms)
        if calls and duration is not None:
            calls[-1].bound["turn_duration_ms"] = duration

    # -- the result ---------------------------------------------------------------------------

    def facts(self) -> FileFacts:
        """Return everything that the rollout shows."""
        session = self._session
        if session is None:
            return FileFacts([], [], [], [])
        calls, points = self._calls, self._points
        if self._replaying:  # without the line that ends the history, its times tell it: they are all the same
            calls = [call for call in calls if call.last > self._began + _BURST]
            points = [point for point in points if point.at > self._began + _BURST]
        if calls:
            session.model, session.model_at = calls[0].model, calls[0].first
        return FileFacts([session], calls, points, [])


def _fail(tool: ToolFact, error_type: str) -> None:
    tool.failed = True
    tool.bound["error_type"] = error_type


def _parent(source: Any) -> str | None:
    """Return the thread that spawned a sub-agent."""
    sub_agent = source.get("subagent") if isinstance(source, dict) else None
    spawn = sub_agent.get("thread_spawn") if isinstance(sub_agent, dict) else None
    return identifier(spawn.get("parent_thread_id")) if isinstance(spawn, dict) else None


def _usage_fact(value: Any) -> UsageFact | None:
    """Return the tokens. The prompt includes cached tokens, and the answer reasoning, as OpenAI counts them."""
    if not isinstance(value, dict):
        return None
    prompt, output = count(value.get("input_tokens")), count(value.get("output_tokens"))
    if prompt is None and output is None:
        return None
    return UsageFact(
        prompt=prompt or 0,
        completion=output or 0,
        cache_read=count(value.get("cached_input_tokens")),
        cache_write=count(value.get("cache_write_input_tokens")),
        reasoning=count(value.get("reasoning_output_tokens")),
        whole=prompt is not None and output is not None,
    )
