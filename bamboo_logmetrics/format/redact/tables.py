"""Secrets in tables of text: in a column, or beside a name in a row, as in Markdown or as databases print them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from bamboo_logmetrics.format.redact.looks import is_code, is_prose, words
from bamboo_logmetrics.format.redact.names import NO_SECRET, Level, Secrecy, secrecy
from bamboo_logmetrics.format.redact.quoted import before_quote
from bamboo_logmetrics.format.redact.texts import Span, is_secret

_NEWLINE = re.compile(r"\r?\n|\\{1,8}n")
_RECORD = re.compile(r"-\[ RECORD \d+ \]")
_ROW = re.compile(r"""(?:[^|]*["'])?\s*\|(?:[ *_`]|[^|]*\|[^|]*\|)""")
_MARKS = " \t*_`"
_MOST_COLUMNS, _LONGEST_NAME, _PAIR = 50, 40, 2
# of columns that tell about a name, instead of giving its value
_ABOUT = words(
    "type description required default meaning notes note comment nullable in location format example column"
)
_TYPES = words(
    "varchar bytea uuid json jsonb date timestamp float decimal smallint bigint blob env header query path body "
    "formdata cookie variable argument option flag secretstr email username login name role host id"
)


def in_tables(text: str, meaning_of: Callable[[str], Secrecy] = secrecy) -> Iterator[Span]:
    """Give the places of secrets in the rows of tables; ``meaning_of`` returns the meaning of a name for its value."""
    rows = _rows(text)
    header: list[str] | None = None
    is_open = False
    columns: list[tuple[int, Secrecy]] = []
    for number, row in enumerate(rows):
        line = text[slice(*row)]
        if _is_rule(line):
            above = rows[number - 1] if number else (0, 0)
            is_open = not _is_blank(text[slice(*above)].partition("|")[0])
            header = [text[slice(*cell)].lower() for cell in _cells(text, above, is_open=is_open)]
            columns = [
                (place, meaning)
                for place, name in enumerate(header)
                if (meaning := _meaning(name, meaning_of)) is not NO_SECRET
            ]
        elif "|" not in line:
            header, columns, is_open = None, [], False
        elif header or number + 1 == len(rows) or not _is_rule(text[slice(*rows[number + 1])]):
            cells = _cells(text, row, is_open=is_open)
            yield from _in_columns(text, cells, columns)
            if len(cells) > 1 and (header is not None or _ROW.match(line)):
                yield from _next_to_name(text, cells, header or [], meaning_of)


def _rows(text: str) -> list[Span]:
    starts, ends = [0], []
    for match in _NEWLINE.finditer(text):
        ends.append(match.start())
        starts.append(match.end())
    return list(zip(starts, [*ends, len(text)], strict=True))


def _is_rule(line: str) -> bool:
    return "--" in line and (not line.strip("|+-: \t\"',}]") or bool(_RECORD.match(line)))


def _is_blank(before: str) -> bool:
    """Return True if nothing is before the first bar of a row; a text of JSON may begin there."""
    return not before.rpartition('"')[2].strip()


def _cells(text: str, row: Span, *, is_open: bool) -> list[Span]:
    """Return the places of the cells of a row, without the marks around their texts.

    With ``is_open`` no bar stands at the left of the table: what is before the first one is a cell, also a blank one.
    """
    start, end = row
    bar = text.find("|", start, end)
    if not is_open and _is_blank(text[start : max(bar, start)]):
        start = bar + 1
    cells: list[Span] = []
    while start < end and len(cells) < _MOST_COLUMNS:
        stop = text.find("|", start, end)
        stop = end if stop < 0 else stop
        cell = text[start:stop]
        left = len(cell) - len(cell.lstrip(_MARKS))
        cells.append(before_quote(text, (start + left, start + max(left, len(cell.rstrip(_MARKS))))))
        start = stop + 1
    return cells


def _meaning(name: str, meaning_of: Callable[[str], Secrecy]) -> Secrecy:
    return meaning_of(name) if 0 < len(name) <= _LONGEST_NAME and len(name.split()) <= 3 else NO_SECRET  # noqa: PLR2004


def _in_columns(text: str, cells: list[Span], columns: list[tuple[int, Secrecy]]) -> Iterator[Span]:
    for place, meaning in columns:
        if place < len(cells):
            value = text[slice(*cells[place])]
            if value and not is_prose(value) and is_secret(meaning, value, quoted=False):
                yield cells[place]


def _next_to_name(
    text: str, cells: list[Span], header: list[str], meaning_of: Callable[[str], Secrecy]
) -> Iterator[Span]:
    """Give the value beside a name. A word in one of many columns may be anything."""
    name, value = (text[slice(*cell)] for cell in cells[:2])
    meaning = _meaning(name, meaning_of)
    if meaning.level is Level.NONE or (len(header) > 1 and header[1] in _ABOUT):
        return
    is_marked = text[cells[1][0] - 1] == "`"
    is_marked = is_marked or header[1:2] == ["value"]
    is_sure = is_marked or meaning.own
    words_only = not is_sure and (" " in value or value.lower() in _TYPES or (len(cells) > _PAIR and value.isalpha()))
    if (
        not value
        or words_only
        or is_prose(value)
        or is_code(value, name)
        or not is_secret(meaning, value, quoted=False)
    ):
        return
    yield cells[1]
