"""bamboo_logmetrics through the stdlib: ``MetricsHandler``, rotation at 20 MB on."""

from __future__ import annotations

from benchmarks.events import Load
from benchmarks.peers import logging_calls
from benchmarks.peers.base import Peer

TITLE = "bamboo_logmetrics MetricsHandler"
NEEDS = ("bamboo_logmetrics", "structlog")
PACKAGES = ("bamboo_logmetrics",)


def open_peer(path: str, load: Load) -> Peer:
    """Open the log behind a handler."""
    import bamboo_logmetrics as blm

    log = blm.open_log(path, **{"max_bytes": logging_calls.MAX_BYTES, **load.options})
    handler = blm.MetricsHandler(log)
    return logging_calls.peer_of(handler, load, flush=lambda: log.flush(60), close=lambda: log.close(60))
