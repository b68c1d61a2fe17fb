"""One observed call: its started event, and exactly one completed event whatever happens to it."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import ref

from uuid_utils import uuid4

from bamboo_logmetrics.events import RequestCompleted, RequestStarted
from bamboo_logmetrics.instrument import outcomes
from bamboo_logmetrics.instrument.answers import AnswerReader
from bamboo_logmetrics.instrument.outcomes import LEAST_ERROR, Outcome
from bamboo_logmetrics.instrument.polls import first_report, is_on_existing
from bamboo_logmetrics.instrument.request_facts import RequestFacts, read_request
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.logger.scope_context import current_request, current_round, current_session, is_observed
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.usage import CallFacts, Iteration, read_headers
from bamboo_logmetrics.usage.providers import Endpoint, endpoint_of

if TYPE_CHECKING:
    from bamboo_logmetrics.instrument.settings import Settings

_RETRY_COUNT = "x-stainless-retry-count"  # of the SDKs that Stainless generates; 0 first
_MOST_DIGITS = 6  # of the retry count
_REDIRECT = 300
_MOST_ERROR = 2_000  # characters of a provider's message
_ENDED = Outcome("error", "the log was closed before the answer", "log_closed")
_BROKEN = Outcome("error", "the stream ended before its last event", "stream_broken")


class Call:
    """One request and its answer.

    It emits no events inside a request scope: the scope does, and is given the facts. As scopes do, it stands in a
    dictionary of the log's target until it is completed: whoever takes it out completes it, in one step.
    """

    __slots__ = (
        "__weakref__", "_bound", "_endpoint", "_first_token", "_from_headers", "_is_poll", "_is_stream", "_model",
        "_pid", "_reader", "_request_id", "_round", "_scope", "_settings", "_started", "_status_code", "is_open",
    )  # fmt: skip

    def __init__(self, settings: Settings, request: Any, endpoint: Endpoint, facts: RequestFacts | None = None) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._model, self._is_stream = facts or read_request(request)
        self._is_poll = request.method != "POST" or is_on_existing(request.url.path)
        self._scope = current_request()
        self._round = current_round()
        self._bound = self._bound_at_start(request)
        self._request_id = str(uuid4())
        self._reader: AnswerReader | None = None
        self._from_headers: dict[str, Any] = {}
        self._status_code = 0
        self._first_token: int | None = None
        self._pid = process._pid  # a forked child leaves the call to its parent
        self._started = perf_counter()
        self.is_open = True

    def _bound_at_start(self, request: Any) -> dict[str, Any]:
        bound: dict[str, Any] = {}
        if provider := self._settings.provider_at(request.url.host, self._endpoint):
            bound["provider"] = provider
        if (count := request.headers.get(_RETRY_COUNT, "")).isdecimal() and len(count) <= _MOST_DIGITS:
            bound["attempt"] = int(count) + 1
        if self._round is not None:
            bound["round_id"], bound["session_id"] = self._round.round_id, self._round.session_id
        elif (session := current_session()) is not None:
            bound["session_id"] = session.session_id
        return bound

    def start(self) -> None:
        """Emit the started event, and have the call completed at the latest when its log is closed."""
        scopes = self._settings.log._logger.scopes
        scopes[id(self)] = ref(self)
        if self._scope is None:
            event = RequestStarted(
                request_id=self._request_id, endpoint=self._endpoint.name, model=self._model, is_stream=self._is_stream
            )
            try:
                self._settings.log.emit(event, **self._bound)
            except BaseException:  # a processor of the application: the call goes on without us
                scopes.pop(id(self), None)
                raise

    @shielded
    def answered(self, response: Any) -> None:
        """Take the status and the headers of the answer."""
        self._status_code = response.status_code
        # once as a plain dictionary: httpx looks at every header for each one that is asked for
        headers = {name.lower().decode("latin-1"): text.decode("latin-1") for name, text in response.headers.raw}
        self._from_headers = read_headers(headers)
        if self._status_code >= LEAST_ERROR and (wait := outcomes.retry_wait(headers)) is not None:
            self._bound["retry_wait_ms"] = wait
        self._reader = AnswerReader(self._endpoint, self._status_code, headers, asked_for_stream=self._is_stream)

    @shielded
    def feed(self, chunk: bytes) -> None:
        """Read a chunk of the answer on its way to the application."""
        reader = self._reader
        if reader is None or not self.is_open:
            return
        reader.feed(chunk)
        if reader.is_stream:
            if self._first_token is None and reader.has_content:
                self._first_token = self._elapsed()
                if self._scope is not None:
                    self._scope.first_token()
            if reader.is_complete:
                self._finish(outcomes.COMPLETE)

    @shielded
    def has_all(self, content: bytes) -> None:
        """Take an answer that came as a whole, decoded."""
        if self._reader is not None:
            self._reader.feed_plain(content)
        self._finish(outcomes.COMPLETE)

    @shielded
    def ended(self) -> None:
        """Complete the call: the bytes of the answer have ended."""
        self._finish(outcomes.COMPLETE)

    @shielded
    def closed(self) -> None:
        """Complete the call: the application has closed the answer."""
        self._finish(outcomes.CLOSED)

    @shielded
    def failed(self, error: BaseException) -> None:
        """Complete the call: an exception is on its way to the application, or a generator was closed."""
        if isinstance(error, GeneratorExit):
            self._finish(outcomes.CLOSED)
            return
        outcome = outcomes.of_exception(error)
        self._finish(outcomes.CLOSED if outcome.error_type == "cancelled" else outcomes.BROKEN, outcome)

    @shielded
    def collected(self) -> None:
        """Complete the call: nothing refers to its answer any more."""
        self._finish(outcomes.COLLECTED)

    @shielded
    def end_with_log(self) -> None:
        """Complete the call because its log is being closed, at the end of the process or before."""
        if self._status_code:
            self._finish(outcomes.COLLECTED)
        else:
            self._finish(outcomes.BROKEN, _ENDED)

    # -- the completed event ---------------------------------------------------------------

    def _finish(self, stream_end: str, outcome: Outcome | None = None) -> None:
        """Emit the completed event, unless that has been done."""
        if self._settings.log._logger.scopes.pop(id(self), None) is None or self._pid != process._pid:
            return
        self.is_open = False
        reader = self._reader
        facts = self._facts() or CallFacts()
        if outcome is None:
            outcome = outcomes.of_answer(self._status_code, facts.error, facts.error_type)
            if stream_end == outcomes.COMPLETE and reader is not None and reader.ends_early(facts):
                stream_end = outcomes.BROKEN
                outcome = _BROKEN if outcome.status == "success" else outcome
        facts.error, facts.error_type = outcome.error, outcome.error_type
        self._hand_on(facts, outcome, stream_end)

    @shielded
    def _facts(self) -> CallFacts | None:
        """Return the facts of the body, and those that only the headers tell."""
        if self._reader is None:
            return None
        facts, headers = self._reader.facts(), dict(self._from_headers)
        usage, source = headers.pop("usage", None), headers.pop("usage_source", "")
        if facts.usage is None and usage is not None:
            facts.usage, facts.usage_source = usage, source
        facts.bound = {**headers, **facts.bound}
        return facts

    def _hand_on(self, facts: CallFacts, outcome: Outcome, stream_end: str) -> None:
        """Have the call counted once: by the request scope around it, by the round around it, else by itself."""
        answer_id = facts.calls_id or facts.bound.get("response_id")
        if facts.usage is not None and answer_id is not None:
            is_counted = not first_report(answer_id, is_poll=self._is_poll)
        else:
            is_counted = False
        if self._scope is not None:
            self._scope.saw_status(self._status_code)
            if not is_counted:
                self._scope.observe(replace(facts, bound=self._bound_for_scope(facts, stream_end)))
            return
        values = self._values_at_end(facts, outcome, stream_end)
        if is_counted:
            facts.usage, facts.iterations = None, []
            values.pop("usage_source", None)
        elif self._round is not None:
            handed_on = replace(facts, bound={**facts.bound, **self._provider()})
            if not self._round.observe(handed_on):  # the round has ended: the call counts by itself
                self._bound.pop("round_id", None)
        self._emit_completed(facts, outcome.status, {**values, **self._bound})
        for iteration in facts.iterations:
            self._emit_iteration(iteration)

    def _bound_for_scope(self, facts: CallFacts, stream_end: str) -> dict[str, Any]:
        """Return the bound values that a request scope around the call writes in its own event."""
        own = [name for name in ("provider", "attempt", "retry_wait_ms") if name in self._bound]
        return {**facts.bound, **{name: self._bound[name] for name in own}, **self._end_of_stream(stream_end)}

    def _end_of_stream(self, stream_end: str) -> dict[str, Any]:
        is_known = self._reader is not None and (self._reader.is_stream or stream_end != outcomes.COMPLETE)
        return {"stream_end": stream_end} if is_known else {}

    def _values_at_end(self, facts: CallFacts, outcome: Outcome, stream_end: str) -> dict[str, Any]:
        values = dict(facts.bound)
        if self._model:
            values["model"] = self._model
        is_answer = outcome.status == "success" and self._status_code < _REDIRECT
        if facts.usage is not None or is_answer:
            values["usage_source"] = facts.usage_source
        values.update(self._end_of_stream(stream_end))
        if self._first_token is not None:
            values["time_to_first_token_ms"] = self._first_token
        if outcome.error_type is not None:
            values["error_type"] = outcome.error_type
        return values

    def _emit_completed(self, facts: CallFacts, status: str, values: dict[str, Any]) -> None:
        event = RequestCompleted(
            request_id=self._request_id,
            status_code=self._status_code,
            status=status,
            usage=facts.usage,
            latency_ms=self._elapsed(),
            error=None if facts.error is None else facts.error[:_MOST_ERROR],
        )
        self._settings.log.emit(event, **values)

    def _emit_iteration(self, iteration: Iteration) -> None:
        """Emit a completed event for a part of the answer that is outside its usage."""
        event = RequestCompleted(
            request_id=str(uuid4()),
            status_code=self._status_code,
            status="success",
            usage=iteration.usage,
            latency_ms=0,
        )
        values: dict[str, Any] = {"model": iteration.model, "iteration": iteration.name, "latency_source": "missing"}
        if iteration.usage is None:
            values["usage_source"] = "missing"
        for name in ("round_id", "session_id"):
            if name in self._bound:
                values[name] = self._bound[name]
        if "round_id" in values:
            values["parent_round_id"] = values["round_id"]
        self._settings.log.emit(event, **values, **self._provider())

    def _provider(self) -> dict[str, Any]:
        return {"provider": self._bound["provider"]} if "provider" in self._bound else {}

    def _elapsed(self) -> int:
        return int((perf_counter() - self._started) * 1000)


@shielded
def begin(settings: Settings, request: Any) -> Call | None:
    """Return a call that has started; None for a request that is not observed."""
    if not settings.covers(request.url.host) or (current_request() is None and is_observed()):
        return None
    endpoint = endpoint_of(request.url.path)
    if request.method != "POST" and not (request.method == "GET" and endpoint.shape):
        return None
    call = Call(settings, request, endpoint)
    call.start()
    return call
