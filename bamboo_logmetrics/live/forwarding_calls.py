"""One forwarded request as events: the call of the instrumentation, told by the proxy what passes through it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from bamboo_logmetrics.instrument import outcomes
from bamboo_logmetrics.instrument.call import Call
from bamboo_logmetrics.instrument.outcomes import LEAST_ERROR, Outcome
from bamboo_logmetrics.instrument.request_facts import RequestFacts
from bamboo_logmetrics.instrument.settings import Settings
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.live.forwarding_headers import RawHeaders, RequestHeaders
from bamboo_logmetrics.usage import CallFacts
from bamboo_logmetrics.usage.providers import Endpoint

CLIENT_LEFT = Outcome("error", "the client closed the connection", "cancelled")
STALLED = Outcome("timeout", "the client or the upstream took nothing for too long", "stalled")
_QUERY = re.compile(r"\?.*", re.DOTALL)  # to the end of a text, as anything may stand in a query


class Url(NamedTuple):
    """The parts of a URL that a call looks at."""

    host: str
    path: str


class ForwardedRequest(NamedTuple):
    """A request as a call looks at it."""

    method: str
    url: Url
    headers: RequestHeaders


class RawAnswer(NamedTuple):
    """The status and the headers of an answer as a call looks at them."""

    status_code: int
    raw: RawHeaders

    @property
    def headers(self) -> RawAnswer:
        """Itself, which has the headers as ``raw``."""
        return self


class ForwardedCall(Call):
    """The events of one forwarded request.

    Args:
        settings: the log and the provider.
        request: the request.
        endpoint: its endpoint at the provider.
        facts: the model and the kind of answer that its body asks for.
        bound: ids that the client gave.
        began: the time at which the request came, by ``time.perf_counter``.
    """

    __slots__ = ("_is_read",)

    def __init__(
        self,
        settings: Settings,
        request: ForwardedRequest,
        endpoint: Endpoint,
        facts: RequestFacts,
        *,
        bound: dict[str, Any],
        began: float,
    ) -> None:
        super().__init__(settings, request, endpoint, facts)
        self._bound.update(bound)
        self._started = began
        self._is_read = request.method == "POST" or bool(endpoint.shape)

    @shielded
    def begin(self) -> None:
        """Emit the started event."""
        self.start()

    @shielded
    def feed(self, chunk: bytes) -> None:
        """Read a chunk of the answer on its way to the client; a download is not looked at."""
        if self._is_read or self._status_code >= LEAST_ERROR:
            super().feed(chunk)

    @shielded
    def left(self) -> None:
        """Complete the call: the client has closed the connection."""
        self._finish(outcomes.CLOSED, CLIENT_LEFT)

    @shielded
    def stalled(self) -> None:
        """Complete the call: the client or the upstream has taken nothing for too long."""
        self._finish(outcomes.BROKEN, STALLED)

    @shielded
    def refused(self, error: str, error_type: str) -> None:
        """Complete the call: the proxy itself has ended it."""
        self._finish(outcomes.BROKEN, Outcome("error", error, error_type))

    @shielded
    def failed(self, error: BaseException) -> None:
        """Complete the call: the upstream, or the way to it, failed. The text has no query, which may hold a key."""
        outcome = outcomes.of_exception(error)
        text = _QUERY.sub("?...", outcome.error or "")
        self._finish(outcomes.BROKEN, outcome._replace(error=text))

    def _values_at_end(self, facts: CallFacts, outcome: Outcome, stream_end: str) -> dict[str, Any]:
        values = super()._values_at_end(facts, outcome, stream_end)
        if facts.usage is None and not (self._endpoint.shape or self._endpoint.operation):
            values.pop("usage_source", None)  # no model is called there
        return values
