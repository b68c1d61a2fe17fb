"""Events of mini-swe-agent trajectories, with the times of the trajectory.

A session is the instance that was worked on. An answer of the model carries the provider's own response; its time is
the end of the call.
"""

from __future__ import annotations

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
_LOOKED_AT = 65_536  # bytes at the beginning of a file


class Response(msgspec.Struct):
    """The provider's response."""

    id: Any = None
    model: Any = None
    created: Any = None
    usage: Any = None


class Extra(msgspec.Struct):
    """The values that the agent adds to a message."""

    timestamp: Any = None
    returncode: Any = None
    cost: Any = None
    exit_status: Any = None
    response: Response | None = None


class Function(msgspec.Struct):
    """The function of a tool call."""

    name: Any = None


class Use(msgspec.Struct):
    """A tool call within an answer."""

    id: Any = None
    function: Function | None = None


class Message(msgspec.Struct):
    """A message of a trajectory."""

    role: Any = None
    tool_call_id: Any = None
    tool_calls: list[Use] | None = None
    extra: Extra | None = None


class Info(msgspec.Struct):
    """The result of a trajectory."""

    exit_status: Any = None
    mini_version: Any = None


class Trajectory(msgspec.Struct):
    """A whole trajectory."""

    info: Info | None = None
    messages: list[Message] = []
    instance_id: Any = None
    trajectory_format: Any = None


_TRAJECTORY = msgspec.json.Decoder(Trajectory)


class MiniSweAgent(CataloguedImporter):
    """Trajectories of mini-swe-agent."""

    name = "mini-swe-agent"
    agent = "mini-swe-agent"
    help = (
        "Import mini-swe-agent trajectories: rounds, tool calls and tokens, with their times, but without their texts."
    )
    patterns = with_compressed(("*.traj.json",))
    usual_path = "trajectories"

    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:  # noqa: ARG002
        """Return the facts of a trajectory."""
        raw = b"".join(line for _, line in lines_of(path, report))
        try:
            trajectory = _TRAJECTORY.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            report.problem(path, "not a trajectory", 1)
            return FileFacts([], [], [], [])
        name = identifier(trajectory.instance_id) or identifier(path.name.split(".traj")[0]) or "unknown"
        return _Run(name, trajectory).facts(path.stat().st_mtime_ns // 1000)

    def recognises(self, path: Path) -> bool:
        """Return True if a file begins as a trajectory does, or is none that can be looked at here."""
        try:
            with path.open("rb") as file:
                head = file.read(_LOOKED_AT).lstrip()
        except OSError:
            return True  # it is reported when it is read
        return not path.name.endswith(".json") or head.startswith(b"{")


class _Run:
    def __init__(self, name: str, trajectory: Trajectory) -> None:
        self._name = name
        self._trajectory = trajectory
        self._calls: list[CallFact] = []
        self._points: list[PointFact] = []
        self._tools: dict[str, ToolFact] = {}
        self._times: list[int] = []

    def facts(self, modified: int) -> FileFacts:
        """Return everything that the trajectory shows; without any time in it, at the time of the file."""
        prompts = 0
        for message in self._trajectory.messages:
            extra = message.extra or Extra()
            at = moment(extra.timestamp)
            if message.role == "user" and extra.returncode is None:
                prompts += 1
            elif message.role == "assistant":
                self._answer(message, extra, at)
            elif message.tool_call_id is not None:
                self._result(message, extra, at)
            if at is not None:
                self._times.append(at)
        if not self._times:
            self._times.append(modified)
        start = min([*self._times, *(call.start for call in self._calls if call.start is not None)])
        self._points = [
            PointFact("prompt", self._name, f"{self._name}:{start}:{number}", start) for number in range(prompts)
        ]
        session = self._session(start)
        if session.error is not None and session.error.endswith("Error"):  # the provider's
            bound = {"latency_source": "missing"}
            self._points.append(
                PointFact("request", self._name, f"{self._name}:failed", session.end, session.error, {}, bound)
            )
        return FileFacts([session], self._calls, self._points, [])

    def _session(self, start: int) -> SessionFact:
        info = self._trajectory.info or Info()
        status = label(info.exit_status)
        session = SessionFact(self._name, self._name, start, max(self._times), start, bound={})
        if self._calls:
            session.model, session.model_at = self._calls[0].model, self._calls[0].first
        if version := label(info.mini_version):
            session.bound["client_version"] = version
        if status != "Submitted":
            session.status, session.error = "error", status or "no exit status"
        session.status_at = session.end
        return session

    def _answer(self, message: Message, extra: Extra, at: int | None) -> None:
        response = extra.response or Response()
        created = moment(response.created)
        ended = at if at is not None else created
        if ended is None:
            return
        before = self._times[-1] if self._times else created
        model = label(response.model) or ""
        usage = _usage_fact(response.usage)
        quality = Quality.MISSING if usage is None else Quality.FINAL if usage.whole else Quality.PARTIAL
        name = identifier(response.id)
        call = CallFact(
            self._name, name, [], [name or f"{self._name}:{ended}"], [], [ended],
            None if before is None else min(before, ended), ended, ended, model, model, usage, quality,
            bound={}, followed=True, tools=[],
        )  # fmt: skip
        if type(extra.cost) in (int, float):
            call.bound["cost_usd_estimate"] = extra.cost
        if name:
            call.bound["response_id"] = name
        for use in message.tool_calls or []:
            tool_id, tool = identifier(use.id), label(use.function.name) if use.function else None
            if tool_id and tool and tool_id not in self._tools:
                self._tools[tool_id] = ToolFact(tool_id, tool, ended, bound={})
                call.tools.append(self._tools[tool_id])
        self._calls.append(call)

    def _result(self, message: Message, extra: Extra, at: int | None) -> None:
        tool = self._tools.get(identifier(message.tool_call_id) or "")
        if tool is None or at is None or tool.ended is not None:
            return
        tool.ended = at
        if extra.returncode not in (0, None):
            tool.failed = True
            tool.bound["error_type"] = "exit_code"


def _usage_fact(value: Any) -> UsageFact | None:
    """Return the tokens of a chat completion: cached tokens and reasoning are within the sums."""
    if not isinstance(value, dict):
        return None
    prompt, output = count(value.get("prompt_tokens")), count(value.get("completion_tokens"))
    if prompt is None and output is None:
        return None
    return UsageFact(
        prompt=prompt or 0,
        completion=output or 0,
        cache_read=_part(value.get("prompt_tokens_details"), "cached_tokens"),
        reasoning=_part(value.get("completion_tokens_details"), "reasoning_tokens"),
        whole=prompt is not None and output is not None,
    )


def _part(details: Any, name: str) -> int | None:
    return count(details.get(name)) if isinstance(details, dict) else None


MINI_SWE_AGENT = MiniSweAgent()
