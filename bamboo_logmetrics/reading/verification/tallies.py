"""What the lines of one writer add up to."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from types import MappingProxyType
from typing import Annotated

import msgspec

from bamboo_logmetrics.reading.verification.report import End, StopCounts, WriterReport

STARTED, STOPPED, DROPPED = "system.worker_started", "system.worker_stopped", "system.metrics_dropped"
OWN_KINDS = frozenset({STARTED, STOPPED, DROPPED, "system.storage_error"})

_Count = Annotated[int, msgspec.Meta(ge=0)]


class SystemLine(msgspec.Struct):
    """What the log's own lines say; each kind says a part of it."""

    version: str | None = None
    pid: int | None = None
    host: str | None = None
    started_at: str | None = None
    repaired_bytes: _Count = 0
    count: _Count = 0
    reason: str = ""
    emitted: _Count = 0
    written: _Count = 0
    dropped: dict[str, _Count] = {}


class IntervalSet:
    """A set of numbers, as ranges: lines of one writer come in order nearly always."""

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, number: int) -> bool:
        """Add a number; tell whether it is new."""
        starts, ends = self.starts, self.ends
        at = bisect_right(starts, number)  # the range at - 1 begins at or before the number
        if at and number <= ends[at - 1]:
            return False
        joins_before = bool(at) and ends[at - 1] == number - 1
        joins_after = at < len(starts) and starts[at] == number + 1
        if joins_before and joins_after:
            ends[at - 1] = ends.pop(at)
            del starts[at]
        elif joins_before:
            ends[at - 1] = number
        elif joins_after:
            starts[at] = number
        else:
            starts.insert(at, number)
            ends.insert(at, number)
        return True

    def gaps(self, first: int) -> tuple[tuple[int, int], ...]:
        """Return what is missing from ``first`` to the highest number, as (from, to)."""
        before = [first - 1, *self.ends]
        pairs = zip(before, self.starts, strict=False)
        return tuple((end + 1, start - 1) for end, start in pairs if start > end + 1)


class WriterTally:
    """One writer while its lines are read.

    Args:
        writer: its id.
        log: its log.
    """

    __slots__ = (
        "_last_stop",
        "_stop_seq",
        "dropped",
        "first_in_oldest",
        "host",
        "log",
        "numbers",
        "own",
        "pid",
        "repaired_bytes",
        "repeats",
        "started_at",
        "version",
        "writer",
        "written",
    )

    def __init__(self, writer: str, log: str) -> None:
        self.writer = writer
        self.log = log
        self.numbers = IntervalSet()
        self.written = self.own = self.repeats = self.repaired_bytes = 0
        self.first_in_oldest = False
        self.dropped: Counter[str] = Counter()
        self.pid: int | None = None
        self.host: str | None = None
        self.started_at: str | None = None
        self.version: str | None = None
        self._stop_seq = 0
        self._last_stop = SystemLine()

    def go_on_to(self, following: int) -> None:
        """Take all numbers that follow the highest one, up to the one before ``following``, as lines of the user."""
        ends = self.numbers.ends
        if ends and following > ends[-1] + 1:
            self.written += following - 1 - ends[-1]
            ends[-1] = following - 1

    def take(self, seq: int, *, in_oldest: bool) -> bool:
        """Take a line's number; tell whether it is new. ``in_oldest``: it stands in the oldest file of its log."""
        starts = self.numbers.starts
        if not starts or seq < starts[0]:
            self.first_in_oldest = in_oldest
        if self.numbers.add(seq):
            return True
        self.repeats += 1
        return False

    def say(self, seq: int, kind: str, line: SystemLine) -> None:
        """Take what one of the log's own lines says."""
        self.own += 1
        self.repaired_bytes = max(self.repaired_bytes, line.repaired_bytes)  # each says the sum so far
        if kind == STARTED:
            self.pid, self.host, self.started_at, self.version = line.pid, line.host, line.started_at, line.version
        elif kind == DROPPED:
            self.dropped[line.reason] += line.count
        elif kind == STOPPED and seq > self._stop_seq:
            self._stop_seq, self._last_stop = seq, line

    # -- the outcome ---------------------------------------------------------------------

    @property
    def open_ended(self) -> bool:
        """True unless the last line is worker_stopped."""
        return self._stop_seq != self.numbers.ends[-1]

    @property
    def removed(self) -> bool:
        """True when the beginning is missing as retention would remove it."""
        return self.numbers.starts[0] > 1 and self.first_in_oldest

    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Return the numbers that are lost."""
        return self.numbers.gaps(self.numbers.starts[0] if self.removed else 1)

    def disagreements(self) -> list[str] | None:
        """Return what the last worker_stopped says against the lines; None where they cannot be compared."""
        if self.open_ended or self.numbers.starts[0] > 1:
            return None
        said = self._last_stop
        found = []
        if said.written != self.written:
            found.append(f"worker_stopped says {said.written} lines written, {self.written} are there")
        announced = {reason: count for reason, count in said.dropped.items() if reason != "closed" and count}
        if announced != {reason: count for reason, count in self.dropped.items() if count}:
            found.append(f"worker_stopped says dropped {said.dropped}, the metrics_dropped lines {dict(self.dropped)}")
        if said.emitted != said.written + sum(said.dropped.values()):
            found.append(
                f"worker_stopped says {said.emitted} emitted, but {said.written} written and {said.dropped} dropped"
            )
        return found

    def report(self, end: End, *, complete: bool) -> WriterReport:
        """Return the outcome."""
        gaps = self.gaps()
        disagreements = self.disagreements()
        lost = bool(gaps or self.repeats or disagreements) or (complete and self.removed)
        return WriterReport(
            writer=self.writer,
            ok=not lost and end != "unclean end",
            log=self.log,
            pid=self.pid,
            host=self.host,
            started_at=self.started_at,
            version=self.version,
            first_seq=self.numbers.starts[0],
            last_seq=self.numbers.ends[-1],
            lines=self.written + self.own + self.repeats,
            written=self.written,
            own=self.own,
            repeats=self.repeats,
            gaps=gaps,
            missing=sum(last - first + 1 for first, last in gaps),
            dropped=MappingProxyType(dict(self.dropped)),
            removed_by_retention=self.removed,
            end=end,
            stopped=None if self.open_ended else self._stop_counts(),
            counts_agree=None if disagreements is None else not disagreements,
            repaired_bytes=self.repaired_bytes,
        )

    def _stop_counts(self) -> StopCounts:
        said = self._last_stop
        return StopCounts(emitted=said.emitted, written=said.written, dropped=MappingProxyType(said.dropped))
