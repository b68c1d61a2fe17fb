"""Verifying that every line of a log is accounted for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from types import MappingProxyType

from bamboo_logmetrics.logfiles.discovery import AnyPath, FileGoneError, find_logs
from bamboo_logmetrics.reading.verification.findings import writer_findings
from bamboo_logmetrics.reading.verification.report import End, Finding, FindingKind, Report
from bamboo_logmetrics.reading.verification.running import find_elsewhere, find_running
from bamboo_logmetrics.reading.verification.scan import MOST_FINDINGS, Progress, Scan
from bamboo_logmetrics.reading.verification.tallies import WriterTally

_TRIES = 5
_NOTES: frozenset[FindingKind] = frozenset({"foreign_line", "removed_by_retention", "running", "being_written"})


def verify(
    paths: AnyPath | Iterable[AnyPath], *, complete: bool = False, on_progress: Progress | None = None
) -> Report:
    """Read all files of logs, of any layout, and report whether every line is accounted for.

    A gap in a writer's sequence numbers is a loss. A missing beginning is "removed by retention" if the writer's first
    line stands in the oldest file of its log. A writer without worker_stopped is "running" if its process is proven to
    live and to have the log open, else it has an "unclean end". Losses that metrics_dropped lines announce are
    accounted for.

    Args:
        paths: logs, rotated files (each stands for its log) or patterns; each log is read once. ``"-"`` is standard
            input.
        complete: True to count a beginning that retention removed as missing.
        on_progress: is called with the bytes read so far and in all; of compressed files, compressed bytes.

    Raises FileNotFoundError for a path or pattern that names nothing, ConfigError for one that is not a regular file
    or for a compressed file whose package is not installed, and OSError for a file that cannot be opened.
    """
    logs = find_logs(paths)
    ended: set[str] = set()
    for left in reversed(range(_TRIES)):
        scan = Scan(logs, on_progress)
        try:
            scan.read(skip_removed=left == 0)
        except FileGoneError:
            continue
        running = find_running(scan.open_ended())
        unclean = {tally.writer for tally in scan.open_ended()} - running
        # A process that ended while its log was read wrote its last lines before it was seen to have ended.
        if unclean <= ended or not scan.is_outdated():
            break
        ended |= unclean
    return _report(scan, logs, running, complete=complete)


def _report(scan: Scan, logs: list[str], running: set[str], *, complete: bool) -> Report:
    tallies = [(tally, _end(tally, running)) for tally in scan.tallies.values()]
    findings = [*scan.findings, *_file_findings(scan, logs, running)]
    elsewhere = find_elsewhere(scan.open_ended())
    for tally, end in tallies:
        findings.extend(writer_findings(tally, end, elsewhere=tally.writer in elsewhere))
    notes = _NOTES - {"removed_by_retention"} if complete else _NOTES
    problems = tuple(finding for finding in findings if finding.kind not in notes)
    dropped: Counter[str] = Counter()
    for tally, _ in tallies:
        dropped.update(tally.dropped)
    return Report(
        ok=not problems,
        complete=complete,
        files=tuple(scan.files),
        lines=scan.lines,
        written=sum(tally.written for tally, _ in tallies),
        own=sum(tally.own for tally, _ in tallies),
        dropped=MappingProxyType(dict(dropped)),
        broken_lines=scan.counts["broken_line"],
        foreign_lines=scan.counts["foreign_line"],
        writers=tuple(tally.report(end, complete=complete) for tally, end in tallies),
        problems=problems,
        notes=tuple(finding for finding in findings if finding.kind in notes),
    )


def _end(tally: WriterTally, running: set[str]) -> End:
    if not tally.open_ended:
        return "stopped"
    return "running" if tally.writer in running else "unclean end"


def _file_findings(scan: Scan, logs: list[str], running: set[str]) -> Iterator[Finding]:
    """Yield the findings that need to know which writers run, and those on files as a whole."""
    running_logs = {tally.log for tally in scan.tallies.values() if tally.writer in running}
    for log, finding in scan.torn_tails:
        if log in running_logs:
            yield dataclasses.replace(finding, kind="being_written", text="the last line is being written")
        else:
            scan.counts["broken_line"] += 1
            yield finding
    for kind, count in scan.counts.items():
        if count > MOST_FINDINGS:
            yield Finding(kind=kind, text=f"and {count - MOST_FINDINGS} more of this kind: {kind}")
    for log in logs:
        if log not in scan.used_logs:
            yield Finding(kind="no_lines", text="has no line of a bamboo_logmetrics writer", file=log)
