"""OpenTelemetry's GenAI spans as events: sessions, rounds and tool calls of every framework that makes such spans.

``gen_ai.operation.name`` tells what a span is: ``invoke_agent`` a session, ``chat`` a round, ``execute_tool`` a tool
call. The names of both generations of the conventions are read, and those of OpenInference. Prompts, completions and
the contents of tools are never looked at.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from bamboo_logmetrics.events import (
    EventMeta,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.instrument.otel_attributes import bound_at_start, failure_of
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.logger import scope_context
from bamboo_logmetrics.logger.call_scope import CallScope
from bamboo_logmetrics.logger.opening import get_logger
from bamboo_logmetrics.logger.scope import Scope
from bamboo_logmetrics.logger.scope_context import current_request, current_round, current_session, is_observed
from bamboo_logmetrics.logger.scope_usage import NO_USAGE
from bamboo_logmetrics.logger.scopes import RoundScope
from bamboo_logmetrics.usage.genai_attributes import (
    CONVERSATION,
    MODEL,
    ROUND,
    SESSION,
    TOOL,
    TOOL_CALL,
    TOOL_NAME,
    Attributes,
    facts_of,
    kind_of,
    text_of,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from typing_extensions import Self

    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.logger.scope_outcome import Outcome

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _Within(CallScope):
    """The call of a span that is within a round or a request already: it adds to that, and has no events of its own.

    Args:
        log: the log.
        outer: the round or the request.
    """

    def __init__(self, log: BoundLog, outer: CallScope) -> None:
        super().__init__(log, {})
        self.outer: CallScope = outer.outer if isinstance(outer, _Within) else outer

    def _begin(self) -> None:
        """Begin to collect; there is no event of a start."""
        self._observed = []

    def saw_status(self, code: int) -> None:
        """Hand the HTTP status on."""
        self.outer.saw_status(code)

    def _terminal(self, outcome: Outcome, latency_ms: int) -> list[Any]:  # noqa: ARG002
        for facts in self._own or self._observed or ():
            self.outer.observe(facts)  # type: ignore[arg-type] # only facts are put there
        return []

    def _again(self) -> Self:
        raise NotImplementedError


class _WithinRound(_Within):
    kind = scope_context.ROUND

    @property
    def round_id(self) -> str:
        """The id of the round, for the requests inside."""
        return cast("RoundScope", self.outer).round_id

    @property
    def session_id(self) -> str:
        """The id of its session."""
        return cast("RoundScope", self.outer).session_id


class _WithinRequest(_Within):
    kind = scope_context.REQUEST


class MetricsSpanProcessor(SpanProcessor):
    """Turns GenAI spans into events as they begin and end.

    ``provider.add_span_processor(MetricsSpanProcessor())`` is all that a program with a ``TracerProvider`` needs. A
    span inside a round or a request that is observed already adds what was not known there, and is no event of its own.

    Args:
        log: the log; the configured one when left out.
    """

    def __init__(self, log: BoundLog | None = None) -> None:
        self._log = log
        self._open: dict[int, Scope | None] = {}  # by span; None if somebody else counts the call
        self._calls: dict[int, int] = {}  # by span, the innermost call's span that it is or is within

    @shielded
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        """Open the scope of a span, if its attributes tell already what it is."""
        attributes = span.attributes or {}
        kind, context = kind_of(attributes), span.get_span_context()
        if context is None:
            return
        call = self._calls.get(span.parent.span_id) if span.parent is not None else None
        if kind is not None:
            scope = self._open[context.span_id] = self._scope(kind, attributes, context, call)
            if scope is not None:
                scope.__enter__()
        if kind == ROUND or call is not None:
            self._calls[context.span_id] = context.span_id if kind == ROUND else call or 0

    @shielded
    def on_end(self, span: ReadableSpan) -> None:
        """End the scope of a span with what its attributes tell now."""
        attributes, context = span.attributes or {}, span.get_span_context()
        if context is None:
            return
        self._calls.pop(context.span_id, None)
        if context.span_id not in self._open:
            self._emit_late(span, attributes)
        elif (scope := self._open.pop(context.span_id)) is not None:
            _finish(scope, span, attributes)

    def shutdown(self) -> None:
        """End the scopes that are still open, as cancelled."""
        for scope in list(self._open.values()):
            if scope is not None:
                scope.end_with_log()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what the log has queued."""
        return (self._log or get_logger()).flush(timeout_millis / 1000)

    def _scope(self, kind: str, attributes: Attributes, context: Any, call: int | None) -> Scope | None:
        """Return the scope of a span; None if somebody else counts its call.

        Args:
            kind: what the span is.
            attributes: its attributes.
            context: its ids.
            call: the id of the call's span that it is within.
        """
        log = self._log or get_logger()
        if kind == ROUND:
            outer = (self._open.get(call) if call is not None else None) or self._round_of_others()
            if isinstance(outer, (RoundScope, _WithinRound)):
                return _WithinRound(log, outer)
            if (request := current_request()) is not None:
                return _WithinRequest(log, request)
            if call in self._open or is_observed():
                return None
        bound = bound_at_start(attributes, context)
        own_id = format_span_id(context.span_id)
        session = text_of(attributes, CONVERSATION) or None
        if kind == SESSION:
            return log.session(model=text_of(attributes, MODEL), session_id=session or own_id, **bound)
        if session is None and current_session() is None:
            session = format_trace_id(context.trace_id)
        if kind == ROUND:
            return log.round(model=text_of(attributes, MODEL), round_id=own_id, session_id=session, **bound)
        return log.tool(
            text_of(attributes, TOOL_NAME) or "unknown",
            tool_call_id=text_of(attributes, TOOL_CALL) or own_id,
            session_id=session,
            **bound,
        )

    def _round_of_others(self) -> Scope | None:
        """Return the round of this context, unless another span has opened it: that is a call beside this one."""
        outer: Scope | None = current_round()
        if isinstance(outer, _Within):
            outer = outer.outer
        return outer if outer is not None and all(outer is not scope for scope in self._open.values()) else None

    def _emit_late(self, span: ReadableSpan, attributes: Attributes) -> None:
        """Emit the events of a span that told only at its end what it is, with the times of the span."""
        kind, context = kind_of(attributes), span.get_span_context()
        if kind is None or context is None or span.start_time is None or span.end_time is None:
            return
        if kind == ROUND and (is_observed() or current_round() is not None):
            return
        log = (self._log or get_logger()).bind(**bound_at_start(attributes, context))
        session = current_session() if kind != SESSION else None
        trace_id = format_trace_id(context.trace_id)  # for a session whose span is not known before it ends
        late = _LateSpan(
            log=log,
            attributes=attributes,
            own_id=format_span_id(context.span_id),
            session_id=text_of(attributes, CONVERSATION) or (session.session_id if session else trace_id),
            round_id=(session.last_round_id if session else None) or "",
            began=_meta(span.start_time),
            ended=_meta(span.end_time),
            latency_ms=max(0, span.end_time - span.start_time) / 1e6,
            failure=failure_of(span, attributes),
        )
        {SESSION: late.session, ROUND: late.round, TOOL: late.tool}[kind]()


class _LateSpan(NamedTuple):
    """A span that has ended, and the logger for its events."""

    log: BoundLog
    attributes: Attributes
    own_id: str
    session_id: str
    round_id: str  # the last one of the session, for a tool
    began: EventMeta
    ended: EventMeta
    latency_ms: float
    failure: tuple[bool, str, str | None]

    def session(self) -> None:
        """Emit the events of a session."""
        session_id = self.session_id
        started = SessionStarted(session_id=session_id, model=text_of(self.attributes, MODEL), meta=self.began)
        self.log.emit(started)
        status = "error" if self.failure[0] else "completed"
        self.log.emit(SessionCompleted(session_id=session_id, status=status, meta=self.ended), **self._error_type())

    def round(self) -> None:
        """Emit the events of a round."""
        failed, _, error = self.failure
        facts, model = facts_of(self.attributes), text_of(self.attributes, MODEL)
        ids = {"round_id": self.own_id, "session_id": self.session_id}
        self.log.emit(RoundStarted(**ids, model=model, meta=self.began))
        source = {"usage_source": facts.usage_source}
        completed = RoundCompleted(
            **ids,
            status="error" if failed else "success",
            usage=facts.usage or NO_USAGE,
            latency_ms=self.latency_ms,
            error=error,
            meta=self.ended,
        )
        self.log.emit(completed, **{"model": model, **facts.bound, **source, **self._error_type()})

    def tool(self) -> None:
        """Emit the event of a tool call."""
        event = ToolCalled(
            tool_call_id=text_of(self.attributes, TOOL_CALL) or self.own_id,
            round_id=self.round_id,
            session_id=self.session_id,
            tool_name=text_of(self.attributes, TOOL_NAME) or "unknown",
            latency_ms=self.latency_ms,
            success=not self.failure[0],
            meta=self.ended,
        )
        source = {} if self.round_id else {"round_source": "missing"}
        self.log.emit(event, **source, **self._error_type())

    def _error_type(self) -> dict[str, str]:
        failed, error_type, _ = self.failure
        return {"error_type": error_type} if failed else {}


def add_trace_id(logger: Any, method: str, event_dict: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """Add the trace id of the current OpenTelemetry span to a record, as a structlog processor.

    ``configure("logs/agent.jsonl", processors=[add_trace_id])`` gives it to every event and line that has none.
    """
    context = get_current_span().get_span_context()
    if context.is_valid:
        event_dict.setdefault("trace_id", format_trace_id(context.trace_id))
    return event_dict


def _finish(scope: Scope, span: ReadableSpan, attributes: Attributes) -> None:
    """End a scope that a span has opened."""
    failed, error_type, error = failure_of(span, attributes)
    if failed:
        # not the text of a tool's error, which often quotes its arguments
        scope.fail(error if error and scope.kind != TOOL else error_type, error_type=error_type)
    if isinstance(scope, CallScope):
        facts = facts_of(attributes)
        if facts.usage is not None and len(scope._observed or ()) != 1:  # else an instrumented client tells more
            scope._own = [facts]
        elif not scope._observed:
            scope.observe(facts)
        values = facts.bound
        if model := text_of(attributes, MODEL):  # some libraries know it only now
            values["model"] = model
        scope.bind(**{name: value for name, value in values.items() if name not in scope._bound})
    scope.__exit__(None, None, None)


def _meta(nanoseconds: int) -> EventMeta:
    return EventMeta(occurred_at=_EPOCH + timedelta(microseconds=nanoseconds // 1000))
