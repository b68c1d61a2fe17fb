"""The facts that a session file tells, without its texts: what every importer that counts calls hands to the catalog.

Times are whole microseconds since the epoch. A fact is encoded as MessagePack while it waits in the catalog.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

from bamboo_logmetrics.events import TokenUsage


class Quality(IntEnum):
    """The quality of the usage of a call; a better one wins where several files show the call."""

    MISSING = 0
    PARTIAL = 1
    FINAL = 2


class UsageFact(msgspec.Struct, array_like=True, frozen=True):
    """The tokens of a call; ``whole`` is False if a part that belongs to a sum could not be read."""

    prompt: int
    completion: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    whole: bool = True

    def tokens(self) -> TokenUsage:
        """Return the usage for an event."""
        return TokenUsage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            total_tokens=self.prompt + self.completion,
            cache_read_tokens=self.cache_read,
            cache_write_tokens=self.cache_write,
            cache_write_1h_tokens=self.cache_write_1h,
            reasoning_tokens=self.reasoning,
        )


class PartFact(msgspec.Struct, array_like=True):
    """An iteration that is outside the usage of its call, such as that of an advisor."""

    name: str
    model: str
    usage: UsageFact | None


class ToolFact(msgspec.Struct, array_like=True):
    """A tool call; ``ended`` is None without a result."""

    id: str
    name: str
    at: int
    ended: int | None = None
    failed: bool = False
    bound: dict[str, Any] = {}


class CallFact(msgspec.Struct, array_like=True):
    """A model call, as one file shows it under one session.

    Args:
        session: the id of the session.
        message_id: the id of the answer, if it has one.
        request_ids: the provider's ids of the request.
        lines: the ids of the lines that hold the answer.
        parents: the ids of the lines before those; used to find the other half of a call that is split over two files.
        times: the times of its lines.
        start: the time of the line that the call answers; None if it is not in the file.
        first, last: the times of the first and the last line.
        model: the model that served it.
        asked: the model that its first line names.
        status, error: the end of the round.
        parts: iterations outside its usage.
        origin: the session that the call was copied from, if the file names it.
        agent: the id of the sub-agent that made it, for a call that only a result describes.
        described: True if only a result describes the call, and no line of its own.
        followed: True if a later line shows that the call has ended.
        used_tools: True if it asked for tools, so that the model was called again behind it.
        holds: by file, the time of the last change, while the call may still grow there.
        files: the files that show it.
        tools: its tool calls.
        begins: True if its file shows what it answers, so that no line of it stands before.
    """

    session: str
    message_id: str | None
    request_ids: list[str]
    lines: list[str]
    parents: list[str]
    times: list[int]
    start: int | None
    first: int
    last: int
    model: str
    asked: str
    usage: UsageFact | None = None
    quality: int = Quality.MISSING
    status: str = "success"
    error: str | None = None
    bound: dict[str, Any] = {}
    parts: list[PartFact] = []
    origin: str | None = None
    agent: str | None = None
    described: bool = False
    followed: bool = False
    used_tools: bool = False
    holds: dict[int, int] = {}
    files: list[int] = []
    tools: list[ToolFact] = []
    begins: bool = False


class PointFact(msgspec.Struct, array_like=True):
    """Something that happened at one time: a prompt, a failed request, or a note.

    Args:
        kind: ``prompt``, ``request`` or ``note``.
        id: an id that copies of it have too.
        text: the error of a request, the text of a note.
        fields: further values: of a request ``status_code``, ``latency_ms`` and ``status``.
    """

    kind: str
    session: str
    id: str
    at: int
    text: str | None = None
    fields: dict[str, Any] = {}
    bound: dict[str, Any] = {}
    origin: str | None = None


class SessionFact(msgspec.Struct, array_like=True):
    """A session, as one file shows it.

    Args:
        root: the session of the person; of a sub-agent another than its own.
        start, end: the first and the last time.
        earliest: the time of its earliest line; its first call may have begun before that.
        own_at: the first time of a line that is never copied to another session.
        model: the model of its first call.
        status, error, status_at: its end, and the time of the line that decided it.
        forked_from: the session it was copied from, if the file names it.
        implied: True if this file only mentions the session and shows nothing of it.
    """

    id: str
    root: str
    start: int
    end: int
    earliest: int
    own_at: int | None = None
    model: str = ""
    model_at: int = 0
    status: str = "completed"
    error: str | None = None
    status_at: int = -1
    forked_from: str | None = None
    implied: bool = False
    bound: dict[str, Any] = {}


class FileFacts(msgspec.Struct):
    """Everything that one file shows; ``results`` are results of tools whose use stands in another file."""

    sessions: list[SessionFact]
    calls: list[CallFact]
    points: list[PointFact]
    results: list[ToolFact]
