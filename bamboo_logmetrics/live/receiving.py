"""Everything that a receiver writes to: the log, the known ids beside it, and the thread for both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Literal

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.importers.run import EventClock, lock_path, open_store
from bamboo_logmetrics.importers.store import ImportLock
from bamboo_logmetrics.live.acknowledging import WAIT_SECONDS, Acknowledger, EventWriter
from bamboo_logmetrics.logfiles.discovery import find_log
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import open_log

_CLOSE_SECONDS = 10.0
Durability = Literal["write", "fsync"]


@contextmanager
def receiving(
    path: str, durability: Durability, on_note: Callable[[str], object]
) -> Iterator[tuple[BoundLog, Acknowledger]]:
    """Open a log for the events of exporters, and close it at the end.

    Args:
        path: the log; its directory is made if it is missing.
        durability: ``write`` if an acknowledged event has to be in the file, ``fsync`` if it has to be on the disk.
        on_note: called with lines for the operator, from the thread that writes.

    Raises:
        ConfigError: the log cannot be used, or another receiver or import writes to it.
    """
    log_path = os.path.realpath(path)
    os.makedirs(os.path.dirname(log_path), exist_ok=True)
    with ExitStack() as stack:
        lock = ImportLock(lock_path(log_path), log_path)
        stack.callback(lock.release)
        lock.acquire(lambda holder: _in_use(path, holder))
        executor = stack.enter_context(ThreadPoolExecutor(1, "bamboo-logmetrics-receiver"))
        store = executor.submit(open_store, log_path, exists=_exists(log_path)).result()
        stack.callback(lambda: executor.submit(store.close).result())
        clock = executor.submit(EventClock).result()
        # acknowledged is what a flush has written, whatever level the environment says; with "fsync" each call waits
        # for the disk
        log = open_log(
            log_path, on_full="block", block_timeout=WAIT_SECONDS, clock=clock, level="debug",
            durability="fsync" if durability == "fsync" else "queue",
        )  # fmt: skip
        stack.callback(log.close, _CLOSE_SECONDS)
        writer = executor.submit(EventWriter, log, clock, store, on_note).result()
        stack.callback(lambda: executor.submit(writer.close).result())
        yield log, Acknowledger(writer, executor)


def _in_use(path: str, holder: str) -> None:
    msg = f"{path} is written to by another receiver or import ({holder}); stop that one, or use another --log"
    raise ConfigError(msg)


def _exists(path: str) -> bool:
    try:
        find_log(path)
    except FileNotFoundError:
        return False
    return True
