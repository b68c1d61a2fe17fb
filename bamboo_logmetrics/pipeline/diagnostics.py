"""Reports on stderr, for troubles that the log itself cannot hold."""

from __future__ import annotations

import select
import sys
from typing import TextIO

from bamboo_logmetrics.format.redact.values import mask_text
from bamboo_logmetrics.system import Clock

_REPORT_EVERY = 60.0  # seconds between two lines on stderr
_LONGEST = 4_000  # characters of such a line: a pipe that has room takes 4,096 bytes
_MOST_COUNTED = 1_000  # different texts that are counted while they are not shown


class _Stderr:
    """At most one line a minute on stderr for the whole process, and one at its end for what is still owed.

    Many threads use it, without a lock: each check, swap or append stands in one run without a call (see channel.py).
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Reset to the state of a process that has reported nothing."""
        self._next = float("-inf")
        self.after_fork()

    def after_fork(self) -> None:
        """Leave owed reports to the parent, in a forked child. The current minute goes on."""
        self._left_out: set[str] = set()
        self._owed: list[str] = []

    def report(self, text: str, now: float, *, owed: bool) -> None:
        """Write a line, or keep it for later.

        Args:
            text: the report; secrets in it are masked.
            now: the time on the monotonic clock, in seconds.
            owed: True to write the text with the next line or at the end of the process, False to count it only.
        """
        text = " ".join(mask_text(text).splitlines())
        if now < self._next:
            if owed:
                self._owed.append(text)
            elif len(self._left_out) < _MOST_COUNTED:
                self._left_out.add(text)
            return
        self._next = now + _REPORT_EVERY
        left_out, self._left_out = self._left_out, set()
        left_out.discard(text)
        self._write(text + (f" ({len(left_out)} more not shown)" if left_out else ""))

    def report_owed(self) -> None:
        """Write all owed reports as one line, at the end of the process."""
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
    """Return True if a line can be written without waiting: stderr may be a full pipe that nobody reads."""
    try:
        descriptor = file.fileno()
    except (OSError, ValueError):  # it is not a real file
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


stderr = _Stderr()


class Diagnostics:
    """Reports of one log on stderr, for the time when it cannot write to its file.

    Args:
        path: the log's path; each report begins with it.
        clock: the clock.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def report(self, text: str, *, owed: bool = False) -> None:
        """Write one line unless this minute had one; an ``owed`` text is then written later, at exit at the latest."""
        stderr.report(f"{self._path}: {text}", self._clock.monotonic(), owed=owed)
