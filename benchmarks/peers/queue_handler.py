"""stdlib: QueueHandler and QueueListener, python-json-logger's msgspec formatter behind them.

Set up as the logging cookbook's "Dealing with handlers that block" (an unbounded ``queue.Queue(-1)``); the formatter is
the fastest one that python-json-logger has.
"""

from __future__ import annotations

from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from queue import Queue
from typing import Any

from benchmarks.events import Load
from benchmarks.peers import logging_calls
from benchmarks.peers.base import Peer

TITLE = "logging QueueHandler + python-json-logger (msgspec)"
NEEDS = ("pythonjsonlogger", "msgspec")
PACKAGES = ("python-json-logger", "msgspec")


def open_peer(path: str, load: Load) -> Peer:
    """Open the file behind a listener, and a queue before it."""
    file = RotatingFileHandler(path, maxBytes=logging_calls.MAX_BYTES, backupCount=logging_calls.BACKUPS)
    file.setFormatter(logging_calls.formatter())
    queue: Queue[Any] = Queue(-1)
    listener = QueueListener(queue, file)
    listener.start()

    def close() -> None:
        listener.stop()
        file.close()

    return logging_calls.peer_of(QueueHandler(queue), load, flush=queue.join, close=close)
