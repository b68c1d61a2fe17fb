"""Made-up transcripts of Claude Code, line by line, and what is imported from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from bamboo_logmetrics import ChatEvent, ForwardEvent, RoundCompleted
from bamboo_logmetrics.importers import IMPORTERS, ImportedEvent, ImportReport, Problem

CLAUDE_CODE = IMPORTERS["claude-code"]
INTERRUPT = "[Request interrupted by user]"
TOOL_INTERRUPT = "[Request interrupted by user for tool use]"

Json = dict[str, Any]
E = TypeVar("E", bound="ChatEvent | ForwardEvent")


def stamp(seconds: float) -> str:
    return f"2026-01-01T00:{int(seconds // 60):02}:{seconds % 60:06.3f}Z"


def moment(seconds: float) -> datetime:
    return datetime(2026, 1, 1, 0, int(seconds // 60), int(seconds % 60), round(seconds % 1 * 1e6), timezone.utc)


def record(kind: str, uuid: str, at: float, parent: str | None = None, **more: Any) -> Json:
    made = {"type": kind, "uuid": uuid, "parentUuid": parent, "timestamp": stamp(at), "sessionId": "s1"}
    return {**made, "version": "2.1.159", "cwd": "/home/ann/work/app", "isSidechain": False, **more}


def user(uuid: str, at: float, content: Any = "do it", parent: str | None = None, **more: Any) -> Json:
    return record("user", uuid, at, parent, message={"role": "user", "content": content}, **more)


def usage(output: Any = 5, **more: Any) -> Json:
    tokens = {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100}
    return {**tokens, "output_tokens": output, **more}


def message(name: str = "m1", *blocks: Json, **more: Any) -> Json:
    made = {"id": name, "model": "opus", "role": "assistant", "content": list(blocks), "stop_reason": "end_turn"}
    return {**made, "usage": usage(), **more}


def answer(uuid: str, at: float, parent: str | None, said: Json, **more: Any) -> Json:
    return record("assistant", uuid, at, parent, message=said, **more)


def tool_use(name: str, tool: str = "Bash") -> Json:
    return {"type": "tool_use", "id": name, "name": tool, "input": {}}


def tool_result(name: str, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": name, "content": "done", **more}


def nested(uuid: str, at: float, inner: Json, parent: str | None = None, **data: Any) -> Json:
    held = {key: inner[key] for key in ("type", "uuid", "timestamp", "message")}
    progress = {"type": "agent_progress", "agentId": "a1", "message": held, **data}
    return record("progress", uuid, at, parent, data=progress, parentToolUseID="t0")


def write(path: Path, *lines: Json | bytes) -> Path:
    raw = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    return path


class Imported:
    """The events and problems of one or more transcripts, imported in one run."""

    def __init__(self, *paths: Path) -> None:
        self.problems: list[Problem] = []
        self.report = ImportReport(self.problems.append)
        self.pairs: list[ImportedEvent] = list(CLAUDE_CODE.read(paths, self.report))

    def all(self, cls: type[E]) -> list[E]:
        """Return the events of a class."""
        return [event for event, _ in self.pairs if isinstance(event, cls)]

    def one(self, cls: type[E]) -> E:
        """Return the only event of a class."""
        (event,) = self.all(cls)
        return event

    def bound(self, cls: type[E], **fields: object) -> dict[str, Any]:
        """Return the values bound to the first event of a class with these fields."""
        return next(
            dict(bound)
            for event, bound in self.pairs
            if isinstance(event, cls) and all(getattr(event, name) == value for name, value in fields.items())
        )

    @property
    def totals(self) -> tuple[int, int]:
        """The number of calls and of their tokens, without iterations."""
        return totals(self.pairs)


def totals(pairs: Iterable[ImportedEvent]) -> tuple[int, int]:
    """Return the number of calls and of their tokens, without iterations."""
    rounds = [event for event, bound in pairs if isinstance(event, RoundCompleted) and "iteration" not in bound]
    return len(rounds), sum(event.usage.total_tokens for event in rounds)
