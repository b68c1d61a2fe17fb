"""Masking of the secrets in a text.

Each module finds secrets of one kind: after their names, by their shape, on command lines. Most texts have none of the
words and characters that come with a secret, and are left alone after a few searches for these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact import commands, named, shapes, sql, tables
from bamboo_logmetrics.format.redact.looks import MASK, MASKED
from bamboo_logmetrics.format.redact.scan import finder

__all__ = ["MASK", "mask_secrets", "replaced"]

# the characters of ordinary prose; what is not ASCII is a question mark in the searched copy
_USUAL = bytes(code for code in range(128) if chr(code).isalpha() or chr(code) in " \n\t.,()!;") + b"?"


def mask_secrets(text: str) -> str:
    """Return ``text`` with each secret replaced by MASK."""
    raw = text.encode("ascii", "replace")  # of the same length: places in it are those in the text
    signs = raw.translate(None, _USUAL)
    lower = raw.lower()
    if not signs and "\uff1a" not in text and (raw == lower or (b"asic " not in raw and not shapes.has_run(raw))):
        return text
    spans = sorted(set(_secrets(text, raw, lower, signs)))
    return replaced(text, spans) if spans else text


def replaced(text: str, spans: list[tuple[int, int]]) -> str:
    """Return ``text`` with MASK in the places of secrets, which are in order."""
    kept, done = [], 0
    for start, end in spans:
        if end > done and not text.startswith(MASKED, start):
            kept.append(text[done : max(start, done)])
            if start >= done:
                kept.append(_mask_of(text, start, end))
            done = end
    return "".join([*kept, text[done:]])


_NO_TEXT = re.compile(r"-?\d[\d.]*|[\[{].*|true|false", re.DOTALL)
_QUOTED_NAME = re.compile(r"""(\\{0,15}["'])\s{0,9}:\s{0,9}\Z""")
_BEFORE = 40  # characters: enough for all that _QUOTED_NAME may match


def _mask_of(text: str, start: int, end: int) -> str:
    """Return the mask of a secret; that of a number or a list in JSON is a text, and needs quotes."""
    if _NO_TEXT.fullmatch(text, start, end) and (name := _QUOTED_NAME.search(text, max(0, start - _BEFORE), start)):
        return f"{name[1]}{MASK}{name[1]}"
    return MASK


_find_words = finder((*named.STEMS, *commands.WORDS))
_RULES = (b"-|", b"|-", b"-+-", b"]-")  # among the signs of a text: parts of what stands below the names of columns
_ROW = re.compile(rb"""(?:\A|[\n"n])[ \t]{0,20}\|""")


def _secrets(text: str, raw: bytes, lower: bytes, signs: bytes) -> Iterator[tuple[int, int]]:
    places = _find_words(lower)
    yield from named.named_secrets(text, places)
    yield from shapes.prefixed_keys(text, raw)
    if b"/" in signs:
        if b"@" in signs:
            yield from shapes.credentials_in_urls(text)
        if any(host in lower for host in shapes.WEBHOOK_HOSTS):
            yield from shapes.webhooks(text)
    if b"%" in signs and b"%3a%2f%2f" in lower:
        yield from shapes.encoded_credentials(text)
    if b"-" in signs:
        if b"PRIVATE KEY" in raw:
            yield from shapes.private_keys(text)
        if b"Private-Lines" in raw:
            yield from shapes.putty_keys(text)
    if b"'" in signs or b'"' in signs:
        yield from sql.passwords(text, lower)
    has_command = any(lower.startswith(commands.WORDS, place) for place in places)
    yield from _in_lines(text, raw, lower, signs, has_command=has_command)


def _may_hold_table(raw: bytes, signs: bytes) -> bool:
    """Return True for a text with the rule of a table, or with a row that begins with a bar."""
    return any(map(signs.__contains__, _RULES)) or (signs.count(b"|") > 1 and _ROW.search(raw) is not None)


def _in_lines(text: str, raw: bytes, lower: bytes, signs: bytes, *, has_command: bool) -> Iterator[tuple[int, int]]:
    """Give the places of secrets in tables and on command lines."""
    if b"|" in signs and _may_hold_table(raw, signs):
        yield from tables.in_tables(text)
    if b"> auth " in lower or b'"auth" "' in lower:
        yield from commands.at_prompts(text)
    if has_command or commands.has_flags(raw, signs):
        yield from commands.on_command_lines(text, lower)
    if b"|" in signs and (b"echo" in lower or b"printf" in lower):
        yield from commands.piped_to_sudo(text)
