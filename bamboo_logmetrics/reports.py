"""What the log says about itself: drops, as events, and trouble, on stderr."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

from bamboo_logmetrics.processors.masking import mask_text
from bamboo_logmetrics.system import Clock

_REPORT_EVERY = 1.0  # seconds between two MetricsDropped of one reason
_SAY_EVERY = 60.0  # seconds between two lines on stderr
_LONGEST = 4_000  # characters of such a line: a pipe that has room takes 4,096 bytes
_MOST_COUNTED = 1_000  # different texts that are counted while they cannot be said
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


class _Stderr:
    """At most one line a minute on stderr for the whole process, and one at its end for what it still owes.

    Many threads use it, without a lock: what is checked, swapped or added stands in one run without a call (see
    channel.py).
    """

    def __init__(self) -> None:
        self.be_new()

    def be_new(self) -> None:
        """Start as a process that has said nothing."""
        self._next = float("-inf")
        self.forget()

    def forget(self) -> None:
        """Leave to the parent, in a forked child, what it owes; the minute goes on."""
        self._left_out: set[str] = set()
        self._owed: list[str] = []

    def say(self, text: str, now: float, *, owed: bool) -> None:
        """Write a line, or keep it: what is ``owed`` for the end, anything else as a number in the next line."""
        text = " ".join(mask_text(text).splitlines())
        if now < self._next:
            if owed:
                self._owed.append(text)
            elif len(self._left_out) < _MOST_COUNTED:
                self._left_out.add(text)
            return
        self._next = now + _SAY_EVERY
        left_out, self._left_out = self._left_out, set()
        left_out.discard(text)
        self._write(text + (f" ({len(left_out)} more not shown)" if left_out else ""))

    def say_owed(self) -> None:
        """Write, at the end of the process, what has been owed so far, as one line."""
        if self._owed:
            self._write()

    def _write(self, *texts: str) -> None:
        owed, self._owed = self._owed, []
        line = f"bamboo_logmetrics: {'; '.join([*owed, *texts])}"
        try:
            file = sys.stderr
            if _has_room(file):
                file.write(line[:_LONGEST] + "\n")
        except Exception:  # noqa: BLE001 - stderr may be closed, None, or anything else
            return


def _has_room(file: TextIO) -> bool:
    """Tell whether writing a line would not wait: nobody may be reading the pipe that stderr is."""
    try:
        descriptor = file.fileno()
    except (OSError, ValueError):  # it is no real file
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


stderr = _Stderr()


class Diagnostics:
    """What one log has to say on stderr, for the time when it cannot speak itself."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def say(self, text: str, *, owed: bool = False) -> None:
        """Say one line if this minute has had none; what is ``owed`` is said when the process ends at the latest."""
        stderr.say(f"{self._path}: {text}", self._clock.monotonic(), owed=owed)
