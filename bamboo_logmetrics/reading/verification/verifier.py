"""Verifying that every line of a log is accounted for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from types import MappingProxyType

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import AnyPath, FileGoneError, find_logs
from bamboo_logmetrics.logfiles.log_file import STDIN
from bamboo_logmetrics.reading.verification.acknowledgements import Acknowledgements
from bamboo_logmetrics.reading.verification.findings import writer_findings
from bamboo_logmetrics.reading.verification.report import End, Finding, FindingKind, Report, WriterReport
from bamboo_logmetrics.reading.verification.running import find_elsewhere, find_running
from bamboo_logmetrics.reading.verification.scan import MOST_FINDINGS, Progress, Scan
from bamboo_logmetrics.reading.verification.tallies import MOST_GAPS, MOST_WRITERS, Limits, WriterTally

_TRIES = 5
_NOTES: frozenset[FindingKind] = frozenset(
    {"foreign_line", "removed_by_retention", "running", "being_written", "acknowledged"}
)


def verify(
    paths: AnyPath | Iterable[AnyPath],
    *,
    complete: bool = False,
    acknowledge: Collection[str] = (),
    withdraw: Collection[str] = (),
    on_progress: Progress | None = None,
) -> Report:
    """Read all files of logs, of any layout, and report whether every line is accounted for.

    A gap in a writer's sequence numbers is a loss. A missing beginning is "removed by retention" if the writer's first
    line stands in the oldest file of its log. A writer without worker_stopped is "running" if its process is proven to
    live and to have the log open, else it has an "unclean end". Losses that metrics_dropped lines announce are
    accounted for.

    Args:
        paths: logs, rotated files (each stands for its log) or patterns; each log is read once. ``"-"`` is standard
            input.
        complete: True to count as missing what retention has removed from the beginning, and losses that were
            acknowledged.
        acknowledge: the ids of writers. What they have lost by now is noted in a file beside the log, and counts as
            accounted for from now on. It is a problem again if they lose more.
        withdraw: the ids of writers whose losses are acknowledged no more.
        on_progress: is called with the bytes read so far and in all; of compressed files, compressed bytes.

    Raises FileNotFoundError for a path or pattern that names nothing, ConfigError for one that is not a regular file,
    for a compressed file whose package is not installed, for a writer with nothing to acknowledge or withdraw or with
    both, or for any of these on standard input, and OSError for a file that cannot be opened.
    """
    acknowledgements = Acknowledgements(acknowledge, withdraw)
    logs = find_logs(paths)
    if STDIN in logs and (acknowledge or withdraw):
        msg = "a loss of standard input cannot be acknowledged: no file is there to note it beside; give saved files"
        raise ConfigError(msg)
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
    return _report(scan, logs, running, acknowledgements, complete=complete)


def _report(
    scan: Scan, logs: list[str], running: set[str], acknowledgements: Acknowledgements, *, complete: bool
) -> Report:
    findings = [*scan.findings, *_file_findings(scan, logs, running)]
    elsewhere = find_elsewhere(scan.open_ended())
    dropped: Counter[str] = Counter()
    writers: list[WriterReport] = []
    for writer in list(scan.tallies):
        tally = scan.tallies.pop(writer)  # there may be many: each is freed as soon as its report exists
        end = _end(tally, running)
        report = tally.report(end, complete=complete)
        at = acknowledgements.apply(report, tuple(tally.disagreements() or ()))
        acknowledged_at = None if complete else at
        findings.extend(writer_findings(tally, end, elsewhere=writer in elsewhere, acknowledged_at=acknowledged_at))
        dropped.update(tally.dropped)
        writers.append(dataclasses.replace(report, acknowledged=True) if acknowledged_at else report)
    acknowledgements.save()
    findings.extend(
        Finding(kind="unusable_acknowledgements", text=text, file=path) for path, text in acknowledgements.problems
    )
    notes = _NOTES - {"removed_by_retention"} if complete else _NOTES
    problems = tuple(finding for finding in findings if finding.kind not in notes)
    return Report(
        ok=not problems,
        complete=complete,
        files=tuple(scan.files),
        lines=scan.lines,
        written=sum(writer.written for writer in writers),
        own=sum(writer.own for writer in writers),
        dropped=MappingProxyType(dict(dropped)),
        broken_lines=scan.counts["broken_line"],
        foreign_lines=scan.counts["foreign_line"],
        writers=tuple(writers),
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
    yield from _limit_findings(scan.limits)
    for log in logs:
        if log not in scan.used_logs:
            yield Finding(kind="no_lines", text="has no line of a bamboo_logmetrics writer", file=log)


def _limit_findings(limits: Limits) -> Iterator[Finding]:
    """Yield what could not be accounted for, because there is more than is remembered."""
    if limits.lines_of_others:
        text = f"more than {MOST_WRITERS:,} writers: {limits.lines_of_others:,} lines of others are not accounted for"
        yield Finding(kind="too_many", text=f"{text}; verify a part of the files in a directory of its own")
    if limits.lines_left_out:
        text = f"more than {MOST_GAPS:,} gaps: {limits.lines_left_out:,} lines that are there count as missing"
        yield Finding(kind="too_many", text=text)
