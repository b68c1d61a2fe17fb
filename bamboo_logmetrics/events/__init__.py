"""The event vocabulary and its tagged JSON form."""

from __future__ import annotations

from bamboo_logmetrics.events.model import (
    ChatEvent,
    EventMeta,
    ForwardEvent,
    MessageCountUpdated,
    MetricsDropped,
    MetricsEvent,
    RequestCompleted,
    RequestStarted,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    StorageError,
    SystemEvent,
    TokenUsage,
    ToolCalled,
    UnknownEvent,
    WorkerStarted,
    WorkerStopped,
)
from bamboo_logmetrics.events.statuses import ForwardStatus, RoundStatus, SessionStatus

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
