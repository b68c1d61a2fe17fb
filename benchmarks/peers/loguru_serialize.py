"""loguru: ``serialize=True``, written in the call.

Set up as the README's "Easier file logging with rotation / retention / compression" and "Structured logging as needed",
with ``diagnose=False`` as "Fully descriptive exceptions" advises for production.
"""

from __future__ import annotations

from typing import Any

from benchmarks.events import KIND, SCALARS, TEXT, Load, fields
from benchmarks.peers.base import Peer

TITLE = "loguru, serialize"
NEEDS = ("loguru",)
PACKAGES = ("loguru",)


def open_peer(path: str, load: Load) -> Peer:
    """Add the file to loguru's logger."""
    return open_with(path, load, enqueue=False)


def open_with(path: str, load: Load, **options: Any) -> Peer:
    """Add the file to loguru's logger, with options more."""
    from loguru import logger

    logger.remove()
    sink = logger.add(path, level="INFO", serialize=True, rotation="20 MB", diagnose=False, **options)
    info = logger.bind(**load.bound).info
    error = load.error

    def emit(number: int) -> None:
        info(KIND, **fields(number, error))

    def plain(_: int) -> None:
        info(TEXT, **SCALARS)

    return Peer(emit=emit, plain=plain, flush=logger.complete, close=lambda: logger.remove(sink))
