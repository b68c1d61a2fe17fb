"""Which numbers of which writers have been seen: what comes again is left out, what is jumped over is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_MOST_WRITERS = 10_000  # remembered, so that a checkpoint stays small; those that wrote last stay


class Lost(NamedTuple):
    """Numbers that the files no longer hold."""

    writer: str
    first: int
    last: int

    @property
    def how_many(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class SequenceTracker:
    """The highest number of each writer. In the order of the files, a writer's numbers only grow."""

    def __init__(self, last: Mapping[str, int] | None = None) -> None:
        self._last = dict(last or {})

    def take(self, writer: str, seq: int, *, in_oldest: bool) -> tuple[bool, Lost | None]:
        """Take a line's number; tell whether it is new, and what is missing before it.

        Args:
            writer: its writer.
            seq: its number.
            in_oldest: True where nobody can know what stood before the first line of a writer.
        """
        before = self._last.get(writer)
        if before is None:
            before = seq - 1 if in_oldest else 0
        elif seq <= before:
            return False, None
        self._last[writer] = seq
        return True, Lost(writer, before + 1, seq - 1) if seq > before + 1 else None

    def pass_by(self, writer: str, seq: int) -> bool:
        """Pass a number that stands in a broken line, if it is the next; tell whether it is."""
        if self._last.get(writer) != seq - 1:
            return False  # it may be broken too, and a wrong one would have good lines left out
        self._last[writer] = seq
        return True

    def tidy(self, last: Mapping[str, int]) -> None:
        """Forget who has not written for longest, after a batch with these last numbers."""
        self._last = newest(self._last, last)


def newest(writers: Mapping[str, int], last: Mapping[str, int]) -> dict[str, int]:
    """Return the highest numbers with those of a batch: who wrote last stands last, who stands first is forgotten."""
    found = {writer: seq for writer, seq in writers.items() if writer not in last}
    found.update(last)
    for writer in list(found)[: max(0, len(found) - _MOST_WRITERS)]:
        del found[writer]
    return found
