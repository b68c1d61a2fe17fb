"""Prometheus metrics of a log: OpenTelemetry's GenAI metrics, the number of events, and what was dropped.

The log's worker counts the records as it encodes them, so that a call costs the application nothing more. Labels come
from closed sets: never a session, a user or a path. Source of the names: OpenTelemetry's GenAI conventions v0.1.0, with
the unit at the end and ``_total`` for counters, as Prometheus writes them.
"""

from __future__ import annotations

from collections import Counter as Counter_
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from bamboo_logmetrics.events import (
    MetricsEvent,
    RequestCompleted,
    RequestStarted,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.format.layouts import semconv
from bamboo_logmetrics.logger.opening import get_logger
from bamboo_logmetrics.record.queued import QueuedRecord, as_dict
from bamboo_logmetrics.usage.providers import OPERATIONS

if TYPE_CHECKING:
    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.logger.target import LogTarget
    from bamboo_logmetrics.pipeline.channel import Channel

OTHER = "other"
MOST_VALUES = 200  # values of one label; all further ones are counted as OTHER
_LONGEST_VALUE = 200  # characters
_MOST_OPEN = 10_000  # calls and sessions whose beginning is remembered until their end

# boundaries in seconds, from the conventions
DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_CHUNK_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

_CALL_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")
_INFERENCE = "gen_ai_client_inference"
_TOKENS = {  # a counter each, by the part of the usage
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_write_input_tokens",
    "reasoning_tokens": "reasoning_output_tokens",
}

_exported: WeakKeyDictionary[CollectorRegistry, PrometheusMetrics] = WeakKeyDictionary()


def export_metrics(log: BoundLog | None = None, *, registry: CollectorRegistry = REGISTRY) -> PrometheusMetrics:
    """Count the events of a log in Prometheus metrics from now on.

    Called again for the same log it changes nothing; called for another log, the numbers of both are added.

    Args:
        log: the log; the configured one when left out, also if it is configured later.
        registry: where the metrics are registered.
    """
    metrics = _exported.get(registry)
    if metrics is None:
        metrics = _exported[registry] = PrometheusMetrics(registry)
    metrics.add(log or get_logger())
    return metrics


class _Label:
    """The values of one label, of which there are never more than :data:`MOST_VALUES`."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def limit(self, value: str) -> str:
        """Return the value, cut, and without what UTF-8 cannot hold; or OTHER if there are too many already."""
        value = value[:_LONGEST_VALUE]
        if not value.isascii():
            value = value.encode("utf-8", "replace").decode("utf-8")
        if value not in self._values:
            if len(self._values) >= MOST_VALUES:
                return OTHER
            self._values.add(value)
        return value


class _Open(dict[str, Any]):
    """Calls that have begun, by their id; the oldest are forgotten."""

    def begin(self, key: str, value: Any) -> None:
        """Remember a value until the end of the call."""
        self[key] = value
        if len(self) > _MOST_OPEN:
            del self[next(iter(self))]


class PrometheusMetrics(Collector):
    """The metrics of one registry, made by :func:`export_metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._targets: WeakSet[LogTarget] = WeakSet()
        self._channels: list[Channel] = []  # also those of logs that are gone
        self._labels: dict[str, _Label] = {}
        self._sessions, self._rounds, self._requests = _Open(), _Open(), _Open()
        self._lock = Lock()  # between the workers of two logs
        self._handlers: dict[type, Callable[[Any, Mapping[str, Any]], None]] = {
            SessionStarted: self._session_started,
            SessionCompleted: self._session_completed,
            RoundStarted: self._round_started,
            RoundCompleted: self._round_completed,
            RequestStarted: self._request_started,
            RequestCompleted: self._request_completed,
            ToolCalled: self._tool_called,
        }
        self._make_metrics(registry)
        registry.register(self)

    def _make_metrics(self, registry: CollectorRegistry) -> None:
        def histogram(
            name: str, text: str, labels: Sequence[str], buckets: Sequence[float] = DURATION_BUCKETS
        ) -> Histogram:
            return Histogram(f"{name}_seconds", text, labels, buckets=buckets, registry=registry)

        self._events = Counter("bamboo_events", "Records that the log's worker encoded.", ["event"], registry=registry)
        with_error = (*_CALL_LABELS, "error_type")
        self._calls = histogram(f"{_INFERENCE}_duration", "Duration of a model call.", with_error)
        self._first_chunks = histogram(
            f"{_INFERENCE}_time_to_first_chunk", "Time to the first chunk.", _CALL_LABELS, FIRST_CHUNK_BUCKETS
        )
        self._tools = histogram(
            "gen_ai_execute_tool_duration", "Duration of a tool call.", ["gen_ai_tool_name", "error_type"]
        )
        self._agents = histogram(
            "gen_ai_invoke_agent_duration", "Duration of a session.", ["gen_ai_request_model", "error_type"]
        )
        self._tokens = {
            part: Counter(
                f"{_INFERENCE}_usage_{name}",
                f"Tokens of model calls: {part}, where they were reported.",
                _CALL_LABELS,
                registry=registry,
            )
            for part, name in _TOKENS.items()
        }

    def add(self, log: BoundLog) -> None:
        """Count the records of one more log."""
        target = log._logger
        self._targets.add(target)
        if self.count not in target.listeners:
            target.listeners.append(self.count)
        self._find_channels()

    def count(self, records: Sequence[QueuedRecord]) -> None:
        """Count the records of one batch."""
        with self._lock:
            for record in records:
                event = record.event
                if not isinstance(event, MetricsEvent):
                    self._events.labels("plain").inc()
                    continue
                self._events.labels(self._limit("event", event.kind)).inc()
                handler = self._handlers.get(type(event))
                if handler is not None:
                    handler(event, {**record.context, **as_dict(record.bound)})

    # -- the families of events ----------------------------------------------------------

    def _session_started(self, event: SessionStarted, bound: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._sessions.begin(event.session_id, (event.meta.occurred_at, event.model))

    def _session_completed(self, event: SessionCompleted, bound: Mapping[str, Any]) -> None:
        began: tuple[datetime, str] | None = self._sessions.pop(event.session_id, None)
        if began is not None:
            seconds = (event.meta.occurred_at - began[0]).total_seconds()
            error = self._error(bound, "" if event.status == "completed" else event.status)
            self._agents.labels(self._limit("gen_ai_request_model", began[1]), error).observe(max(seconds, 0))

    def _round_started(self, event: RoundStarted, bound: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._rounds.begin(event.round_id, (event.model, "chat"))

    def _request_started(self, event: RequestStarted, bound: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._requests.begin(event.request_id, (event.model, _operation(event)))

    def _round_completed(self, event: RoundCompleted, bound: Mapping[str, Any]) -> None:
        self._call(event, self._rounds.pop(event.round_id, None), bound)

    def _request_completed(self, event: RequestCompleted, bound: Mapping[str, Any]) -> None:
        began = self._requests.pop(event.request_id, None)
        if "round_id" not in bound and bound.get("side") != "server":  # else it is counted with its round, or elsewhere
            self._call(event, began, bound)

    def _call(
        self, event: RoundCompleted | RequestCompleted, began: tuple[str, str] | None, bound: Mapping[str, Any]
    ) -> None:
        model, operation = began or ("", "chat")
        values = (operation, bound.get("provider"), bound.get("model", model), bound.get("response_model"))
        labels = [
            self._limit(name, value if isinstance(value, str) else "")
            for name, value in zip(_CALL_LABELS, values, strict=True)
        ]
        if "iteration" not in bound and "latency_source" not in bound:
            error = self._error(bound, "" if event.status == "success" else event.status)
            self._calls.labels(*labels, error).observe(event.latency_ms / 1000)
        first = bound.get("time_to_first_token_ms")
        if isinstance(first, (int, float)):
            self._first_chunks.labels(*labels).observe(first / 1000)
        if event.usage is not None and bound.get("usage_source") != "missing":
            self._count_tokens(event.usage, labels)

    def _count_tokens(self, usage: TokenUsage, labels: Sequence[str]) -> None:
        for part, counter in self._tokens.items():
            tokens = getattr(usage, part)
            if tokens is not None:
                counter.labels(*labels).inc(tokens)

    def _tool_called(self, event: ToolCalled, bound: Mapping[str, Any]) -> None:
        error = self._error(bound, "" if event.success else "tool_error")
        self._tools.labels(self._limit("gen_ai_tool_name", event.tool_name), error).observe(event.latency_ms / 1000)

    def _error(self, bound: Mapping[str, Any], status: str) -> str:
        """Return the value of ``error_type``: empty for success."""
        error = bound.get("error_type", status) if status else ""
        return self._limit("error_type", str(error))

    def _limit(self, name: str, value: str) -> str:
        label = self._labels.get(name)
        if label is None:
            label = self._labels[name] = _Label()
        return label.limit(value)

    # -- what the channels count ---------------------------------------------------------

    def describe(self) -> Iterator[CounterMetricFamily]:
        """Yield the metric without values; the registry looks at its name."""
        yield _dropped()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the number of dropped records by reason, of all logs that were ever counted: it never decreases."""
        self._find_channels()
        totals: Counter_[str] = Counter_()
        for channel in self._channels:
            totals.update(channel.drops())
        family = _dropped()
        for reason, count in totals.items():
            family.add_metric([reason], count)
        yield family

    def _find_channels(self) -> None:
        """Remember the channel of each log; ``configure`` may have given a log another one."""
        with self._lock:  # two scrapes at once
            for pipeline in [target.pipeline for target in list(self._targets)]:
                if pipeline is not None and pipeline.channel not in self._channels:
                    self._channels.append(pipeline.channel)


def _operation(event: RequestStarted) -> str:
    """Return ``gen_ai.operation.name`` of a request; empty for one that calls no model, such as a moderation."""
    if event.endpoint in OPERATIONS:
        return OPERATIONS[event.endpoint]
    flat = {"event": event.kind, "endpoint": event.endpoint}
    return str(semconv.common(flat).get("gen_ai.operation.name", "chat"))


def _dropped() -> CounterMetricFamily:
    return CounterMetricFamily("bamboo_dropped", "Records that were dropped, by reason.", labels=["reason"])
