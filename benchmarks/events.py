"""The logged events: the same information for every package."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# In every line that a benchmark logs, and in no other, so that lines can be counted. It stands in a key that no
# package takes for a secret (fapilog masks session_id).
MARK = "bench-round-1"
SESSION = "session-1"
TRACE = "trace-4bf92f3577b34da6"
ERROR = "provider answered 529 overloaded_error: try again later"
KIND = "chat.round_completed"

TEXT = "cache warmed"
SCALARS: Mapping[str, Any] = {"round_id": MARK, "entries": 312, "share": 0.75, "warm": True, "region": "eu-1"}

CONTEXT = "context"  # context variables are bound
EXCEPTIONS = "exceptions"  # exceptions are logged
PROCESSOR = "processor"  # the application has a processor of its own
NEEDS = (CONTEXT, EXCEPTIONS, PROCESSOR)


@dataclass(frozen=True, slots=True)
class Load:
    """Number and kind of the calls of one run.

    Args:
        bound: what is bound to the logger, beside the event.
        error: the event's error text; None as in a round that succeeded.
        burst: how many events may wait at once; a package that drops gets a queue of at least this many.
        options: options of ``bamboo_logmetrics.open_log``; other packages do not see them.
        needs: what the calls need beside the usual set-up, of NEEDS; structlog, and we on it, can have it.
    """

    bound: Mapping[str, Any] = field(default_factory=lambda: {"project": "demo"})
    error: str | None = None
    burst: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: Sequence[str] = ()


def fields(number: int, error: str | None) -> dict[str, Any]:
    """Return the fields of one event, its id made now; ``number`` is its latency in milliseconds."""
    return {
        "event_id": str(uuid.uuid4()),
        "trace_id": TRACE,
        "round_id": MARK,
        "session_id": SESSION,
        "status": "error" if error else "success",
        "prompt_tokens": 1234,
        "completion_tokens": 567,
        "total_tokens": 1801,
        "cache_read_tokens": 1000,
        "cache_write_tokens": 20,
        "reasoning_tokens": 300,
        "latency_ms": number,
        "error": error,
    }
