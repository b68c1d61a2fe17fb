"""Fields that the conventions of the layouts ``ecs`` and ``otel`` ask for, computed from a record.

Reading back ignores them, since they follow from the record. A record that was read from a file may lack a field or
hold anything in it; then the computed field is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bamboo_logmetrics.format.layouts.mapping import is_number
from bamboo_logmetrics.usage.providers import ENDPOINT_SEMANTICS, EndpointSemantics

OTHER = "_OTHER"  # OpenTelemetry's value for an error of no known type
LEAST_ERROR_CODE = 400


class KindSemantics(NamedTuple):
    """The values that all events of one kind have in common.

    Args:
        category: ECS ``event.category``.
        type: ECS ``event.type``.
        outcome: ECS ``event.outcome``; None if it depends on the event.
        operation: ``gen_ai.operation.name``; None if it depends on the endpoint.
    """

    category: str
    type: str
    outcome: str | None = None
    operation: str | None = None


KIND_SEMANTICS: Mapping[str, KindSemantics] = {
    "chat.session_started": KindSemantics("session", "start", operation="invoke_agent"),
    "chat.session_completed": KindSemantics("session", "end", operation="invoke_agent"),
    "chat.round_started": KindSemantics("api", "start", operation="chat"),
    "chat.round_completed": KindSemantics("api", "end", operation="chat"),
    "chat.tool_called": KindSemantics("api", "end", operation="execute_tool"),
    "chat.message_count_updated": KindSemantics("session", "info"),
    "forward.request_started": KindSemantics("api", "start", outcome="unknown"),
    "forward.request_completed": KindSemantics("api", "end"),
    "system.metrics_dropped": KindSemantics("process", "info"),
    "system.storage_error": KindSemantics("database", "error", outcome="failure"),
    "system.worker_started": KindSemantics("process", "start"),
    "system.worker_stopped": KindSemantics("process", "end"),
}

GEMINI = ("gcp.gemini", "gcp.gen_ai")  # providers of whose rounds the operation is GENERATE_CONTENT
GENERATE_CONTENT = "generate_content"
ROUNDS = ("chat.round_started", "chat.round_completed")  # kinds

METRICS = frozenset({"chat.message_count_updated"})  # their ECS event.kind is "metric"; all others have "event"

WITH_STATUS = ("chat.session_completed", "chat.round_completed", "forward.request_completed")  # kinds

WITH_USAGE = ("chat.round_completed", "forward.request_completed")  # kinds

OUTCOMES: Mapping[str, str] = {  # by status; a session that is running has no outcome
    "success": "success",
    "completed": "success",
    "error": "failure",
    "timeout": "failure",
    "cancelled": "unknown",
}


def kind_of(flat: Mapping[str, Any]) -> str:
    """Return the kind of a typed event, and ``""`` for a plain line."""
    return "" if "plain" in flat else str(flat["event"])


def outcome(flat: Mapping[str, Any]) -> str | None:
    """Return ECS ``event.outcome``."""
    kind = KIND_SEMANTICS.get(kind_of(flat))
    return kind.outcome if kind and kind.outcome else OUTCOMES.get(_status(flat))


def reason(flat: Mapping[str, Any]) -> str | None:
    """Return ECS ``event.reason``."""
    if kind_of(flat) == "system.metrics_dropped":
        return _text(flat, "reason") or None
    return "cancelled" if _status(flat) == "cancelled" else None


def error_type(flat: Mapping[str, Any]) -> str | None:
    """Return ``error.type`` of a failure: the status code of a response, else the bound type, else the status."""
    status = _status(flat)
    if OUTCOMES.get(status) != "failure":
        return None
    code = flat.get("status_code") if kind_of(flat) == "forward.request_completed" else None
    if type(code) is int and code >= LEAST_ERROR_CODE:
        return str(code)
    return _text(flat, "error_type") or (OTHER if kind_of(flat) == "chat.tool_called" else status)


def common(flat: Mapping[str, Any]) -> dict[str, str | bool]:
    """Return the fields that have the same name and value in both layouts."""
    kind, endpoint = KIND_SEMANTICS.get(kind_of(flat)), _endpoint(flat)
    operation = endpoint.operation if endpoint else kind.operation if kind else None
    if kind_of(flat) in ROUNDS and flat.get("provider") in GEMINI:
        operation = GENERATE_CONTENT
    fields: dict[str, str | bool] = {}
    if operation:
        fields["gen_ai.operation.name"] = operation
    if kind_of(flat) == "forward.request_started" and flat.get("is_stream") is True:
        fields["gen_ai.request.stream"] = True
    if (failure := error_type(flat)) is not None:
        fields["error.type"] = failure
    return fields


def otel_only(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that only the layout ``otel`` has."""
    fields: dict[str, Any] = {}
    endpoint = _endpoint(flat)
    if endpoint and endpoint.openai:
        fields["openai.api.type"] = endpoint.openai
    if kind_of(flat) in WITH_USAGE:
        first = flat.get("time_to_first_token_ms")
        if first is not None and is_number(first):
            fields["gen_ai.response.time_to_first_chunk"] = first / 1000
        if reason := _text(flat, "stop_reason"):
            fields["gen_ai.response.finish_reasons"] = [reason]
    return fields


def is_request_within_round(flat: Mapping[str, Any]) -> bool:
    """Return True for a request whose tokens are counted with its round."""
    return kind_of(flat) == "forward.request_completed" and bool(_text(flat, "round_id"))


def _endpoint(flat: Mapping[str, Any]) -> EndpointSemantics | None:
    if not kind_of(flat).startswith("forward.request_"):
        return None
    joined = "." + _text(flat, "endpoint").partition("?")[0].strip("/").replace("/", ".")
    return next((endpoint for end, endpoint in ENDPOINT_SEMANTICS.items() if joined.endswith(end)), None)


def _status(flat: Mapping[str, Any]) -> str:
    kind = kind_of(flat)
    if kind == "chat.tool_called":
        success = flat.get("success")
        return "success" if success is True else "error" if success is False else ""
    return _text(flat, "status") if kind in WITH_STATUS else ""


def _text(flat: Mapping[str, Any], key: str) -> str:
    value = flat.get(key)
    return value if isinstance(value, str) else ""
