"""The reference: structlog's own fastest set-up, BytesLogger and orjson, no rotation.

Set up as structlog's documentation, "Performance" (``docs/performance.md``), has it for "as fast as it gets", but
without ``merge_contextvars`` and ``format_exc_info`` where the calls do not need them: that makes it faster still.
"""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.events import CONTEXT, EXCEPTIONS, PROCESSOR, Load
from benchmarks.peers import kinds, structlog_calls
from benchmarks.peers.base import Peer

TITLE = "structlog BytesLogger + orjson (the reference)"
NEEDS = ("structlog", "orjson")
PACKAGES = ("structlog", "orjson")


def open_peer(path: str, load: Load) -> Peer:
    """Open the file and configure structlog."""
    import orjson
    import structlog

    file = open(path, "ab")
    needed: dict[str, Any] = {
        CONTEXT: structlog.contextvars.merge_contextvars,
        PROCESSOR: kinds.add_zone,
        EXCEPTIONS: structlog.processors.format_exc_info,
    }
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            *[processor for need, processor in needed.items() if need in load.needs],
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(file=file),
    )
    return structlog_calls.peer_of(structlog.get_logger(), load, close=file.close)
