"""Scopes: a session, a round, a tool call or a request as a block of code.

A scope emits its events as it begins and ends, whatever way its block ends. ``BoundLog`` has a method for each kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uuid_utils import uuid4

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
from bamboo_logmetrics.events.validators import U16_MAX, text, unsigned
from bamboo_logmetrics.logger import scope_context
from bamboo_logmetrics.logger.call_scope import CallScope
from bamboo_logmetrics.logger.scope import Scope, bound_id
from bamboo_logmetrics.logger.scope_context import current_request, surroundings
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
_FIRST_TOKEN = "time_to_first_token_ms"  # noqa: S105 - the name of a value
_status_code = unsigned(U16_MAX, "Pass an HTTP status code; 0 means no response.")


class SessionScope(Scope):
    """A conversation. ``session_id`` is its id; ``log.session`` describes the arguments."""

    kind = scope_context.SESSION
    last_round_id: str | None = None
    _message_count = 0

    def __init__(self, log: BoundLog, model: str, session_id: str | None, bound: dict[str, Any]) -> None:
        super().__init__(log, bound)
        self.model = model
        self._id = session_id
        self.session_id = session_id or ""

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
        self._emit((event, self._bound))

    def _begin(self) -> Emission:
        outer, _, tool = surroundings()
        session_id = self._id or bound_id(self._log, "session_id")
        if outer is not None:
            if self._id is None and session_id == outer.session_id:  # of the logger, which both use
                session_id = None
            self._bound.setdefault("parent_session_id", outer.session_id)
            if tool is not None:
                self._bound.setdefault("parent_tool_call_id", tool.tool_call_id)
        self.session_id = session_id or str(uuid4())
        return SessionStarted(session_id=self.session_id, model=self.model), self._bound

    def _terminal(self, outcome: Outcome, _: int) -> list[Emission]:
        event = SessionCompleted(session_id=self.session_id, status=_SESSION_STATUS[outcome.status])
        return [(event, {**outcome.values(), **self._bound})]

    def _again(self) -> Self:
        return type(self)(self._log, self.model, self._id, dict(self._bound))


class RoundScope(CallScope):
    """One model call. ``round_id`` and ``session_id`` are its ids; ``log.round`` describes the arguments."""

    kind = scope_context.ROUND

    def __init__(
        self, log: BoundLog, model: str, round_id: str | None, session_id: str | None, bound: dict[str, Any]
    ) -> None:
        super().__init__(log, bound)
        self.model = model
        self._id, self._session_id = round_id, session_id
        self.round_id, self.session_id = round_id or "", session_id or ""

    def _begin(self) -> Emission:
        self._observed = []
        self.round_id = self._id or str(uuid4())
        session, _, _ = surroundings()
        self.session_id = self._find_session(self._session_id, session)
        event = RoundStarted(round_id=self.round_id, session_id=self.session_id, model=self.model)
        if session is not None and session.session_id == self.session_id:
            session.last_round_id = self.round_id
        return event, self._bound

    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Emission]:
        total = self._total()
        if total.error_type is not None and outcome.status == SUCCESS:  # an error in an answer that came
            outcome = Outcome(ERROR, total.error_type, total.error)
        bound = self._end_values(outcome, total)
        bound.setdefault("usage_source", total.source)
        event = RoundCompleted(
            round_id=self.round_id,
            session_id=self.session_id,
            status=_ROUND_STATUS[outcome.status],
            usage=total.usage or NO_USAGE,
            latency_ms=latency_ms,
            error=outcome.error,
        )
        return [(event, bound), *map(self._iteration, total.iterations)]

    def _iteration(self, item: Iteration) -> Emission:
        event = RoundCompleted(
            round_id=str(uuid4()),
            session_id=self.session_id,
            status="success",
            usage=item.usage or NO_USAGE,
            latency_ms=0,
        )
        return event, {**self._bound, **_iteration_values(item, self.round_id)}

    def _again(self) -> Self:
        return type(self)(self._log, self.model, self._id, self._session_id, dict(self._bound))


class RequestScope(CallScope):
    """One request to a provider. ``request_id`` is its id; ``log.request`` describes the arguments."""

    kind = scope_context.REQUEST
    _code: int | None = None
    _seen_code = 0  # of the last answer that was observed inside
    _round: CallScope | None = None  # that counts it too; of one inside another request, that request
    _silent = False  # True if only others count it
    _handed_on: CallFacts | None = None  # what the round was given

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

    def observe(self, facts: CallFacts) -> bool:
        """Take a call as :meth:`CallScope.observe`; one that comes after the end, as of a stream, is for the round."""
        if super().observe(facts):
            return True
        counted = self._handed_on
        if counted is None or counted.usage is not None or self._round is None or not self._round.is_open:
            return False
        counted.usage, counted.usage_source = facts.usage, facts.usage_source
        counted.bound.update(facts.bound)
        counted.iterations += facts.iterations
        return True

    def saw_status(self, code: int) -> None:
        """Take the HTTP status of an answer that was observed inside."""
        self._seen_code = code

    @property
    def status_code(self) -> int | None:
        """The HTTP status that was set, or None.

        The event then has that of the answer that was observed inside, else 200 after a block that returns, and the
        status that the exception has, or 0.
        """
        return self._code

    @status_code.setter
    def status_code(self, code: int) -> None:
        self.check_open("status_code")
        self._code = _status_code("status_code", code)

    def _begin(self) -> Emission | None:
        self._observed = []
        self.request_id = self._id or str(uuid4())
        event = RequestStarted(
            request_id=self.request_id, endpoint=self.endpoint, model=self.model, is_stream=self.is_stream
        )
        if scope_context.is_observed():  # it is counted further out
            self._silent = True
            self._round = current_request()
            return None
        session, call, _ = surroundings()
        self._round = call
        if call is not None:
            self._bound.setdefault("round_id", call.round_id)
            self._bound.setdefault("session_id", call.session_id)
        elif session is not None:
            self._bound.setdefault("session_id", session.session_id)
        return event, self._bound

    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Emission]:
        total = self._total()
        if total.error_type is not None and outcome.status == SUCCESS:  # an error in an answer that came
            outcome = Outcome(ERROR, total.error_type, total.error)
        code = self._code if self._code is not None else outcome.status_code or self._seen_code
        if outcome.status == SUCCESS:
            code = _OK if self._code is None and not code else code
            if code >= _FIRST_ERROR:
                outcome = Outcome(ERROR, str(code))
        bound = self._end_values(outcome, total)
        if total.usage is not None or outcome.status == SUCCESS:
            bound.setdefault("usage_source", total.source)
        counted_outside = False
        if self._round is not None:
            facts = self._handed_on = _facts_of(total, outcome, bound)
            counted_outside = self._round.observe(facts)
        if self._silent:
            return []
        if self._round is not None and not counted_outside:  # the round has ended without it: it counts by itself
            for values in (bound, self._bound):
                values.pop("round_id", None)
        event = RequestCompleted(
            request_id=self.request_id,
            status_code=code,
            status=_REQUEST_STATUS[outcome.status],
            usage=total.usage,
            latency_ms=latency_ms,
            error=outcome.error,
        )
        return [(event, bound), *(self._iteration(item, code) for item in total.iterations)]

    def _iteration(self, item: Iteration, code: int) -> Emission:
        event = RequestCompleted(
            request_id=str(uuid4()), status_code=code, status="success", usage=item.usage, latency_ms=0
        )
        return event, {**self._bound, **_iteration_values(item, self._bound.get("round_id"))}

    def _again(self) -> Self:
        return type(self)(self._log, self.endpoint, self.model, self.is_stream, self._id, dict(self._bound))


class ToolScope(Scope):
    """One call of a tool. ``tool_call_id`` is its id; ``log.tool`` describes the arguments."""

    kind = scope_context.TOOL
    tool_call_id = round_id = session_id = ""

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
        self.tool_name = name
        self._id, self._round_id, self._session_id = tool_call_id, round_id, session_id

    def _begin(self) -> None:
        self.tool_call_id = self._id or str(uuid4())
        session, call, _ = surroundings()
        if call is not None and self._session_id in (None, call.session_id):
            self.session_id, round_id = call.session_id, call.round_id
        else:
            self.session_id, round_id = self._find_session(self._session_id, session), None
            if session is not None and session.session_id == self.session_id:
                round_id = session.last_round_id
        self.round_id = self._round_id or round_id or bound_id(self._log, "round_id") or ""
        if not self.round_id:
            self._bound.setdefault("round_source", MISSING)
        for name in ("tool_name", "tool_call_id", "round_id", "session_id"):
            if type(getattr(self, name)) is not str:  # now, because the event is made only at the end
                text(f"{name} of a tool", getattr(self, name))
        if self.tool_name.startswith("mcp__") and (server := self.tool_name[5:].partition("__")[0]):
            self._bound.setdefault("mcp_server", server)

    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Emission]:
        event = ToolCalled(
            tool_call_id=self.tool_call_id,
            round_id=self.round_id,
            session_id=self.session_id,
            tool_name=self.tool_name,
            latency_ms=latency_ms,
            success=outcome.status == SUCCESS,
        )
        # not the text of an exception, which often quotes the arguments of the tool
        return [(event, {**outcome.values(text=outcome.described), **self._bound})]

    def _again(self) -> Self:
        return type(self)(self._log, self.tool_name, self._id, self._round_id, self._session_id, dict(self._bound))


def _facts_of(total: Total, outcome: Outcome, bound: dict[str, Any]) -> CallFacts:
    """Return the facts of a request for the round, or the request further out, that counts it."""
    from bamboo_logmetrics.usage import CallFacts

    return CallFacts(
        usage=total.usage,
        usage_source=total.source,
        bound={name: bound[name] for name in (*total.bound, _FIRST_TOKEN) if name in bound},
        error=outcome.error,
        error_type=outcome.error_type,
        iterations=list(total.iterations),
    )


def _iteration_values(item: Iteration, round_id: str | None) -> dict[str, Any]:
    source = MISSING if item.usage is None else REPORTED
    bound = {"model": item.model, "iteration": item.name, "latency_source": MISSING, "usage_source": source}
    if round_id is not None:
        bound["parent_round_id"] = round_id
    return bound
