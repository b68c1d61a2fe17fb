"""Facts gathered from the envelopes of one answer: a JSON body is one, a stream is many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.usage import anthropic, counters, shapes
from bamboo_logmetrics.usage.envelope import Envelope
from bamboo_logmetrics.usage.facts import CallFacts
from bamboo_logmetrics.usage.failures import failure
from bamboo_logmetrics.usage.providers import Endpoint
from bamboo_logmetrics.usage.values import count, name

_ANSWERS = {"response", "thread.run", "thread.run.step", "interaction"}  # objects that may be polled again
_LAST_EVENTS = frozenset({
    "message_stop", "response.completed", "response.incomplete", "response.failed", "response.cancelled", "message-end",
    "stream-end", "thread.run.completed", "thread.run.failed", "thread.run.cancelled", "thread.run.expired",
    "thread.run.incomplete", "thread.run.requires_action", "interaction.complete", "interaction.completed",
    "conversation.response.done", "image_generation.completed", "image_edit.completed", "transcript.text.done",
    "speech.audio.done", "response.done", "done", "metadata", "chat.end",
})  # fmt: skip
# events and keys of streams that have a last event, or a stop reason
_FIRST_EVENTS = frozenset({
    "message_start", "message-start", "stream-start", "response.created", "messageStart", "chunk", "chat.start",
    "thread.run.created", "conversation.response.started", "interaction.start", "interaction.created",
})  # fmt: skip
_ENDING = frozenset({"choices", "candidates", "done", "is_finished"})
_NESTED = frozenset({"message", "response", "delta", "result", "output", "interaction"})
_CHOICES = frozenset({"choices", "candidates", "results"})
# bound names by the keys of envelopes
_BOUND = {
    "model": "response_model",
    "modelVersion": "response_model",
    "model_version": "response_model",
    "model_instance_id": "response_model",
    "id": "response_id",
    "responseId": "response_id",
    "response_id": "response_id",
    "request_id": "provider_request_id",
    "requestId": "provider_request_id",
    "stop_reason": "stop_reason",
    "finish_reason": "stop_reason",
    "finishReason": "stop_reason",
    "stopReason": "stop_reason",
    "done_reason": "stop_reason",
    "completionReason": "stop_reason",
    "blockReason": "stop_reason",
    "block_reason": "stop_reason",
    "service_tier": "service_tier",
    "serviceTier": "service_tier",
}
_STOPS = frozenset(key for key, bound in _BOUND.items() if bound == "stop_reason")
_NO_VALUES = {"null", "not_finished", "FINISH_REASON_UNSPECIFIED"}  # of DashScope, watsonx and Gemini
_MOST_KEYS = 200  # of a usage, over a whole stream
_MOST_GROUPS = 20  # of its values that are objects or lists
_LONGEST_TEXT = 200  # characters of a value
_BEDROCK_METRICS = "amazon-bedrock-invocationMetrics"


class Gathering:
    """Facts so far. An envelope that comes later counts more: the last value of each key is the right one.

    Args:
        endpoint: The endpoint, which helps where the shape of the usage is that of two providers.
        status: The HTTP status of the answer.
    """

    def __init__(self, endpoint: Endpoint | None = None, status: int = 200) -> None:
        self.endpoint = endpoint
        self.status = status
        self.usage: dict[str, Any] = {}
        self.bound: dict[str, Any] = {}
        self.failure: tuple[str, str | None] | None = None
        self.calls_id: str | None = None
        self.is_anthropic = endpoint is not None and endpoint.shape == "anthropic"
        self.is_final = False  # the usage came with the stop reason or behind it
        self.last_event = False  # nothing more can come
        self.ended = False  # the answer is whole
        self.has_end = False  # it is of a kind whose end can be told
        self.is_begun = False  # an envelope was there
        self.is_of_many = False  # an envelope says that more follow
        self.is_unreadable = False  # a part of the answer could not be read

    def absorb(self, envelope: Envelope, event: str = "") -> None:
        """Take the facts from an envelope."""
        self.is_begun = True
        kind = str(envelope.get("type") or envelope.get("event_type") or event)
        if _is_beside(envelope, event):
            return
        if kind in anthropic.TYPES:
            self.is_anthropic = True
        if envelope.get("done") is False or "event_type" in envelope or "is_finished" in envelope:
            self.is_of_many = True
        self._take_names(envelope)
        for key, value in envelope.items():
            if key in _NESTED and isinstance(value, dict):
                self.absorb(value)
        for key, value in envelope.items():
            if key in _CHOICES:
                self._take_choices(value)
        if "output" in envelope or "tool_usage" in envelope:
            self._take_searches(envelope)
        self._take_usage(shapes.usage_in(envelope))
        self.failure = failure(envelope, event, self.status) or self.failure
        self._take_end(envelope, kind, event)

    def _take_names(self, envelope: Envelope) -> None:
        bound = self.bound
        for key, value in envelope.items():
            if key in _BOUND and (text := name(value)) and text not in _NO_VALUES:
                bound[_BOUND[key]] = text
        if bound.get("service_tier") == "auto":  # as asked
            del bound["service_tier"]
        tier = envelope.get("serviceTier")
        if isinstance(tier, dict) and (text := name(tier.get("type"))):  # Bedrock
            bound["service_tier"] = text
        feedback = envelope.get("promptFeedback") or envelope.get("prompt_feedback")
        if isinstance(feedback, dict):
            self._take_stop(feedback)
        incomplete = envelope.get("incomplete_details")
        if isinstance(incomplete, dict) and (reason := name(incomplete.get("reason"))):
            bound["stop_reason"] = reason
        kind = envelope.get("object")
        identity = envelope.get("run_id" if kind == "thread.run.step" else "id")
        if kind in _ANSWERS and (text := name(identity)):
            self.calls_id = text

    def _take_choices(self, choices: list[Envelope]) -> None:
        """Take the stop reason and a usage within the choices."""
        for choice in choices:
            self._take_stop(choice)
            self._take_usage(shapes.usage_in(choice))  # Moonshot, watsonx
            if "error" in choice:
                self.failure = failure(choice) or self.failure

    def _take_stop(self, envelope: Envelope) -> None:
        for key, value in envelope.items():
            if key in _STOPS and (text := name(value)) and text not in _NO_VALUES:
                self.bound["stop_reason"] = text

    def _take_usage(self, usage: Mapping[str, Any]) -> None:
        """Merge a usage. The last value of each key counts; of counters, which watsonx sets back, the largest."""
        if not usage:
            return
        for key, value in usage.items():
            largest = key in counters.KEYS and (count(value) or 0) < (count(self.usage.get(key)) or 0)
            if value is not None and not largest and self._has_room(key, value):
                self.usage[key] = value
        self.is_final = "stop_reason" in self.bound

    def _has_room(self, key: str, value: Any) -> bool:
        """Return whether a value of a usage may be kept: a stream may have any number of keys and texts."""
        if isinstance(value, str):
            return len(value) <= _LONGEST_TEXT and (key in self.usage or len(self.usage) < _MOST_KEYS)
        if isinstance(value, (dict, list)) and not isinstance(self.usage.get(key), (dict, list)):
            groups = sum(isinstance(other, (dict, list)) for other in self.usage.values())
            if groups >= _MOST_GROUPS:
                return False
        return key in self.usage or len(self.usage) < _MOST_KEYS

    def _take_searches(self, envelope: Envelope) -> None:
        """Take the number of web searches of a response: as counted there, else the calls in its output."""
        usage = envelope.get("tool_usage")
        counted = usage.get("web_search") if isinstance(usage, dict) else None
        searches = count(counted.get("num_requests")) if isinstance(counted, dict) else None
        output = envelope.get("output")
        if searches is None and isinstance(output, list):
            searches = sum(map(_is_search, output))
        if searches:
            self.bound["web_searches"] = searches

    def _take_end(self, envelope: Envelope, kind: str, event: str) -> None:
        self.has_end = (
            self.has_end or kind in _FIRST_EVENTS or event in _FIRST_EVENTS or not _ENDING.isdisjoint(envelope)
        )
        said = envelope.get("done") is True or envelope.get("is_finished") is True or _BEDROCK_METRICS in envelope
        if said or kind in _LAST_EVENTS or event in _LAST_EVENTS:
            self.last_event = self.ended = True
        elif event == "chunk" and envelope.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            self.ended = True
        elif "usageMetadata" in envelope or "candidates" in envelope:  # Gemini has no last event
            self.ended = self.ended or "stop_reason" in self.bound
            self.last_event = self.ended and bool(self.usage)
        elif "results" in envelope:  # nor has watsonx
            self.ended = "stop_reason" in self.bound
        elif "choices" in envelope or event == "chunk":
            # some who answer like OpenAI send no end mark; a usage behind the stop reason is the end of what they say
            self.ended = self.ended or (self.is_final and bool(self.usage))

    def facts(self) -> CallFacts:
        """Return the facts so far."""
        whole = self.ended or (self.is_begun and not self.has_end)
        facts = CallFacts(bound=dict(self.bound), complete=whole, calls_id=self.calls_id)
        if self.failure is not None:
            facts.error, facts.error_type = self.failure
        shapes.fill(facts, self.usage, is_anthropic=self.is_anthropic, endpoint=self.endpoint)
        if facts.usage is not None and (self.is_unreadable or not (whole or self.is_final)):
            facts.usage_source = "partial"
        return facts


def _is_beside(envelope: Envelope, event: str) -> bool:
    """Return whether an envelope is not the call's own: a batch, a stored cache, or a part of a thread."""
    kind = str(envelope.get("object") or "")
    if str(envelope.get("name") or "").startswith("cachedContents/"):
        return True
    if kind in {"batch", "message_batch"} or envelope.get("type") == "message_batch" or "custom_id" in envelope:
        return True
    return kind.startswith("thread") and kind != "thread.run" and (bool(event) or kind != "thread.run.step")


def _is_search(item: Envelope) -> bool:
    action = item.get("action")
    kind = action.get("type") if isinstance(action, dict) else None
    return item.get("type") == "web_search_call" and kind in {None, "search"}
