"""The meaning of a line of a transcript: a prompt of a person, an interrupt, the failure of a request or of a tool.

This module looks at the beginning of prompts, results and errors. It returns none of their text.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from bamboo_logmetrics.importers.claude_code.records import Attachment, Block, Line, Message, decode_text
from bamboo_logmetrics.importers.values import label

_WORD = re.compile(r"[A-Za-z_]{1,40}")
_STATUS = re.compile(r"\bAPI Error:? \(?(\d{3})\b")
_HTTP_STATUS = range(100, 600)
_INTERRUPT = "[Request interrupted by user"
_FOR_TOOL_USE = "for tool use"
_NOTIFICATION = "<task-notification>"
# Commands that the CLI answered itself (/model, /exit, !ls) went to no model. A slash command that is a prompt starts
# with <command-message> instead, and counts.
_LOCAL = ("<command-name>", "<local-command-", "<bash-", _NOTIFICATION)
_REJECTED = ("The user doesn't want to proceed", "The user doesn't want to take this action", "User rejected tool use")
_EXIT_CODE = re.compile(r"(?:Error: )?(?:Exit code|Command failed with exit code|exit code:?) ?\d")
_BEGINNING = 200  # characters of an error that are looked at


class Marker(Enum):
    """The meaning of a line for its session, besides its answer and its tool results."""

    NONE = "none"
    PROMPT = "prompt"
    TOOL_INTERRUPT = "the user stopped a tool; the model had finished"
    INTERRUPT = "the user stopped the model"
    API_ERROR = "a request failed and may be tried again"
    GAVE_UP = "a request failed for good"


def blocks_of(message: Message | None) -> list[Block | str]:
    """Return the blocks of a message; its text is one block."""
    content = message.content if message else None
    if isinstance(content, str):
        return [content]
    return content or []


def marker_of(line: Line, blocks: list[Block | str]) -> Marker:
    """Return the meaning of a ``user`` line."""
    texts = [_text(block) for block in blocks if isinstance(block, str) or block.type != "tool_result"]
    for text in texts:
        if text.startswith(_INTERRUPT):
            return Marker.TOOL_INTERRUPT if _FOR_TOOL_USE in text[:80] else Marker.INTERRUPT
    if label(line.interruptedMessageId) and not any(texts):
        return Marker.INTERRUPT
    if line.isMeta is True or line.isCompactSummary is True or line.isVisibleInTranscriptOnly is True:
        return Marker.NONE
    if not texts or not _by_a_person(line):
        return Marker.NONE
    written = any(text and not text.startswith(_LOCAL) for text in texts)
    return Marker.PROMPT if written else Marker.NONE


def is_queued_prompt(line: Line) -> bool:
    """Return True if an attachment is a prompt that a person wrote while the model worked."""
    attachment = line.attachment
    if attachment is None or attachment.type != "queued_command" or attachment.isMeta is True:
        return False
    if attachment.commandMode not in (None, "prompt") or not (_by_a_person(attachment) and _by_a_person(line)):
        return False
    return not decode_text(attachment.prompt).startswith(_LOCAL)


def _by_a_person(line: Line | Attachment) -> bool:
    """Return True unless the line says that the program wrote it."""
    kind = line.origin.get("kind") if isinstance(line.origin, dict) else line.origin
    if isinstance(kind, str):
        return bool(kind == "human")
    return bool(line.promptSource != "system")


def _text(block: Block | str) -> str:
    if isinstance(block, str):
        return block
    if block.type not in ("text", None):
        return "an image or a document"
    return decode_text(block.text)


def text_of(block: Block) -> str:
    """Return the beginning of the text of a tool's result."""
    raw = bytes(block.content)
    if raw.startswith(b'"'):
        return decode_text(block.content)[:_BEGINNING]
    match = re.search(rb'"text"\s*:\s*"((?:[^"\\]|\\.){0,200})', raw)
    return match[1].decode("utf-8", "replace") if match else ""


def tool_error(line: Line, block: Block) -> str:
    """Return the kind of a tool's failure: ``rejected``, ``interrupted``, ``exit_code`` or ``tool_error``."""
    decision = line.permissionDecision.get("decision") if isinstance(line.permissionDecision, dict) else None
    details = bytes(line.toolUseResult)
    texts = (text_of(block), decode_text(line.toolUseResult)[:_BEGINNING] if details.startswith(b'"') else "")
    if decision in ("reject", "deny") or any(text.startswith(_REJECTED) for text in texts):
        return "rejected"
    if any(_INTERRUPT in text for text in texts):
        return "interrupted"
    if any(_EXIT_CODE.match(text) for text in texts):
        return "exit_code"
    return "tool_error"


def failure(line: Line) -> tuple[int, str]:
    """Return the status code (0 without an answer) and a short name of an API error, without its text."""
    status, word = line.apiErrorStatus, None
    error: Any = line.error
    while isinstance(error, dict):
        connection = error.get("connection")
        status = error.get("status", status)
        word = connection.get("code") if isinstance(connection, dict) else error.get("type", word)
        error = error.get("error")
    word = error or word
    if status is None:
        status = _status_in_text(line)
    code = status if type(status) is int and status in _HTTP_STATUS else 0
    parts = [str(code)] if code else []
    if isinstance(word, str) and _WORD.fullmatch(word):
        parts.append(word)
    return code, " ".join(parts) or "api_error"


def _status_in_text(line: Line) -> int | None:
    for block in blocks_of(line.message):
        if match := _STATUS.match(_text(block)[:_BEGINNING]):
            return int(match[1])
    return None
