"""The calls of everything that is used through a stdlib logger."""

from __future__ import annotations

import logging
from collections.abc import Callable

from benchmarks.events import KIND, SCALARS, TEXT, Load, fields
from benchmarks.peers.base import Peer

LOGGER = "benchmarks"
MAX_BYTES = 20_000_000
BACKUPS = 100


def peer_of(handler: logging.Handler, load: Load, *, flush: Callable[[], object], close: Callable[[], object]) -> Peer:
    """Return the peer of a handler: ``logging.info(text, extra=)`` on a logger that has this handler only."""
    log = logging.getLogger(LOGGER)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    bound, error = dict(load.bound), load.error

    def emit(number: int) -> None:
        log.info(KIND, extra={**fields(number, error), **bound})

    def plain(_: int) -> None:
        log.info(TEXT, extra={**SCALARS, **bound})

    def end() -> None:
        log.removeHandler(handler)
        close()

    return Peer(emit=emit, plain=plain, flush=flush, close=end)


def formatter() -> logging.Formatter:
    """Return python-json-logger's msgspec formatter with time and level in each line."""
    from pythonjsonlogger.msgspec import MsgspecFormatter

    return MsgspecFormatter("{message}{levelname}", style="{", timestamp=True)
