"""Reads a Claude Code transcript: lines in, small typed entries out.

An entry has ids, times, counts and names only. This module looks at prompts, answers and tool payloads to tell an
interrupt from a prompt. It puts none of them into an entry or into the message of a problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from bamboo_logmetrics.events import TokenUsage
from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.importers.base import ImportReport

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z_]{1,40}")
_SEPARATOR = re.compile(r"[\\/]")

_LONGEST_ID = 200  # characters
_LARGEST_COUNT = 2**53  # the largest integer that every JSON reader holds exactly; real counts are far smaller
_HTTP_STATUS = range(100, 600)
_REPORT_BYTES = 1 << 16  # progress is reported each time that so many were read

_MESSAGES = ("user", "assistant")
_INTERRUPT = "[Request interrupted by user"
_FOR_TOOL_USE = "for tool use"
# Commands that the CLI answered itself (/model, /exit, !ls) went to no model. A slash command that is a prompt starts
# with <command-message> instead, and counts.
_LOCAL = ("<command-name>", "<local-command-", "<bash-")
_NOT_WRITTEN_BY_THE_USER = ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")


class UnusableEntryError(Exception):
    """An entry cannot be used. The message gives the reason and quotes nothing of its content."""


class Marker(Enum):
    """The meaning of an entry for its session, besides its answer and its tool results."""

    NONE = "none"
    PROMPT = "prompt"
    TOOL_INTERRUPT = "the user stopped a tool; the model had finished"
    INTERRUPT = "the user stopped the model"
    API_ERROR = "a request failed and may be tried again"
    GAVE_UP = "a request failed for good"


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of an API message: one content block, and the usage of the message so far."""

    message_id: str
    model: str
    usage: TokenUsage | None
    final: bool  # True with a stop reason, which comes with the final output count in one event of the stream
    tools: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One record of the tree of the conversation, without its content."""

    at: datetime
    uuid: str
    parent: str | None
    session_id: str
    is_sidechain: bool
    agent_id: str | None
    version: str | None
    project: str | None
    marker: Marker = Marker.NONE
    cause: str | None = None
    interrupted: str | None = None
    results: tuple[tuple[str, bool], ...] = ()
    answer: Answer | None = None
    inner: TranscriptEntry | None = None


def read_entries(path: Path, report: ImportReport) -> Iterator[TranscriptEntry]:
    """Yield the entries of a transcript in the order of the file, and report what cannot be used as a problem."""
    for number, raw in _lines(path, report):
        values, fault = split(raw)
        for value in values:
            try:
                entry = parse(value)
            except UnusableEntryError as error:
                report.problem(path, str(error), number)
            else:
                if entry:
                    yield entry
        if fault:
            report.problem(path, fault, number)


def _lines(path: Path, report: ImportReport) -> Iterator[tuple[int, bytes]]:
    pending = 0
    with path.open("rb") as file:  # as bytes: str.splitlines would also split at U+2028 within a text
        for number, raw in enumerate(file, 1):
            yield number, raw
            pending += len(raw)
            if pending >= _REPORT_BYTES:
                report.progress(pending)
                pending = 0
    report.progress(pending)


def split(raw: bytes) -> tuple[list[Any], str]:
    """Return the JSON values of one line, and the fault of the rest of the line or ``""``.

    A few lines of real transcripts hold two objects, and the last line may be incomplete.
    """
    values: list[Any] = []
    at = 0
    try:
        text = raw.decode("utf-8-sig")
        while (at := _skip_space(text, at)) < len(text):
            value, at = _DECODER.raw_decode(text, at)
            values.append(value)
    except UnicodeDecodeError:
        return values, "not UTF-8"
    except (ValueError, RecursionError) as error:
        return values, f"not JSON at column {getattr(error, 'pos', at) + 1}"
    return values, ""


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def parse(value: Any) -> TranscriptEntry | None:
    """Return the entry of a JSON value, or None for a kind that is ignored. Raises UnusableEntryError."""
    line = _object(value, "the line")
    kind = _label(line.get("type")) or ""
    missing = [key for key in ("uuid", "timestamp", "sessionId") if line.get(key) is None]
    if missing and kind not in _CONTENT:
        return None  # file-history-snapshot, summary, mode ...: outside the tree of the conversation
    if missing:
        msg = f"{kind} line without {missing[0]}"
        raise UnusableEntryError(msg)
    return TranscriptEntry(
        at=_time(line["timestamp"]),
        uuid=_id(line, "uuid"),
        parent=_id(line, "parentUuid") if line.get("parentUuid") is not None else None,
        session_id=_id(line, "sessionId"),
        is_sidechain=line.get("isSidechain") is True,
        agent_id=_id(line, "agentId") if line.get("agentId") is not None else None,
        version=_label(line.get("version")),
        project=_base_name(line.get("cwd")),
        **_CONTENT.get(kind, _nothing)(line),
    )


def _nothing(_: dict[str, Any]) -> dict[str, Any]:
    return {}  # attachments and the like: a round may start at their time


def _user(line: dict[str, Any]) -> dict[str, Any]:
    content = _object(line.get("message"), "message").get("content")
    blocks = _blocks([{"type": "text", "text": content}] if isinstance(content, str) else content)
    results = [block for block in blocks if block.get("type") == "tool_result"]
    texts = [_text(block) for block in blocks if block.get("type") != "tool_result"]
    interrupted = _label(line.get("interruptedMessageId"))
    return {
        "marker": Marker.INTERRUPT if interrupted and not any(texts) else _marker(line, texts),
        "interrupted": interrupted,
        "results": tuple((_id(block, "tool_use_id"), block.get("is_error") is True) for block in results),
    }


def _marker(line: dict[str, Any], texts: list[str]) -> Marker:
    for text in texts:
        if text.startswith(_INTERRUPT):
            return Marker.TOOL_INTERRUPT if _FOR_TOOL_USE in text[:80] else Marker.INTERRUPT
    if any(line.get(mark) is True for mark in _NOT_WRITTEN_BY_THE_USER):
        return Marker.NONE
    written = any(text and not text.startswith(_LOCAL) for text in texts)
    return Marker.PROMPT if written else Marker.NONE


def _text(block: dict[str, Any]) -> str:
    if block.get("type") != "text":
        return "an image or a document"
    text = block.get("text")
    return text if isinstance(text, str) else ""


def _assistant(line: dict[str, Any]) -> dict[str, Any]:
    message = _object(line.get("message"), "message")
    if line.get("isApiErrorMessage") is True:
        return {"marker": Marker.GAVE_UP, "cause": _cause(line)}
    if message.get("model") == "<synthetic>":
        return {}  # "No response requested.": written by the CLI, no model was called
    content = message.get("content")
    blocks = [] if isinstance(content, str) else _blocks(content)
    tools = [block for block in blocks if block.get("type") == "tool_use"]
    answer = Answer(
        message_id=_id(message, "id"),
        model=_id(message, "model"),
        usage=_usage(message.get("usage")),
        final=message.get("stop_reason") is not None,
        tools=tuple((_id(block, "id"), _id(block, "name")) for block in tools),
    )
    return {"answer": answer}


def _system(line: dict[str, Any]) -> dict[str, Any]:
    if line.get("subtype") != "api_error":
        return {}
    return {"marker": Marker.API_ERROR, "cause": _cause(line)}


def _progress(line: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a sub-agent within a line of an older CLI."""
    data = line.get("data")
    if not isinstance(data, dict) or data.get("type") != "agent_progress":
        return {}
    inner = _object(data.get("message"), "data.message")
    if inner.get("type") not in _MESSAGES:
        return {}
    agent = _id(data, "agentId") if "agentId" in data else _id(line, "parentToolUseID")
    shared = {key: line.get(key) for key in ("sessionId", "version", "cwd")}
    return {"inner": parse({**inner, **shared, "agentId": agent})}


_CONTENT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "user": _user,
    "assistant": _assistant,
    "system": _system,
    "progress": _progress,
}


def _usage(value: Any) -> TokenUsage | None:
    """Return the tokens. The prompt includes the cached tokens, which Anthropic counts separately."""
    if value is None:
        return None
    usage = _object(value, "message.usage")
    fresh, output = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    if fresh is None or output is None:
        return None
    written, cached = _count(usage, "cache_creation_input_tokens"), _count(usage, "cache_read_input_tokens")
    prompt = fresh + (written or 0) + (cached or 0)
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=output,
        total_tokens=prompt + output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )


def _count(usage: dict[str, Any], key: str) -> int | None:
    value = usage.get(key)
    if value is None:
        return None
    if type(value) is int and 0 <= value <= _LARGEST_COUNT:
        return value
    msg = f"message.usage.{key} is not a count"
    raise UnusableEntryError(msg)


def _cause(line: dict[str, Any]) -> str:
    """Return status and type of an API error, such as ``529 overloaded_error``, without its text."""
    status, word = line.get("apiErrorStatus"), None
    error = line.get("error")
    while isinstance(error, dict):
        connection = error.get("connection")
        status = error.get("status", status)
        word = connection.get("code") if isinstance(connection, dict) else error.get("type", word)
        error = error.get("error")
    word = error or word
    parts = [str(status)] if type(status) is int and status in _HTTP_STATUS else []
    if isinstance(word, str) and _WORD.fullmatch(word):
        parts.append(word)
    return " ".join(parts) or "api_error"


def _object(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    msg = f"{name} is not a JSON object"
    raise UnusableEntryError(msg)


def _blocks(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [_object(block, "a content block") for block in value]
    msg = "message.content is neither text nor a list"
    raise UnusableEntryError(msg)


def _id(owner: dict[str, Any], key: str) -> str:
    """Return an id or a name. A printable text has no lone surrogates, which UTF-8 cannot hold."""
    if label := _label(owner.get(key)):
        return label
    msg = f"{key} is not a text of 1 to {_LONGEST_ID} printable characters"
    raise UnusableEntryError(msg)


def _label(value: Any) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable():
        return value
    return None


def _base_name(cwd: Any) -> str | None:
    """Return the last part of a POSIX or Windows path; the rest is private."""
    return _label(_SEPARATOR.split(cwd.rstrip("\\/"))[-1]) if isinstance(cwd, str) else None


def _time(value: Any) -> datetime:
    try:
        return parse_utc(value)
    except ValueError:
        msg = "timestamp is not a time such as 2026-11-22T15:47:13.417Z"
        raise UnusableEntryError(msg) from None
