"""What is wrong, or should be known, and who is told."""

from __future__ import annotations

from collections.abc import Callable

WAITING = "no log is there yet: waiting for "


class ProblemReporter:
    """What is wrong, by what has it. From any thread.

    Args:
        tell: is told what is wrong, once, and ``""`` when nothing is any more.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._now: dict[str, str] = {}

    def say(self, what: str, error: str) -> bool:
        """Note what is wrong with something, ``""`` for nothing; tell whether that is new."""
        if error == self._now.get(what, ""):
            return False
        self._now.pop(what, None)
        if error:
            self._now[what] = error
        self._tell(error or next(reversed(list(self._now.values())), ""))  # what is left, when one thing is over
        return True

    @property
    def any(self) -> bool:
        """Tell whether something is wrong, beside logs that are not there yet."""
        return not all(error.startswith(WAITING) for error in list(self._now.values()))


class NoticeReporter:
    """What should be known, though all goes on. From any thread.

    Args:
        tell: is told each, once.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """Tell something, unless it was told before."""
        if text not in self._said:
            self._said.add(text)
            self._tell(text)
