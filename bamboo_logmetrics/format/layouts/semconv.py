"""Fields that the conventions of the layouts ``ecs`` and ``otel`` ask for, computed from a record.

Reading back ignores them, since they follow from the record. A record that was read from a file may lack a field or
hold anything in it; then the computed field is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

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
    "chat.session_started": KindSemantics("session", "start"),
    "chat.session_completed": KindSemantics("session", "end"),
    "chat.round_started": KindSemantics("api", "start", operation="invoke_agent"),
    "chat.round_completed": KindSemantics("api", "end", operation="invoke_agent"),
    "chat.tool_called": KindSemantics("api", "end", operation="execute_tool"),
    "chat.message_count_updated": KindSemantics("session", "info"),
    "forward.request_started": KindSemantics("api", "start", outcome="unknown"),
    "forward.request_completed": KindSemantics("api", "end"),
    "system.metrics_dropped": KindSemantics("process", "info"),
    "system.storage_error": KindSemantics("database", "error", outcome="failure"),
    "system.worker_started": KindSemantics("process", "start"),
    "system.worker_stopped": KindSemantics("process", "end"),
}

METRICS = frozenset({"chat.message_count_updated"})  # their ECS event.kind is "metric"; all others have "event"

WITH_STATUS = ("chat.session_completed", "chat.round_completed", "forward.request_completed")  # kinds

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
    """Return ``error.type`` of a failure: the status code of a response, else the status."""
    status = _status(flat)
    if OUTCOMES.get(status) != "failure":
        return None
    if kind_of(flat) == "chat.tool_called":
        return OTHER
    code = flat.get("status_code") if kind_of(flat) == "forward.request_completed" else None
    return str(code) if type(code) is int and code >= LEAST_ERROR_CODE else status


def common(flat: Mapping[str, Any]) -> dict[str, str | bool]:
    """Return the fields that have the same name and value in both layouts."""
    kind, endpoint = KIND_SEMANTICS.get(kind_of(flat)), _endpoint(flat)
    operation = endpoint.operation if endpoint else kind.operation if kind else None
    fields: dict[str, str | bool] = {}
    if operation:
        fields["gen_ai.operation.name"] = operation
    if kind_of(flat) == "forward.request_started" and flat.get("is_stream") is True:
        fields["gen_ai.request.stream"] = True
    if (failure := error_type(flat)) is not None:
        fields["error.type"] = failure
    return fields


def openai_api(flat: Mapping[str, Any]) -> str | None:
    """Return ``openai.api.type``, or None if it does not follow from the endpoint."""
    endpoint = _endpoint(flat)
    return endpoint.openai if endpoint else None


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
