"""The contract of a sink."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from itertools import accumulate


class Sink(ABC):
    """Stores whole lines, each with its newline. ``write`` and ``close`` make a sink; the other methods have defaults.

    Attributes:
        stored: lines ever stored whole; ``write`` adds to it.
        repaired_bytes: bytes of torn last lines that were cut away.
    """

    stored = 0
    repaired_bytes = 0

    @abstractmethod
    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Store lines in order, as many as fit, at least one, and add their number to ``stored``.

        ``stored`` is right also when an exception is raised: the caller counts by it, and writes the rest again.

        Args:
            lines: at least one.
            deadline: on the monotonic clock, when to give up waiting for other processes; None for the default.

        Raises OSError if none could be stored.
        """

    @abstractmethod
    def close(self, deadline: float | None = None) -> None:
        """Release all resources; a second call does nothing."""

    def open(self, deadline: float | None = None) -> None:  # noqa: B027 - many sinks need nothing
        """Prepare for writing. Raises OSError; ``write`` then tries again."""

    def sync(self) -> None:  # noqa: B027
        """Bring the stored lines to the disk. Raises OSError."""

    def problems(self) -> list[str]:
        """Return the errors since the last call that did not make ``write`` fail."""
        return []

    def after_fork(self) -> None:  # noqa: B027
        """Become an independent sink in a forked child."""


def count_whole(lines: list[bytes], size: int) -> tuple[int, int]:
    """Return how many lines lie wholly within the first ``size`` bytes, and the offset at which the last one ends."""
    ends = [0, *accumulate(map(len, lines))]
    count = max(0, bisect_right(ends, size) - 1)
    return count, ends[count]
