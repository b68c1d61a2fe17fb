"""Reading a Claude Code transcript: lines in, small typed records out.

A record carries ids, times, counts and names only. Prompts, answers and tool payloads are
looked at here, to tell an interrupt from a prompt, and go no further: not into a record, not
into a problem's message.
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

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z_]{1,40}")
_SEPARATOR = re.compile(r"[\\/]")

_LONGEST_ID = 200
_LARGEST_COUNT = 2**53  # what JSON numbers hold exactly; nothing real comes near
_HTTP_STATUS = range(100, 600)
_REPORT_BYTES = 1 << 16

_MESSAGES = ("user", "assistant")
_INTERRUPT = "[Request interrupted by user"
_FOR_TOOL_USE = "for tool use"
# Commands that the CLI answered by itself (/model, /exit, !ls): nobody sent them to a model. A
# slash command that is a prompt starts with <command-message> instead, and counts.
_LOCAL = ("<command-name>", "<local-command-", "<bash-")
_NOT_WRITTEN_BY_THE_USER = ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was skipped, or the part of it that was."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class BrokenRecordError(Exception):
    """A record cannot be used; the text says why and holds nothing of its content."""


class Said(Enum):
    """What a record means for its session, beside its answer and its tool results."""

    NOTHING = "nothing"
    PROMPT = "prompt"
    TOOL_INTERRUPT = "the user stopped a tool; the model had finished"
    INTERRUPT = "the user stopped the model"
    API_ERROR = "a request failed and may be tried again"
    GAVE_UP = "a request failed for good"


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of an API message: one content block, and the message's usage so far."""

    message_id: str
    model: str
    usage: TokenUsage | None
    final: bool  # a stop reason comes with the final output count, in one event of the stream
    tools: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One record of the conversation tree, without its content."""

    at: datetime
    uuid: str
    parent: str | None
    session_id: str
    is_sidechain: bool
    agent_id: str | None
    version: str | None
    project: str | None
    said: Said = Said.NOTHING
    cause: str | None = None
    interrupted: str | None = None
    results: tuple[tuple[str, bool], ...] = ()
    answer: Answer | None = None
    inner: TranscriptEntry | None = None


def read(
    path: Path, on_problem: Callable[[Problem], None], on_progress: Callable[[int], None]
) -> Iterator[TranscriptEntry]:
    """Yield the records of a transcript in file order; what cannot be used is a problem."""
    for number, raw in _lines(path, on_progress):
        objects, fault = split(raw)
        for found in objects:
            try:
                record = parse(found)
            except BrokenRecordError as broken:
                on_problem(Problem(path, number, str(broken)))
            else:
                if record:
                    yield record
        if fault:
            on_problem(Problem(path, number, fault))


def _lines(path: Path, on_progress: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    pending = 0
    with path.open("rb") as file:  # bytes: str.splitlines would also cut at U+2028 within a text
        for number, raw in enumerate(file, 1):
            yield number, raw
            pending += len(raw)
            if pending >= _REPORT_BYTES:
                on_progress(pending)
                pending = 0
    on_progress(pending)


def split(raw: bytes) -> tuple[list[Any], str]:
    """Return the JSON values of one line, and what is wrong with the rest of it or ``""``.

    Real transcripts have a few lines of two objects, and a last line that is still being written.
    """
    objects: list[Any] = []
    at = 0
    try:
        text = raw.decode("utf-8-sig")
        while (at := _skip_space(text, at)) < len(text):
            found, at = _DECODER.raw_decode(text, at)
            objects.append(found)
    except UnicodeDecodeError:
        return objects, "not UTF-8"
    except (ValueError, RecursionError) as error:
        return objects, f"not JSON at column {getattr(error, 'pos', at) + 1}"
    return objects, ""


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def parse(found: Any) -> TranscriptEntry | None:
    """Return the record of a JSON value, None for a kind that is ignored; raises BrokenRecordError."""
    line = _object(found, "the line")
    kind = _label(line.get("type")) or ""
    missing = [key for key in ("uuid", "timestamp", "sessionId") if line.get(key) is None]
    if missing and kind not in _CONTENT:
        return None  # file-history-snapshot, summary, mode ...: outside the tree of the conversation
    if missing:
        msg = f"{kind} line without {missing[0]}"
        raise BrokenRecordError(msg)
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
    return {}  # attachments and the like: their time can be where a round started


def _user(line: dict[str, Any]) -> dict[str, Any]:
    content = _object(line.get("message"), "message").get("content")
    blocks = _blocks([{"type": "text", "text": content}] if isinstance(content, str) else content)
    results = [block for block in blocks if block.get("type") == "tool_result"]
    texts = [_text(block) for block in blocks if block.get("type") != "tool_result"]
    interrupted = _label(line.get("interruptedMessageId"))
    return {
        "said": Said.INTERRUPT if interrupted and not any(texts) else _said(line, texts),
        "interrupted": interrupted,
        "results": tuple((_id(block, "tool_use_id"), block.get("is_error") is True) for block in results),
    }


def _said(line: dict[str, Any], texts: list[str]) -> Said:
    for text in texts:
        if text.startswith(_INTERRUPT):
            return Said.TOOL_INTERRUPT if _FOR_TOOL_USE in text[:80] else Said.INTERRUPT
    if any(line.get(mark) is True for mark in _NOT_WRITTEN_BY_THE_USER):
        return Said.NOTHING
    written = any(text and not text.startswith(_LOCAL) for text in texts)
    return Said.PROMPT if written else Said.NOTHING


def _text(block: dict[str, Any]) -> str:
    if block.get("type") != "text":
        return "an image or a document"
    text = block.get("text")
    return text if isinstance(text, str) else ""


def _assistant(line: dict[str, Any]) -> dict[str, Any]:
    message = _object(line.get("message"), "message")
    if line.get("isApiErrorMessage") is True:
        return {"said": Said.GAVE_UP, "cause": _cause(line)}
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
    return {"said": Said.API_ERROR, "cause": _cause(line)}


def _progress(line: dict[str, Any]) -> dict[str, Any]:
    """Return the sub-agent's record within a line of an older CLI."""
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


def _usage(found: Any) -> TokenUsage | None:
    """Return the tokens with the cache inside the prompt, which Anthropic counts beside it."""
    if found is None:
        return None
    usage = _object(found, "message.usage")
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
    raise BrokenRecordError(msg)


def _cause(line: dict[str, Any]) -> str:
    """Return status and type of an API error, such as ``529 overloaded_error``; never its text."""
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


def _object(found: Any, name: str) -> dict[str, Any]:
    if isinstance(found, dict):
        return found
    msg = f"{name} is not a JSON object"
    raise BrokenRecordError(msg)


def _blocks(found: Any) -> list[dict[str, Any]]:
    if isinstance(found, list):
        return [_object(block, "a content block") for block in found]
    msg = "message.content is neither text nor a list"
    raise BrokenRecordError(msg)


def _id(found: dict[str, Any], key: str) -> str:
    """Return an id or a name. Printable also means: no lone surrogate, which UTF-8 cannot hold."""
    if kept := _label(found.get(key)):
        return kept
    msg = f"{key} is not a text of 1 to {_LONGEST_ID} printable characters"
    raise BrokenRecordError(msg)


def _label(value: Any) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable():
        return value
    return None


def _base_name(cwd: Any) -> str | None:
    """Return the last part of a POSIX or Windows path: the rest of it is nobody's business."""
    return _label(_SEPARATOR.split(cwd.rstrip("\\/"))[-1]) if isinstance(cwd, str) else None


def _time(value: Any) -> datetime:
    try:
        return parse_utc(value)
    except ValueError:
        msg = "timestamp is not a time such as 2026-11-22T15:47:13.417Z"
        raise BrokenRecordError(msg) from None
