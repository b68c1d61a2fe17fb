"""Events of requests that are forwarded to a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec import field

from bamboo_logmetrics.events.base import U16, Millis, model
from bamboo_logmetrics.events.event import MetricsEvent
from bamboo_logmetrics.events.meta import EventMeta, new_meta
from bamboo_logmetrics.events.statuses import ForwardStatus
from bamboo_logmetrics.events.usage import TokenUsage


@model
class ForwardEvent(MetricsEvent, frozen=True, kw_only=True):
    """Base of the events of requests forwarded to a provider."""

    _family: ClassVar[str] = "Forward"
    meta: EventMeta = field(default_factory=new_meta)


@model
class RequestStarted(ForwardEvent, frozen=True, kw_only=True):
    """A request goes to a provider. ``endpoint`` is such as ``openai.chat_completions``."""

    request_id: str
    endpoint: str
    model: str
    is_stream: bool


@model
class RequestCompleted(ForwardEvent, frozen=True, kw_only=True):
    """A forwarded request ended. ``status_code`` 0 means that no response came."""

    request_id: str
    status_code: U16
    status: ForwardStatus
    usage: TokenUsage | None = None
    latency_ms: Millis
    error: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            request_id: str,
            status_code: int,
            status: ForwardStatus | str,
            usage: TokenUsage | None = None,
            latency_ms: float,
            error: str | None = None,
            meta: EventMeta = ...,
        ) -> None: ...
