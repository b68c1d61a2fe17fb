"""Finding out which writers without an end are still running."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.logfiles.log_file import Identity, identity_of
from bamboo_logmetrics.logfiles.names import lock_path
from bamboo_logmetrics.reading.verification.tallies import WriterTally
from bamboo_logmetrics.system import host, process_started_at

_TOLERANCE = timedelta(seconds=2)  # start times are known to about a second


def find_running(tallies: Iterable[WriterTally]) -> set[str]:
    """Return the ids of the writers whose process is running on this host.

    A process is identified by the process id and start time in worker_started. If retention removed that line, the
    writer counts as running if more processes have the lock file of its log open than the other running writers
    explain. That is known on Linux only; elsewhere the writer does not count as running.
    """
    tallies = list(tallies)
    identified = {tally.writer for tally in tallies if tally.pid and _is_alive(tally)}
    explained = Counter(tally.log for tally in tallies if tally.writer in identified)
    logs = {tally.log for tally in tallies if not tally.pid}
    open_logs = {log for log in logs if _lock_holders(log) > explained[log]}
    return identified | {tally.writer for tally in tallies if not tally.pid and tally.log in open_logs}


def _is_alive(tally: WriterTally) -> bool:
    if tally.host != host() or tally.pid is None:
        return False
    started = process_started_at(tally.pid)
    try:
        return started is not None and started <= parse_utc(tally.started_at) + _TOLERANCE
    except (ValueError, OverflowError):
        return False


def _lock_holders(log: str) -> int:
    """Count the descriptors, over all processes, of the log's lock file; each is one opening of the log."""
    path = lock_path(log)
    try:
        identity = identity_of(os.stat(path))
        processes = [entry for entry in os.listdir("/proc") if entry.isdecimal()]
    except FileNotFoundError:
        return 0
    return sum(_descriptors(f"/proc/{process}/fd", os.path.basename(path), identity) for process in processes)


def _descriptors(directory: str, name: str, identity: Identity) -> int:
    count = 0
    try:
        for entry in os.listdir(directory):
            path = os.path.join(directory, entry)
            # the link's text first: a stat may hang on a network file system that is down
            if os.readlink(path).endswith(name) and identity_of(os.stat(path)) == identity:
                count += 1
    except OSError:  # the process has ended meanwhile, or belongs to another user
        return count
    return count
