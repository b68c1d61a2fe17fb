"""One line of a log as a flat record, or the reason why it is none."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias

import msgspec

from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.format.fields import VERSION
from bamboo_logmetrics.format.header import NOT_JSON, is_newer, is_writer_id
from bamboo_logmetrics.format.layouts import flat_of
from bamboo_logmetrics.format.layouts.recognition import is_torn_line

OtherLine: TypeAlias = Literal["blank", "broken", "text", "foreign", "newer"]

_LEAST = 3  # bytes; the beginning of any JSON object is no proof of a torn line


def flat_line(line: bytes) -> dict[str, Any] | OtherLine:
    """Return the flat record of a line of any layout, with a valid time and level, or the kind of another line.

    ``blank`` has nothing, ``broken`` is of this package and torn or damaged, ``text`` is not JSON, ``foreign`` is JSON
    of another program, ``newer`` is of a version that only a later release reads.
    """
    try:
        decoded = _decode(line)
    except NOT_JSON:
        return _kind_of_text(line)
    try:
        return _checked(flat_of(decoded))
    except ValueError:
        return "foreign"


def _kind_of_text(line: bytes) -> OtherLine:
    if not line.strip():
        return "blank"
    return "broken" if len(line) >= _LEAST and is_torn_line(line) else "text"


def _checked(flat: dict[str, Any]) -> dict[str, Any] | OtherLine:
    writer = flat.get("writer")
    if writer is not None and not (isinstance(writer, str) and is_writer_id(writer)):
        return "foreign"
    if flat["v"] != VERSION:
        return "newer" if is_newer(flat["v"]) else "foreign"
    try:
        parse_utc(flat["timestamp"])
    except (KeyError, TypeError, ValueError):
        return "broken"
    return flat if isinstance(flat.get("level"), str) else "broken"


def _decode(line: bytes) -> Any:
    """Return the value of JSON. Raises one of NOT_JSON."""
    try:
        return msgspec.json.decode(line)
    except msgspec.ValidationError:  # a number that is too large for any type
        return json.loads(line)
