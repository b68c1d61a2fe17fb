"""What ``verify`` found, as plain frozen objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

End = Literal["stopped", "running", "unclean end"]
FindingKind = Literal[
    "gap",
    "missing_beginning",
    "removed_by_retention",
    "repeat",
    "unclean_end",
    "running",
    "counts",
    "broken_line",
    "foreign_line",
    "newer_version",
    "damaged_file",
    "no_lines",
    "being_written",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to be said about a log.

    Args:
        kind: what it is.
        text: what it is, in words.
        file, line: where it stands, as far as it stands in one place.
        writer: whom it is about, as far as it is about one.
    """

    kind: FindingKind
    text: str
    file: str | None = None
    line: int | None = None
    writer: str | None = None

    def __str__(self) -> str:
        where = self.file or (f"writer {self.writer}" if self.writer else "")
        where += f":{self.line}" if self.line else ""
        return f"{where}: {self.text}" if where else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCounts:
    """What a writer's last worker_stopped says about the whole of its life."""

    emitted: int
    written: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterReport:
    """One opening of the log by one process.

    Args:
        writer: its id, 20 hex digits.
        ok: True when every line of it is there, or is known to be removed, and it did not end in the middle.
        log: the path of its log.
        pid, host, started_at, version: what its worker_started says; None when that line is not there.
        first_seq, last_seq: the lowest and the highest number found.
        lines: lines found; ``written + own + repeats``.
        written: lines of the user, plain and typed.
        own: lines of the log itself.
        repeats: lines whose number had been there before; in neither of the two others.
        gaps: the numbers that are not there, as (from, to), both included; from 1 unless retention removed it.
        missing: how many numbers that are.
        dropped: the sums of its metrics_dropped lines, by reason.
        removed_by_retention: True when its beginning is missing and its first line stands in the oldest file.
        end: ``"stopped"``: its last line is worker_stopped; ``"running"``: its process lives; else ``"unclean end"``.
        stopped: what that worker_stopped says, or None.
        counts_agree: whether that is what the lines add up to; None without it, or without the beginning.
        repaired_bytes: how much of torn last lines it cut away when it opened the log.
    """

    writer: str
    ok: bool
    log: str
    pid: int | None
    host: str | None
    started_at: str | None
    version: str | None
    first_seq: int
    last_seq: int
    lines: int
    written: int
    own: int
    repeats: int
    gaps: tuple[tuple[int, int], ...]
    missing: int
    dropped: Mapping[str, int]
    removed_by_retention: bool
    end: End
    stopped: StopCounts | None
    counts_agree: bool | None
    repaired_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Whether every line of some logs is accounted for.

    Args:
        ok: True when there is no problem.
        complete: True when removed beginnings were to be problems.
        files: the files that were read, in that order.
        lines: all lines, whatever they hold.
        written, own: the sums over the writers.
        dropped: the sums over the writers, by reason: lost, but accounted for.
        broken_lines: lines that are not strict JSON.
        foreign_lines: lines that are JSON but no writer's of ours.
        writers: the writers, in the order of their first lines.
        problems: what makes ``ok`` False.
        notes: what is to be known and is no problem.
    """

    ok: bool
    complete: bool
    files: tuple[str, ...]
    lines: int
    written: int
    own: int
    dropped: Mapping[str, int]
    broken_lines: int
    foreign_lines: int
    writers: tuple[WriterReport, ...]
    problems: tuple[Finding, ...]
    notes: tuple[Finding, ...]
