"""Our calls in seven situations: from an idle disk to a full queue."""

from __future__ import annotations

import time
from array import array
from pathlib import Path
from typing import Any

import bamboo_logmetrics as blm
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import GateSink, open_log_on
from benchmarks import measure
from benchmarks.events import Load
from benchmarks.jobs import running
from benchmarks.jobs.caller import BURST
from benchmarks.peers import bamboo
from benchmarks.peers.base import Peer

SMALL_FILE = 2_000_000  # bytes: thousands of events, so that a run rotates often
SHORTEST = 100  # bytes: no event's line is so short, so that a small run rotates too
QUEUE = 100_000
FULL_QUEUE = 1_000
SLOW_WRITE = 0.05  # seconds
THREADS = 8

# what a table calls each, in its order
SITUATIONS = {
    "idle": "idle disk",
    "rotation": "rotation",
    "compression": "rotation and compression",
    "filling": "queue filling to 100,000",
    "full": "full queue",
    "slow": "a disk that takes 50 ms a write",
    "threads": "8 threads",
}


class SlowFS(FS):
    """A disk that takes 50 ms for each write."""

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write, slowly."""
        time.sleep(SLOW_WRITE)
        return super().write(fd, data)


def situation(folder: Path, *, name: str, count: int) -> dict[str, Any]:
    """Return the percentiles of calls that make their event, in microseconds, and the check.

    Args:
        folder: where the log is.
        name: one of SITUATIONS.
        count: how many calls; for "filling" at most what the queue holds.
    """
    times, expected = _HELD[name](folder, count) if name in _HELD else (_bursts(folder, name, count), count)
    counts = running.checked(folder, expected)
    if name in {"rotation", "compression"} and counts["files"] < 2:  # noqa: PLR2004
        msg = f"nothing was rotated by {count} events: that is no measurement of {SITUATIONS[name]}"
        raise RuntimeError(msg)
    if name == "compression" and not counts["compressed"]:
        msg = f"nothing was compressed by {count} events: that is no measurement of compression"
        raise RuntimeError(msg)
    return {**measure.latencies(times), "check": counts}


def _options(name: str, count: int) -> dict[str, Any]:
    rotating = {"max_bytes": min(SMALL_FILE, count * SHORTEST)}
    options: dict[str, dict[str, Any]] = {
        "slow": {"fs": SlowFS()},
        "rotation": rotating,
        "compression": {**rotating, "compress": "gzip"},
    }
    return options.get(name, {})


def _bursts(folder: Path, name: str, count: int) -> array[int]:
    opened = running.open_peer(folder, "bamboo", Load(options=_options(name, count)))
    threads = THREADS if name == "threads" else 1
    times = running.timed_bursts(opened, kind="emit", count=count, burst=BURST, threads=threads)
    opened.close()
    return times


def _held(folder: Path, queue_size: int) -> tuple[GateSink, blm.BoundLog, Peer]:
    """Open a log whose worker is held in its first write, the one that says that it has started."""
    gate = GateSink()
    log = open_log_on(gate, folder / running.NAME, queue_size=queue_size)
    gate.wait_for_writer()
    return gate, log, bamboo.peer_of(log, Load())


def _filling(folder: Path, count: int) -> tuple[array[int], int]:
    gate, log, peer = _held(folder, QUEUE)
    count = min(count, QUEUE)
    times = array("q", bytes(8 * count))
    measure.time_calls(peer.emit, range(count), times, 0)
    gate.open_gate()
    log.close(60)
    return times, count


def _full(folder: Path, count: int) -> tuple[array[int], int]:
    gate, log, peer = _held(folder, FULL_QUEUE)
    fits = 0
    while log.emit(peer.make(fits)):
        fits += 1
    times = array("q", bytes(8 * count))
    measure.time_calls(peer.emit, range(count), times, 0)
    gate.open_gate()
    log.close(60)
    return times, fits


_HELD = {"filling": _filling, "full": _full}
