"""The reference for the layout ecs: structlog with ``ecs_logging.StructlogFormatter``, no rotation.

Set up as ecs-logging's documentation, "Structlog Example" (``docs/reference/installation.md``), has it, with what
structlog's page on performance recommends: the filtering logger, the cache, and no PrintLogger.
"""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.events import Load
from benchmarks.peers import structlog_calls
from benchmarks.peers.base import Peer

TITLE = "structlog WriteLogger + ecs-logging"
NEEDS = ("structlog", "ecs_logging")
PACKAGES = ("structlog", "ecs-logging")


def open_peer(path: str, load: Load) -> Peer:
    """Open the file and configure structlog."""
    import ecs_logging
    import structlog

    file = open(path, "a", encoding="utf-8")
    formatter: Any = ecs_logging.StructlogFormatter()
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[formatter],
        logger_factory=structlog.WriteLoggerFactory(file=file),
    )
    return structlog_calls.peer_of(structlog.get_logger(), load, close=file.close)
