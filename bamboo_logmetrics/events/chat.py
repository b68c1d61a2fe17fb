"""Events of an agent's own chat loop: sessions, rounds, tool calls, message counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec import field

from bamboo_logmetrics.events.base import U32, Millis, model
from bamboo_logmetrics.events.event import MetricsEvent
from bamboo_logmetrics.events.meta import EventMeta, new_meta
from bamboo_logmetrics.events.statuses import RoundStatus, SessionStatus
from bamboo_logmetrics.events.usage import TokenUsage


@model
class ChatEvent(MetricsEvent, frozen=True, kw_only=True):
    """Base of the events of the agent's own chat loop."""

    _family: ClassVar[str] = "Chat"
    meta: EventMeta = field(default_factory=new_meta)


@model
class SessionStarted(ChatEvent, frozen=True, kw_only=True):
    """A conversation begins. ``model`` is the model used, such as ``gpt-5-mini``."""

    session_id: str
    model: str


@model
class SessionCompleted(ChatEvent, frozen=True, kw_only=True):
    """A conversation ended; ``status`` tells how."""

    session_id: str
    status: SessionStatus

    if TYPE_CHECKING:

        def __init__(self, *, session_id: str, status: SessionStatus | str, meta: EventMeta = ...) -> None: ...


@model
class RoundStarted(ChatEvent, frozen=True, kw_only=True):
    """One model call (a request and its answer) begins."""

    round_id: str
    session_id: str
    model: str


@model
class RoundCompleted(ChatEvent, frozen=True, kw_only=True):
    """One model call ended.

    ``latency_ms`` takes any finite number >= 0 and floors it. Where usage or latency is not
    known, give zeros and bind ``usage_source="missing"`` or ``latency_source="missing"``.
    """

    round_id: str
    session_id: str
    status: RoundStatus
    usage: TokenUsage
    latency_ms: Millis
    error: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            round_id: str,
            session_id: str,
            status: RoundStatus | str,
            usage: TokenUsage,
            latency_ms: float,
            error: str | None = None,
            meta: EventMeta = ...,
        ) -> None: ...


@model
class ToolCalled(ChatEvent, frozen=True, kw_only=True):
    """A tool was called and has answered. Its arguments and result are never stored."""

    tool_call_id: str
    round_id: str
    session_id: str
    tool_name: str
    latency_ms: Millis
    success: bool

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            tool_call_id: str,
            round_id: str,
            session_id: str,
            tool_name: str,
            latency_ms: float,
            success: bool,
            meta: EventMeta = ...,
        ) -> None: ...


@model
class MessageCountUpdated(ChatEvent, frozen=True, kw_only=True):
    """The session now holds ``message_count`` messages, of user and assistant."""

    session_id: str
    message_count: U32
