"""picologging: QueueHandler and QueueListener, the fields as JSON by orjson.

Set up as its documentation, "Handlers" (a drop-in for the stdlib's). Its LogRecord keeps nothing of ``extra=``, and its
QueueHandler makes a text of a message, so the caller gives the fields as JSON text; level and time are added behind the
queue. The time is ``created``: with ``asctime``, what 0.9.3 writes behind a queue is not UTF-8, and does not parse.
"""

from __future__ import annotations

from queue import Queue
from typing import Any

from benchmarks.events import KIND, SCALARS, TEXT, Load, fields
from benchmarks.peers.base import Peer

TITLE = "picologging QueueHandler + orjson"
NEEDS = ("picologging", "orjson")
PACKAGES = ("picologging", "orjson")

FORMAT = '{"timestamp":%(created)f,"level":"%(levelname)s","event":%(message)s}'


def open_peer(path: str, load: Load) -> Peer:
    """Open the file behind a listener, and a queue before it."""
    import orjson
    import picologging
    from picologging import handlers

    file = handlers.RotatingFileHandler(path, maxBytes=20_000_000, backupCount=100)
    file.setFormatter(picologging.Formatter(FORMAT))
    queue: Queue[Any] = Queue(-1)
    listener = handlers.QueueListener(queue, file)
    listener.start()
    log = picologging.getLogger("benchmarks")
    log.setLevel(picologging.INFO)
    log.addHandler(handlers.QueueHandler(queue))
    bound, error, dumps = dict(load.bound), load.error, orjson.dumps

    def emit(number: int) -> None:
        log.info(dumps({"kind": KIND, **fields(number, error), **bound}).decode())

    def plain(_: int) -> None:
        log.info(dumps({"text": TEXT, **SCALARS, **bound}).decode())

    def close() -> None:
        listener.stop()
        file.close()

    return Peer(emit=emit, plain=plain, flush=queue.join, close=close)
