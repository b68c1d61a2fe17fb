"""Trouble of a log that cannot stand in the log, on stderr."""

from __future__ import annotations

import select
import sys
from typing import TextIO

from bamboo_logmetrics.format.redact.values import mask_text
from bamboo_logmetrics.system import Clock

_SAY_EVERY = 60.0  # seconds between two lines on stderr
_LONGEST = 4_000  # characters of such a line: a pipe that has room takes 4,096 bytes
_MOST_COUNTED = 1_000  # different texts that are counted while they cannot be said


class _Stderr:
    """At most one line a minute on stderr for the whole process, and one at its end for what it still owes.

    Many threads use it, without a lock: what is checked, swapped or added stands in one run without a call (see
    channel.py).
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
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
