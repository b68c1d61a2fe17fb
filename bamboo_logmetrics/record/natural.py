"""The natural form of values of other libraries: numbers, texts, lists and mappings that the snapshot can copy.

No library is imported for this. A type is known by what its class has, never by what an object answers: a mock answers
to every name. Nothing is consumed: an iterator or a generator becomes its text.
"""

from __future__ import annotations

import collections
import numbers
import re
import weakref
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import Any

_PROXIES = (weakref.ProxyType, weakref.CallableProxyType)
_UNKNOWN: Any = object()
_MISSING = frozenset({"NAType", "NaTType"})  # of pandas


class Pairs:
    """Keys and values that become an object of JSON.

    Args:
        pairs: the keys and values.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self.pairs = pairs


def is_proxy(value: Any) -> bool:
    """Return True for an object that passes for one of another class, such as werkzeug's LocalProxy, or a mock."""
    try:
        return type(value) is not value.__class__
    except ReferenceError:  # a weakref.proxy whose object is gone
        return True


def behind_proxy(value: Any) -> Any:
    """Return the object behind a proxy, or its own text if that cannot be had.

    Known are LocalProxy of werkzeug, LazyObject of Django, ObjectProxy of wrapt and weakref.proxy. Of any other, what
    passes for a number, a text or a container is converted by its own methods.
    """
    cls: Any = type(value)
    if cls.__module__ == "unittest.mock":
        return repr(value)
    try:
        if hasattr(cls, "_get_current_object"):
            return value._get_current_object()
        if cls in _PROXIES:
            return value.__repr__.__self__
        if hasattr(cls, "__wrapped__"):
            return value.__wrapped__
        attributes = object.__getattribute__(value, "__dict__") if hasattr(cls, "__dict__") else {}
        return attributes["_wrapped"] if "_wrapped" in attributes else _converted(value)
    except Exception:  # noqa: BLE001 - nothing is behind it now
        return cls.__repr__(value)


def _converted(value: Any) -> Any:  # noqa: PLR0911 - one line for each class
    cls = value.__class__
    if cls is type(None):
        return None
    if issubclass(cls, str):
        return str(value)
    if issubclass(cls, bool):
        return bool(value)
    if issubclass(cls, numbers.Integral):
        return int(value)
    if issubclass(cls, numbers.Real):
        return float(value)
    if issubclass(cls, Mapping):
        return Pairs(value.items())
    if issubclass(cls, (list, tuple, AbstractSet)):
        return list(value)
    own: Any = type(value)
    return own.__str__(value)


def natural_form(value: Any, most: int) -> Any:
    """Return a value that has no form of its own in JSON as a number, a text, a list, a mapping, Pairs or None.

    Args:
        value: anything but str, numbers, enums, times, paths, lists, mappings and dataclasses.
        most: the number of items that are looked at.
    """
    cls = type(value)
    if cls.__name__ in _MISSING and cls.__module__.startswith("pandas"):
        return None
    for find in (_fields_of, _items_of, _array_form, _frame_form):
        form = find(value, most)
        if form is not _UNKNOWN:
            return form
    if isinstance(value, re.Pattern):
        return value.pattern
    return str(value) if _has_own_text(cls) else repr(value)


def _has_own_text(cls: Any) -> bool:
    return cls.__str__ is not object.__str__ and not issubclass(cls, BaseException)


def _fields_of(value: Any, _: int) -> Any:
    """Return the fields of a model of pydantic, attrs or msgspec, and of a namespace."""
    cls = type(value)
    if hasattr(cls, "__pydantic_serializer__") and hasattr(cls, "model_dump"):
        return value.model_dump(warnings=False)
    if hasattr(cls, "__fields__") and hasattr(cls, "__fields_set__") and hasattr(cls, "dict"):  # pydantic 1
        return value.dict()
    if hasattr(cls, "__attrs_attrs__"):
        names: Any = [attribute.name for attribute in cls.__attrs_attrs__]
    elif hasattr(cls, "__struct_fields__"):
        names = cls.__struct_fields__
    elif cls is SimpleNamespace:
        names = list(vars(value))
    else:
        return _UNKNOWN
    return Pairs([(name, getattr(value, name)) for name in names])


def _items_of(value: Any, most: int) -> Any:
    """Return the items of a sequence, a set or a view; not those of an iterator."""
    if isinstance(value, collections.UserString):
        return _UNKNOWN
    if isinstance(value, (range, Sequence, AbstractSet, ValuesView, ItemsView)) and not isinstance(value, Iterator):
        return list(islice(value, most + 1))
    return _UNKNOWN


def _array_form(value: Any, most: int) -> Any:
    """Return an array, a series or a tensor as a list, and one without dimensions as its value."""
    cls = type(value)
    if hasattr(cls, "tolist"):
        dimensions = getattr(value, "ndim", None)
        if type(dimensions) is not int:
            return value.tolist()
        if dimensions == 0:
            return _scalar_of(value)
        if hasattr(cls, "iloc"):  # a series of pandas
            first = value.head(most + 1)
            return first.tolist() if type(value.index).__name__ == "RangeIndex" else Pairs(first.items())
        return value[: most + 1].tolist() if dimensions == 1 else [value[at] for at in range(min(len(value), most + 1))]
    if hasattr(cls, "item") and any(hasattr(cls, name) for name in ("dtype", "shape", "__float__", "__int__")):
        return value.item()
    return _UNKNOWN


def _scalar_of(value: Any) -> Any:
    """Return the Python form of a scalar of numpy or a tensor without dimensions."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("m", "M"):  # numpy's times: of nanoseconds, item() would return a bare number
        value = value.astype(f"{'timedelta' if kind == 'm' else 'datetime'}64[us]")
    item = value.item()
    if isinstance(item, timedelta):
        return item.total_seconds()
    return item.isoformat() if type(item) is datetime else item


def _frame_form(value: Any, most: int) -> Any:
    """Return a table of pandas as a list of rows, and what polars and pyarrow have as a list."""
    cls = type(value)
    if hasattr(cls, "itertuples") and hasattr(cls, "iloc"):
        first, columns = value.head(most + 1), list(value.columns)
        rows = [Pairs(zip(columns, row, strict=True)) for row in first.itertuples(index=False, name=None)]
        return rows if type(value.index).__name__ == "RangeIndex" else Pairs(zip(first.index, rows, strict=True))
    if cls.__module__.partition(".")[0] not in ("polars", "pyarrow"):
        return _UNKNOWN
    first = value[: most + 1]
    for name in ("to_dicts", "to_list", "to_pylist"):
        if hasattr(cls, name):
            return getattr(first, name)()
    return _UNKNOWN
