"""The filters that ``query`` and ``tail`` share: which lines of logs are wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

# the filters that compare one key of the line with a text, by name
KEYS: Mapping[str, str] = {
    "session": "session_id",
    "round": "round_id",
    "trace": "trace_id",
    "model": "model",
    "tool": "tool_name",
    "status": "status",
}

_BETWEEN_COMMAS = re.compile(r"(?:\[!?\]?[^\]]*\]|[^,])+")
_LIST = re.compile(r"\[(!?)(\][^\]]*|[^\]]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """A choice of lines; a line is wanted if all filters that are given hold.

    Values are compared by their text: the number 5 is ``"5"``. A line without the key is not wanted.

    Args:
        events: patterns, of which one must match the whole key ``event``: the kind of an event, or the text of a plain
            line. ``*`` stands for any characters, ``?`` for one, ``[ab]`` for one of these, ``[!ab]`` for another one.
        session: the value of ``session_id``.
        round: the value of ``round_id``.
        trace: the value of ``trace_id``.
        model: the value of ``model``.
        tool: the value of ``tool_name``.
        status: the value of ``status``.
        level: the lowest level: ``debug``, ``info``, ``warning``, ``error``, ``critical``.
        since: the first time that is wanted; aware.
        until: the first time that is not wanted any more; aware.
        where: a condition in SQL over the columns of the view ``events``.
    """

    events: tuple[str, ...] = ()
    session: str | None = None
    round: str | None = None
    trace: str | None = None
    model: str | None = None
    tool: str | None = None
    status: str | None = None
    level: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    where: str | None = None


def split_patterns(text: str) -> list[str]:
    """Return the patterns that stand in a text with commas between; a comma within brackets is part of a pattern."""
    return [pattern.strip() for pattern in _BETWEEN_COMMAS.findall(text)] or [text]


def events_expression(patterns: tuple[str, ...]) -> str:
    """Return a regular expression that matches, as a whole, what one of the patterns matches.

    It means the same to Python's ``re`` and to RE2, which DuckDB uses.
    """
    return "(?s:" + "|".join(map(_expression, patterns)) + ")"


def _expression(pattern: str) -> str:
    parts, place = [], 0
    while place < len(pattern):
        if listed := _LIST.match(pattern, place):
            parts.append(_one_of(*listed.groups()))
            place = listed.end()
        else:
            parts.append({"*": ".*", "?": "."}.get(pattern[place]) or re.escape(pattern[place]))
            place += 1
    return "".join(parts)


def _one_of(negated: str, characters: str) -> str:
    """Return the expression for one character of a list, such as ``a-c_``, or for one that is not in it."""
    parts, place = [], 0
    while place < len(characters):
        first, last = characters[place], characters[place + 2 : place + 3]
        if characters[place + 1 : place + 2] == "-" and first <= last:
            parts.append(f"{_escape(first)}-{_escape(last)}")
            place += 3
        else:
            parts.append(_escape(first))
            place += 1
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _escape(character: str) -> str:
    return f"\\{character}" if character in "\\]^-[&~|" else character
