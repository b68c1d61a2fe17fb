"""The totals of one writer, counted line by line."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import Annotated

import msgspec

from bamboo_logmetrics.reading.verification.report import End, StopCounts, WriterReport

STARTED, STOPPED, DROPPED = "system.worker_started", "system.worker_stopped", "system.metrics_dropped"
SYSTEM_KINDS = frozenset({STARTED, STOPPED, DROPPED, "system.storage_error"})

MOST_WRITERS, MOST_GAPS = 120_000, 100_000  # that are remembered
_MOST_REASONS, _MOST_TEXTS = 100_000, 10_000
OTHER_REASONS = "(other reasons)"

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Text = Annotated[str, msgspec.Meta(max_length=255)]
_NONE: Mapping[str, int] = MappingProxyType({})


class SystemLine(msgspec.Struct):
    """The fields of the log's own lines that verification needs; each kind of line has some of them."""

    version: _Text | None = None
    pid: Annotated[int, msgspec.Meta(ge=0, le=2**32)] | None = None
    host: _Text | None = None
    started_at: _Text | None = None
    boot_id: _Text | None = None
    pid_namespace: _Text | None = None
    repaired_bytes: _Count = 0
    count: _Count = 0
    reason: _Text = ""
    emitted: _Count = 0
    written: _Count = 0
    dropped: Annotated[dict[_Text, _Count], msgspec.Meta(max_length=100)] = {}


class Limits:
    """The limits of what is remembered of all writers together, whatever the files hold.

    Attributes:
        writers, gaps, reasons: how many more may be remembered: writers, gaps within writers, reasons of drops.
        lines_of_others: the number of lines of further writers.
        lines_left_out: the number of lines whose numbers are not remembered, so that they count as missing.
    """

    def __init__(self) -> None:
        self.writers = MOST_WRITERS
        self.gaps = MOST_GAPS
        self.reasons = _MOST_REASONS
        self.lines_of_others = self.lines_left_out = 0
        self._texts: dict[str, str] = {}

    def shared(self, text: str | None) -> str | None:
        """Return one object for equal texts: the lines of one log have the same few."""
        if text is None:
            return None
        if len(self._texts) >= _MOST_TEXTS:
            self._texts.clear()
        return self._texts.setdefault(text, text)

    def take_reasons(self, count: int) -> bool:
        """Return True if so many more reasons may be remembered."""
        if count > self.reasons:
            return False
        self.reasons -= count
        return True


class IntervalSet:
    """A set of integers, stored as ranges: the lines of one writer nearly always come in order.

    Attributes:
        starts, ends: the first and last integers of the ranges, in ascending order.
    """

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts = array("Q")
        self.ends = array("Q")

    def add(self, number: int) -> bool:
        """Add an integer; return True if it is new."""
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

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.starts, number)
        return at > 0 and number <= self.ends[at - 1]

    def makes_a_gap(self, number: int) -> bool:
        """Return True if an integer is not next to one that is there, nor there itself."""
        at = bisect_right(self.starts, number)
        after = at < len(self.starts) and self.starts[at] == number + 1
        return bool(self.starts) and not after and not (at and number <= self.ends[at - 1] + 1)

    def gaps(self, first: int) -> tuple[tuple[int, int], ...]:
        """Return the missing integers from ``first`` to the highest one, as (first, last) of each gap."""
        before = chain((first - 1,), self.ends)
        pairs = zip(before, self.starts, strict=False)
        return tuple((end + 1, start - 1) for end, start in pairs if start > end + 1)


_NO_STOP = StopCounts(emitted=0, written=0, dropped=_NONE)


class WriterTally:
    """The totals of one writer.

    Args:
        writer: its id.
        log: the path of its log.
        limits: how much more may be remembered of all writers together.
    """

    __slots__ = (
        "_limits",
        "_stop",
        "_stop_seq",
        "boot_id",
        "dropped",
        "first_in_oldest",
        "host",
        "last_line",
        "log",
        "numbers",
        "own",
        "pid",
        "pid_namespace",
        "repaired_bytes",
        "repeats",
        "started_at",
        "version",
        "writer",
        "written",
    )

    def __init__(self, writer: str, log: str, limits: Limits) -> None:
        self._limits = limits
        self.writer = writer
        self.log = log
        self.numbers = IntervalSet()
        self.written = self.own = self.repeats = self.repaired_bytes = 0
        self.first_in_oldest = False
        self.last_line = 0  # where its last run of lines begins, counted over all files
        self.dropped: Mapping[str, int] = _NONE
        self.pid: int | None = None
        self.host: str | None = None
        self.started_at: str | None = None
        self.boot_id: str | None = None
        self.pid_namespace: str | None = None
        self.version: str | None = None
        self._stop_seq = 0
        self._stop = _NO_STOP  # the counts of the worker_stopped line with the highest number

    def add_run(self, next_seq: int) -> None:
        """Add all numbers between the highest one so far and ``next_seq`` as lines of the application."""
        ends = self.numbers.ends
        if ends and next_seq > ends[-1] + 1:
            self.written += next_seq - 1 - ends[-1]
            ends[-1] = next_seq - 1

    def add(self, seq: int, *, in_oldest: bool) -> bool:
        """Add the number of a line; return True if it is new.

        Args:
            seq: the number.
            in_oldest: True if the line stands in the oldest file of its log.
        """
        numbers, limits = self.numbers, self._limits
        starts = numbers.starts
        if not starts or seq < starts[0]:
            self.first_in_oldest = in_oldest
        if numbers.makes_a_gap(seq):
            if limits.gaps <= 0:
                limits.lines_left_out += 1
                return True
            limits.gaps -= 1
        if numbers.add(seq):
            return True
        self.repeats += 1
        return False

    def add_own(self, seq: int, kind: str, line: SystemLine) -> None:
        """Add one of the log's own lines, after :meth:`add`."""
        self.own += 1
        self.repaired_bytes = max(self.repaired_bytes, line.repaired_bytes)  # each line has the sum so far
        if kind == STARTED:
            shared = self._limits.shared
            self.pid, self.host, self.started_at = line.pid, shared(line.host), shared(line.started_at)
            self.version, self.boot_id = shared(line.version), shared(line.boot_id)
            self.pid_namespace = shared(line.pid_namespace)
        elif kind == DROPPED:
            known = line.reason in self.dropped or self._limits.take_reasons(1)
            reason = line.reason if known else OTHER_REASONS
            if not isinstance(self.dropped, dict):
                self.dropped = {}  # of its own; most writers drop nothing, and share an empty one
            self.dropped[reason] = self.dropped.get(reason, 0) + line.count
        elif kind == STOPPED and seq > self._stop_seq:
            dropped = line.dropped
            if not self._limits.take_reasons(len(dropped)):
                dropped = {OTHER_REASONS: sum(dropped.values())}
            self._stop_seq = seq
            self._stop = StopCounts(
                emitted=line.emitted, written=line.written, dropped=MappingProxyType(dropped) if dropped else _NONE
            )

    # -- the result ----------------------------------------------------------------------

    @property
    def open_ended(self) -> bool:
        """True unless the last line is worker_stopped."""
        return self._stop_seq != self.numbers.ends[-1]

    @property
    def removed(self) -> bool:
        """True if the beginning is missing in the way in which retention removes it."""
        return self.numbers.starts[0] > 1 and self.first_in_oldest

    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Return the missing numbers, as (first, last) of each gap."""
        return self.numbers.gaps(self.numbers.starts[0] if self.removed else 1)

    def disagreements(self) -> list[str] | None:
        """Return how the last worker_stopped line contradicts the other lines; None if they cannot be compared."""
        if self.open_ended or self.numbers.starts[0] > 1:
            return None
        stop = self._stop
        texts = []
        if stop.written != self.written:
            texts.append(f"worker_stopped counts {stop.written} lines written, the files have {self.written}")
        announced = {reason: count for reason, count in stop.dropped.items() if reason != "closed" and count}
        if announced != {reason: count for reason, count in self.dropped.items() if count}:
            texts.append(f"worker_stopped counts dropped {announced}, metrics_dropped lines {dict(self.dropped)}")
        if stop.emitted != stop.written + sum(stop.dropped.values()):
            texts.append(
                f"worker_stopped counts {stop.emitted} emitted, but {stop.written} written and "
                f"{dict(stop.dropped)} dropped"
            )
        return texts

    def report(self, end: End, *, complete: bool) -> WriterReport:
        """Return the report of this writer.

        Args:
            end: how it ended.
            complete: True if a beginning that retention removed counts as missing.
        """
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
            dropped=MappingProxyType(self.dropped) if isinstance(self.dropped, dict) else _NONE,
            removed_by_retention=self.removed,
            end=end,
            stopped=None if self.open_ended else self._stop,
            counts_agree=None if disagreements is None else not disagreements,
            repaired_bytes=self.repaired_bytes,
            boot_id=self.boot_id,
            pid_namespace=self.pid_namespace,
        )
