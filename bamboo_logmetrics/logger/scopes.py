"""Scopes: a session, a round, a tool call or a request as a block of code.

A scope emits its events as it begins and ends, whatever way its block ends. ``BoundLog`` has a method for each kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.events import (
    MessageCountUpdated,
    RequestCompleted,
    RequestStarted,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.events.validators import U16_MAX, optional, text, unsigned
from bamboo_logmetrics.logger import scope_context
from bamboo_logmetrics.logger.call_scope import CallScope
from bamboo_logmetrics.logger.scope import Scope, bound_id, new_id
from bamboo_logmetrics.logger.scope_context import current_request, current_round, current_session, current_tool
from bamboo_logmetrics.logger.scope_outcome import CANCELLED, ERROR, SUCCESS, TIMEOUT, Outcome
from bamboo_logmetrics.logger.scope_usage import MISSING, NO_USAGE, REPORTED, Total

if TYPE_CHECKING:
    from typing_extensions import Self

    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.logger.scope import Emission
    from bamboo_logmetrics.usage import CallFacts, Iteration

_SESSION_STATUS = {SUCCESS: "completed", ERROR: "error", TIMEOUT: "error", CANCELLED: "cancelled"}
_ROUND_STATUS = {SUCCESS: "success", ERROR: "error", TIMEOUT: "error", CANCELLED: "cancelled"}
_REQUEST_STATUS = {SUCCESS: "success", ERROR: "error", TIMEOUT: "timeout", CANCELLED: "error"}

_FIRST_ERROR, _OK = 400, 200
_id_text = optional(text)
_status_code = unsigned(U16_MAX, "Pass an HTTP status code; 0 means no response.")


class SessionScope(Scope):
    """A conversation. ``session_id`` is its id; ``log.session`` describes the arguments."""

    kind = scope_context.SESSION

    def __init__(self, log: BoundLog, model: str, session_id: str | None, bound: dict[str, Any]) -> None:
        super().__init__(log, bound)
        self.model = model
        self._id = session_id
        self.session_id = session_id or ""
        self.last_round_id: str | None = None
        self._message_count = 0

    @property
    def message_count(self) -> int:
        """The number of messages, of user and assistant. Setting it emits MessageCountUpdated."""
        return self._message_count

    @message_count.setter
    def message_count(self, count: int) -> None:
        if self.is_open is None:
            msg = "this session has not begun: set message_count inside its block"
            raise RuntimeError(msg)
        event = MessageCountUpdated(session_id=self.session_id, message_count=count)
        self._message_count = event.message_count
        self._emit(event, self._bound)

    def _begin(self) -> Emission:
        outer = current_session()
        session_id = self._id or bound_id(self._log, "session_id")
        if outer is not None:
            if self._id is None and session_id == outer.session_id:  # of the logger, which both use
                session_id = None
            tool = current_tool()
            place = {"parent_session_id": outer.session_id}
            if tool is not None:
                place["parent_tool_call_id"] = tool.tool_call_id
            self._bound = {**place, **self._bound}
        self.session_id = session_id or new_id()
        return SessionStarted(session_id=self.session_id, model=self.model), self._bound

    def _terminal(self, outcome: Outcome, _: int) -> list[Emission]:
        event = SessionCompleted(session_id=self.session_id, status=_SESSION_STATUS[outcome.status])
        return [(event, {**outcome.values(), **self._bound})]

    def _again(self) -> Self:
        return type(self)(self._log, self.model, self._id, self._bound)


class RoundScope(CallScope):
    """One model call. ``round_id`` and ``session_id`` are its ids; ``log.round`` describes the arguments."""

    kind = scope_context.ROUND

    def __init__(
        self, log: BoundLog, model: str, round_id: str | None, session_id: str | None, bound: dict[str, Any]
    ) -> None:
        super().__init__(log, bound)
        self.model = model
        self._id, self._session = round_id, session_id
        self.round_id, self.session_id = round_id or "", session_id or ""

    def _begin(self) -> Emission:
        self.round_id = self._id or new_id()
        session = current_session()
        self.session_id, source = _session_of(self._log, self._session, session)
        if source is not None:
            self._bound = {"session_source": source, **self._bound}
        event = RoundStarted(round_id=self.round_id, session_id=self.session_id, model=self.model)
        if session is not None and session.session_id == self.session_id:
            session.last_round_id = self.round_id
        return event, self._bound

    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Emission]:
        total = self._total()
        outcome = _with_error_of(outcome, total)
        bound = {"model": self.model, **self._end_values(outcome, total)}
        if total.source != REPORTED:
            bound["usage_source"] = total.source
        event = RoundCompleted(
            round_id=self.round_id,
            session_id=self.session_id,
            status=_ROUND_STATUS[outcome.status],
            usage=total.usage or NO_USAGE,
            latency_ms=latency_ms,
            error=outcome.error,
        )
        return [(event, {**bound, **self._bound}), *(self._iteration(item) for item in total.iterations)]

    def _iteration(self, item: Iteration) -> Emission:
        event = RoundCompleted(
            round_id=new_id(),
            session_id=self.session_id,
            status="success",
            usage=item.usage or NO_USAGE,
            latency_ms=0,
        )
        return event, {**self._bound, **_iteration_values(item, self.round_id)}

    def _again(self) -> Self:
        return type(self)(self._log, self.model, self._id, self._session, self._bound)


class RequestScope(CallScope):
    """One request to a provider. ``request_id`` is its id; ``log.request`` describes the arguments."""

    kind = scope_context.REQUEST

    def __init__(  # noqa: PLR0917 - for ScopeMethods alone
        self,
        log: BoundLog,
        endpoint: str,
        model: str,
        is_stream: bool,  # noqa: FBT001 - a field of the event
        request_id: str | None,
        bound: dict[str, Any],
    ) -> None:
        super().__init__(log, bound)
        self.endpoint, self.model, self.is_stream = endpoint, model, is_stream
        self._id = request_id
        self.request_id = request_id or ""
        self._code: int | None = None
        self._round: CallScope | None = None
        self._silent = False

    @property
    def status_code(self) -> int | None:
        """The HTTP status of the answer. None: 200 after a block without exception, else that of the exception."""
        return self._code

    @status_code.setter
    def status_code(self, code: int) -> None:
        self.check_open("status_code")
        self._code = _status_code("status_code", code)

    def _begin(self) -> Emission | None:
        self.request_id = self._id or new_id()
        event = RequestStarted(
            request_id=self.request_id, endpoint=self.endpoint, model=self.model, is_stream=self.is_stream
        )
        if scope_context.is_observed():  # it is counted further out
            self._silent = True
            self._round = current_request()
            return None
        call, session = current_round(), current_session()
        self._round = call
        if call is not None:
            self._bound = {"round_id": call.round_id, "session_id": call.session_id, **self._bound}
        elif session is not None:
            self._bound = {"session_id": session.session_id, **self._bound}
        return event, self._bound

    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Emission]:
        total = self._total()
        outcome = _with_error_of(outcome, total)
        code = self._code if self._code is not None else outcome.status_code
        if outcome.status == SUCCESS:
            code = _OK if self._code is None else code
            if code >= _FIRST_ERROR:
                outcome = Outcome(ERROR, str(code))
        bound = {"model": self.model, **self._end_values(outcome, total)}
        if total.source != REPORTED and (total.usage is not None or outcome.status == SUCCESS):
            bound["usage_source"] = total.source
        counted_outside = self._round is not None and self._round.observe(_handed_on(total, outcome))
        if self._silent:
            return []
        if self._round is not None and not counted_outside:  # the round has ended without it: it counts by itself
            self._bound = {name: value for name, value in self._bound.items() if name != "round_id"}
        event = RequestCompleted(
            request_id=self.request_id,
            status_code=code,
            status=_REQUEST_STATUS[outcome.status],
            usage=total.usage,
            latency_ms=latency_ms,
            error=outcome.error,
        )
        return [(event, {**bound, **self._bound}), *(self._iteration(item, code) for item in total.iterations)]

    def _iteration(self, item: Iteration, code: int) -> Emission:
        event = RequestCompleted(
            request_id=new_id(), status_code=code, status="success", usage=item.usage, latency_ms=0
        )
        return event, {**self._bound, **_iteration_values(item, self._bound.get("round_id"))}

    def _again(self) -> Self:
        return type(self)(self._log, self.endpoint, self.model, self.is_stream, self._id, self._bound)


class ToolScope(Scope):
    """One call of a tool. ``tool_call_id`` is its id; ``log.tool`` describes the arguments."""

    kind = scope_context.TOOL

    def __init__(  # noqa: PLR0917 - for ScopeMethods alone
        self,
        log: BoundLog,
        name: str,
        tool_call_id: str | None,
        round_id: str | None,
        session_id: str | None,
        bound: dict[str, Any],
    ) -> None:
        super().__init__(log, bound)
        # now, because the event is made only at the end
        self.tool_name = text("the name of a tool", name)
        self._id = _id_text("tool_call_id", tool_call_id)
        self._ids = _id_text("round_id", round_id), _id_text("session_id", session_id)
        self.tool_call_id = tool_call_id or ""
        self.round_id, self.session_id = round_id or "", session_id or ""

    def _begin(self) -> None:
        self.tool_call_id = self._id or new_id()
        round_id, session_id = self._ids
        call, session = current_round(), current_session()
        place: dict[str, Any] = {}
        if call is not None and session_id in (None, call.session_id):
            self.session_id, source = call.session_id, None
            round_id = round_id or call.round_id
        else:
            self.session_id, source = _session_of(self._log, session_id, session)
        if source is not None:
            place["session_source"] = source
        if round_id is None and session is not None and session.session_id == self.session_id:
            round_id = session.last_round_id
        self.round_id = round_id or bound_id(self._log, "round_id") or ""
        if not self.round_id:
            place["round_source"] = MISSING
        if self.tool_name.startswith("mcp__") and (server := self.tool_name[5:].partition("__")[0]):
            place["mcp_server"] = server
        self._bound = {**place, **self._bound}

    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Emission]:
        event = ToolCalled(
            tool_call_id=self.tool_call_id,
            round_id=self.round_id,
            session_id=self.session_id,
            tool_name=self.tool_name,
            latency_ms=latency_ms,
            success=outcome.status == SUCCESS,
        )
        # not the text of the exception, which often quotes the arguments of the tool
        return [(event, {**outcome.values(text=False), **self._bound})]

    def _again(self) -> Self:
        return type(self)(self._log, self.tool_name, self._id, *self._ids, self._bound)


def _session_of(log: BoundLog, session_id: str | None, session: SessionScope | None) -> tuple[str, str | None]:
    """Return the session's id of a round or a tool, and ``missing`` if one had to be made."""
    found_id = session_id or (session.session_id if session is not None else bound_id(log, "session_id"))
    return (found_id, None) if found_id else (new_id(), MISSING)


def _with_error_of(outcome: Outcome, total: Total) -> Outcome:
    """Return the outcome of a block that ended without exception although the provider answered with an error."""
    if outcome.status == SUCCESS and total.error_type is not None:
        return Outcome(ERROR, total.error_type, total.error)
    return outcome


def _handed_on(total: Total, outcome: Outcome) -> CallFacts:
    """Return the facts of a request for the round, or the request further out, that counts it."""
    from bamboo_logmetrics.usage import CallFacts

    facts = CallFacts(usage=total.usage, usage_source=total.source, bound=total.bound, iterations=total.iterations)
    facts.error, facts.error_type = outcome.error, outcome.error_type
    return facts


def _iteration_values(item: Iteration, round_id: str | None) -> dict[str, Any]:
    bound = {"model": item.model, "iteration": item.name, "latency_source": MISSING}
    if round_id is not None:
        bound["parent_round_id"] = round_id
    if item.usage is None:
        bound["usage_source"] = MISSING
    return bound
