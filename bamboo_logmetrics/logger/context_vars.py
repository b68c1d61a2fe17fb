"""structlog's context variables, merged with the values that a logger has bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog.contextvars

from bamboo_logmetrics.record.packed import is_short

# structlog's variables by name. The name is private: without it the whole context is copied at every call.
CONTEXT_VARS: Any = getattr(structlog.contextvars, "_CONTEXT_VARS", {"": None})
_BY_NAME = "" not in CONTEXT_VARS
_PREFIX = len("structlog_")  # before each name in that table

_MOST_CONTEXTS = 256  # kept for one logger; then all are forgotten

Merged = tuple[Mapping[str, Any], bool, list[Any]]


def merge(bound: Mapping[str, Any], contexts: dict[tuple[int, ...], Merged]) -> Merged:
    """Return the bound values with structlog's context variables beside them, and whether all are short scalars.

    structlog's ``get_contextvars`` copies the whole context, which takes over a microsecond. This reads each variable
    by its name, and returns the same mapping as long as the variables hold the same objects. The encoder remembers
    what it has made of a mapping, so it need not look at those values again either.

    Args:
        bound: the values of the logger; they take precedence.
        contexts: the mappings that were merged for this logger, by the ids of the variables' values. Each is kept with
            the values, so that no other object can get the same id.
    """
    if not _BY_NAME:
        return _merge(bound, structlog.contextvars.get_contextvars(), [])
    values = [variable.get() for variable in list(CONTEXT_VARS.values())]  # a list: other threads may add a variable
    key = tuple(map(id, values))
    merged = contexts.get(key)
    if merged is None:
        names = list(CONTEXT_VARS)  # variables are only ever added, at the end
        pairs = zip(names, values, strict=False)
        variables = {name[_PREFIX:]: value for name, value in pairs if value is not Ellipsis}
        merged = _merge(bound, variables, values)
        if merged[1]:
            if len(contexts) >= _MOST_CONTEXTS:
                contexts.clear()
            contexts[key] = merged
    return merged


def _merge(bound: Mapping[str, Any], variables: Mapping[str, Any], values: list[Any]) -> Merged:
    context = {**bound, **{name: value for name, value in variables.items() if name not in bound}}
    return context, is_short(context), values
