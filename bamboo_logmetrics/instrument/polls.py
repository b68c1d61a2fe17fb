"""Answers that can be asked for again: each is counted by its first report of usage."""

from __future__ import annotations

import re

_MOST = 10_000  # ids in each of the two tables
# the paths of POST that change or cancel an answer which exists, and give it back with its usage
_ON_EXISTING = re.compile(
    r"/chat/completions/[^/]+/?$|/(responses|interactions)/[^/]+/cancel/?$|/threads/[^/]+/runs/[^/]+(/cancel)?/?$"
)


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


def is_on_existing(path: str) -> bool:
    """Return True if a POST to a path makes no new answer, but gives back one that exists."""
    return _ON_EXISTING.search(path) is not None


def first_report(answer_id: str, *, is_poll: bool) -> bool:
    """Return True if the usage of an answer is to be counted.

    Args:
        answer_id: the id of the answer, such as a response or a run.
        is_poll: False for the call that made the answer, which always counts.
    """
    return _seen.first(answer_id) or not is_poll
