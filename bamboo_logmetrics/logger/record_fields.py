"""The fields of a stdlib record that a formatter asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS, BaseJsonFormatter

from bamboo_logmetrics.record.snapshot import freeze_key

Getter = Callable[[tuple[str, ...]], tuple[tuple[str, ...], Callable[[dict[str, Any]], tuple[Any, ...]]]]

# attributes of a record that a line has under another name
_ALWAYS = frozenset({"exc_info", "exc_text", "stack_info"})
_IN_LINE = _ALWAYS | {"asctime", "message", "levelname", "levelno", "name", "created", "msecs"}
_MOST_CACHED = 1024
_LONGEST_CACHED = 2_000  # characters of the names of one kind of record
_NOT_FOR_HANDLERS = (
    "prefix", "rename_fields", "exc_info_as_array", "stack_info_as_array", "timestamp", "json_indent", "json_default"
)  # fmt: skip


class FieldGetter:
    """Returns the names of a record's fields, and a function that gets their values, as ``extra_getter`` does.

    Args:
        wanted: attributes to write besides the extra ones; null where a record lacks one.
        reserved: attributes that are never extra.
        defaults: fields that all others take precedence over.
        static: fields that only extra ones take precedence over.
    """

    def __init__(
        self,
        wanted: Collection[str] = (),
        reserved: Collection[str] = RESERVED_ATTRS,
        defaults: Mapping[str, Any] | None = None,
        static: Mapping[str, Any] | None = None,
    ) -> None:
        self._wanted = tuple(name for name in wanted if name not in _ALWAYS)
        self._reserved = frozenset(reserved).union(wanted, _ALWAYS)
        self._defaults = dict(defaults or {})
        self._static = dict(static or {})
        self._cache: dict[tuple[str, ...], Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return FieldGetter, (self._wanted, self._reserved, self._defaults, self._static)

    def __call__(
        self, attributes: tuple[str, ...]
    ) -> tuple[tuple[str, ...], Callable[[dict[str, Any]], tuple[Any, ...]]]:
        """Return the names of the fields of a record with these attributes, and a function that gets their values."""
        cached = self._cache.get(attributes)
        if cached is None:
            cached = self._make(attributes)
            if sum(len(str(name)) for name in attributes) <= _LONGEST_CACHED:
                if len(self._cache) >= _MOST_CACHED:
                    self._cache.clear()
                self._cache[attributes] = cached
        return cached  # type: ignore[no-any-return]

    def _make(self, attributes: tuple[str, ...]) -> Any:
        extra = [name for name in attributes if name not in self._reserved and not str(name).startswith("_")]
        sources = {"logger": "name", **{freeze_key(name): name for name in [*self._wanted, *extra]}}
        constants = {**self._defaults, **{key: value for key, value in self._static.items() if key not in extra}}
        constants = {key: value for key, value in constants.items() if key not in sources or key in self._static}
        names = tuple(name for name in sources if name not in constants)
        origins = tuple(sources[name] for name in names)
        values = tuple(constants.values())
        return (*constants, *names), lambda of: (*values, *map(of.get, origins))


def fields_for_handler(formatter: logging.Formatter) -> tuple[FieldGetter, list[str]]:
    """Return the fields that a formatter asks of a handler whose lines have their own form, and what has no effect."""
    ignored = []
    if isinstance(formatter, BaseJsonFormatter):
        ignored = [name for name in _NOT_FOR_HANDLERS if getattr(formatter, name, None)]
        names = formatter._required_fields
        extra: dict[str, Any] = {
            "reserved": formatter.reserved_attrs, "defaults": formatter.defaults, "static": formatter.static_fields
        }  # fmt: skip
    else:
        if type(formatter).format is not logging.Formatter.format:
            ignored = [f"{type(formatter).__name__}.format"]
        names, extra = _names_in(formatter), {}
    return FieldGetter([name for name in names if name not in _IN_LINE], **extra), ignored


def _names_in(formatter: logging.Formatter) -> list[str]:
    """Return the attributes of a record that the format of a stdlib formatter shows."""
    styles = {logging.PercentStyle: "%", logging.StrFormatStyle: "{", logging.StringTemplateStyle: "$"}
    style = styles.get(type(formatter._style))
    if style is None or not formatter._fmt:
        return []
    fields = BaseJsonFormatter(formatter._fmt, style=style, validate=False)._required_fields
    return [name.partition(":")[0].partition("!")[0] for name in fields]
