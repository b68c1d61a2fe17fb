"""The fast path of the encoder: a line of the native layout, encoded in one step.

The general path (flatten, redact, lay out, truncate) is right for every record. Nearly all records have only scalars
bound and need none of its care. Their values go into a Struct, which msgspec encodes: one Struct for each kind of
event, filled by a function that is compiled for that kind, and one for each set of keys bound to plain lines. For any
other record the fast path returns None, and the encoder takes the general path. A property test holds both paths to the
same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from operator import attrgetter, itemgetter
from sys import getsizeof
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec

from bamboo_logmetrics.events import MetricsEvent, SystemEvent
from bamboo_logmetrics.events.base import names_of
from bamboo_logmetrics.events.registry import EVENT_CLASSES, is_builtin
from bamboo_logmetrics.events.times import format_ns, format_utc
from bamboo_logmetrics.format.caches import TextCache
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
from bamboo_logmetrics.format.redact.clean import LONGEST_TEXT, are_clean, is_clean
from bamboo_logmetrics.format.redact.values import mask_text, mask_value, may_show
from bamboo_logmetrics.format.strict_json import encodable, encode, encoder, escape_line_breaks
from bamboo_logmetrics.record.clip import LONGEST_KEY
from bamboo_logmetrics.record.integers import integer
from bamboo_logmetrics.record.packed import is_short
from bamboo_logmetrics.record.queued import KeyValues, QueuedRecord, as_dict
from bamboo_logmetrics.record.snapshot import all_scalar

_MOST_CONTEXTS = 1_000  # remembered at a time; then all are forgotten
_LONGEST_CONTEXT = 10_000  # bytes of the values of a context that is remembered
_MOST_SHAPES, _LONGEST_SHAPE = 1_000, 2_000  # shapes, and characters of the keys of one
_MOST_KEYS = 50  # of a record; the general path has limits for more

_SHAPES: dict[tuple[str, ...], Callable[..., Any]] = {}  # Structs of plain lines, by the bound keys

# (event, writer, seq, the bound trace id) -> the line without its suffix
_MakeLine = Callable[[Any, str, int, "str | None"], bytes]


class LinePlan(NamedTuple):
    """The plan for lines of one kind in one context.

    Args:
        make: makes the line of an event of this kind; None if the general path is needed.
        suffix: the end of each line: the bound values and the newline.
        duplicates: readers of the event's own fields and the values bound under the same keys. Only while each pair is
            equal is the bound value left out, as the plan assumes.
        trace_id: the bound trace id, for events without one.
    """

    make: _MakeLine | None
    suffix: bytes
    duplicates: tuple[tuple[Callable[[Any], Any], Any], ...]
    trace_id: str | None


class _ContextPlans(NamedTuple):
    """The plans for the lines of one context.

    Args:
        values: the context.
        plans: for typed events, by class; they are made when they are first needed.
        names, row: the keys and the values of the context, for plain lines.
        clean: the values are written as they are.
    """

    values: Mapping[str, Any]
    plans: dict[type, LinePlan]
    names: tuple[str, ...]
    row: tuple[Any, ...]
    clean: bool


class FastPath:
    """Encodes lines, and remembers a plan for each context and kind."""

    def __init__(self) -> None:
        # by the context's id; the context is kept with its plans, so that no other one can get the same id
        self._contexts: dict[int, _ContextPlans] = {}
        self._select_context({})

    def line(self, record: QueuedRecord, writer: str, seq: int) -> bytes | None:
        """Return the line of a record, with its newline, or None if it needs the general path."""
        event, bound, context = record.event, record.bound, record.context
        cls: Any = type(event)
        if record.exception is not None:
            return None
        if context is not self._context.values:
            self._select_context(context)
        if cls is str:
            return _plain_line(record, self._context, writer, seq)
        plans = self._context.plans
        plan = plans.get(cls) or plans.setdefault(cls, _make_plan(cls, context))
        make, suffix, duplicates, trace_id = plan
        if bound:
            values = as_dict(bound)
            apart = make and _APPENDABLE[cls, tuple(values)] and context.keys().isdisjoint(values)
            if apart and are_clean(values.values()):
                suffix = suffix[:-2] + b"," + encode(values)[1:] + b"\n"
            else:
                make, suffix, duplicates, trace_id = _make_plan(cls, {**context, **values})
        if make is None:
            return None
        for get, value in duplicates:
            own = get(event)
            if own != value or type(own) is not type(value):
                return None
        return make(event, writer, seq, trace_id)[:-1] + suffix

    def _select_context(self, context: Mapping[str, Any]) -> None:
        """Have the plans of a context at hand: records of one context mostly follow each other."""
        entry = self._contexts.get(id(context))
        if entry is None:
            small = _are_few_and_short(context)
            clean = small and are_clean(context.values())
            entry = _ContextPlans(context, {}, tuple(context), tuple(context.values()), clean)
            if small and is_short(context) and sum(map(getsizeof, entry.row)) <= _LONGEST_CONTEXT:
                # any other context is a copy for this one call
                if len(self._contexts) >= _MOST_CONTEXTS:
                    self._contexts.clear()
                self._contexts[id(context)] = entry
        self._context = entry


# -- plain lines -------------------------------------------------------------------------


def _plain_line(record: QueuedRecord, context: _ContextPlans, writer: str, seq: int) -> bytes | None:
    text, bound = record.event, record.bound
    names: tuple[str, ...]
    values: tuple[Any, ...]
    if isinstance(bound, KeyValues):
        names, values = bound.names, bound.values
    else:
        names, values = tuple(bound), tuple(bound.values())
    if len(names) > _MOST_KEYS or not (is_clean(text) and are_clean(values)):
        return None
    if context.names:
        if not context.clean:
            return None
        if context.values.keys().isdisjoint(names):
            names, values = context.names + names, context.row + values
        else:
            merged = {**context.values, **dict(zip(names, values, strict=True))}
            names, values = tuple(merged), tuple(merged.values())
    shape = _SHAPES.get(names) or _make_shape(names)
    if shape is None:
        return None
    timestamp, level = format_ns(record.time_ns or 0), record.level or "info"
    line = encoder.encode(shape(timestamp, level, text, VERSION, writer, seq, True, *values))
    return (line if line.isascii() else escape_line_breaks(line)) + b"\n"


def _make_shape(keys: tuple[str, ...]) -> Callable[..., Any] | None:
    """Return a function that makes a plain line's object of its values: the header's, then the bound ones.

    Return None if a key is reserved, hides its value or has to be escaped. A call binds the same keys every time, so
    each set of keys gets a Struct, which msgspec encodes faster than a dictionary. Only a limited number is kept, for
    keys that vary without end.
    """
    if not all(map(_is_harmless, keys)):
        return None
    names = (*HEADER, *keys)
    if len(_SHAPES) >= _MOST_SHAPES or sum(map(len, keys)) > _LONGEST_SHAPE:
        return lambda *values: dict(zip(names, values, strict=True))
    fields = {f"field_{number}": name for number, name in enumerate(names)}
    try:
        _SHAPES[keys] = msgspec.defstruct("Line", fields, rename=fields, gc=False)
    except ValueError:
        return None
    return _SHAPES[keys]


def _are_few_and_short(keys: Collection[str]) -> bool:
    """Return True if looking at each key takes little time, and remembering it little memory."""
    return len(keys) <= _MOST_KEYS and all(len(key) <= LONGEST_KEY for key in keys)


def _is_harmless(key: str) -> bool:
    """Return True if a value bound under this key is written as it is, unless it is a text with a secret."""
    return len(key) <= LONGEST_KEY and _is_ordinary(key)


@lru_cache(maxsize=4096)
def _is_ordinary(key: str) -> bool:
    return key not in HEADER_SET and key not in TRAILER and may_show(key) and _is_utf8(key)


@lru_cache(maxsize=4096)
def _is_utf8(key: str) -> bool:
    """Return False for a key with a lone surrogate: two such keys may become one, which then must stand there once."""
    return bool(encodable(key) == key)


def _is_unchanged(key: str) -> bool:
    """Return True for a key that is written as it is: without a lone surrogate, and no secret itself."""
    return _is_utf8(key) and mask_text(key) == key


# -- plans for typed events --------------------------------------------------------------

_GENERAL_PATH = LinePlan(None, b"", (), None)


def _make_plan(cls: type[MetricsEvent], context: Mapping[str, Any]) -> LinePlan:
    """Return the plan for a kind and a context; keys to rename and nested values need the general path."""
    make = _LINE_MAKERS.get(cls)
    if make is None or not all_scalar(context) or not _are_few_and_short(context):
        return _GENERAL_PATH
    if any(type(value) is str and len(value) > LONGEST_TEXT for value in context.values()):
        return _GENERAL_PATH
    fields, trace_id = fields_in_line(cls.kind), None
    duplicates: list[tuple[Callable[[Any], Any], Any]] = []
    extra: dict[str, Any] = {}
    for key, value in context.items():
        if key == "trace_id" and type(value) is str:
            trace_id = value
            duplicates.append((partial(_trace_id, bound=value), value))
        elif key in _PLAIN_FIELDS[cls]:
            duplicates.append((attrgetter(key), value))
        elif key in fields or key in HEADER_SET or key in TRAILER or key.startswith("bound_") or not _is_unchanged(key):
            return _GENERAL_PATH
        else:
            extra[key] = mask_value(key, integer(value) if type(value) is int else value)
    end = b"," + encode(extra)[1:] if extra else b"}"
    return LinePlan(make, end + b"\n", tuple(duplicates), trace_id)


def _may_append(cls: Any, keys: tuple[str, ...]) -> bool:
    """Return True if clean values bound under these keys stand at the end of a line of this kind as they are."""
    fields = fields_in_line(cls.kind) | {"trace_id"}
    return len(keys) <= _MOST_KEYS and all(
        _is_harmless(key) and key not in fields and not key.startswith("bound_") for key in keys
    )


_APPENDABLE = TextCache(lambda argument: _may_append(*argument), itemgetter(1))


def _trace_id(event: Any, bound: str) -> str:
    own: str | None = event.meta.trace_id
    return bound if own is None else own


# -- one compiled function for each kind -------------------------------------------------

_NO_USAGE = SimpleNamespace(**dict.fromkeys(USAGE))
_LEVEL_OF = {status: "error" if status in ERROR_STATUSES else "info" for status in STATUSES}
_LEVEL_SOURCE = {"status": "LEVEL_OF[status]", "success": "'info' if event.success else 'warning'"}
_LOCALS_SOURCE = {"usage": "usage = event.usage or NO_USAGE", "status": "status = event.status._value_"}


def _value_sources(cls: type[MetricsEvent]) -> dict[str, str]:
    """Return the keys of a line after the header, in order, and the expressions that read their values."""
    sources: dict[str, str] = {}
    for name in names_of(cls):
        if name == "meta":
            sources |= {"event_id": "meta.event_id", "trace_id": "trace_id if meta.trace_id is None else meta.trace_id"}
        elif name == "usage":
            sources |= {part: f"usage.{part}" for part in USAGE}
        elif name == "status":
            sources[name] = "status"
        elif name in TEXT_FIELDS:
            sources[name] = f"masked_text(event.{name})"
        else:
            sources[name] = f"event.{name}"
    return sources


_SOURCE = """
def make_line(event, writer, seq, trace_id):
    meta = event.meta
    moment = meta.occurred_at
    if not moment.microsecond:  # msgspec would leave the digits out
        moment = format_utc(moment)
    {locals}
    line = encode(Line(moment, {level}, {kind!r}, {version}, writer, seq, {values}))
    return line if line.isascii() else escape_line_breaks(line)
"""


def _compile_line_maker(cls: type[MetricsEvent]) -> _MakeLine:
    names, sources = names_of(cls), _value_sources(cls)
    keys = ["timestamp", "level", "event", "v", "writer", "seq", *sources]
    struct = msgspec.defstruct("Line", [(key, Any, None) for key in keys], omit_defaults=True, gc=False)
    source = _SOURCE.format(
        locals="; ".join(_LOCALS_SOURCE[name] for name in names if name in _LOCALS_SOURCE),
        level=next((level for name, level in _LEVEL_SOURCE.items() if name in names), "'info'"),
        kind=cls.kind,
        version=VERSION,
        values=", ".join(sources.values()),
    )
    names_in_source = {
        "Line": struct, "encode": encoder.encode, "escape_line_breaks": escape_line_breaks, "format_utc": format_utc,
        "masked_text": _masked_text, "NO_USAGE": _NO_USAGE, "LEVEL_OF": _LEVEL_OF,
    }  # fmt: skip
    namespace: dict[str, Any] = {}
    exec(source, names_in_source, namespace)  # noqa: S102 - the source holds names of this package's own fields only
    make_line: _MakeLine = namespace["make_line"]
    return make_line


def _masked_text(text: str | None) -> str | None:
    """Return a free text without secrets. Raises ValueError for a text that may have to be clipped."""
    if text is None:
        return None
    if len(text) > LONGEST_TEXT:
        raise ValueError(text)
    return mask_text(text)


_TYPED = [cls for cls in EVENT_CLASSES.values() if is_builtin(cls) and not issubclass(cls, SystemEvent)]
_LINE_MAKERS: dict[type, _MakeLine] = {cls: _compile_line_maker(cls) for cls in _TYPED}
_PLAIN_FIELDS = {cls: frozenset(names_of(cls)) - {"meta", "usage", "status", *TEXT_FIELDS} for cls in _TYPED}

FAST_PATHS: Mapping[Layout, Callable[[], FastPath]] = {NATIVE: FastPath}
