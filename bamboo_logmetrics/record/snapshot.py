"""Snapshots of values, taken before the call returns.

The worker writes later, which must not be observable. So every value that the caller could still change is copied. The
copy is ready for JSON: str, int, float, bool, None, and lists and dicts of these that only the log holds.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.base import Model, names_of
from bamboo_logmetrics.events.times import format_utc
from bamboo_logmetrics.record.clip import clip
from bamboo_logmetrics.record.integers import integer
from bamboo_logmetrics.record.natural import Pairs, behind_proxy, is_proxy, natural_form

SCALARS = frozenset({str, int, float, bool, type(None)})

MAX_DEPTH = 20
MAX_ITEMS = 20_000  # in one value; a line of 32,000 bytes cannot show more
MAX_TEXT = 4_000  # characters of the text of an object or of bytes

CYCLE = "<cycle>"
TOO_DEEP = "<too deep>"
MORE = "<more items left out>"


def freeze_mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a copy of ``values`` with text keys and frozen values."""
    return {
        key if type(key) is str else freeze_key(key): value
        if value is None or type(value) is str or type(value) is float
        else freeze(value)
        for key, value in values.items()
    }


def all_scalar(values: Mapping[str, Any]) -> bool:
    """Return True if every value is a scalar, which needs no copy."""
    try:
        return SCALARS.issuperset(map(type, values.values()))
    except Exception:  # noqa: BLE001 - even a type may refuse to be hashed
        return False


def freeze(value: Any, longest: int | None = None) -> Any:
    """Return ``value`` itself if it is a scalar, else a copy of it as plain data.

    It never raises because of the value: a value that cannot be read becomes a short marker text.

    Args:
        value: any value.
        longest: the number of characters to copy in all; None for no limit.
    """
    if longest is not None:
        return _Freezer(longest).freeze(value, 0)
    copy = copy_usual(value)
    return _Freezer().freeze(value, 0) if copy is None else copy


def freeze_key(key: Any) -> str:
    """Return a mapping's key as an exact str."""
    if type(key) is str:
        return key
    return _short_text(str, clip(freeze(key), MAX_TEXT))


def freeze_text(value: Any) -> str:
    """Return a logged message as an exact str: a str itself, anything else as its ``str()``."""
    return str.__str__(value) if issubclass(type(value), str) else _short_text(str, value)


_SAME_LEVEL = frozenset({list, dict, Pairs})  # forms that stand for the value itself


class _Freezer:
    """A walk through one value.

    Args:
        longest: the number of characters to copy; None for no limit.

    Attributes:
        items: the number of items copied so far.
        room: the number of characters that may still be copied.
        path: the ids of the containers around the current value.
    """

    __slots__ = ("items", "path", "room")

    def __init__(self, longest: int | None = None) -> None:
        self.items = 0
        self.room = longest
        self.path: set[int] = set()

    def freeze(self, value: Any, depth: int) -> Any:
        try:
            return self._freeze(value, depth)
        except Exception:  # noqa: BLE001 - an object of the application may raise anything, anywhere
            return _unprintable(value)

    def _freeze(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 - one line per form reads best
        if type(value) in SCALARS:
            return self._within_room(integer(value) if type(value) is int else value)
        if depth < MAX_DEPTH and self.items < MAX_ITEMS - _MOST_USUAL and (copy := self._usual(value)) is not None:
            return copy
        if is_proxy(value):
            return self.freeze(behind_proxy(value), depth + 1) if depth < MAX_DEPTH else TOO_DEEP
        if isinstance(value, Enum) and depth < MAX_DEPTH:
            return self.freeze(value._value_, depth + 1)
        simple = value if isinstance(value, Model) else _simple(value)
        if simple is not value:
            return self._within_room(integer(simple) if type(simple) is int else simple)
        if id(value) in self.path:
            return CYCLE
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        self.path.add(id(value))
        try:
            return self._container(value, depth + 1)
        finally:
            self.path.discard(id(value))

    def _usual(self, value: Any) -> Any:
        """Return the copy of a value of a usual type for which there is room; None for any other."""
        copy = copy_usual(value)
        if copy is None:
            return None
        if self.room is not None:
            try:
                length = len(_encode(copy))
            except ValueError:  # a lone surrogate
                return None
            if length > self.room:
                return None
            self.room -= length
        self.items += len(copy)  # of a text its characters: too many, which does no harm
        return copy

    def _within_room(self, value: Any) -> Any:
        """Return a scalar; of a text that part for which there is room. Every item takes two characters or more."""
        if self.room is None:
            return value
        text = type(value) is str
        self.room -= len(value) + 3 if text else 2
        if self.room >= 0:
            return value
        self.items = MAX_ITEMS  # nothing more is copied
        return value[: max(len(value) + self.room, 0)] + "…" if text else value

    def _container(self, value: Any, depth: int) -> Any:
        if type(value) is Pairs:
            return self._dict(value.pairs, depth)
        if isinstance(value, Model):
            return self._dict(_pairs_of(value), depth)
        if isinstance(value, (list, tuple, set, frozenset, deque)):
            return self._list(self._at_once(value), depth)
        if isinstance(value, Mapping):
            return self._dict(self._at_once(value.items()) if isinstance(value, dict) else value.items(), depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = (item.name for item in dataclasses.fields(value))
            return self._dict(((name, getattr(value, name)) for name in names), depth)
        return self._other(value, depth)

    def _at_once(self, items: Any) -> list[Any]:
        """Return the items as a list, taken in one step: another thread may change the original."""
        return list(islice(items, max(MAX_ITEMS - self.items, 0) + 1))

    def _other(self, value: Any, depth: int) -> Any:
        try:
            form = natural_form(value, MAX_ITEMS)
        except Exception:  # noqa: BLE001 - a method of the application's object may raise anything
            return _short_text(repr, value)
        if type(form) is str:
            return self._within_room(_short_text(str, form))
        return self.freeze(form, depth - 1 if type(form) in _SAME_LEVEL else depth)

    def _list(self, values: Any, depth: int) -> list[Any]:
        kept: list[Any] = []
        for item in values:
            if self.items >= MAX_ITEMS:
                kept.append(MORE)
                break
            self.items += 1
            kept.append(self.freeze(item, depth))
        return kept

    def _dict(self, pairs: Any, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, item in pairs:
            if self.items >= MAX_ITEMS:
                kept["..."] = MORE
                break
            self.items += 1
            name = self._within_room(freeze_key(key))
            kept[name if name not in kept else _another(name, kept)] = self.freeze(item, depth)
        return kept


def _another(name: str, used: dict[str, Any]) -> str:
    """Return a name for a key whose text is used: 1 and "1" are two keys, and stay two."""
    name += "'"
    if name not in used:
        return name
    name += str(len(used))  # at once, because there may be thousands of them, such as NaN
    while name in used:
        name += "'"
    return name


# -- usual values, each copied in one step ----------------------------------------------

_MOST_USUAL = 1_000  # items
_LONGEST_USUAL = 200  # characters of a text in a list or dict
_SMALL = 2**30  # an int below it is within 64 bits, and quickly compared
_encode = msgspec.json.Encoder().encode


def copy_usual(value: Any) -> Any:
    """Return the copy of a value of a usual type; None for any other, also for one that raises."""
    try:
        copy = _USUAL.get(type(value))
        return None if copy is None else copy(value)
    except Exception:  # noqa: BLE001 - a type that refuses to be hashed
        return None


def usual_list(values: Any) -> list[Any] | None:
    """Return a list or tuple of scalars as a list; None for any other."""
    if len(values) > _MOST_USUAL:
        return None
    items = list(values)  # one step: another thread may change the original
    for item in items:
        cls = type(item)
        if cls is str:
            if len(item) > _LONGEST_USUAL:
                return None
        elif cls is int:
            if not -_SMALL < item < _SMALL:
                return None
        elif not (item is None or cls is float or cls is bool):
            return None
    return items


def usual_dict(values: Any) -> dict[str, Any] | None:
    """Return a dict of scalars with text keys as a dict; None for any other."""
    if len(values) > _MOST_USUAL:
        return None
    items: dict[str, Any] = dict(values)
    for key, item in items.items():
        cls = type(item)
        if type(key) is not str or (cls is str and len(item) > _LONGEST_USUAL):
            return None
        if cls is int:
            if not -_SMALL < item < _SMALL:
                return None
        elif not (cls is str or item is None or cls is float or cls is bool):
            return None
    return items


def _uuid_text(value: Any) -> str:
    return _encode(value)[1:-1].decode()  # the same text as str(), in a fifth of the time


def _usual_datetime(value: Any) -> str | None:
    """Return a time in UTC as text; None for any other, and for a whole second, of which msgspec shows no fraction."""
    return _encode(value)[1:-1].decode() if value.tzinfo is timezone.utc and value.microsecond else None


_USUAL: dict[type, Callable[[Any], Any]] = {
    list: usual_list, tuple: usual_list, dict: usual_dict, UUID: _uuid_text, datetime: _usual_datetime,
}  # fmt: skip


# -- any other value ---------------------------------------------------------------------


def _simple(value: Any) -> Any:  # noqa: PLR0911 - one line per type reads best
    """Return the plain form of a value that is no container, or ``value`` itself."""
    if isinstance(value, Enum):
        return TOO_DEEP
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _short_text(lambda raw: bytes(raw[: MAX_TEXT + 1]).decode("utf-8", "backslashreplace"), value)
    if isinstance(value, datetime):
        return _datetime_text(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()  # a number, which can be aggregated
    if isinstance(value, numbers.Integral) and type(value).__name__ != "timedelta64":  # of numpy
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return float(value)
    if isinstance(value, PurePath) or type(value).__module__ in {"uuid", "decimal", "fractions"}:
        return _short_text(str, value)
    return value


def _pairs_of(value: Model) -> list[tuple[str, Any]]:
    """Return the kind of an event, and the fields that are not None."""
    kind = [("event", value.kind)] if isinstance(value, MetricsEvent) else []
    fields = [(name, getattr(value, name)) for name in names_of(type(value))]
    return kind + [(name, item) for name, item in fields if item is not None]


def _datetime_text(value: datetime) -> str | None:
    if type(value) is not datetime and value != value:  # noqa: PLR0124 - NaT of pandas
        return None
    try:
        return value.isoformat() if value.utcoffset() is None else format_utc(value.astimezone(timezone.utc))
    except OverflowError:  # in UTC it would be outside the years 1 to 9999
        return value.isoformat()


def _short_text(to_text: Any, value: Any) -> str:
    try:
        text = str.__str__(to_text(value))
    except Exception:  # noqa: BLE001 - repr and str of the application's objects may raise anything
        return _unprintable(value)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def _unprintable(value: Any) -> str:
    return f"<unprintable {type(value).__name__}>"
