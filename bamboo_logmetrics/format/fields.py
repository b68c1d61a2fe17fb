"""The keys of a flat record: those of its header, of its event's fields and of its trailer."""

from __future__ import annotations

from functools import lru_cache

from bamboo_logmetrics.events import EventMeta, SystemEvent, TokenUsage
from bamboo_logmetrics.events.base import Model, names_of
from bamboo_logmetrics.events.registry import EVENT_CLASSES, is_builtin
from bamboo_logmetrics.events.statuses import ForwardStatus, RoundStatus, SessionStatus

VERSION = 1  # of the line's form; it changes only when an existing key changes its meaning
APP = "app"  # the "source" of a system event that the application emitted

HEADER = ("timestamp", "level", "event", "v", "writer", "seq", "plain")
TRAILER = ("exception", "truncated")
META = names_of(EventMeta)
USAGE = names_of(TokenUsage)

STATUSES = frozenset(status.value for kind in (SessionStatus, RoundStatus, ForwardStatus) for status in kind)
ERROR_STATUSES = (SessionStatus.ERROR, RoundStatus.ERROR, ForwardStatus.ERROR, ForwardStatus.TIMEOUT)

HEADER_SET = frozenset(HEADER)
NO_FIELDS: frozenset[str] = frozenset()
TEXT_FIELDS = ("error", "reason")  # event fields that hold free text


@lru_cache(maxsize=1024)
def _field_names(cls: type) -> frozenset[str]:
    names = set(names_of(cls))
    names.update(META if "meta" in names else (), USAGE if "usage" in names else ())
    names.update(("source",) if issubclass(cls, SystemEvent) else ())
    return frozenset(names)


_BUILTIN_FIELDS = frozenset(name for cls in EVENT_CLASSES.values() if is_builtin(cls) for name in _field_names(cls))


def fields_in_line(kind: str) -> frozenset[str]:
    """Return the keys that a kind's fields may have in a line; none for an unknown kind."""
    cls = EVENT_CLASSES.get(kind)
    return NO_FIELDS if cls is None else _field_names(cls)


@lru_cache(maxsize=1024)
def _own_names(cls: type[Model]) -> frozenset[str]:
    return _field_names(cls) - _BUILTIN_FIELDS


def own_fields(kind: str) -> frozenset[str]:
    """Return the keys of the fields that an application's own class adds; none for an event of this package."""
    cls = EVENT_CLASSES.get(kind)
    return NO_FIELDS if cls is None or is_builtin(cls) else _own_names(cls)


def fixed_fields(kind: str) -> frozenset[str]:
    """Return the keys of a kind's fields that redaction and truncation leave alone, except those in TEXT_FIELDS.

    Only fields of this package's classes count: they are ids, names and numbers. A text field that an application's
    own class adds may hold anything.
    """
    return fields_in_line(kind) & _BUILTIN_FIELDS


@lru_cache(maxsize=1024)
def unmasked_keys(fields: frozenset[str]) -> frozenset[str]:
    """Return the keys whose values are never masked in lines with these fixed fields.

    Remembered by the fields, not by the kind: another class may take over a kind.
    """
    return HEADER_SET | fields.difference(TEXT_FIELDS)
