"""Announcements of drops in the log, as MetricsDropped events: which are due, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bamboo_logmetrics.system import Clock

_REPORT_EVERY = 1.0  # seconds between two MetricsDropped of one reason
_UNREPORTED = frozenset({"closed"})  # after close there is no line to announce it in


class DropReporter:
    """The drops that have been announced, by reason, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._announced: dict[str, int] = {}
        self._announced_at: dict[str, float] = {}

    def due(self, totals: Mapping[str, int], *, everything: bool) -> Iterator[tuple[str, int, int]]:
        """Yield each reason to be announced now, its drops since the last time, and its total; it is then announced.

        Args:
            totals: the drops so far by reason.
            everything: True to announce also what is not due yet.
        """
        now = self._clock.monotonic()
        for reason, total in totals.items():
            fresh = total - self._announced.get(reason, 0)
            if reason in _UNREPORTED or not fresh:
                continue
            if everything or self._due_at(reason) <= now:
                self._announced[reason] = total
                self._announced_at[reason] = now
                yield reason, fresh, total

    def take_back(self, reason: str, count: int) -> None:
        """Announce ``count`` drops again later, because their line could not be encoded."""
        self._announced[reason] -= count
        self._announced_at.pop(reason, None)

    def due_in(self, totals: Mapping[str, int]) -> float | None:
        """Return the seconds until something is to be announced; None if nothing is."""
        waiting = [
            self._due_at(reason)
            for reason, total in totals.items()
            if reason not in _UNREPORTED and total != self._announced.get(reason, 0)
        ]
        return min(waiting) - self._clock.monotonic() if waiting else None

    def _due_at(self, reason: str) -> float:
        return self._announced_at.get(reason, float("-inf")) + _REPORT_EVERY
