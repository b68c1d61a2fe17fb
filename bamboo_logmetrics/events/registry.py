"""The registry of event classes: the twelve of this package and those of the application."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bamboo_logmetrics.events.base import MODELS, RULES, names_of, snake

if TYPE_CHECKING:
    from bamboo_logmetrics.events.event import MetricsEvent

EVENT_CLASSES: dict[str, type[MetricsEvent]] = {}  # by kind, such as chat.round_completed
VARIANTS: dict[tuple[str, str], type[MetricsEvent]] = {}  # by family and variant, as in the tagged form
unknown: Callable[..., MetricsEvent]  # UnknownEvent, for every other tag; its module sets this

# annotations that the fields of an application's own event may have
_OWN_TYPES = ("str", "int", "float", "bool")
_PARTS = {"usage": ("TokenUsage",), "status": ("SessionStatus", "RoundStatus", "ForwardStatus")}
# keys of every line, and of every event with a meta
_TAKEN = frozenset(
    {"timestamp", "level", "event", "v", "writer", "seq", "plain", "exception", "truncated", "source"}
    | {"meta", "event_id", "occurred_at", "trace_id"}
)
_CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def is_builtin(cls: type) -> bool:
    """Return True for a class of this package, False for one of the application."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def register(cls: type[MetricsEvent]) -> None:
    """Enter an event class under its kind, which is made of its family and its name.

    A class of the same name and module (a notebook's cell run again, a reload) replaces the one before. Raises
    TypeError for a class that can have no kind, and for a kind that another class has.
    """
    name = cls.__name__
    if not cls._family:
        msg = (
            f"{name} must derive from ChatEvent, ForwardEvent or SystemEvent: the family is the first part of its kind"
        )
        raise TypeError(msg)
    if not _CLASS_NAME.fullmatch(name):
        msg = f"the name of an event class must be in CamelCase, such as CacheWarmed; got {name!r}"
        raise TypeError(msg)
    kind = f"{snake(cls._family)}.{snake(name)}"
    known = EVENT_CLASSES.get(kind)
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        other = f"{known.__module__}.{known.__qualname__}"
        msg = f"{name} would be of kind {kind!r}, as {other} already is: rename one of them"
        raise TypeError(msg)
    cls.kind = kind
    cls._tag = (cls._family, name)
    EVENT_CLASSES[kind] = VARIANTS[cls._tag] = cls


def check_annotations(cls: type[MetricsEvent]) -> None:
    """Raise TypeError for a field of an application's class that has a reserved name or a type that no line holds."""
    if is_builtin(cls):
        return
    inherited: Mapping[str, str] = super(cls, cls)._annotations
    for name, annotation in cls._annotations.items():
        if inherited.get(name) != annotation:
            _check_field(cls, name, annotation, is_new=name not in inherited)


def _check_field(cls: type[MetricsEvent], name: str, annotation: str, *, is_new: bool) -> None:
    where = f"{cls.__name__}.{name}"
    taken = _TAKEN.union(names_of(MODELS["TokenUsage"]) if "usage" in cls._annotations else ())
    if (
        name in taken
        or name.startswith("bound_")
        or not _FIELD_NAME.fullmatch(name)
        or (is_new and any(name in vars(base) for base in cls.__mro__[1:]))
    ):
        msg = f"{where}: this name is reserved, or not in snake_case; use another"
        raise TypeError(msg)
    allowed = _PARTS.get(name, _OWN_TYPES)
    if annotation.removesuffix(" | None") not in allowed or annotation not in RULES:
        msg = (
            f"{where} must be annotated as {', '.join(allowed)}, or one of these with `| None`; got {annotation!r}. "
            f"Bind other values beside the event: log.emit(event, {name}=...)"
        )
        raise TypeError(msg)


def require_kind(event: MetricsEvent) -> None:
    """Raise TypeError for an object of a family's base class, which has no kind."""
    if getattr(type(event), "kind", None) is None:
        name = type(event).__name__
        msg = (
            f"{name} is the base of a family and has no kind: emit one of its events, such as SessionStarted(...), "
            f"or one of your own: class CacheWarmed({name}): ..."
        )
        raise TypeError(msg)
