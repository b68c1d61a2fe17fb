"""Gaps in the numbers of writers: lines that were written to a log, and are gone before they were read."""

from __future__ import annotations

from typing import Any

from bamboo_logmetrics.format.header import MAX_SEQ
from bamboo_logmetrics.format.layouts import find_ids

_MOST_WRITERS = 10_000  # that are kept, over all logs: those that wrote last


class GapCounter:
    """Counts the lines that are missing between those that were read.

    A writer's numbers are known from its first line on that is read, and only grow. What lies before that line may
    have been passed over on purpose.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}

    def count(self, log: str, line: bytes, flat: dict[str, Any] | str) -> int:
        """Note a line of a log, with its flat record or its kind; return how many lines are missing before it."""
        if isinstance(flat, dict):
            writer, seq = flat.get("writer"), flat.get("seq")
            is_numbered = isinstance(writer, str) and type(seq) is int and 1 <= seq <= MAX_SEQ
            return self._note(log, str(writer), int(seq or 0)) if is_numbered else 0
        for writer, seq in find_ids(line):  # a broken line is counted as such, and not as missing too
            if self._last.get((log, writer)) == seq - 1:  # any other number may be damaged
                self._last[log, writer] = seq
        return 0

    def _note(self, log: str, writer: str, seq: int) -> int:
        before = self._last.pop((log, writer), seq - 1)
        self._last[log, writer] = max(before, seq)  # behind all others
        if len(self._last) > _MOST_WRITERS:
            del self._last[next(iter(self._last))]
        return max(0, seq - before - 1)
