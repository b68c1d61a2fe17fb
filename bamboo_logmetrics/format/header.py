"""The header of a line: which writer wrote it, and its number within that writer."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from bamboo_logmetrics.format.fields import VERSION

NOT_JSON = (ValueError, RecursionError)  # msgspec's errors and those of UTF-8 are ValueErrors

WRITER_BYTES = 10  # 20 hex digits
MAX_SEQ = 2**63 - 1  # what every reader of numbers can hold
_WRITER_ID = re.compile(rf"[0-9a-f]{{{2 * WRITER_BYTES}}}", re.ASCII)


class LineHeader(msgspec.Struct, gc=False):
    """The few keys that ``verify`` needs of every line.

    Decoding with msgspec also checks that the rest of the line is JSON, but not that it is UTF-8.

    Args:
        event: the kind of a typed event, or the text of a plain line.
        v: the version of the line's form.
        writer: the writer's id.
        seq: the line's number within its writer, from 1.
        plain: True for a plain line.
        source: ``"app"`` for a system event that the application emitted.
    """

    event: str
    v: Literal[1]
    writer: str
    seq: Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQ)]
    plain: Any = None
    source: Any = None


def make_header(event: str | None, v: int, writer: str | None, seq: int, *, plain: Any, source: Any) -> LineHeader:
    """Return a header after checking its values. Raises ValueError for a missing or wrong one."""
    if event is None or v != VERSION or writer is None or not 1 <= seq <= MAX_SEQ:
        raise ValueError
    return LineHeader(event, 1, writer, seq, plain, source)


def is_writer_id(text: str) -> bool:
    """Return True if a text has the form of a writer's id: 20 lower-case hex digits."""
    return _WRITER_ID.fullmatch(text) is not None


def is_newer(version: object) -> bool:
    """Return True if a line's version is one that only a later release of this package reads."""
    return type(version) is int and version > VERSION
