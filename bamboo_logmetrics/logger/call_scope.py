"""The part that scopes of model calls share: usage, calls observed inside, and the time to the first token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.events import TokenUsage
from bamboo_logmetrics.logger.scope import Scope
from bamboo_logmetrics.logger.scope_outcome import RETURNED
from bamboo_logmetrics.logger.scope_usage import MISSING, Total, total_of
from bamboo_logmetrics.pipeline import process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bamboo_logmetrics.logger.scope_outcome import Outcome
    from bamboo_logmetrics.logger.scope_usage import OwnUsage
    from bamboo_logmetrics.usage import CallFacts


class CallScope(Scope):
    """The part of rounds and requests that concerns the call of a model: usage, and the time to the first token."""

    model: str

    _own: Sequence[OwnUsage] = ()
    _observed: list[CallFacts] | None = None  # a list while the scope is open
    _time_to_first_token_ms: int | None = None
    _final_usage: TokenUsage | None = None

    @property
    def usage(self) -> TokenUsage | None:
        """The usage that was set, else the sum of the calls observed inside so far, or None; also after the end.

        Set a TokenUsage, or what a provider's library answers: its usage, or the whole answer. Raises
        :class:`~bamboo_logmetrics.usage.UnknownUsage` for anything else.
        """
        if self._observed is None:
            return self._final_usage
        return total_of(self._own, tuple(self._observed)).usage

    @usage.setter
    def usage(self, usage: object) -> None:
        if self._exited:
            self.check_open("usage")
        self._own = () if usage is None else (_facts_of(usage) if type(usage) is not TokenUsage else usage,)

    def add_usage(self, usage: object) -> None:
        """Add the usage of one more call; it takes what :attr:`usage` takes."""
        self.check_open("add_usage()")
        self._own = (*self._own, _facts_of(usage))

    def first_token(self) -> None:
        """Note that the first part of the answer has come; later calls have no effect."""
        if self._time_to_first_token_ms is None and self.is_open:
            self._time_to_first_token_ms = int((self._monotonic() - self._started) * 1000)

    def observe(self, facts: CallFacts) -> bool:
        """Take a call that was observed inside.

        Returns False if it cannot be counted here: the scope has ended, or belongs to a parent process.
        """
        observed = self._observed
        if observed is not None and self._pid == process._pid:  # no call between this and append: see channel.py
            observed.append(facts)
            return True
        return False

    def saw_status(self, code: int) -> None:
        """Take the HTTP status of an answer that was observed inside; a round has no use for it."""

    def _total(self) -> Total:
        """Return the sum of the calls, and take no more of them."""
        observed, self._observed = self._observed, None
        try:
            total = total_of(self._own, observed or ())
        except Exception as error:  # noqa: BLE001 - such as a sum beyond 64 bits
            self._report(error)
            return Total(None, MISSING, 0)
        self._final_usage = total.usage
        return total

    def _end_values(self, outcome: Outcome, total: Total) -> dict[str, Any]:
        """Return the values to bind to the event of the end, those of the application among them."""
        bound = {"model": self.model, **total.bound}
        if outcome is not RETURNED:
            bound.update(outcome.values(text=False))
        if total.calls > 1:
            bound["calls"] = total.calls
        if self._time_to_first_token_ms is not None:
            bound["time_to_first_token_ms"] = self._time_to_first_token_ms
        if outcome.closed:
            bound.setdefault("stream_end", "closed")
        bound.update(self._bound)
        return bound


def _facts_of(usage: object) -> OwnUsage:
    if isinstance(usage, TokenUsage):
        return usage
    from bamboo_logmetrics.usage import read_usage

    return read_usage(usage)
