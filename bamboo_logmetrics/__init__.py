"""Typed metrics events of LLM agents and proxies as structured log lines.

Logging does not hold up the application, and each lost record is counted::

    import bamboo_logmetrics as blm

    with blm.open_log("metrics.jsonl") as log:
        log.emit(blm.SessionStarted(session_id="s-1", model="m-1"))

    for line in blm.read("metrics.jsonl"):
        print(line.event)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.errors import BambooLogError, ConfigError, DecodeError, PlatformError
from bamboo_logmetrics.events import (
    ChatEvent,
    EventMeta,
    ForwardEvent,
    ForwardStatus,
    MessageCountUpdated,
    MetricsDropped,
    MetricsEvent,
    RequestCompleted,
    RequestStarted,
    RoundCompleted,
    RoundStarted,
    RoundStatus,
    SessionCompleted,
    SessionStarted,
    SessionStatus,
    StorageError,
    SystemEvent,
    TokenUsage,
    ToolCalled,
    UnknownEvent,
    WorkerStarted,
    WorkerStopped,
)
from bamboo_logmetrics.format.parse import Line
from bamboo_logmetrics.format.redact.rules import Redact
from bamboo_logmetrics.options import Options
from bamboo_logmetrics.pipeline.statistics import Stats
from bamboo_logmetrics.reading import Report, WriterReport, read, verify

if TYPE_CHECKING:
    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.logger.formatter import FlatJsonFormatter
    from bamboo_logmetrics.logger.handler import MetricsHandler
    from bamboo_logmetrics.logger.opening import close, configure, flush, get_logger, open_log, stats
    from bamboo_logmetrics.logger.scope_context import carry
    from bamboo_logmetrics.reading.report.writing import write_report
    from bamboo_logmetrics.reading.summary.result import Summary, SummaryRow, SummaryWarning
    from bamboo_logmetrics.reading.summary.summarizing import summarize

__all__ = [
    "BambooLogError",
    "BoundLog",
    "ChatEvent",
    "ConfigError",
    "DecodeError",
    "EventMeta",
    "FlatJsonFormatter",
    "ForwardEvent",
    "ForwardStatus",
    "Line",
    "MessageCountUpdated",
    "MetricsDropped",
    "MetricsEvent",
    "MetricsHandler",
    "Options",
    "PlatformError",
    "Redact",
    "Report",
    "RequestCompleted",
    "RequestStarted",
    "RoundCompleted",
    "RoundStarted",
    "RoundStatus",
    "SessionCompleted",
    "SessionStarted",
    "SessionStatus",
    "Stats",
    "StorageError",
    "Summary",
    "SummaryRow",
    "SummaryWarning",
    "SystemEvent",
    "TokenUsage",
    "ToolCalled",
    "UnknownEvent",
    "WorkerStarted",
    "WorkerStopped",
    "WriterReport",
    "__version__",
    "carry",
    "close",
    "configure",
    "flush",
    "get_logger",
    "open_log",
    "read",
    "stats",
    "summarize",
    "verify",
    "write_report",
]

# Names that need structlog are imported on first use: structlog imports rich wherever that is installed. So are those
# that only reading needs.
_LATE = {
    "BoundLog": "logger.bound_log",
    "FlatJsonFormatter": "logger.formatter",
    "MetricsHandler": "logger.handler",
    "Summary": "reading.summary.result",
    "SummaryRow": "reading.summary.result",
    "SummaryWarning": "reading.summary.result",
    "carry": "logger.scope_context",
    "close": "logger.opening",
    "configure": "logger.opening",
    "flush": "logger.opening",
    "get_logger": "logger.opening",
    "open_log": "logger.opening",
    "stats": "logger.opening",
    "summarize": "reading.summary.summarizing",
    "write_report": "reading.report.writing",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
