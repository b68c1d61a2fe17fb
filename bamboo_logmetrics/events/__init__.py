"""The event vocabulary and its tagged JSON form."""

from __future__ import annotations

from bamboo_logmetrics.events.base import SHORT_EVENTS
from bamboo_logmetrics.events.chat import (
    ChatEvent,
    MessageCountUpdated,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.events.event import MetricsEvent
from bamboo_logmetrics.events.forward import ForwardEvent, RequestCompleted, RequestStarted
from bamboo_logmetrics.events.meta import EventMeta
from bamboo_logmetrics.events.statuses import ForwardStatus, RoundStatus, SessionStatus
from bamboo_logmetrics.events.system import MetricsDropped, StorageError, SystemEvent, WorkerStarted, WorkerStopped
from bamboo_logmetrics.events.unknown import UnknownEvent
from bamboo_logmetrics.events.usage import TokenUsage

SHORT_EVENTS.update((
    SessionStarted, SessionCompleted, RoundStarted, RoundCompleted, ToolCalled, MessageCountUpdated, RequestStarted,
    RequestCompleted,
))  # fmt: skip

__all__ = [
    "ChatEvent",
    "EventMeta",
    "ForwardEvent",
    "ForwardStatus",
    "MessageCountUpdated",
    "MetricsDropped",
    "MetricsEvent",
    "RequestCompleted",
    "RequestStarted",
    "RoundCompleted",
    "RoundStarted",
    "RoundStatus",
    "SessionCompleted",
    "SessionStarted",
    "SessionStatus",
    "StorageError",
    "SystemEvent",
    "TokenUsage",
    "ToolCalled",
    "UnknownEvent",
    "WorkerStarted",
    "WorkerStopped",
]
