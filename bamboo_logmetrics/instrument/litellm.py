"""LiteLLM's calls as events: one request for each ``litellm_call_id``.

LiteLLM calls its loggers before a request, in the context of the application, and after it, in a thread or a task of
its own. The request's scope is opened before and ended after, so that an instrumented HTTP client below hands its facts
to this request and counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from litellm.integrations.custom_logger import CustomLogger

from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.logger.opening import get_logger
from bamboo_logmetrics.logger.scope_context import current_request, current_round, swap
from bamboo_logmetrics.logger.scope_outcome import outcome_of
from bamboo_logmetrics.logger.scopes import RequestScope
from bamboo_logmetrics.usage import CallFacts, UnknownUsage, read_body, read_usage
from bamboo_logmetrics.usage.provider_names import standard_name

if TYPE_CHECKING:
    from typing_extensions import Self

    from bamboo_logmetrics.logger.bound_log import BoundLog

_CALL = "bamboo_logmetrics_call"  # the key of a call among LiteLLM's details of it

_REPORT_WHEN_ASKED = frozenset({"openai", "azure", "text-completion-openai"})  # usage of streams

_MOST_MODEL = 200  # characters of a model's name
_ENDPOINTS = {"completion": "chat_completions", "embedding": "embeddings", "text_completion": "completions"}


class MetricsLogger(CustomLogger):  # type: ignore[misc] # LiteLLM has no types
    """A logger for LiteLLM: ``litellm.callbacks = [MetricsLogger()]``.

    Every call of a model gives RequestStarted and RequestCompleted with its usage, also a stream that is left early. A
    response from LiteLLM's own cache is no call.

    Args:
        log: the log; the configured one when left out.
    """

    def __init__(self, log: BoundLog | None = None) -> None:
        super().__init__()
        self._log = log

    # -- before the request, in the context of the application -----------------------------

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> None:
        """Begin a call of an asynchronous function: only here its own context is at hand."""
        details = getattr(kwargs.get("litellm_logging_obj"), "model_call_details", None)
        if isinstance(details, dict):
            self._begin(details, {**kwargs, "call_type": getattr(call_type, "value", None)})

    def log_pre_api_call(self, model: str, messages: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG002
        """Begin a call of any other function."""
        self._begin(kwargs, kwargs)

    @shielded
    def _begin(self, details: dict[str, Any], kwargs: Mapping[str, Any]) -> None:
        if _CALL not in details:
            details[_CALL] = _Call(self._log or get_logger(), kwargs)

    @shielded
    def log_post_api_call(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:  # noqa: ARG002
        """Let other calls of the same context be counted: the answer of this one is there."""
        call = kwargs.get(_CALL)
        if isinstance(call, _Call):
            call.answered(kwargs.get("original_response"))

    # -- after it ------------------------------------------------------------------------

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """End a call that was answered."""
        self._end(kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """End a call that was answered."""
        self._end(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """End a call that failed."""
        self._end(kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """End a call that failed."""
        self._end(kwargs, response_obj, start_time, end_time)

    @shielded
    def _end(self, kwargs: dict[str, Any], response: Any, start_time: Any, end_time: Any) -> None:
        if kwargs.get("cache_hit") is True and _CALL not in kwargs:
            return
        self._begin(kwargs, kwargs)  # some providers of LiteLLM do not announce their calls
        kwargs[_CALL].end(kwargs, response, _seconds(start_time, end_time))


class _Request(RequestScope):
    """The request of one call; it counts the HTTP requests of its context until one of them is answered.

    Attributes:
        answer: the facts of the answer, once it is there; LiteLLM tells of the end some time later, or never.
        seconds: the time until then.
    """

    answer: CallFacts | None = None
    seconds = 0.0

    def observe(self, facts: CallFacts) -> bool:
        """Take a call that an instrumented client below has seen."""
        taken = super().observe(facts)
        if facts.complete and facts.error is None:
            self.hide()
        return taken

    def hide(self) -> None:
        """Leave the context, so that other calls are counted for themselves; LiteLLM tells of the end later."""
        self.is_open = False

    def end_with_log(self) -> None:
        """End the request because its log is being closed: with the answer, if that is there."""
        if not self.end_with_answer():
            super().end_with_log()

    def end_with_answer(self) -> bool:
        """End the request with the answer that is there, and return True; False if there is none."""
        if self.answer is None:
            return False
        if not self._observed:
            self.observe(self.answer)
        self._started = self._monotonic() - self.seconds
        self.__exit__(None, None, None)
        return True


class _Call:
    """One call of LiteLLM. It is among LiteLLM's details, and so is dropped when a stream is left early."""

    def __init__(self, log: BoundLog, kwargs: Mapping[str, Any]) -> None:
        provider, model = _provider_and_model(kwargs)
        bound = {"provider": standard_name(provider)} if provider else {}
        call_type = str(kwargs.get("call_type") or "completion").removeprefix("a")
        endpoint = f"litellm.{_ENDPOINTS.get(call_type, call_type)}"
        self._is_stream = kwargs.get("stream") is True
        self._ended = False
        while isinstance(before := current_request(), _Request):  # a call before this one, whose end is not told yet
            swap(before.around)
        self._scope = _Request(log, endpoint, model, self._is_stream, None, bound)
        self._scope.__enter__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # LiteLLM copies its details for some loggers; the call stays one

    def __del__(self) -> None:
        """End a stream that was left early, or a call that was cancelled; LiteLLM calls no logger then."""
        if getattr(self, "_ended", True) or self._scope.end_with_answer():
            return
        if self._is_stream:
            self._scope.bind(stream_end="garbage_collected")
        else:
            self._scope.fail("the call was cancelled", error_type="cancelled")
        self._exit()

    def _exit(self, error: BaseException | None = None) -> None:
        self._ended = True
        self._scope.__exit__(None if error is None else type(error), error, None)

    def answered(self, body: object) -> None:
        """Let other calls of the same context be counted for themselves; the answer of this one is there.

        A round around the call may end before LiteLLM's loggers are called, so it gets the usage now.
        """
        scope = self._scope
        scope.hide()
        if self._is_stream or not isinstance(body, str):
            return
        facts = read_body(body.encode("utf-8", "replace"))
        if scope._observed or facts.usage is not None:
            scope.answer, scope.seconds = facts, scope._monotonic() - scope._started
            if current_round() is not None:
                self._ended = scope.end_with_answer()

    def end(self, kwargs: Mapping[str, Any], response: Any, seconds: float | None) -> None:
        """Emit the event of the end, unless it was emitted before: LiteLLM may call several loggers of one call."""
        scope = self._scope
        if self._ended or scope._exited:
            return
        if seconds is not None:  # LiteLLM calls its loggers some time after the end
            scope._started = scope._monotonic() - seconds
        first, began = kwargs.get("completion_start_time"), kwargs.get("api_call_start_time")
        if self._is_stream and (wait := _seconds(began, first)) is not None:
            scope.bind(time_to_first_token_ms=wait * 1000)
        error = kwargs.get("exception")
        if isinstance(error, BaseException):
            scope.status_code = outcome_of(error).status_code
            self._exit(error)
            return
        if not scope._observed:
            facts = _facts(response)
            if self._is_stream and _is_estimate(kwargs):
                facts.usage, facts.usage_source = None, "missing"
            scope.observe(facts)
        cost = kwargs.get("response_cost")
        if isinstance(cost, (int, float)) and cost > 0:
            scope.bind(cost_usd_estimate=cost)  # by LiteLLM's own table of prices
        self._exit()


def _facts(response: object) -> CallFacts:
    try:
        return read_usage(response)
    except UnknownUsage:  # an answer without usage, such as that of an image
        return CallFacts(complete=True)


def _is_estimate(kwargs: Mapping[str, Any]) -> bool:
    """Return True if the usage of a stream is LiteLLM's own estimate: the provider reports one only when asked."""
    provider, _ = _provider_and_model(kwargs)
    parameters = kwargs.get("optional_params")
    options = kwargs.get("stream_options") or (
        parameters.get("stream_options") if isinstance(parameters, Mapping) else None
    )
    asked = isinstance(options, Mapping) and options.get("include_usage") is True
    return provider in _REPORT_WHEN_ASKED and not asked


def _provider_and_model(kwargs: Mapping[str, Any]) -> tuple[str, str]:
    """Return the provider, "" if it is not known, and the model without the provider's name before it."""
    model = str(kwargs.get("model") or "")[:_MOST_MODEL]
    parameters = kwargs.get("litellm_params")
    provider = kwargs.get("custom_llm_provider") or (
        parameters.get("custom_llm_provider") if isinstance(parameters, Mapping) else None
    )
    if not provider:
        from litellm import provider_list

        head, slash, name = model.partition("/")
        if slash and head in {str(getattr(item, "value", item)) for item in provider_list}:
            return head, name
        return "", model
    return str(provider), model.removeprefix(f"{provider}/")


def _seconds(began: object, ended: object) -> float | None:
    if isinstance(began, datetime) and isinstance(ended, datetime):
        return max(0.0, (ended - began).total_seconds())
    return None
