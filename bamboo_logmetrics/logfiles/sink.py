"""What a sink is."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Sink(ABC):
    """Takes whole lines, each with its newline. Two methods make one; the others have a default."""

    stored = 0  # lines that it has ever stored whole; ``write`` adds to it
    repaired_bytes = 0  # of torn last lines that were cut away

    @abstractmethod
    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Store lines in order, as many as fit, at least one, and add their number to ``stored``.

        ``stored`` is right also when something is raised; the caller counts by it.

        Args:
            lines: at least one.
            deadline: on the monotonic clock, when to give up waiting for other processes.

        Raises OSError when none could be stored.
        """

    @abstractmethod
    def close(self, deadline: float | None = None) -> None:
        """Let go of everything; a second call does nothing."""

    def open(self, deadline: float | None = None) -> None:  # noqa: B027 - many sinks need nothing
        """Get ready. Raises OSError; ``write`` then tries again."""

    def sync(self) -> None:  # noqa: B027
        """Bring what was written to the disk. Raises OSError."""

    def problems(self) -> list[str]:
        """Return what went wrong beside the writing since the last call."""
        return []

    def after_fork(self) -> None:  # noqa: B027
        """Be a sink of its own in a forked child."""
