"""The report of ``verify``, as plain frozen objects."""

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
    "too_many",
    "acknowledged",
    "unusable_acknowledgements",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem, or one note.

    Args:
        kind: its kind.
        text: its description.
        file: the path of the file; None if it is not about one file.
        line: the number of the line in the file, from 1; None if it is not about one line.
        writer: the writer's id; None if it is not about one writer.
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
    """The counts in a writer's last worker_stopped line, for the whole life of the writer."""

    emitted: int
    written: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterReport:
    """One writer: one opening of the log by one process.

    Args:
        writer: its id, 20 hex digits.
        ok: True if all its lines are there, or retention removed them, and it did not end uncleanly.
        log: the path of its log.
        pid, host, started_at, version, boot_id, pid_namespace: the values of its worker_started line; None if that
            line is missing or does not have them.
        first_seq, last_seq: the lowest and the highest sequence number in the files.
        lines: lines in the files: ``written + own + repeats``.
        written: lines of the application, plain and typed.
        own: lines of the log itself.
        repeats: lines whose sequence number had occurred before; counted in neither of the two others.
        gaps: the missing sequence numbers, as (first, last), both included; from 1 unless retention removed the
            beginning.
        missing: how many sequence numbers are missing.
        dropped: the sums of its metrics_dropped lines, by reason.
        removed_by_retention: True if its beginning is missing and its first line stands in the oldest file.
        end: ``"stopped"`` if its last line is worker_stopped, ``"running"`` if its process is proven to live and to
            have the log open, else ``"unclean end"``.
        stopped: the counts of that worker_stopped line, or None.
        counts_agree: True if those counts equal the sums over the lines; None without them, or without the beginning.
        repaired_bytes: bytes of torn last lines that it cut away.
        acknowledged: True if somebody has acknowledged all that it has lost.
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
    boot_id: str | None = None
    pid_namespace: str | None = None
    acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of ``verify`` for one or more logs.

    Args:
        ok: True if there is no problem.
        complete: True if beginnings that retention removed count as problems.
        files: the paths of the files that were read, in that order.
        lines: all lines, valid or not.
        written, own: the sums over the writers.
        dropped: the sums over the writers, by reason: these events are lost, but accounted for.
        broken_lines: lines that are not strict JSON.
        foreign_lines: lines that are JSON, but not of a bamboo_logmetrics writer.
        writers: the writers, in the order of their first lines.
        problems: the findings that make ``ok`` False.
        notes: findings that are not problems.
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

    @property
    def verdict(self) -> str:
        """``accounted for``, or ``not accounted for`` if there is a problem.

        If nothing but acknowledged losses is missing: ``accounted for, 1 acknowledged loss (3 lines)``.
        """
        if not self.ok:
            return "not accounted for"
        known = [writer for writer in self.writers if writer.acknowledged]
        if not known or self.complete:
            return "accounted for"
        losses = f"{len(known):,} acknowledged loss" + ("es" if len(known) > 1 else "")
        return f"accounted for, {losses} ({_extent(known)})"


def _extent(writers: list[WriterReport]) -> str:
    """Return how much writers have lost, such as ``3 lines, 1 unclean end``."""
    counts = {
        "line": sum(writer.missing for writer in writers),
        "unclean end": sum(writer.end == "unclean end" for writer in writers),
        "contradiction": sum(writer.counts_agree is False for writer in writers),
    }
    return ", ".join(f"{count:,} {noun}" + ("s" if count > 1 else "") for noun, count in counts.items() if count)
