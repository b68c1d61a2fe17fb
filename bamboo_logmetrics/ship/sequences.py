"""Tracking of each writer's sequence numbers: repeated lines are left out, gaps are lost lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bamboo_logmetrics.reading.verification.tallies import IntervalSet

_MOST_WRITERS = 10_000  # kept, so that a checkpoint stays small: those that wrote last


class Lost(NamedTuple):
    """Numbers that the files no longer hold, ``first`` to ``last``."""

    writer: str
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class SequenceTracker:
    """The highest number of each writer. In the order of the files, a writer's numbers only grow."""

    def __init__(self, last: Mapping[str, int] | None = None) -> None:
        self._last = dict(last or {})

    def take(self, writer: str, seq: int, *, in_oldest: bool) -> tuple[bool, Lost | None]:
        """Note a line's number; return whether it is new, and the gap before it.

        Args:
            writer: the line's writer.
            seq: the line's number.
            in_oldest: True in the oldest file, where nothing is known of lines before a writer's first.
        """
        before = self._last.get(writer)
        if before is None:
            before = seq - 1 if in_oldest else 0
        elif seq <= before:
            return False, None
        self._last[writer] = seq
        return True, Lost(writer, before + 1, seq - 1) if seq > before + 1 else None

    def skip(self, writer: str, seq: int) -> bool:
        """Note the number of an invalid line if it is the writer's next; return True if it is."""
        if self._last.get(writer) != seq - 1:
            return False  # the number may be damaged too, and a wrong one would have good lines left out
        self._last[writer] = seq
        return True

    def prune(self, last: Mapping[str, int]) -> None:
        """Remove the writers that have not written for longest, after a batch with these last numbers."""
        self._last = merge_last(self._last, last)


class LineSet:
    """A set of lines, each a writer and a number, stored as intervals of each writer's numbers."""

    def __init__(self, intervals: Mapping[str, list[tuple[int, int]]]) -> None:
        self._numbers: dict[str, IntervalSet] = {}
        for writer, pairs in intervals.items():
            numbers = self._numbers[writer] = IntervalSet()
            numbers.starts.extend(first for first, _ in pairs)
            numbers.ends.extend(last for _, last in pairs)

    def __contains__(self, line: tuple[str, int]) -> bool:
        writer, seq = line
        return writer in self._numbers and seq in self._numbers[writer]

    def add(self, lines: Iterable[tuple[str, int]]) -> None:
        """Add lines, as writer and number."""
        for writer, seq in lines:
            self._numbers.setdefault(writer, IntervalSet()).add(seq)

    def remove_until(self, last: Mapping[str, int]) -> None:
        """Remove the intervals that end at or before the last number of their writer."""
        intervals = {
            writer: [(first, end) for first, end in pairs if end > last.get(writer, 0)]
            for writer, pairs in self.intervals().items()
        }
        self._numbers = LineSet({writer: pairs for writer, pairs in intervals.items() if pairs})._numbers

    def intervals(self) -> dict[str, list[tuple[int, int]]]:
        """Return the first and last number of each interval, by writer."""
        return {
            writer: list(zip(numbers.starts, numbers.ends, strict=True)) for writer, numbers in self._numbers.items()
        }


def merge_last(writers: Mapping[str, int], last: Mapping[str, int]) -> dict[str, int]:
    """Return the highest numbers with those of a batch, whose writers come last; the first of too many are left out."""
    merged = {writer: seq for writer, seq in writers.items() if writer not in last}
    merged.update(last)
    for writer in list(merged)[: max(0, len(merged) - _MOST_WRITERS)]:
        del merged[writer]
    return merged
