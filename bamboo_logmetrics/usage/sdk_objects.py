"""Facts from the objects of SDKs: usages and whole answers. No SDK is imported; what an object has tells what it is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from bamboo_logmetrics.events.usage import TokenUsage
from bamboo_logmetrics.usage import envelope as known
from bamboo_logmetrics.usage import gemini, shapes
from bamboo_logmetrics.usage.facts import CallFacts, UnknownUsage
from bamboo_logmetrics.usage.gathering import Gathering

_DEPTH = 5  # of objects within each other
_MOST_ITEMS = 1_000  # of one list or mapping
# attributes of a class with the names of its fields: msgspec, dataclasses, named tuples, attrs and others with slots
_FIELDS = ("__struct_fields__", "__dataclass_fields__", "_fields", "__slots__")
_UNKNOWN = (
    "{} is not a usage: pass a TokenUsage, or a usage or an answer of OpenAI, Anthropic, Gemini, Cohere, Bedrock, "
    "Ollama or LiteLLM, as a dict or an object"
)
_USAGES = ("usage", "usage_metadata", "usageMetadata", "x_groq", "meta")


def read_usage(obj: object) -> CallFacts:
    """Return the facts of a usage or of a whole answer, as a dict or an object of an SDK.

    Args:
        obj: A :class:`~bamboo_logmetrics.TokenUsage`; a usage or an answer of OpenAI (chat, Responses), Anthropic,
            Gemini, Cohere, Bedrock, Ollama, LiteLLM, LangChain, pydantic-ai and whatever counts like one of them.

    Raises:
        UnknownUsage: It is none of these, or it raises an error when it is read.
    """
    try:
        return _read(obj)
    except UnknownUsage:
        raise
    except Exception as error:  # an object of the application may raise anything from any attribute
        raise UnknownUsage(_UNKNOWN.format(type(obj).__name__)) from error


def _read(obj: object) -> CallFacts:
    if isinstance(obj, CallFacts):
        return obj
    if isinstance(obj, TokenUsage):
        return CallFacts(usage=obj, usage_source="reported", complete=True)
    gathering = Gathering()
    fields = _fields(obj) or {}
    if any(key in fields for key in _USAGES):
        gathering.absorb(_envelope(fields, _DEPTH))
    elif (
        isinstance(fields.get("metadata"), Mapping) and "usage" in fields["metadata"]
    ):  # an event of boto3's converse_stream
        gathering.absorb(_envelope(fields["metadata"], _DEPTH))
    elif gemini.SNAKE_KEYS & fields.keys():
        gathering.absorb({"usage_metadata": _plain(fields, _DEPTH)})
    else:
        gathering.absorb(_envelope(fields, _DEPTH))
        if not gathering.usage:
            if not shapes.is_usage(fields):
                raise UnknownUsage(_UNKNOWN.format(type(obj).__name__))
            gathering.absorb({"usage": _plain(fields, _DEPTH)})
    gathering.ended = True
    return gathering.facts()


def _fields(obj: object) -> dict[str, Any] | None:
    """Return the fields of a mapping or an object; None if it has none."""
    if isinstance(obj, Mapping):
        return {key: obj[key] for key in list(obj)[:_MOST_ITEMS] if isinstance(key, str)}
    if isinstance(obj, type):
        return None
    names = next((names for attribute in _FIELDS if (names := getattr(type(obj), attribute, None))), ())
    fields = {name: getattr(obj, name, None) for name in names if isinstance(name, str) and name[:2] != "__"}
    fields.update(getattr(obj, "__dict__", None) or {})
    extra = getattr(obj, "__pydantic_extra__", None)
    return {**fields, **extra} if isinstance(extra, Mapping) else fields or None


def _envelope(fields: Mapping[str, Any], depth: int) -> known.Envelope:
    """Return the known parts of an answer, as it would be read from its JSON."""
    envelope: known.Envelope = {}
    for key, value in fields.items():
        if value is None:
            continue
        if key in known.LISTS and isinstance(value, (list, tuple)):
            envelope[key] = [_envelope(_fields(item) or {}, depth - 1) for item in value[:_MOST_ITEMS]] if depth else []
        elif key in known.SCALARS and isinstance(value, (str, int, float)):
            envelope[key] = _plain(value, 0)
        elif key in known.VALUES:
            envelope[key] = _plain(value, _DEPTH)
        elif key in known.NESTED and depth and (inner := _fields(value)) is not None:
            envelope[key] = _envelope(inner, depth - 1)
    return envelope


def _plain(value: Any, depth: int) -> Any:
    """Return a value made of dicts, lists and scalars; an object is a dict of its fields."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (str, int, float)):
        return value
    if depth <= 0:
        return None
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [_plain(item, depth - 1) for item in value[:_MOST_ITEMS]]
    fields = _fields(value)
    return None if fields is None else {key: _plain(inner, depth - 1) for key, inner in fields.items()}
