"""concurrent-log-handler: ConcurrentRotatingFileHandler with python-json-logger's msgspec formatter.

Set up as its README's "Basic Usage"; the README advises against a queue before it ("simply use the standard CLH
handlers directly").
"""

from __future__ import annotations

from benchmarks.events import Load
from benchmarks.peers import logging_calls
from benchmarks.peers.base import Peer

TITLE = "concurrent-log-handler + python-json-logger (msgspec)"
NEEDS = ("concurrent_log_handler", "pythonjsonlogger", "msgspec")
PACKAGES = ("concurrent-log-handler",)


def open_peer(path: str, load: Load) -> Peer:
    """Open the file behind a handler."""
    from concurrent_log_handler import ConcurrentRotatingFileHandler

    handler = ConcurrentRotatingFileHandler(
        path, "a", maxBytes=logging_calls.MAX_BYTES, backupCount=logging_calls.BACKUPS
    )
    handler.setFormatter(logging_calls.formatter())
    return logging_calls.peer_of(handler, load, flush=handler.flush, close=handler.close)
