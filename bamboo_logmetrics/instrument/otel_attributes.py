"""The attributes of GenAI spans: what a span of OpenTelemetry tells besides them, and at its beginning."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, format_trace_id

from bamboo_logmetrics.usage.genai_attributes import AGENT, PROVIDER, Attributes, text_of
from bamboo_logmetrics.usage.provider_names import standard_name


def failure_of(span: ReadableSpan, attributes: Attributes) -> tuple[bool, str, str | None]:
    """Return whether a span failed, the type of its error and its text."""
    if span.status.status_code is not StatusCode.ERROR:
        return False, "", None
    return True, text_of(attributes, ("error.type",)) or "error", span.status.description


def bound_at_start(attributes: Attributes, context: Any) -> dict[str, Any]:
    """Return the values that hold from the beginning of a span on."""
    bound: dict[str, Any] = {"trace_id": format_trace_id(context.trace_id)}
    if provider := text_of(attributes, PROVIDER):
        bound["provider"] = standard_name(provider)
    if agent := text_of(attributes, AGENT):
        bound["agent"] = agent
    return bound
