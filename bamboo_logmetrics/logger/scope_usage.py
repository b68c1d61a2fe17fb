"""The usage of a scope: what the application gave, else the sum of the calls that were observed inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.events import TokenUsage

if TYPE_CHECKING:
    from typing import TypeAlias

    from bamboo_logmetrics.usage import CallFacts, Iteration

    OwnUsage: TypeAlias = "TokenUsage | CallFacts"

REPORTED, PARTIAL, MISSING = "reported", "partial", "missing"
NO_USAGE = TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)

# values that add up over several calls; of any other only one that all calls share is kept
_SUMMED = frozenset(
    {"billed_input_tokens", "billed_output_tokens", "cost_usd", "retry_wait_ms", "web_fetches", "web_searches"}
)


class Total:
    """The sum of the calls of a scope.

    Args:
        usage: the sum of what was reported; None if nothing was.
        source: ``reported``, ``partial`` (``usage`` is a lower bound) or ``missing``.
        bound: the values that the calls bind.
        calls: how many calls were counted.
        error_type: the provider's error, if every call failed.
        error: its text.
        iterations: what is outside the usage.
    """

    bound: Mapping[str, Any] = MappingProxyType({})
    error_type: str | None = None
    error: str | None = None
    iterations: Sequence[Iteration] = ()

    def __init__(self, usage: TokenUsage | None, source: str, calls: int) -> None:
        self.usage = usage
        self.source = source
        self.calls = calls


def total_of(own: Sequence[OwnUsage], observed: Sequence[CallFacts]) -> Total:
    """Return the sum of the calls of a scope.

    Args:
        own: what the application set, which takes precedence.
        observed: the calls that were seen inside.
    """
    if not observed:  # most rounds
        if not own:
            return Total(None, MISSING, 0)
        if len(own) == 1 and isinstance(usage := own[0], TokenUsage):
            return Total(usage, REPORTED, 1)
    facts = [item for item in own if not isinstance(item, TokenUsage)]
    answered = _once([call for call in observed if not _has_failed(call)])
    usages = [(item, REPORTED) if isinstance(item, TokenUsage) else (item.usage, item.usage_source) for item in own]
    usages = usages or [(call.usage, call.usage_source) for call in answered]
    total = Total(*_sum(usages), len(own) or len(answered))
    total.bound = _common(facts or answered or observed[-1:])
    total.iterations = [item for call in facts or answered for item in call.iterations]
    failed = [call for call in facts or observed if call.error_type or call.error]
    if failed and (facts or not (own or answered)):
        total.error_type, total.error = failed[-1].error_type or "provider_error", failed[-1].error
    return total


def _has_failed(call: CallFacts) -> bool:
    """Return True for an attempt that failed: it has no usage, and none is missing."""
    return call.usage is None and bool(call.error or call.error_type)


def _once(calls: list[CallFacts]) -> list[CallFacts]:
    """Return the calls with those that were polled several times counted once, as seen last."""
    last = {call.calls_id or id(call): call for call in calls}
    return list(last.values())


def _sum(usages: Iterable[tuple[TokenUsage | None, str]]) -> tuple[TokenUsage | None, str]:
    total: TokenUsage | None = None
    source = REPORTED
    for usage, source_of_one in usages:
        if usage is None or source_of_one != REPORTED:
            source = PARTIAL
        if usage is not None:
            total = usage if total is None else total + usage
    return (None, MISSING) if total is None else (total, source)


def _common(calls: Sequence[CallFacts]) -> dict[str, Any]:
    """Return the values that hold for all calls together."""
    if len(calls) == 1:
        return dict(calls[0].bound)
    bound: dict[str, Any] = {}
    for name in dict.fromkeys(name for call in calls for name in call.bound):
        values = [call.bound[name] for call in calls if name in call.bound]
        if name in _SUMMED:
            bound[name] = sum(values)
        elif len(values) == len(calls) and all(value == values[0] for value in values):
            bound[name] = values[0]
    return bound
