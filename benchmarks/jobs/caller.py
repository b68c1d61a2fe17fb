"""How long a call takes for who makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.jobs import running
from benchmarks.peers.kinds import LINES

BURST = 10_000


def caller(
    folder: Path,
    *,
    peer: str,
    count: int,
    kind: str = "emit",
    burst: int = BURST,
    threads: int = 1,
    load: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the percentiles of ``count`` calls in microseconds, what the timer alone takes, and the check.

    Args:
        folder: where the log is.
        peer: its name.
        count: how many calls; the garbage collector runs as it likes.
        kind: "emit" (the event made in the call), "made" (made before), "plain", or one of ``peers/kinds.py``.
        burst: calls between two flushes, see ``running.timed_bursts``.
        threads: how many share the calls.
        load: what is logged, see ``events.Load``.
    """
    opened = running.open_peer(folder, peer, running.load_of(load, burst))
    times = running.timed_bursts(opened, kind=kind, count=count, burst=burst, threads=threads)
    opened.close()
    return {
        **measure.latencies(times),
        "timer": measure.empty_timer() / measure.US,
        "check": running.checked(folder, count * LINES.get(kind, 1)),
    }
