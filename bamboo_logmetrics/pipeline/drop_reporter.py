"""Drops as MetricsDropped events: which are announced, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bamboo_logmetrics.system import Clock

_REPORT_EVERY = 1.0  # seconds between two MetricsDropped of one reason
_UNREPORTED = frozenset({"closed"})  # after close there is no line to say it in


class DropReporter:
    """Which drops have been announced, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, int] = {}
        self._said_at: dict[str, float] = {}

    def news(self, totals: Mapping[str, int], *, everything: bool) -> Iterator[tuple[str, int, int]]:
        """Give (reason, count since the last, total) of what is to be announced now; it then counts as announced."""
        now = self._clock.monotonic()
        for reason, total in totals.items():
            fresh = total - self._said.get(reason, 0)
            if reason in _UNREPORTED or not fresh:
                continue
            if everything or self._due_at(reason) <= now:
                self._said[reason] = total
                self._said_at[reason] = now
                yield reason, fresh, total

    def take_back(self, reason: str, count: int) -> None:
        """Announce ``count`` drops again later: their line could not be made."""
        self._said[reason] -= count
        self._said_at.pop(reason, None)

    def due_in(self, totals: Mapping[str, int]) -> float | None:
        """Return in how many seconds something is to be announced; None if nothing is."""
        waiting = [
            self._due_at(reason)
            for reason, total in totals.items()
            if reason not in _UNREPORTED and total != self._said.get(reason, 0)
        ]
        return min(waiting) - self._clock.monotonic() if waiting else None

    def _due_at(self, reason: str) -> float:
        return self._said_at.get(reason, float("-inf")) + _REPORT_EVERY
