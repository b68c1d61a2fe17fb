"""Problems and notices of a run, each reported once."""

from __future__ import annotations

from collections.abc import Callable

WAITING = "no log is there yet: waiting for "


class ProblemReporter:
    """The current problem of each log, of the server and of the checkpoints. From any thread.

    Args:
        callback: called with each new problem, and with ``""`` when none is left.
    """

    def __init__(self, callback: Callable[[str], None]) -> None:
        self._callback = callback
        self._current: dict[str, str] = {}

    def report(self, subject: str, problem: str) -> bool:
        """Note the problem of a subject, ``""`` for none; return True if that is a change."""
        if problem == self._current.get(subject, ""):
            return False
        self._current.pop(subject, None)
        if problem:
            self._current[subject] = problem
        self._callback(problem or next(reversed(list(self._current.values())), ""))  # one of those that are left
        return True

    @property
    def any(self) -> bool:
        """True if there is a problem other than logs that do not exist yet."""
        return not all(problem.startswith(WAITING) for problem in list(self._current.values()))


class NoticeReporter:
    """Notices that stop nothing. From any thread.

    Args:
        callback: called with each notice, once.
    """

    def __init__(self, callback: Callable[[str], None]) -> None:
        self._callback = callback
        self._reported: set[str] = set()

    def report(self, notice: str) -> None:
        """Report a notice unless that was done before."""
        if notice not in self._reported:
            self._reported.add(notice)
            self._callback(notice)
