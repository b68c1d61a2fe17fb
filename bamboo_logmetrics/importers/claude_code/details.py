"""Names and ids of a line that are bound to its events."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from bamboo_logmetrics.importers.claude_code.records import Block, Line, Message, decode_object
from bamboo_logmetrics.importers.facts import Quality, SessionFact, UsageFact
from bamboo_logmetrics.importers.values import branch, identifier, label

_META_BYTES = 65_536


def quality_of(usage: UsageFact | None, message: Message) -> int:
    """Return the quality of a line's usage. The stop reason comes with the final output count of the stream."""
    if usage is None:
        return Quality.MISSING
    return Quality.FINAL if message.stop_reason is not None and usage.whole else Quality.PARTIAL


def extend(session: SessionFact, *times: int) -> None:
    """Let a session include more times."""
    session.start, session.end = min(session.start, *times), max(session.end, *times)


def origin_of(line: Line, root: str) -> str | None:
    """Return the session that a line was copied from, if it says so."""
    forked = line.forkedFrom.get("sessionId") if isinstance(line.forkedFrom, dict) else None
    for value in (forked, line.requestSessionId):
        origin = identifier(value)
        if origin and origin != root:
            return origin
    return None


def call_values(line: Line) -> dict[str, Any]:
    """Return the values of a line that are bound to its event, besides those of its session."""
    values = (line.version, line.gitBranch, line.attributionSkill, line.attributionPlugin)
    try:
        return _call_values(*values).copy()
    except TypeError:  # a value that is no text, and cannot be looked up
        return _call_values(*(value if isinstance(value, str) else None for value in values)).copy()


@lru_cache(maxsize=256)
def _call_values(version: Any, git_branch: Any, skill: Any, plugin: Any) -> dict[str, Any]:
    values = {
        "client_version": label(version),
        "git_branch": branch(git_branch),
        "skill": label(skill),
        "plugin": label(plugin),
    }
    return {key: value for key, value in values.items() if value is not None}


def tool_values(name: str, block: Block, line: Line) -> dict[str, Any]:
    """Return the values that are bound to a tool call: also its MCP server or its skill."""
    bound = call_values(line)
    if name.startswith("mcp__") and (server := name.removeprefix("mcp__").partition("__")[0]):
        bound["mcp_server"] = server
    if name == "Skill":
        skill = decode_object(block.input, _SKILL_INPUT)
        if skill is not None and (chosen := label(skill.skill) or label(skill.command)):
            bound["skill"] = chosen
    return bound


class _SkillInput(msgspec.Struct):
    skill: Any = None
    command: Any = None


_SKILL_INPUT = msgspec.json.Decoder(_SkillInput)


def agent_file(path: Path) -> dict[str, Any]:
    """Return the values of a sub-agent from the file beside its own."""
    name = path.name.split(".jsonl")[0]
    if not name.startswith("agent-"):
        return {}
    try:
        with path.with_name(f"{name}.meta.json").open("rb") as file:
            values = msgspec.json.decode(file.read(_META_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    if not isinstance(values, dict):
        return {}
    known = {"agent_type": label(values.get("agentType")), "parent_tool_call_id": identifier(values.get("toolUseId"))}
    return {key: value for key, value in known.items() if value is not None}
