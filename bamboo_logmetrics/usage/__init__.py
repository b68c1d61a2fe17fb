"""Usage in the answers of providers: bodies, streams and usage objects become tokens and bound names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bamboo_logmetrics.usage.body import read_body
    from bamboo_logmetrics.usage.facts import CallFacts, Iteration, UnknownUsage
    from bamboo_logmetrics.usage.headers import read_headers
    from bamboo_logmetrics.usage.sdk_objects import read_usage
    from bamboo_logmetrics.usage.stream import StreamReader

__all__ = ["CallFacts", "Iteration", "StreamReader", "UnknownUsage", "read_body", "read_headers", "read_usage"]

# Imported on first use: every log needs the table of endpoints, few processes read answers.
_LATE = {
    "CallFacts": "facts",
    "Iteration": "facts",
    "StreamReader": "stream",
    "UnknownUsage": "facts",
    "read_body": "body",
    "read_headers": "headers",
    "read_usage": "sdk_objects",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
