"""What the log says about itself: drops, as events, and trouble, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from bamboo_logmetrics.processors.masking import mask_text
from bamboo_logmetrics.system import Clock

_REPORT_EVERY = 1.0  # seconds between two MetricsDropped of one reason
_SAY_EVERY = 60.0  # seconds between two lines on stderr
_UNREPORTED = frozenset({"closed"})  # after close there is no line to say it in


class DropReport:
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


class Diagnostics:
    """At most one line a minute on stderr, for the time when the log itself cannot speak."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._next = float("-inf")

    def say(self, text: str, *, always: bool = False) -> None:
        """Write one line; ``always`` for the one about the end."""
        now = self._clock.monotonic()
        if now < self._next and not always:
            return
        self._next = now + _SAY_EVERY
        line = mask_text(f"bamboo_logmetrics: {self._path}: {text}").replace("\n", " ")
        try:
            sys.stderr.write(line + "\n")
        except Exception:  # noqa: BLE001 - stderr may be closed, None, or anything else
            return
