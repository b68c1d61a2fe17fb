"""Events about the metrics system itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bamboo_logmetrics.events.base import U64, model
from bamboo_logmetrics.events.event import MetricsEvent


@model
class SystemEvent(MetricsEvent, frozen=True, kw_only=True):
    """Base of the events about the metrics system itself; they carry no meta."""

    _family: ClassVar[str] = "System"
    if TYPE_CHECKING:

        def __init__(self) -> None: ...


@model
class MetricsDropped(SystemEvent, frozen=True, kw_only=True):
    """``count`` events were dropped since the last such event of this ``reason``."""

    count: U64
    reason: str


@model
class StorageError(SystemEvent, frozen=True, kw_only=True):
    """Storing failed. ``event_type`` is the kind of the event that was in hand."""

    error: str
    event_type: str


@model
class WorkerStarted(SystemEvent, frozen=True, kw_only=True):
    """A worker began to write."""


@model
class WorkerStopped(SystemEvent, frozen=True, kw_only=True):
    """A worker has stopped; in a log, its line carries the final counts."""
