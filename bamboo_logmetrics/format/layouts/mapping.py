"""The table of native keys and their names in the layouts ``ecs`` and ``otel``: one row for each key.

Both layouts write and read back by this table. A value goes to its row's place if it is of the row's type, whether it
is a field of the event or was bound. Any other value keeps its native key in the place for everything else: the object
``bamboo.bound`` in ECS, the attribute ``bamboo.bound.<key>`` in OpenTelemetry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bamboo_logmetrics.events.times import format_utc, parse_utc

_NS_OF_MS = 1_000_000
_INTEGER: int = 2**31  # the first number above Elasticsearch's type integer
_LONG: int = 2**63  # the first number above its type long


def is_text(value: Any) -> bool:
    """Return True if a value is text."""
    return type(value) is str


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def is_number(value: Any) -> bool:
    """Return True if a value is a finite number that Elasticsearch's type double and OTLP hold."""
    return math.isfinite(value) if type(value) is float else is_long(value)


def _is_integer(value: Any) -> bool:
    return type(value) is int and -_INTEGER <= value < _INTEGER


def is_long(value: Any) -> bool:
    """Return True if a value is a whole number within signed 64 bits, as Elasticsearch and OTLP hold them."""
    return type(value) is int and -_LONG <= value < _LONG


def _is_code(value: Any) -> bool:
    return type(value) is int and 0 < value < _LONG


def _is_millis(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LONG // _NS_OF_MS


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and format_utc(parse_utc(value)) == value
    except ValueError:
        return False


def _is_texts(value: Any) -> bool:
    return type(value) is list and all(map(is_text, value))


def _is_object(value: Any) -> bool:
    return type(value) is dict


class Type(NamedTuple):
    """The type of a row's values.

    Args:
        elastic: the type of the field in Elasticsearch.
        fits: returns True if a native value is of this type.
    """

    elastic: str
    fits: Callable[[Any], bool]


KEYWORD = Type("keyword", is_text)  # an id, a name, a status
KEYWORDS = Type("keyword", _is_texts)  # a list of them
TEXT = Type("match_only_text", is_text)
TRACE = Type("wildcard", is_text)
LONG = Type("long", is_long)
INTEGER = Type("integer", _is_integer)
CODE = Type("long", _is_code)  # not 0, which a request without a response has
MILLIS = Type("long", _is_millis)  # as nanoseconds they are still a long
NUMBER = Type("double", is_number)
BOOL = Type("boolean", _is_bool)
TIME = Type("date", _is_time)
OBJECT = Type("flattened", _is_object)


class FieldMapping(NamedTuple):
    """A row of the table: one native key.

    Args:
        key: the native key.
        type: the type of its values; a value of another type goes to the place for everything else.
        otel: the name of the OpenTelemetry attribute.
        ecs: the path of the ECS field; ``""`` if it is the same.
        factor: the ECS value of one native unit.
    """

    key: str
    type: Type
    otel: str
    ecs: str = ""
    factor: int = 1


# for all lines
EVERYWHERE = (
    FieldMapping("v", LONG, "bamboo.v"),
    FieldMapping("writer", KEYWORD, "bamboo.writer"),
    FieldMapping("seq", LONG, "bamboo.seq"),
    FieldMapping("plain", BOOL, "bamboo.plain"),
    FieldMapping("source", KEYWORD, "bamboo.source"),
    FieldMapping("event_id", KEYWORD, "bamboo.event_id", "event.id"),
    # a valid OpenTelemetry id goes to the log record's own field traceId instead
    FieldMapping("trace_id", KEYWORD, "bamboo.trace_id", "trace.id"),
    FieldMapping("session_id", KEYWORD, "gen_ai.conversation.id"),
    FieldMapping("round_id", KEYWORD, "bamboo.round.id"),
    FieldMapping("tool_call_id", KEYWORD, "gen_ai.tool.call.id"),
    FieldMapping("tool_name", KEYWORD, "gen_ai.tool.name"),
    FieldMapping("request_id", KEYWORD, "bamboo.request.id", "http.request.id"),
    FieldMapping("model", KEYWORD, "gen_ai.request.model"),
    FieldMapping("provider", KEYWORD, "gen_ai.provider.name"),
    FieldMapping("endpoint", KEYWORD, "bamboo.endpoint"),
    FieldMapping("is_stream", BOOL, "bamboo.request.stream"),
    FieldMapping("status_code", CODE, "http.response.status_code"),
    FieldMapping("prompt_tokens", INTEGER, "gen_ai.usage.input_tokens"),
    FieldMapping("completion_tokens", INTEGER, "gen_ai.usage.output_tokens"),
    FieldMapping("total_tokens", LONG, "bamboo.usage.total_tokens"),
    FieldMapping("cache_read_tokens", LONG, "gen_ai.usage.cache_read.input_tokens"),
    FieldMapping("cache_write_tokens", LONG, "gen_ai.usage.cache_write.input_tokens"),
    FieldMapping("cache_write_1h_tokens", LONG, "bamboo.usage.cache_write_1h_tokens"),
    FieldMapping("reasoning_tokens", LONG, "gen_ai.usage.reasoning.output_tokens"),
    FieldMapping("latency_ms", MILLIS, "bamboo.duration_ms", "event.duration", _NS_OF_MS),
    FieldMapping("message_count", LONG, "bamboo.session.message_count"),
    FieldMapping("service_name", KEYWORD, "service.name"),
    FieldMapping("env", KEYWORD, "deployment.environment.name", "service.environment"),
    FieldMapping("error", TEXT, "exception.message", "error.message"),
    FieldMapping("exception", TRACE, "exception.stacktrace", "error.stack_trace"),
    FieldMapping("truncated", KEYWORDS, "bamboo.truncated"),
)

# well-known names that are bound to events, for all lines; docs/reference/line-format.md says what each means
WELL_KNOWN = (
    FieldMapping("response_model", KEYWORD, "gen_ai.response.model"),
    FieldMapping("response_id", KEYWORD, "gen_ai.response.id"),
    FieldMapping("provider_request_id", KEYWORD, "bamboo.provider_request_id"),
    FieldMapping("service_tier", KEYWORD, "bamboo.service_tier"),
    FieldMapping("speed", KEYWORD, "bamboo.speed"),
    FieldMapping("usage_source", KEYWORD, "bamboo.usage.source"),
    FieldMapping("latency_source", KEYWORD, "bamboo.latency_source"),
    FieldMapping("round_source", KEYWORD, "bamboo.round.source"),
    FieldMapping("session_source", KEYWORD, "bamboo.session.source"),
    FieldMapping("stream_end", KEYWORD, "bamboo.stream_end"),
    FieldMapping("stop_reason", KEYWORD, "bamboo.stop_reason"),
    FieldMapping("time_to_first_token_ms", NUMBER, "bamboo.time_to_first_token_ms"),
    FieldMapping("attempt", LONG, "bamboo.attempt"),
    FieldMapping("retry_wait_ms", NUMBER, "bamboo.retry_wait_ms"),
    FieldMapping("iteration", KEYWORD, "bamboo.iteration"),
    FieldMapping("parent_round_id", KEYWORD, "bamboo.round.parent_id"),
    FieldMapping("calls", LONG, "bamboo.calls"),
    FieldMapping("fallback_from", KEYWORD, "bamboo.fallback_from"),
    FieldMapping("web_searches", LONG, "bamboo.web_searches"),
    FieldMapping("web_fetches", LONG, "bamboo.web_fetches"),
    FieldMapping("billed_input_tokens", NUMBER, "bamboo.usage.billed_input_tokens"),
    FieldMapping("billed_output_tokens", NUMBER, "bamboo.usage.billed_output_tokens"),
    FieldMapping("cost_usd", NUMBER, "bamboo.cost_usd"),
    FieldMapping("cost_usd_estimate", NUMBER, "bamboo.cost_usd_estimate"),
    FieldMapping("error_type", KEYWORD, "bamboo.error_type"),
    FieldMapping("side", KEYWORD, "bamboo.side"),
    FieldMapping("agent", KEYWORD, "gen_ai.agent.name"),
    FieldMapping("agent_type", KEYWORD, "bamboo.agent_type"),
    FieldMapping("parent_session_id", KEYWORD, "bamboo.session.parent_id"),
    FieldMapping("parent_tool_call_id", KEYWORD, "bamboo.tool.parent_call_id"),
    FieldMapping("forked_from", KEYWORD, "bamboo.session.forked_from"),
    FieldMapping("turn_id", KEYWORD, "bamboo.turn.id"),
    FieldMapping("turn_duration_ms", NUMBER, "bamboo.turn.duration_ms"),
    FieldMapping("client_round_id", KEYWORD, "bamboo.round.client_id"),
    FieldMapping("project", KEYWORD, "bamboo.project"),
    FieldMapping("git_branch", KEYWORD, "bamboo.git_branch"),
    FieldMapping("mcp_server", KEYWORD, "bamboo.mcp_server"),
    FieldMapping("skill", KEYWORD, "bamboo.skill"),
    FieldMapping("plugin", KEYWORD, "bamboo.plugin"),
    FieldMapping("entrypoint", KEYWORD, "bamboo.entrypoint"),
    FieldMapping("client_version", KEYWORD, "bamboo.client_version"),
    FieldMapping("wait_ms", NUMBER, "bamboo.wait_ms"),
    FieldMapping("execution_ms", NUMBER, "bamboo.execution_ms"),
)

_REPAIRED = FieldMapping("repaired_bytes", LONG, "bamboo.worker.repaired_bytes")

# for lines of one kind only: to other lines anything may be bound under these keys
ONLY_IN: Mapping[str, tuple[FieldMapping, ...]] = {
    "chat.session_completed": (FieldMapping("status", KEYWORD, "bamboo.session.status"),),
    "chat.round_completed": (FieldMapping("status", KEYWORD, "bamboo.round.status"),),
    "forward.request_completed": (FieldMapping("status", KEYWORD, "bamboo.request.status"),),
    "chat.tool_called": (FieldMapping("success", BOOL, "bamboo.tool.success"),),
    "system.metrics_dropped": (
        FieldMapping("count", LONG, "bamboo.dropped.count"),
        FieldMapping("reason", KEYWORD, "bamboo.dropped.reason"),
        FieldMapping("total", LONG, "bamboo.dropped.total"),
    ),
    "system.storage_error": (FieldMapping("event_type", KEYWORD, "bamboo.event_type"),),
    "system.worker_started": (
        FieldMapping("version", KEYWORD, "bamboo.worker.version"),
        FieldMapping("pid", LONG, "process.pid"),
        FieldMapping("host", KEYWORD, "host.name"),
        FieldMapping("started_at", TIME, "process.creation.time", "process.start"),
        _REPAIRED,
        FieldMapping("redact", BOOL, "bamboo.worker.redact"),
        FieldMapping("boot_id", KEYWORD, "bamboo.worker.boot_id", "host.boot.id"),
        FieldMapping("pid_namespace", KEYWORD, "bamboo.worker.pid_namespace", "host.pid_ns_ino"),
    ),
    "system.worker_stopped": (
        FieldMapping("emitted", LONG, "bamboo.worker.emitted"),
        FieldMapping("written", LONG, "bamboo.worker.written"),
        FieldMapping("dropped", OBJECT, "bamboo.worker.dropped"),
        _REPAIRED,
    ),
}

ALL_LINES = (*EVERYWHERE, *WELL_KNOWN)  # the rows that apply to lines of any kind

# each row once, in the order of the keys of a record that is read back
ROWS: tuple[FieldMapping, ...] = tuple(dict.fromkeys((*ALL_LINES, *(row for rows in ONLY_IN.values() for row in rows))))

# names that are read back as well, by the name that is written now: those of OpenTelemetry's conventions 1.41
OLD_NAMES: Mapping[str, str] = {
    "gen_ai.usage.cache_creation.input_tokens": "gen_ai.usage.cache_write.input_tokens",
}

# In the layout otel the usage of a request within a round stands here, so that a sum of "gen_ai.usage" over all lines
# counts one call once.
USAGE_WITHIN_ROUND: Mapping[str, str] = {
    row.otel: row.otel.replace("gen_ai.usage.", "bamboo.usage.", 1)
    for row in EVERYWHERE
    if row.otel.startswith("gen_ai.usage.")
}

_PLAIN_ROWS: Mapping[str, FieldMapping] = {row.key: row for row in ALL_LINES}
_TYPED_ROWS = {kind: {row.key: row for row in (*ALL_LINES, *rows)} for kind, rows in ONLY_IN.items()}


def rows_of(flat: Mapping[str, Any]) -> Mapping[str, FieldMapping]:
    """Return the rows that apply to a flat record, by native key."""
    return _PLAIN_ROWS if "plain" in flat else _TYPED_ROWS.get(flat["event"], _PLAIN_ROWS)
