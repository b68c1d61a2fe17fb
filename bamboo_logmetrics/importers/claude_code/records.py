"""Decodes the lines of a Claude Code transcript; content that no event needs is skipped, not decoded.

A line that has the usual form is decoded in one step. Any other line, with two objects, a torn one before a whole one
or a field of another type, is read value by value: what can be read counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.sources import lines_of

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
# the keys with which records of a transcript begin; a whole record may follow a torn one on its line
_BEGINNING = re.compile(
    r'\{\s*"(?:type|parentUuid|uuid|sessionId|logicalParentUuid|isSidechain|timestamp|message|agentId|cwd|version|leafUuid)"\s*:'
)
_TRIES = 200
_NOTHING = Raw(b"")


class Block(msgspec.Struct):
    """One block of a message's content."""

    type: Any = None
    id: Any = None
    name: Any = None
    tool_use_id: Any = None
    is_error: Any = None
    text: Raw = _NOTHING
    input: Raw = _NOTHING
    content: Raw = _NOTHING


class Usage(msgspec.Struct):
    """The usage of an API message, or of one of its iterations."""

    type: Any = None
    model: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation: Any = None
    output_tokens_details: Any = None
    server_tool_use: Any = None
    service_tier: Any = None
    speed: Any = None
    iterations: Raw = _NOTHING


class Message(msgspec.Struct):
    """An API message."""

    id: Any = None
    model: Any = None
    stop_reason: Any = None
    content: list[Block | str] | str | None = None
    usage: Usage | None = None


class Nested(msgspec.Struct):
    """A record of a sub-agent within a line of its parent."""

    type: Any = None
    uuid: Any = None
    timestamp: Any = None
    requestId: Any = None  # noqa: N815
    isMeta: Any = None  # noqa: N815
    message: Message | None = None
    toolUseResult: Raw = _NOTHING  # noqa: N815


class Progress(msgspec.Struct):
    """The payload of a progress line."""

    type: Any = None
    agentId: Any = None  # noqa: N815
    message: Nested | None = None


class Attachment(msgspec.Struct):
    """The payload of an attachment; of a queued prompt, where it came from."""

    type: Any = None
    commandMode: Any = None  # noqa: N815
    origin: Any = None
    promptSource: Any = None  # noqa: N815
    isMeta: Any = None  # noqa: N815
    prompt: Raw = _NOTHING


class Line(msgspec.Struct):
    """One record of a transcript, under its own keys."""

    type: Any = None
    subtype: Any = None
    uuid: Any = None
    parentUuid: Any = None  # noqa: N815
    sessionId: Any = None  # noqa: N815
    timestamp: Any = None
    version: Any = None
    cwd: Any = None
    gitBranch: Any = None  # noqa: N815
    entrypoint: Any = None
    isSidechain: Any = None  # noqa: N815
    agentId: Any = None  # noqa: N815
    parentToolUseID: Any = None  # noqa: N815
    requestId: Any = None  # noqa: N815
    requestedModel: Any = None  # noqa: N815
    requestSessionId: Any = None  # noqa: N815
    forkedFrom: Any = None  # noqa: N815
    attributionAgent: Any = None  # noqa: N815
    attributionSkill: Any = None  # noqa: N815
    attributionPlugin: Any = None  # noqa: N815
    isMeta: Any = None  # noqa: N815
    isCompactSummary: Any = None  # noqa: N815
    isVisibleInTranscriptOnly: Any = None  # noqa: N815
    interruptedMessageId: Any = None  # noqa: N815
    isApiErrorMessage: Any = None  # noqa: N815
    apiErrorStatus: Any = None  # noqa: N815
    error: Any = None
    retryAttempt: Any = None  # noqa: N815
    retryInMs: Any = None  # noqa: N815
    durationMs: Any = None  # noqa: N815
    compactMetadata: Any = None  # noqa: N815
    promptId: Any = None  # noqa: N815
    promptSource: Any = None  # noqa: N815
    origin: Any = None
    permissionDecision: Any = None  # noqa: N815
    message: Message | None = None
    data: Progress | None = None
    attachment: Attachment | None = None
    toolUseResult: Raw = _NOTHING  # noqa: N815


class ToolResult(msgspec.Struct):
    """The details of a tool's result."""

    agentId: Any = None  # noqa: N815
    agentType: Any = None  # noqa: N815
    status: Any = None
    isAsync: Any = None  # noqa: N815
    resolvedModel: Any = None  # noqa: N815
    totalDurationMs: Any = None  # noqa: N815
    durationMs: Any = None  # noqa: N815
    usage: Usage | None = None


TOOL_RESULT = msgspec.json.Decoder(ToolResult)

_TYPES_WITHOUT_SESSION = ("summary", "file-history-snapshot")
_TYPES = ("user", "assistant", "system", "progress", "attachment", "mode", "queue-operation", *_TYPES_WITHOUT_SESSION)

_LINE = msgspec.json.Decoder(Line)
_INNER: dict[str, type[msgspec.Struct]] = {
    "message": Message,
    "data": Progress,
    "attachment": Attachment,
    "usage": Usage,
}


def read_records(path: Path, report: ImportReport, *, growing: bool = False) -> Iterator[Line]:
    """Yield the records of a transcript in the order of the file, and report what cannot be read as a problem.

    Args:
        path: the file.
        report: collects problems and progress.
        growing: True if the file may be written to at this moment; then an unfinished last line is no problem.
    """
    for number, raw in lines_of(path, report):
        try:
            yield _LINE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            values, fault = split(raw)
            yield from map(_fit_line, values)
            if fault and not (growing and not raw.endswith(b"\n")):
                report.problem(path, fault, number)


def is_record(line: Line) -> bool:
    """Return True for a record of a transcript, and False for one of another tool."""
    return line.type in _TYPES and (line.sessionId is not None or line.type in _TYPES_WITHOUT_SESSION)


def may_be_record(line: Line) -> bool:
    """Return True for a record of a transcript, also for one that has lost the id of its session."""
    return line.type in _TYPES and (line.uuid is not None or is_record(line))


def split(raw: bytes) -> tuple[list[dict[str, Any]], str]:
    """Return the JSON objects of one line, and the fault of what is left out or ``""``."""
    values: list[dict[str, Any]] = []
    fault = ""
    at = 0
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return values, "not UTF-8"
    while (at := _skip_space(text, at)) < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            fault = fault or f"not JSON at column {getattr(error, 'pos', at) + 1}"
            whole, at = _whole_record_after(text, at)
            values += whole
            continue
        if isinstance(value, dict):
            values.append(value)
        else:
            fault = fault or "the line is not a JSON object"
        at = end
    return values, fault


def _whole_record_after(text: str, at: int) -> tuple[list[dict[str, Any]], int]:
    """Return the record behind a torn one, and where the rest of the line begins."""
    for tries, match in enumerate(_BEGINNING.finditer(text, at + 1)):
        if tries == _TRIES:
            break
        try:
            value, end = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        behind = _skip_space(text, end)
        if isinstance(value.get("type"), str) and (behind == len(text) or text[behind] == "{") and "sessionId" in value:
            return [value], end
    return [], len(text)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _fit_line(value: dict[str, Any]) -> Line:
    line: Line = _fit(value, Line)
    return line


def _fit(value: dict[str, Any], cls: type[Any]) -> Any:
    """Return a Struct of what fits of an object; the rest is left out."""
    fields: dict[str, Any] = {}
    for name in cls.__struct_fields__:
        if name not in value:
            continue
        item = value[name]
        inner = Nested if cls is Progress and name == "message" else _INNER.get(name)
        if isinstance(getattr(cls(), name), Raw):
            fields[name] = Raw(json.dumps(item).encode())
        elif inner and cls is not Block:
            fields[name] = _fit(item, inner) if isinstance(item, dict) else None
        elif cls is Message and name == "content":
            fields[name] = _fit_content(item)
        else:
            fields[name] = item
    return cls(**fields)


def _fit_content(item: Any) -> list[Block | str] | str | None:
    if isinstance(item, list):
        return [
            _fit(block, Block) if isinstance(block, dict) else block for block in item if isinstance(block, (dict, str))
        ]
    return item if isinstance(item, str) else None


def nested_line(inner: Nested, line: Line) -> Line:
    """Return the record of a sub-agent with what the line around it tells of its place."""
    return Line(
        type=inner.type,
        requestId=inner.requestId,
        isMeta=inner.isMeta,
        message=inner.message,
        version=line.version,
        cwd=line.cwd,
        gitBranch=line.gitBranch,
        entrypoint=line.entrypoint,
        toolUseResult=inner.toolUseResult,
    )


def decode_text(raw: Raw) -> str:
    """Return a text that was skipped at first; ``""`` if it is none."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return value if isinstance(value, str) else ""


def decode_object(raw: Raw, decoder: Any) -> Any:
    """Return a Struct of what fits of an object that was skipped at first; None if it is none."""
    if bytes(memoryview(raw)[:1]) != b"{":
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        values, _ = split(bytes(raw))
        return _fit(values[0], decoder.type) if values else None
