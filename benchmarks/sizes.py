"""How large a run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Args:
        rounds: interleaved rounds, whose medians count.
        count: events in one measurement.
        lines: lines of the file that verify reads.
        queue: events in the full queue whose memory is measured.
        imports: rounds of fresh interpreters that import.
    """

    rounds: int = 7
    count: int = 200_000
    lines: int = 1_000_000
    queue: int = 100_000
    imports: int = 41


QUICK = Sizes(rounds=2, count=3_000, lines=10_000, queue=5_000, imports=3)  # to see that things work, no more
