"""Finding out which writers without an end are still running."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.logfiles.log_file import STDIN
from bamboo_logmetrics.reading.verification.processes import Processes
from bamboo_logmetrics.reading.verification.tallies import WriterTally
from bamboo_logmetrics.system import boot_id, host, pid_namespace, process_started_at

_TOLERANCE = timedelta(seconds=2)  # start times are known to about a second


def find_running(tallies: Iterable[WriterTally]) -> set[str]:
    """Return the ids of the writers that are proven to run.

    A writer runs while its process lives and has the log open. The process is known by what worker_started says: the
    boot of the machine, the pid namespace and the process id in it. Where ``/proc`` shows which files that process has
    open, these decide, because a process may outlive its log; else its start time does, because ids are used again.

    A line of an older version, or of a system without ``/proc``, has no boot id. Then host, process id and start time
    decide. If retention removed worker_started, a writer runs if more processes have the log open than the other
    running writers explain. Of several candidates those count that wrote last.
    """
    processes, tallies = Processes(), list(tallies)
    running = _by_process([tally for tally in tallies if tally.pid and tally.boot_id], processes)
    running += _by_start_time([tally for tally in tallies if tally.pid and not tally.boot_id])
    running += _by_open_log([tally for tally in tallies if not tally.pid], processes, running)
    return {tally.writer for tally in running}


def find_elsewhere(tallies: Iterable[WriterTally]) -> set[str]:
    """Return the ids of the writers that wrote on another machine, before its last start, or in another container."""
    here, boot, namespace = host(), boot_id(), pid_namespace()
    return {
        tally.writer
        for tally in tallies
        if tally.pid
        and ((tally.boot_id, tally.pid_namespace) != (boot, namespace) if tally.boot_id else tally.host != here)
    }


def _by_process(tallies: list[WriterTally], processes: Processes) -> list[WriterTally]:
    boot = boot_id()
    groups: dict[tuple[str, str], list[WriterTally]] = defaultdict(list)
    for tally in tallies:
        if tally.boot_id == boot and (process := processes.find(tally.pid_namespace, tally.pid or 0)):
            groups[process, tally.log].append(tally)
    running: list[WriterTally] = []
    for (process, log), group in groups.items():
        openings = None if log == STDIN else processes.log_openings_of(process, log)
        if openings is None:
            started = process_started_at(process)
            running += [tally for tally in group if _is_near(started, tally.started_at)]
        else:
            running += _last(group, openings)
    return running


def _by_start_time(tallies: list[WriterTally]) -> list[WriterTally]:
    here, started_at = host(), lru_cache(maxsize=None)(process_started_at)
    return [
        tally for tally in tallies if tally.host == here and _is_before(started_at(tally.pid or 0), tally.started_at)
    ]


def _by_open_log(tallies: list[WriterTally], processes: Processes, running: list[WriterTally]) -> list[WriterTally]:
    explained = Counter(tally.log for tally in running)
    groups: dict[str, list[WriterTally]] = defaultdict(list)
    for tally in tallies:
        groups[tally.log].append(tally)
    return [
        tally for log, group in groups.items() for tally in _last(group, processes.log_openings(log) - explained[log])
    ]


def _last(tallies: list[WriterTally], count: int) -> list[WriterTally]:
    """Return as many of the tallies, those whose writers wrote last."""
    return sorted(tallies, key=lambda tally: tally.last_line)[max(0, len(tallies) - max(0, count)) :]


def _is_near(started: datetime | None, noted: str | None) -> bool:
    return _is_before(started, noted) and started is not None and parse_utc(noted) <= started + _TOLERANCE


def _is_before(started: datetime | None, noted: str | None) -> bool:
    try:
        return started is not None and started <= parse_utc(noted) + _TOLERANCE
    except (ValueError, OverflowError):
        return False
