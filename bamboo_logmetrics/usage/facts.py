"""Facts about one model call, as its answer tells them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bamboo_logmetrics.errors import BambooLogError
from bamboo_logmetrics.events.usage import TokenUsage

REPORTED, PARTIAL, MISSING = "reported", "partial", "missing"  # values of usage_source


class UnknownUsage(BambooLogError, TypeError):  # noqa: N818 -- the public name
    """An object is neither a usage nor an answer of a kind that this version can read."""


@dataclass(slots=True)
class Iteration:
    """A part of a call whose tokens are not in the usage of the call.

    Args:
        name: ``compaction`` or ``advisor``.
        model: The model that did it; ``""`` if the answer names none.
        usage: Its tokens; None if they are not reported.
    """

    name: str
    model: str
    usage: TokenUsage | None = None


@dataclass(slots=True)
class CallFacts:
    """Facts about one call.

    Args:
        usage: The tokens; None if they are not reported.
        usage_source: ``reported``; ``partial`` if a part could not be read or the stream has not ended, so that the
            counts are lower bounds; ``missing``.
        bound: Well-known bound names with their values, such as ``response_model`` and ``stop_reason``.
        error: The provider's message, where the answer is an error or holds one.
        error_type: The provider's code or type of the error.
        iterations: Parts outside the usage.
        complete: Whether the answer is whole: a JSON body, or a stream whose last event came.
        calls_id: The id of a response or run that may be polled again. Count it once by this.
    """

    usage: TokenUsage | None = None
    usage_source: str = MISSING
    bound: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    iterations: list[Iteration] = field(default_factory=list)
    complete: bool = False
    calls_id: str | None = None
