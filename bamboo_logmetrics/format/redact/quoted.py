"""Texts in quotes within a text, also where the quotes are escaped, as in JSON within JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator

ENCODED_QUOTE = r"(?:&quot;|&\#0?3[49];|&apos;|&\#x2[27];|%(?:25)?2[27]|\\{1,15}(?:u002|x2)[27])"
_OPEN = re.compile(r"""(\\{0,15})(["'`])""")
_QUOTE = {quote: re.compile(rf"(?<!\\)\\*(?:{quote}|(?=[\r\n]))") for quote in "\"'`"}
_FIRST_QUOTE = re.compile(r"""(?<!\\)\\*["']""")
_ENDS_TEXT = re.compile(r"""(?<!\\)\\*"\s{0,9}(?=[,:}\]\x1f]|\Z)""")
_STARTS_TEXT = re.compile(r"""[:,=\[{(]\s{0,9}\\*"(?!\s{0,9}[,:}\])])[^"]*\Z""")
_OUTER_ENDS = re.compile(r"""\\*["'`]\s{0,9}(?:[,}\])]|\Z)""")
_OPEN_ENCODED, _END_OF_ENCODED = re.compile(ENCODED_QUOTE), re.compile(r"""[\s"'&%\\]|\Z""")
_SHORT = 200  # characters of a text whose end is found without looking at each escape
_LONGEST_ENCODED = 4_000  # characters
_MOST_BEFORE = 100  # characters before a name in which the text around it may begin
_MOST_NESTED, _DEEPEST = 2_000, 8  # texts in one list or mapping, and levels


def close_of(text: str, start: int) -> tuple[int, int] | None:
    """Return the place of what is in quotes from ``start`` on, without them; None if there are no quotes.

    Where the closing quote is missing, the text ends with the line.
    """
    opened = _OPEN.match(text, start)
    if not opened:
        return None
    if not opened[1] and (end := _plain_end(text, opened.end(), opened[2])):
        return (opened.end(), end)
    level = _level(len(opened[1]))
    begin, end = opened.end(), opened.end()
    for match in _QUOTE[opened[2]].finditer(text, begin):
        slashes = match.end() - match.start() - (0 if match[0].endswith("\\") or not match[0] else 1)
        end = match.start()
        if not match[0].endswith(opened[2]):
            return (begin, match.end())
        if slashes < len(opened[1]):  # the end of the outer text
            return (begin, end)
        if _closes(slashes, level):
            return (begin, match.end() - 1 - len(opened[1]))
    return (begin, len(text))


def _plain_end(text: str, begin: int, quote: str) -> int:
    """Return the place of the closing quote of a short text without line breaks and escapes; 0 if it is none."""
    end = text.find(quote, begin, begin + _SHORT)
    if end < 0:
        return 0
    value = text[begin:end]
    return 0 if "\\" in value or "\n" in value or "\r" in value else end


def close_of_encoded(text: str, start: int) -> tuple[int, int] | None:
    """Return the place of what is in quotes that are encoded, as ``&quot;`` or ``%22``; None if there are none."""
    opened = _OPEN_ENCODED.match(text, start)
    if not opened:
        return None
    end = text.find(opened[0], opened.end(), opened.end() + _LONGEST_ENCODED)
    if end < 0:
        end = _END_OF_ENCODED.search(text, opened.end()).start()  # type: ignore[union-attr]
    return (opened.end(), end)


def ends_outer(text: str, start: int, quote: int) -> bool:
    """Return True if a quote ends the text in which the name at ``start`` stands, instead of opening its value."""
    return bool(_OUTER_ENDS.match(text, quote) and _STARTS_TEXT.search(text[max(0, start - _MOST_BEFORE) : start]))


def within_json(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Return a place cut where a text of JSON around it ends: at a quote and a comma, bracket or colon."""
    end = _ENDS_TEXT.search(text, *span)
    return (span[0], end.start()) if end else span


def before_quote(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Return a place cut at its first quote, with the backslashes before it."""
    quote = _FIRST_QUOTE.search(text, *span)
    return (span[0], quote.start()) if quote else span


def _level(slashes: int) -> int:
    """Return how often a quote is escaped: once with one backslash, twice with three."""
    level = 0
    while slashes > 0:
        slashes //= 2
        level += 1
    return level


def _closes(slashes: int, level: int) -> bool:
    """Return True if a quote after so many backslashes ends a text that began at this level."""
    for _ in range(level):
        if slashes % 2 == 0:
            return False
        slashes //= 2
    return slashes % 2 == 0


_INSIDE = re.compile(r"""\\{0,15}["']|[\[\]{}]""")
_COLON = re.compile(r"""\\{0,15}["']\s{0,9}:""")


def strings_within(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Give the places of the texts in a list or mapping that opens at ``start``, without its keys."""
    depth, index = 0, start
    for _ in range(_MOST_NESTED):
        match = _INSIDE.search(text, index)
        if not match:
            return
        index = match.end()
        if match[0] in "[{":
            depth += 1
            if depth > _DEEPEST:
                return
        elif match[0] in "]}":
            depth -= 1
            if not depth:
                return
        else:
            span = close_of(text, match.start())
            if span is None:
                return
            key = _COLON.match(text, span[1])
            if not key and span[1] > span[0]:
                yield span
            index = max(span[1] + 1 + len(match[0]) - 1, index)


_TOKEN = re.compile(r"""(?P<quote>\\{0,15}["'])|(?P<open>[\[{(])|(?P<close>[\]})])|(?P<sign>[,:=\s]+)|[\w.+-]+""")


def end_of_values(text: str, start: int) -> int:
    """Return the end of the list or mapping that opens at ``start``; 0 if it is not closed, or is none."""
    depth, index, before = 0, start, ","
    while match := _TOKEN.match(text, index):
        index = match.end()
        if match["quote"]:
            span = close_of(text, match.start())
            if before not in ",:=[{(" or span is None:
                return 0
            index = span[1] + len(match[0])
        elif match["open"]:
            depth += 1
        elif match["close"]:
            depth -= 1
            if not depth:
                return index
        before = match[0].strip()[-1:] or before
    return 0
