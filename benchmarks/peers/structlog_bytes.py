"""The reference: structlog's own fastest set-up, BytesLogger and orjson, no rotation.

Set up as structlog's documentation, "Performance" (``docs/performance.md``), has it for "as fast as it gets", but
without ``merge_contextvars`` and ``format_exc_info``, which this event does not need: that makes it faster still.
"""

from __future__ import annotations

import logging

from benchmarks.events import Load
from benchmarks.peers import structlog_calls
from benchmarks.peers.base import Peer

TITLE = "structlog BytesLogger + orjson (the reference)"
NEEDS = ("structlog", "orjson")
PACKAGES = ("structlog", "orjson")


def open_peer(path: str, load: Load) -> Peer:
    """Open the file and configure structlog."""
    import orjson
    import structlog

    file = open(path, "ab")
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(file=file),
    )
    return structlog_calls.peer_of(structlog.get_logger(), load, close=file.close)
