"""stdlib: RotatingFileHandler with python-json-logger's JsonFormatter.

Set up as python-json-logger's quick start does (a handler with ``JsonFormatter``), the file as in the logging
cookbook, "Using file rotation".
"""

from __future__ import annotations

from logging.handlers import RotatingFileHandler

from benchmarks.events import Load
from benchmarks.peers import logging_calls
from benchmarks.peers.base import Peer

TITLE = "logging RotatingFileHandler + python-json-logger"
NEEDS = ("pythonjsonlogger",)
PACKAGES = ("python-json-logger",)


def open_peer(path: str, load: Load) -> Peer:
    """Open the file behind a handler."""
    from pythonjsonlogger.json import JsonFormatter

    handler = RotatingFileHandler(path, maxBytes=logging_calls.MAX_BYTES, backupCount=logging_calls.BACKUPS)
    handler.setFormatter(JsonFormatter("{message}{levelname}", style="{", timestamp=True))
    return logging_calls.peer_of(handler, load, flush=handler.flush, close=handler.close)
