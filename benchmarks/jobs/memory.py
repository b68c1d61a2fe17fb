"""The memory that a full queue takes."""

from __future__ import annotations

import gc
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

from bamboo_logmetrics.testing import GateSink, open_log_on
from benchmarks.events import MARK, Load
from benchmarks.jobs import running
from benchmarks.peers import bamboo

MB = 1e6
LEAST = 1000  # smaller numbers CPython keeps anyway


def full_queue(folder: Path, *, count: int, trace: bool) -> dict[str, Any]:
    """Return the megabytes (1e6 bytes) by which ``count`` made events exceed an empty queue, and the bytes of one.

    The worker is held in its first write. Each event is made for the queue, with an id, a time, a round and a latency
    of its own; nothing else holds it. Session and trace are one text for all.

    Args:
        folder: where the log is.
        count: how many events fill the queue.
        trace: True to count what Python allocates (tracemalloc) instead of the process's resident memory.
    """
    gate = GateSink()
    log = open_log_on(gate, folder / running.NAME, queue_size=count)
    gate.wait_for_writer()
    log = log.bind(**Load().bound)
    make = bamboo.maker(Load())
    if trace:
        tracemalloc.start()
    gc.collect()
    before = _used(trace=trace)
    for number in range(count):
        log.emit(replace(make(LEAST + number), round_id=f"{MARK}-{number}"))
    gc.collect()
    used = _used(trace=trace) - before
    if trace:
        tracemalloc.stop()
    if log.stats().dropped_total:
        msg = f"the queue did not hold {count} events: {log.stats()}"
        raise RuntimeError(msg)
    gate.open_gate()
    log.close(60)
    return {"mb": used / MB, "bytes_per_event": used / count, "check": running.checked(folder, count)}


def _used(*, trace: bool) -> int:
    """Return the bytes in use."""
    if trace:
        return tracemalloc.get_traced_memory()[0]
    with open("/proc/self/statm", encoding="ascii") as file:  # Linux; elsewhere there is no resident size of now
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
