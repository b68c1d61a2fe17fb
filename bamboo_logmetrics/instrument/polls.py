"""Answers that can be asked for again: each is counted by its first report of usage."""

from __future__ import annotations

_MOST = 10_000  # ids in each of the two tables


class _Seen:
    """The ids of this process, in two tables: when the newer is full, the older is forgotten.

    Threads use it without a lock, since a finaliser may interrupt any of them: each step is one operation on a dict.
    """

    def __init__(self) -> None:
        self._newer: dict[str, object] = {}
        self._older: dict[str, object] = {}

    def first(self, key: str) -> bool:
        """Return True the first time that ``key`` comes."""
        if key in self._older:
            return False
        if len(self._newer) >= _MOST:
            self._older, self._newer = self._newer, {}
        mark = object()
        return self._newer.setdefault(key, mark) is mark


_seen = _Seen()


def first_report(calls_id: str, *, is_poll: bool) -> bool:
    """Return True if the usage of an answer is to be counted.

    Args:
        calls_id: the id of the response or run.
        is_poll: False for the call that made the answer, which always counts.
    """
    return _seen.first(calls_id) or not is_poll
