"""structlog through the stdlib: rendered by structlog, written by a RotatingFileHandler.

Set up as structlog's documentation, "Standard Library Logging", "Rendering within structlog", with orjson as its page
on performance recommends.
"""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from typing import Any

from benchmarks.events import Load
from benchmarks.peers import logging_calls, structlog_calls
from benchmarks.peers.base import Peer

TITLE = "structlog through logging + orjson"
NEEDS = ("structlog", "orjson")
PACKAGES = ("structlog", "orjson")


def open_peer(path: str, load: Load) -> Peer:
    """Open the file behind a handler and configure structlog."""
    import orjson
    import structlog

    def serialize(event: Any, **options: Any) -> str:
        text: str = orjson.dumps(event, default=options.get("default")).decode()
        return text

    handler = RotatingFileHandler(path, maxBytes=logging_calls.MAX_BYTES, backupCount=logging_calls.BACKUPS)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("benchmarks")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=serialize),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return structlog_calls.peer_of(structlog.get_logger("benchmarks"), load, close=handler.close)
