"""Tagged JSON of many events, one a line: the same as ``to_json`` and ``from_json``, twenty times as fast.

Events of this package's classes, without unknown keys, are converted here; dataclasses-json does everything else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from bamboo_logmetrics.events.base import Model, names_of
from bamboo_logmetrics.events.event import MetricsEvent
from bamboo_logmetrics.events.meta import EventMeta
from bamboo_logmetrics.events.registry import VARIANTS, is_builtin
from bamboo_logmetrics.events.statuses import read_status
from bamboo_logmetrics.events.times import format_utc, parse_utc
from bamboo_logmetrics.events.usage import TokenUsage

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()
_OMITTED = "U64 | None"  # the annotation of fields that are left out where they are None


class _NotSimpleError(ValueError):
    """An event that only dataclasses-json converts."""


def to_line(event: MetricsEvent) -> bytes:
    """Return the tagged JSON of an event, without a newline. Raises as :meth:`MetricsEvent.to_json`."""
    try:
        return _ENCODER.encode(_form(event))
    except (_NotSimpleError, UnicodeEncodeError):
        return event.to_json().encode()


def from_line(raw: bytes) -> MetricsEvent:
    """Return the event of a line. Raises DecodeError as :meth:`MetricsEvent.from_json`."""
    try:
        return _event(_DECODER.decode(raw))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # dataclasses-json knows what is wrong
        return MetricsEvent.from_json(raw)


def _form(event: MetricsEvent) -> dict[str, Any]:
    cls = type(event)
    if not _is_simple(cls) or event.extra:
        raise _NotSimpleError
    family, variant = cls._tag
    return {family: {variant: body} if (body := _fields(event)) else variant}


@lru_cache(maxsize=64)
def _is_simple(cls: type[MetricsEvent]) -> bool:
    return VARIANTS.get(getattr(cls, "_tag", ("", ""))) is cls and is_builtin(cls)


def _fields(model: Model) -> dict[str, Any]:
    """Return the fields of an event, or of a part of one."""
    body: dict[str, Any] = {}
    for name, annotation in type(model)._annotations.items():
        value = getattr(model, name)
        if isinstance(value, Model):
            if value.extra:
                raise _NotSimpleError
            body[name] = _fields(value)
        elif annotation == "datetime":
            body[name] = format_utc(value)
        elif value is not None or annotation != _OMITTED:
            body[name] = value
    return body


def _event(data: Any) -> MetricsEvent:
    """Return the event of plain data. Raises an error if it is not a simple one."""
    ((family, inner),) = data.items()
    ((variant, body),) = inner.items()
    cls = VARIANTS[family, variant]
    names = names_of(cls)
    if not is_builtin(cls) or not body.keys() <= set(names):
        raise _NotSimpleError
    if "meta" in names:
        body["meta"] = _part(EventMeta, {**body["meta"], "occurred_at": parse_utc(body["meta"]["occurred_at"])})
    if body.get("usage") is not None:
        body["usage"] = _part(TokenUsage, body["usage"])
    if "status" in body:
        body["status"] = read_status(body["status"])
    return cls(**body)


def _part(cls: type[Any], values: dict[str, Any]) -> Any:
    if cls is EventMeta and "event_id" not in values:  # it would get a new one
        raise _NotSimpleError
    return cls(**values)
