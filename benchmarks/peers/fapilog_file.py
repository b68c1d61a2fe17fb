"""fapilog: LoggerBuilder with a rotating file, nothing dropped.

Set up as its README's "Builder API (Recommended)"; ``drop_on_full=False`` as its "Production tip" has it, so that lines
are not lost. The preset "production" itself would also write each line to stdout. It has no flush.
"""

from __future__ import annotations

import asyncio
import os

from benchmarks.events import KIND, SCALARS, TEXT, Load, fields
from benchmarks.peers.base import Peer

TITLE = "fapilog, rotating file"
NEEDS = ("fapilog",)
PACKAGES = ("fapilog",)


def open_peer(path: str, load: Load) -> Peer:
    """Build a logger that writes to the path's directory."""
    from fapilog import LoggerBuilder

    builder = LoggerBuilder().with_level("INFO").add_file(os.path.dirname(path), max_bytes="20 MB")
    log = builder.with_backpressure(wait_ms=5000, drop_on_full=False).build()
    bound, error = dict(load.bound), load.error

    def emit(number: int) -> None:
        log.info(KIND, **fields(number, error), **bound)

    def plain(_: int) -> None:
        log.info(TEXT, **SCALARS, **bound)

    return Peer(emit=emit, plain=plain, close=lambda: asyncio.run(log.stop_and_drain()))
