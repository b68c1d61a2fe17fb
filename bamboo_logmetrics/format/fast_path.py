"""Lines of the native layout, made in one step.

``record``, ``processors`` and ``layouts`` say what a line holds, step by step, for every record. Nearly all records
have only scalars bound beside them, and need no closer look. Of those the values are put into a Struct, which msgspec
writes: there is one for each kind of event, with a function that fills it, and one for each set of keys that plain
lines have. What does need a closer look is answered with None, and goes the other way. A test holds the two ways to the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec

from bamboo_logmetrics.events import MetricsEvent, SystemEvent
from bamboo_logmetrics.events.base import names_of
from bamboo_logmetrics.events.registry import EVENT_CLASSES, is_builtin
from bamboo_logmetrics.events.times import format_ns, format_utc
from bamboo_logmetrics.format.fields import (
    ERROR_STATUSES,
    HEADER,
    HEADER_SET,
    STATUSES,
    TEXT_FIELDS,
    TRAILER,
    USAGE,
    VERSION,
    fields_in_line,
)
from bamboo_logmetrics.format.layouts import NATIVE, Layout
from bamboo_logmetrics.format.redact.values import KNOWN_CLEAN, mask_text, mask_value, may_show
from bamboo_logmetrics.format.strict_json import encode, encoder, escaped
from bamboo_logmetrics.record.integers import integer
from bamboo_logmetrics.record.queued import KeyValues, QueuedRecord, as_dict
from bamboo_logmetrics.record.snapshot import SCALARS, all_scalar

_MOST_CONTEXTS = 1_000  # so many are remembered, then it begins anew
_MOST_SHAPES, _MOST_KEYS = 1_000, 50
_SMALL = 2**30  # a number below it is within 64 bits, and quickly compared
_LONGEST_TEXT = 4_000  # characters; a longer one may have to be cut, and that comes before looking for secrets

_SHAPES: dict[tuple[str, ...], Callable[..., Any]] = {}  # by the keys that are bound

# (event, writer, seq, the trace id that is bound) -> the line without its end
_Line = Callable[[Any, str, int, "str | None"], bytes]


class Beside(NamedTuple):
    """What a context adds to the lines of one kind.

    Args:
        make: makes the line of an event of this kind; None where a closer look is needed.
        end: the end of the line: the bound values and the newline.
        same: the bound values that are left out as long as the event's own field, which the function gets, is the same.
        trace_id: fills a missing one.
    """

    make: _Line | None
    end: bytes
    same: tuple[tuple[Callable[[Any], Any], Any], ...]
    trace_id: str | None


class FastPath:
    """Makes lines, and remembers what contexts add to them."""

    def __init__(self) -> None:
        # by id, which the context kept beside it makes sure of
        self._contexts: dict[int, tuple[Mapping[str, Any], dict[type, Beside]]] = {}
        self._turn_to({})

    def line(self, item: QueuedRecord, writer: str, seq: int) -> bytes | None:
        """Return the line of a record, with its newline; None if that takes a closer look."""
        event, bound, context = item.event, item.bound, item.context
        kind = type(event)
        if item.exception is not None:
            return None
        if kind is str:
            return _plain(item, writer, seq)
        if bound:
            found = _beside(kind, {**context, **as_dict(bound)})
        else:
            if context is not self._context:
                self._turn_to(context)
            found = self._kinds.get(kind) or self._kinds.setdefault(kind, _beside(kind, context))
        make, end, same, trace_id = found
        if make is None:
            return None
        for get, value in same:
            own = get(event)
            if own != value or type(own) is not type(value):
                return None
        return make(event, writer, seq, trace_id)[:-1] + end

    def _turn_to(self, context: Mapping[str, Any]) -> None:
        """Have what ``context`` adds at hand, for this record and those of the same context that follow."""
        remembered = self._contexts.get(id(context))
        if remembered is None:
            remembered = (context, {})
            if all_scalar(context):  # else it is a copy made for this one call
                if len(self._contexts) >= _MOST_CONTEXTS:
                    self._contexts.clear()
                self._contexts[id(context)] = remembered
        self._context, self._kinds = remembered


def _plain(item: QueuedRecord, writer: str, seq: int) -> bytes | None:
    text, beside, context = item.event, item.bound, item.context
    if context or type(beside) is not KeyValues:
        beside = {**context, **as_dict(beside)}
        beside = KeyValues(tuple(beside), tuple(beside.values()))
    shape = _SHAPES.get(beside.names) or _shape(beside.names)
    if shape is None or not _is_clean(text):
        return None
    for value in beside.values:
        kind = type(value)
        if kind is str:
            if value not in KNOWN_CLEAN and not _is_clean(value):
                return None
        elif kind is int:
            if not -_SMALL < value < _SMALL and integer(value) is not value:
                return None
        elif kind not in SCALARS:
            return None
    timestamp, level = format_ns(item.time_ns or 0), item.level or "info"
    line = encoder.encode(shape(timestamp, level, text, VERSION, writer, seq, True, *beside.values))
    return (line if line.isascii() else escaped(line)) + b"\n"


def _is_clean(text: str) -> bool:
    """Tell whether a text stands in a line as it is: it is short enough, and without secrets."""
    return text in KNOWN_CLEAN or (len(text) <= _LONGEST_TEXT and mask_text(text) == text)


def _shape(keys: tuple[str, ...]) -> Callable[..., Any] | None:
    """Return what makes a plain line's object of its values: those of the header, then those bound.

    None where a key is taken, hides its value, or has to be escaped. Calls bind the same keys every time, so there is a
    Struct for them, which msgspec writes faster than a dictionary; but not for keys that vary without end.
    """
    if not all(map(_is_harmless, keys)):
        return None
    names = (*HEADER, *keys)
    if len(_SHAPES) >= _MOST_SHAPES or len(keys) > _MOST_KEYS:
        return lambda *values: dict(zip(names, values, strict=True))
    fields = {f"field_{number}": name for number, name in enumerate(names)}
    try:
        _SHAPES[keys] = msgspec.defstruct("Line", fields, rename=fields, gc=False)
    except ValueError:
        return None
    return _SHAPES[keys]


@lru_cache(maxsize=4096)
def _is_harmless(key: str) -> bool:
    """Tell whether a bound value under this key stands there as it is, unless it is a text with a secret in it."""
    return key not in HEADER_SET and key not in TRAILER and may_show(key)


_CLOSER_LOOK = Beside(None, b"", (), None)


def _beside(cls: type[MetricsEvent], context: Mapping[str, Any]) -> Beside:
    """Return what ``context`` adds; a closer look is needed where keys have to be renamed or values looked at."""
    make = _MAKE.get(cls)
    if make is None or not all_scalar(context):
        return _CLOSER_LOOK
    fields, trace_id = fields_in_line(cls.kind), None
    same: list[tuple[Callable[[Any], Any], Any]] = []
    free: dict[str, Any] = {}
    for key, value in context.items():
        if key == "trace_id" and type(value) is str:
            trace_id = value
            same.append((partial(_trace_id, bound=value), value))
        elif key in _PLAIN_FIELDS[cls]:
            same.append((attrgetter(key), value))
        elif key in fields or key in HEADER_SET or key in TRAILER or key.startswith("bound_"):
            return _CLOSER_LOOK
        else:
            free[key] = mask_value(key, integer(value) if type(value) is int else value)
    end = b"," + encode(free)[1:] if free else b"}"
    return Beside(make, end + b"\n", tuple(same), trace_id)


def _trace_id(event: Any, bound: str) -> str:
    own: str | None = event.meta.trace_id
    return bound if own is None else own


def _error(text: str | None) -> str | None:
    """Return an error's text without secrets. Raises ValueError for one that may be too long."""
    if text is None:
        return None
    if len(text) > _LONGEST_TEXT:
        raise ValueError(text)
    return mask_text(text)


# -- one function for each kind --------------------------------------------------------------

_NO_USAGE = SimpleNamespace(**dict.fromkeys(USAGE))
_LEVEL_OF = {status: "error" if status in ERROR_STATUSES else "info" for status in STATUSES}
_LEVELS = {"status": "LEVEL_OF[status]", "success": "'info' if event.success else 'warning'"}
_READ_BEFORE = {"usage": "usage = event.usage or NO_USAGE", "status": "status = event.status._value_"}


def _values(cls: type[MetricsEvent]) -> dict[str, str]:
    """Return the keys of a line after the header, in order, and how their values are read."""
    values: dict[str, str] = {}
    for name in names_of(cls):
        if name == "meta":
            values |= {"event_id": "meta.event_id", "trace_id": "trace_id if meta.trace_id is None else meta.trace_id"}
        elif name == "usage":
            values |= {part: f"usage.{part}" for part in USAGE}
        elif name == "status":
            values[name] = "status"
        elif name in TEXT_FIELDS:
            values[name] = f"error(event.{name})"
        else:
            values[name] = f"event.{name}"
    return values


_SOURCE = """
def line(event, writer, seq, trace_id):
    meta = event.meta
    moment = meta.occurred_at
    if not moment.microsecond:  # msgspec would leave the digits out
        moment = format_utc(moment)
    {before}
    made = encode(Line(moment, {level}, {kind!r}, {version}, writer, seq, {values}))
    return made if made.isascii() else escaped(made)
"""


def _maker(cls: type[MetricsEvent]) -> _Line:
    names, values = names_of(cls), _values(cls)
    keys = ["timestamp", "level", "event", "v", "writer", "seq", *values]
    struct = msgspec.defstruct("Line", [(key, Any, None) for key in keys], omit_defaults=True, gc=False)
    source = _SOURCE.format(
        before="; ".join(_READ_BEFORE[name] for name in names if name in _READ_BEFORE),
        level=next((level for name, level in _LEVELS.items() if name in names), "'info'"),
        kind=cls.kind,
        version=VERSION,
        values=", ".join(values.values()),
    )
    known = {
        "Line": struct, "encode": encoder.encode, "escaped": escaped, "format_utc": format_utc, "error": _error,
        "NO_USAGE": _NO_USAGE,
        "LEVEL_OF": _LEVEL_OF,
    }  # fmt: skip
    made: dict[str, Any] = {}
    exec(source, known, made)  # noqa: S102 - of the names of our own fields
    line: _Line = made["line"]
    return line


_TYPED = [cls for cls in EVENT_CLASSES.values() if is_builtin(cls) and not issubclass(cls, SystemEvent)]
_MAKE: dict[type, _Line] = {cls: _maker(cls) for cls in _TYPED}
_PLAIN_FIELDS = {cls: frozenset(names_of(cls)) - {"meta", "usage", "status", *TEXT_FIELDS} for cls in _TYPED}

FAST_PATHS: Mapping[Layout, Callable[[], FastPath]] = {NATIVE: FastPath}
