"""The values of a call as they wait in the queue: copied, cut to what a line can hold, and measured.

A list or a dict is encoded at the call: JSON cannot be changed any more, and takes less memory than the objects. The
worker puts it into the line as it is, or decodes it where it has to look at the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import msgspec

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.base import names_of
from bamboo_logmetrics.events.registry import is_builtin
from bamboo_logmetrics.record.queued import QueuedRecord, as_dict
from bamboo_logmetrics.record.snapshot import SCALARS, freeze, freeze_key, usual_dict, usual_list

SLOT = 1_024  # bytes of the queue that each record takes; one with long texts or many values takes several slots
SHORT = 400  # characters, about; a record with no more of them takes one slot
SHORT_TEXT, FEW = 256, 10  # characters of the texts alone, and values, of a call that is not measured further
SHORT_CONTEXT = 2_500  # bytes, about; a longer context is copied at each call, and counts with each record
BIG, LEAST = 2**64, -(2**64)  # an integer outside becomes a text

_MOST_LONG, _REST = 4, 256  # beyond so many of the longest values each further one is cut to so many characters
PER_VALUE = 30  # characters that a value and its key count for, beside those of a text
_NOT_SCALAR = -1
_TEXTS = frozenset({str})
_RECORD, _ENTRY = 200, 80  # bytes of a record without its values, and of a value with its place in a dictionary
_PACKED = 90  # bytes of a packed value beside its JSON

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Raw = msgspec.Raw


def measure(values: Iterable[Any]) -> int:
    """Return the size of scalars in characters, about; a negative number if one of them is no scalar of 64 bits."""
    size = 0
    try:
        for value in values:
            cls = type(value)
            if cls is str:
                size += len(value)
            elif cls not in SCALARS or (cls is int and not LEAST < value < BIG):
                return _NOT_SCALAR
            size += PER_VALUE
    except Exception:  # noqa: BLE001 - even a type may refuse to be hashed
        return _NOT_SCALAR
    return size


def is_short(context: Mapping[str, Any]) -> bool:
    """Return True if every value is a scalar and the texts are short, so that records may refer to the mapping."""
    scalar = measure(context.values()) >= 0 and _TEXTS.issuperset(map(type, context))
    return scalar and _bytes_of_all(context) <= SHORT_CONTEXT


def longest_text(max_line_bytes: int) -> int:
    """Return the number of characters of a text that a record keeps."""
    return max_line_bytes * 5 // 4  # more than a line can hold: masking may make texts shorter


def pack(values: Mapping[Any, Any], longest: int) -> tuple[dict[str, Any], int]:
    """Return a copy of the values of a call that nobody can change, and its size in characters, about.

    A text or a number stands for itself, a list, a dict, a UUID or a time is packed as :class:`msgspec.Raw`, and
    anything else becomes a text. It never raises because of a value.

    Args:
        values: the values by key.
        longest: the number of characters to copy of a list or dict.
    """
    packed: dict[str, Any] = {}
    size = 0
    for key, value in values.items():
        cls = type(value)
        if cls is str:
            size += len(value)
        elif not (value is None or (cls is int and LEAST < value < BIG) or cls is float or cls is bool):
            most = longest if size < _MOST_LONG * longest else _REST
            value, length = _pack_value(value, most)  # noqa: PLW2901 - a copy stands for it from here on
            size += length
        name = key if type(key) is str else freeze_key(key)
        size += PER_VALUE + len(name)
        packed[name] = value
    return packed, size


def _pack_value(value: Any, longest: int) -> tuple[Any, int]:
    """Return the packed form of a value that is no scalar, and its length in characters."""
    cls = type(value)
    if cls is UUID or (cls is datetime and value.tzinfo is timezone.utc and value.microsecond):
        return Raw(_encode(value)), PER_VALUE
    copy: Any = None
    if cls is list:
        copy = usual_list(value)
    elif cls is dict:
        copy = usual_dict(value)
    if copy is None:
        copy = freeze(value, longest)
        cls = type(copy)
        if cls is str:
            return copy, len(copy)
        if cls is not list and cls is not dict:
            return copy, 0
    try:
        json = _encode(copy)
    except ValueError:  # a lone surrogate
        return copy, len(repr(copy))
    if len(json) > SLOT:
        json = bytes(memoryview(json))  # msgspec leaves up to half as much again unused behind it
    return Raw(json), len(json)


def unpack(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return packed values as plain data."""
    if Raw not in map(type, values.values()):
        return values
    return {key: _decode(value) if type(value) is Raw else value for key, value in values.items()}


# -- records that take more than one slot ------------------------------------------------


def fit(record: QueuedRecord, longest: int) -> None:
    """Cut each text of a record to ``longest`` characters, and set the number of further slots that it takes."""
    event = record.event
    if isinstance(event, MetricsEvent):
        record.event = _shortened(event, longest)
        size = event_size(record.event)
    else:
        record.event = _cut_text(event, longest)
        size = _bytes_of(record.event)
    if record.exception is not None:
        record.exception = _cut_text(record.exception, longest)
    record.bound, record.context = _cut(as_dict(record.bound), longest), _cut(record.context, longest)
    size += _RECORD + _bytes_of(record.exception) + _bytes_of_all(record.bound) + _bytes_of_all(record.context)
    record.slots = size // SLOT


def _shortened(event: MetricsEvent, longest: int) -> MetricsEvent:
    """Return an event with its error cut; ids, and the texts of an application's own events, stay as they are."""
    error = getattr(event, "error", None)
    if type(error) is not str or len(error) <= longest or not is_builtin(type(event)):
        return event
    return msgspec.structs.replace(event, error=_cut_text(error, longest)).with_extra(event.extra)


def event_size(event: MetricsEvent) -> int:
    """Return the size of the texts of an event in bytes."""
    parts = [event, meta] if (meta := getattr(event, "meta", None)) is not None else [event]
    return sum(_bytes_of(getattr(part, name)) for part in parts for name in names_of(type(part))) + len(
        event.extra or ""
    )


def _cut(values: Mapping[str, Any], longest: int) -> Mapping[str, Any]:
    if not any(type(value) is str and len(value) > longest for value in values.values()):
        return values
    cut: dict[str, Any] = {}
    room = _MOST_LONG * longest
    for key, value in values.items():
        cut[key] = _cut_text(value, longest if room > 0 else _REST) if type(value) is str else value
        room -= len(cut[key]) if type(value) is str else 0
    return cut


def _cut_text(text: str, longest: int) -> str:
    """Return a text of at most ``longest`` characters, and one more if it was longer: the encoder marks it as cut."""
    return text if len(text) <= longest else text[: longest + 1]


def _bytes_of_all(values: Mapping[str, Any]) -> int:
    return sum(_ENTRY + len(key) + _bytes_of(value) for key, value in values.items())


def _bytes_of(value: Any) -> int:
    cls = type(value)
    if cls is str:
        return int(value.__sizeof__())
    if cls is Raw:
        return _PACKED + len(bytes(value))
    return 8 * len(repr(value)) if cls is list or cls is dict else 0
