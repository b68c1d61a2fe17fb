"""Facts gathered from the envelopes of one answer: a JSON body is one, a stream is many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.usage import anthropic, shapes
from bamboo_logmetrics.usage.envelope import Envelope
from bamboo_logmetrics.usage.facts import CallFacts
from bamboo_logmetrics.usage.failures import failure
from bamboo_logmetrics.usage.providers import Endpoint
from bamboo_logmetrics.usage.values import name

_ANSWERS = {"response", "thread.run", "thread.run.step", "interaction"}  # objects that may be polled again
_LAST_EVENTS = frozenset({
    "message_stop", "response.completed", "response.incomplete", "response.failed", "response.cancelled", "message-end",
    "stream-end", "thread.run.completed", "thread.run.failed", "thread.run.cancelled", "thread.run.expired",
    "thread.run.incomplete", "thread.run.requires_action", "interaction.complete", "interaction.completed",
    "conversation.response.done", "image_generation.completed", "image_edit.completed", "transcript.text.done",
    "speech.audio.done",
})  # fmt: skip
_NESTED = ("message", "response", "delta", "result", "output", "interaction")
_MODELS = ("model", "modelVersion", "model_version")
_IDS = ("id", "responseId", "response_id")
_REQUEST_IDS = ("request_id", "requestId")
_STOPS = ("stop_reason", "finish_reason", "finishReason", "stopReason", "done_reason")
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
        self.is_of_many = False  # an envelope says that more follow
        self.is_unreadable = False  # a part of the answer could not be read

    def absorb(self, envelope: Envelope, event: str = "") -> None:
        """Take the facts from an envelope."""
        kind = str(envelope.get("type") or envelope.get("event_type") or event)
        if _is_beside(envelope, event):
            return
        if kind in anthropic.TYPES:
            self.is_anthropic = True
        if envelope.get("done") is False or "event_type" in envelope or "is_finished" in envelope:
            self.is_of_many = True
        self._take_names(envelope)
        for key in _NESTED:
            nested = envelope.get(key)
            if isinstance(nested, dict) and not (key == "response" and "custom_id" in nested):
                self.absorb(nested)
        self._take_choices(envelope)
        usage = shapes.usage_in(envelope)
        if usage:
            self.usage.update((key, value) for key, value in usage.items() if value is not None)
            self.is_final = "stop_reason" in self.bound
        self.failure = failure(envelope, event, self.status) or self.failure
        self._take_end(envelope, kind, event)

    def _take_names(self, envelope: Envelope) -> None:
        bound = self.bound
        _bind(bound, "response_model", envelope, _MODELS)
        _bind(bound, "response_id", envelope, _IDS)
        _bind(bound, "provider_request_id", envelope, _REQUEST_IDS)
        _bind(bound, "stop_reason", envelope, _STOPS)
        tier = envelope.get("service_tier") or envelope.get("serviceTier")
        tier = tier.get("type") if isinstance(tier, Mapping) else tier
        if text := name(tier):
            bound["service_tier"] = text
        incomplete = envelope.get("incomplete_details")
        if isinstance(incomplete, Mapping) and (reason := name(incomplete.get("reason"))):
            bound["stop_reason"] = reason
        kind = envelope.get("object")
        identity = envelope.get("run_id" if kind == "thread.run.step" else "id")
        if kind in _ANSWERS and (text := name(identity)):
            self.calls_id = text

    def _take_choices(self, envelope: Envelope) -> None:
        """Take the stop reason and a usage within the choices."""
        for choice in [*envelope.get("choices", ()), *envelope.get("candidates", ()), *envelope.get("results", ())]:
            _bind(self.bound, "stop_reason", choice, _STOPS)
            usage = shapes.usage_in(choice)
            if usage:  # Moonshot
                self.usage.update((key, value) for key, value in usage.items() if value is not None)
                self.is_final = "stop_reason" in self.bound
            self.failure = failure(choice) or self.failure
        feedback = envelope.get("promptFeedback") or envelope.get("prompt_feedback")
        if isinstance(feedback, Mapping):
            _bind(self.bound, "stop_reason", feedback, ("blockReason", "block_reason"))

    def _take_end(self, envelope: Envelope, kind: str, event: str) -> None:
        said = envelope.get("done") is True or envelope.get("is_finished") is True
        if said or kind in _LAST_EVENTS or event in _LAST_EVENTS or _BEDROCK_METRICS in envelope:
            self.last_event = self.ended = True
        elif "usageMetadata" in envelope or "candidates" in envelope:  # Gemini has no last event
            self.ended = self.ended or "stop_reason" in self.bound
            self.last_event = self.ended and bool(self.usage)

    def facts(self) -> CallFacts:
        """Return the facts so far."""
        facts = CallFacts(bound=dict(self.bound), complete=self.ended, calls_id=self.calls_id)
        if self.failure is not None:
            facts.error, facts.error_type = self.failure
        shapes.fill(facts, self.usage, is_anthropic=self.is_anthropic, endpoint=self.endpoint)
        if facts.usage is not None and (self.is_unreadable or not (self.ended or self.is_final)):
            facts.usage_source = "partial"
        return facts


def _is_beside(envelope: Envelope, event: str) -> bool:
    """Return whether an envelope is not the call's own: a batch, or a part of a thread beside its run."""
    kind = str(envelope.get("object") or "")
    if kind in {"batch", "message_batch"} or envelope.get("type") == "message_batch" or "custom_id" in envelope:
        return True
    return kind.startswith("thread") and kind != "thread.run" and (bool(event) or kind != "thread.run.step")


def _bind(bound: dict[str, Any], key: str, envelope: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Bind the first of the names that has a usable value."""
    for each in names:
        if text := name(envelope.get(each)):
            bound[key] = text
            return
