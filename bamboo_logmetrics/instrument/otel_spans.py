"""OpenTelemetry's GenAI spans as events: sessions, rounds and tool calls of every framework that makes such spans.

``gen_ai.operation.name`` tells what a span is: ``invoke_agent`` a session, ``chat`` a round, ``execute_tool`` a tool
call. The names of both generations of the conventions are read, and those of OpenInference. Prompts, completions and
the contents of tools are never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id, get_current_span

from bamboo_logmetrics.events import (
    EventMeta,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.instrument.provider_names import standard_name
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.logger.call_scope import CallScope
from bamboo_logmetrics.logger.opening import get_logger
from bamboo_logmetrics.logger.scope import Scope
from bamboo_logmetrics.logger.scope_context import current_request, current_round, current_session, is_observed
from bamboo_logmetrics.logger.scope_usage import NO_USAGE
from bamboo_logmetrics.usage import CallFacts

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from bamboo_logmetrics.logger.bound_log import BoundLog

Attributes = Mapping[str, Any]

SESSION, ROUND, TOOL = "session", "round", "tool"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# what a span is, by gen_ai.operation.name, OpenInference's span kind and OpenLLMetry's request type
_SPAN_KINDS = {
    "invoke_agent": SESSION,
    "AGENT": SESSION,
    "chat": ROUND,
    "text_completion": ROUND,
    "generate_content": ROUND,
    "LLM": ROUND,
    "completion": ROUND,
    "execute_tool": TOOL,
    "TOOL": TOOL,
}
_KIND_NAMES = ("gen_ai.operation.name", "openinference.span.kind", "llm.request.type")

# the names of an attribute, today's first
_CONVERSATION = ("gen_ai.conversation.id", "session.id")
_MODEL = ("gen_ai.request.model", "llm.model_name", "gen_ai.response.model")
_PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_AGENT = ("gen_ai.agent.name", "agent.name")
_TOOL_NAME = ("gen_ai.tool.name", "tool.name")
_TOOL_CALL = ("gen_ai.tool.call.id", "tool_call.id")
_PROMPT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_COMPLETION = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
_BOUND = {  # by the name to bind
    "response_model": ("gen_ai.response.model",),
    "response_id": ("gen_ai.response.id",),
    "service_tier": ("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
}
_FINISH_REASONS = ("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason")
_FIRST_CHUNK = ("gen_ai.response.time_to_first_chunk",)


class _Observed(NamedTuple):
    """An open span, and the scope that it opened or that was there before.

    Args:
        kind: the kind of the span.
        scope: the scope; None if somebody else counts the call.
        before: the number of calls that the scope had observed when the span began; None if the span opened it.
    """

    kind: str
    scope: Scope | None
    before: int | None


class MetricsSpanProcessor(SpanProcessor):
    """Turns GenAI spans into events as they begin and end.

    ``provider.add_span_processor(MetricsSpanProcessor())`` is all that a program with a ``TracerProvider`` needs. A
    span inside a round or a request that is observed already adds what was not known there, and is no event of its own.

    Args:
        log: the log; the configured one when left out.
    """

    def __init__(self, log: BoundLog | None = None) -> None:
        self._log = log
        self._open: dict[int, _Observed] = {}

    @shielded
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        """Open the scope of a span, if its attributes tell already what it is."""
        attributes = span.attributes or {}
        kind = _kind(attributes)
        context = span.get_span_context()
        if kind is None or context is None:
            return
        if kind == ROUND and (outer := current_round() or current_request()) is not None:
            self._open[context.span_id] = _Observed(kind, outer, len(outer._observed or ()))
        elif kind == ROUND and is_observed():
            self._open[context.span_id] = _Observed(kind, None, None)
        else:
            scope = self._scope(kind, attributes, context)
            scope.__enter__()
            self._open[context.span_id] = _Observed(kind, scope, None)

    @shielded
    def on_end(self, span: ReadableSpan) -> None:
        """End the scope of a span with what its attributes tell now."""
        attributes, context = span.attributes or {}, span.get_span_context()
        if context is None:
            return
        observed = self._open.pop(context.span_id, None)
        if observed is None:
            self._emit_late(span, attributes)
        elif observed.before is not None:
            scope = observed.scope
            if isinstance(scope, CallScope) and len(scope._observed or ()) == observed.before:  # nobody saw the call
                scope.observe(_facts(attributes))
        elif observed.scope is not None:
            _finish(observed.scope, span, attributes)

    def shutdown(self) -> None:
        """End the scopes that are still open, as cancelled."""
        for observed in list(self._open.values()):
            if observed.scope is not None and observed.before is None:
                observed.scope.end_with_log()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what the log has queued."""
        return (self._log or get_logger()).flush(timeout_millis / 1000)

    def _scope(self, kind: str, attributes: Attributes, context: Any) -> Scope:
        log = self._log or get_logger()
        bound = _bound(attributes, context)
        own_id = format_span_id(context.span_id)
        session = _text(attributes, _CONVERSATION) or None
        if kind == SESSION:
            return log.session(model=_text(attributes, _MODEL), session_id=session or own_id, **bound)
        if session is None and current_session() is None:
            session = format_trace_id(context.trace_id)
        if kind == ROUND:
            return log.round(model=_text(attributes, _MODEL), round_id=own_id, session_id=session, **bound)
        return log.tool(
            _text(attributes, _TOOL_NAME) or "unknown",
            tool_call_id=_text(attributes, _TOOL_CALL) or own_id,
            session_id=session,
            **bound,
        )

    def _emit_late(self, span: ReadableSpan, attributes: Attributes) -> None:
        """Emit the events of a span that told only at its end what it is, with the times of the span."""
        kind, context = _kind(attributes), span.get_span_context()
        if kind is None or context is None or span.start_time is None or span.end_time is None:
            return
        if kind == ROUND and (is_observed() or current_round() is not None):
            return
        log = (self._log or get_logger()).bind(**_bound(attributes, context))
        late = _LateSpan(
            log=log,
            attributes=attributes,
            own_id=format_span_id(context.span_id),
            trace_id=format_trace_id(context.trace_id),
            began=_meta(span.start_time),
            ended=_meta(span.end_time),
            latency_ms=max(0, span.end_time - span.start_time) / 1e6,
            failure=_failure(span, attributes),
        )
        {SESSION: late.session, ROUND: late.round, TOOL: late.tool}[kind]()


class _LateSpan(NamedTuple):
    """A span that has ended, and the logger for its events."""

    log: BoundLog
    attributes: Attributes
    own_id: str
    trace_id: str
    began: EventMeta
    ended: EventMeta
    latency_ms: float
    failure: tuple[bool, str, str | None]

    def session(self) -> None:
        """Emit the events of a session."""
        session_id = _text(self.attributes, _CONVERSATION) or self.own_id
        started = SessionStarted(session_id=session_id, model=_text(self.attributes, _MODEL), meta=self.began)
        self.log.emit(started)
        status = "error" if self.failure[0] else "completed"
        self.log.emit(SessionCompleted(session_id=session_id, status=status, meta=self.ended), **self._error_type())

    def round(self) -> None:
        """Emit the events of a round."""
        failed, _, error = self.failure
        facts, model = _facts(self.attributes), _text(self.attributes, _MODEL)
        ids = {"round_id": self.own_id, "session_id": _text(self.attributes, _CONVERSATION) or self.trace_id}
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
            tool_call_id=_text(self.attributes, _TOOL_CALL) or self.own_id,
            round_id="",
            session_id=_text(self.attributes, _CONVERSATION) or self.trace_id,
            tool_name=_text(self.attributes, _TOOL_NAME) or "unknown",
            latency_ms=self.latency_ms,
            success=not self.failure[0],
            meta=self.ended,
        )
        self.log.emit(event, round_source="missing", **self._error_type())

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
    failed, error_type, error = _failure(span, attributes)
    if failed:
        # not the text of a tool's error, which often quotes its arguments
        scope.fail(error if error and scope.kind != TOOL else error_type, error_type=error_type)
    if isinstance(scope, CallScope):
        if not scope._observed:
            scope.observe(_facts(attributes))
        values = _facts(attributes).bound
        if model := _text(attributes, _MODEL):  # some libraries know it only now
            values["model"] = model
        scope.bind(**{name: value for name, value in values.items() if name not in scope._bound})
    scope.__exit__(None, None, None)


def _kind(attributes: Attributes) -> str | None:
    for name in _KIND_NAMES:
        value = attributes.get(name)
        if isinstance(value, str) and value in _SPAN_KINDS:
            return _SPAN_KINDS[value]
    return None


def _failure(span: ReadableSpan, attributes: Attributes) -> tuple[bool, str, str | None]:
    """Return whether a span failed, the type of its error and its text."""
    if span.status.status_code is not StatusCode.ERROR:
        return False, "", None
    return True, _text(attributes, ("error.type",)) or "error", span.status.description


def _bound(attributes: Attributes, context: Any) -> dict[str, Any]:
    """Return the values that hold from the beginning of a span on."""
    bound: dict[str, Any] = {"trace_id": format_trace_id(context.trace_id)}
    if provider := _text(attributes, _PROVIDER):
        bound["provider"] = standard_name(provider)
    if agent := _text(attributes, _AGENT):
        bound["agent"] = agent
    return bound


def _facts(attributes: Attributes) -> CallFacts:
    """Return the facts about a call that the attributes of its span tell at the end."""
    facts = CallFacts(complete=True)
    for name, names in _BOUND.items():
        if value := _text(attributes, names):
            facts.bound[name] = value
    reasons = _first(attributes, _FINISH_REASONS)
    reason = reasons[0] if isinstance(reasons, (tuple, list)) and reasons else reasons
    if isinstance(reason, str) and reason:
        facts.bound["stop_reason"] = reason
    seconds = _first(attributes, _FIRST_CHUNK)
    if isinstance(seconds, (int, float)):
        facts.bound["time_to_first_token_ms"] = seconds * 1000
    facts.usage, facts.usage_source = _usage(attributes)
    return facts


def _usage(attributes: Attributes) -> tuple[TokenUsage | None, str]:
    """Return the tokens and their ``usage_source``. Some libraries leave the cache out of the input tokens."""
    prompt, completion = _count(attributes, _PROMPT), _count(attributes, _COMPLETION)
    if prompt is None and completion is None:
        return None, "missing"
    read, write = _count(attributes, _CACHE_READ), _count(attributes, _CACHE_WRITE)
    cached = (read or 0) + (write or 0)
    counted = prompt or 0
    if cached > counted:
        counted += cached
    usage = TokenUsage(
        prompt_tokens=counted,
        completion_tokens=completion or 0,
        total_tokens=counted + (completion or 0),
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=_count(attributes, _REASONING),
    )
    return usage, "partial" if prompt is None or completion is None else "reported"


def _first(attributes: Attributes, names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _text(attributes: Attributes, names: tuple[str, ...]) -> str:
    value = _first(attributes, names)
    return value if isinstance(value, str) else ""


def _count(attributes: Attributes, names: tuple[str, ...]) -> int | None:
    value = _first(attributes, names)
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 2**63 and value == int(value) else None


def _meta(nanoseconds: int) -> EventMeta:
    return EventMeta(occurred_at=_EPOCH + timedelta(microseconds=nanoseconds // 1000))
