"""Passwords in SQL: of statements that make a user, and of columns that are named like a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.looks import is_placeholder
from bamboo_logmetrics.format.redact.names import Level, secrecy
from bamboo_logmetrics.format.redact.quoted import within_json
from bamboo_logmetrics.format.redact.texts import Span

_IDENTIFIED = re.compile(
    r"""\bidentified\s{1,9}(?:with\s{1,9}\S{1,40}\s{1,9})?by\s{1,9}(?:password\s{1,9})?\\{0,15}["'](?P<value>[^"'\n\\]+)""",
    re.IGNORECASE,
)
_INSERT = re.compile(
    r"\binto\s{1,9}[\w.\"`\[\]]{1,100}\s{0,9}\((?P<columns>[^()]{1,2000})\)\s{0,9}values\s{0,9}\(", re.IGNORECASE
)
_VALUE = re.compile(
    r"""\s{0,9}(?:[A-Za-z]{0,2}'(?P<text>(?:[^']|'')*)'|(?P<other>[^,()']{0,200}))\s{0,9}(?P<end>[,)])"""
)


def passwords(text: str, lower: bytes) -> Iterator[Span]:
    """Give the places of passwords in SQL; ``lower`` is the text in lower case."""
    if b"identified" in lower:
        for match in _IDENTIFIED.finditer(text):
            if not is_placeholder(match["value"]):
                yield match.span("value")
    if b"insert" in lower or b"replace into" in lower:
        for match in _INSERT.finditer(text):
            yield from _in_row(text, match.end(), match["columns"].split(","))


def _in_row(text: str, start: int, columns: list[str]) -> Iterator[Span]:
    for column in columns:
        match = _VALUE.match(text, start)
        if not match:
            return
        secret = secrecy(column.strip(' "`[]\n\t')).level >= Level.TEXT
        if secret and match["text"] and not is_placeholder(match["text"]):
            yield within_json(text, match.span("text"))
        start = match.end()
        if match["end"] == ")":
            return
