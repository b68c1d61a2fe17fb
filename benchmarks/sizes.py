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

    rounds: int = 3
    count: int = 100_000
    lines: int = 1_000_000
    queue: int = 100_000
    imports: int = 41

    def said(self) -> str:
        """Return the sizes of everything that is measured in rounds, as a sentence."""
        rounds = "One round" if self.rounds == 1 else f"Medians of {self.rounds} interleaved rounds"
        return f"{rounds} of {self.count:,} events each."


# what a command measures unless it is told otherwise: in a few minutes each, and scaling in more
TARGETS = Sizes()
CALLS = Sizes(count=20_000)
PEERS = Sizes(count=50_000)
LATENCY = Sizes(rounds=5, count=200_000)
SCALING = Sizes(count=200_000)
READING = Sizes()
PROXYING = Sizes(count=10_000)
STAGES = 20_000  # calls of each stage
QUICK = Sizes(rounds=2, count=3_000, lines=10_000, queue=5_000, imports=3)  # to see that things work, no more
