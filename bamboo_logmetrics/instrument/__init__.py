"""Instrumentation: everything that touches another library, one module for each, imported when it is used.

::

    import openai
    import bamboo_logmetrics as blm
    from bamboo_logmetrics.instrument import instrument

    blm.configure("logs/agent.jsonl")
    client = instrument(openai.OpenAI())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bamboo_logmetrics.instrument.clients import instrument, uninstrument
    from bamboo_logmetrics.instrument.shield import observation_errors

__all__ = ["instrument", "observation_errors", "uninstrument"]

_LATE = {"instrument": "clients", "observation_errors": "shield", "uninstrument": "clients"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value
