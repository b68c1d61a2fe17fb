"""The attributes of GenAI calls: the names of both generations of OpenTelemetry's conventions, and OpenInference's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.events import TokenUsage
from bamboo_logmetrics.usage.facts import CallFacts

Attributes = Mapping[str, Any]

SESSION, ROUND, TOOL = "session", "round", "tool"

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

_MOST_TEXT = 200  # characters of a name or an id
# the names of an attribute, today's first
CONVERSATION = ("gen_ai.conversation.id", "session.id")
MODEL = ("gen_ai.request.model", "llm.model_name", "gen_ai.response.model")
PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
AGENT = ("gen_ai.agent.name", "agent.name")
TOOL_NAME = ("gen_ai.tool.name", "tool.name")
TOOL_CALL = ("gen_ai.tool.call.id", "tool_call.id")
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


def kind_of(attributes: Attributes) -> str | None:
    """Return SESSION, ROUND or TOOL; None for any other span."""
    for name in _KIND_NAMES:
        value = attributes.get(name)
        if isinstance(value, str) and value in _SPAN_KINDS:
            return _SPAN_KINDS[value]
    return None


def facts_of(attributes: Attributes) -> CallFacts:
    """Return the facts about a call that the attributes of its span tell at the end."""
    facts = CallFacts(complete=True)
    for name, names in _BOUND.items():
        if value := text_of(attributes, names):
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


def text_of(attributes: Attributes, names: tuple[str, ...]) -> str:
    """Return the first of these attributes that is there, cut, if it is a text; else an empty one."""
    value = _first(attributes, names)
    return value[:_MOST_TEXT] if isinstance(value, str) else ""


def _count(attributes: Attributes, names: tuple[str, ...]) -> int | None:
    value = _first(attributes, names)
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 2**63 and value == int(value) else None
