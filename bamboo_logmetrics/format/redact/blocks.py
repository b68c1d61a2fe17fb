"""Secrets on the lines below their names, as in YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.looks import is_code, is_prose
from bamboo_logmetrics.format.redact.quoted import close_of
from bamboo_logmetrics.format.redact.texts import NameInText, Span, is_secret

_NEWLINE = r"(?:\r?\n|\\{1,8}n)"
_BLOCK = re.compile(
    rf"""(?P<block>[|>][0-9+-]{{0,2}}[ \t]*(?:\#[^\n\\]*)?)?
    {_NEWLINE}(?:[ \t]{{0,40}}{_NEWLINE}){{0,2}}(?P<indent>[ \t]+)
    (?P<value>(?:[^\s\\]|\\(?!n))(?:[^\r\n\\]|\\(?![rn\\"]))*)""",
    re.VERBOSE,
)
_MORE = re.compile(rf"""(?:[ \t]{{0,40}}{_NEWLINE}){{1,2}}(?P<indent>[ \t]+)(?:[^\s\\])(?:[^\r\n\\]|\\(?![rn\\"]))*""")
_KEY_OR_ITEM = re.compile(r"""-[ ]|[^"'\s:]+[ ]?:(?:\s|\\|$)|[^"'\s]\S*[ ]\S""")
_LONGEST_LINE = 200  # characters before a name


def value_below(text: str, name: NameInText, start: int) -> Iterator[Span]:
    """Give the value on the lines below its name, as in YAML: it stands further right."""
    block = _BLOCK.match(text, start)
    line = _line_before(text, name)
    if not block or len(block["indent"]) <= len(line) - len(line.lstrip(" \t")):
        return
    if block["block"] is not None:
        span = _whole(text, block)
        if is_secret(name.secrecy, text[slice(*span)]):
            yield span
    elif not line.strip(" \t-\"'"):
        yield from _next_line(text, name, block)


def _next_line(text: str, name: NameInText, line: re.Match[str]) -> Iterator[Span]:
    value = line["value"]
    quoted = close_of(text, line.start("value"))
    span = quoted or line.span("value")
    if name.secrecy.own:
        yield span
        return
    other = not quoted and (_KEY_OR_ITEM.match(value) or is_prose(value) or is_code(value, name.text))
    if not other and is_secret(name.secrecy, text[slice(*span)]):
        yield span


def _line_before(text: str, name: NameInText) -> str:
    """Return the beginning of the line of a name, up to the name."""
    line = text[max(0, name.start - _LONGEST_LINE) : name.start]
    line = line[line.rfind("\n") + 1 :]
    return line.rpartition("\\n")[2]


def block_of(text: str, start: int) -> Span | None:
    """Return the place of the text of a block that opens at ``start`` with ``|`` or ``>``; None if none does."""
    block = _BLOCK.match(text, start)
    return _whole(text, block) if block and block["block"] is not None else None


def _whole(text: str, block: re.Match[str]) -> Span:
    end = block.end()
    while (more := _MORE.match(text, end)) and len(more["indent"]) >= len(block["indent"]):
        end = more.end()
    return (block.start("value"), end)
