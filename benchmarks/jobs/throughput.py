"""The cost of events in all: CPU of all threads, and time until the last is in a closed file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.jobs import running
from benchmarks.peers.kinds import LINES


def throughput(
    folder: Path, *, peer: str, count: int, kind: str = "emit", threads: int = 1, load: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return microseconds of CPU per event and events per second, both until the file is closed, and the check.

    The calls come back to back without a flush or a timer between; importing and opening are not counted, closing is.
    For the arguments see ``caller``.
    """
    opened = running.open_peer(folder, peer, running.load_of(load, count))
    call = opened.call(kind)
    shares = [opened.arguments(kind, share) for share in running.split(range(count), threads)]

    def work(number: int) -> None:
        for argument in shares[number]:
            call(argument)

    cpu, wall = measure.cpu_seconds(), time.perf_counter()
    running.in_threads(threads, work)
    opened.close()
    cpu, wall = measure.cpu_seconds() - cpu, time.perf_counter() - wall
    return {
        "cpu_us": cpu / count * 1e6,
        "events_per_s": count / wall,
        "check": running.checked(folder, count * LINES.get(kind, 1)),
    }
