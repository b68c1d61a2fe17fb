"""Whether a writer whose end is open still runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.logfiles.log_file import identity_of
from bamboo_logmetrics.reading.verification.tallies import WriterTally
from bamboo_logmetrics.system import host, process_started_at

_TOLERANCE = timedelta(seconds=2)  # start times are known to about a second


def running(accounts: Iterable[WriterTally]) -> set[str]:
    """Return the ids of those writers whose process lives on this host.

    A process is known by its id and start time from worker_started. Where retention removed that line, the writer
    counts as running if more processes have its log's lock file open than are known to (Linux only; elsewhere this
    cannot be told, and it does not).
    """
    open_ended = list(accounts)
    known = {account.writer for account in open_ended if account.pid and _lives(account)}
    unknown = {account.log for account in open_ended if not account.pid}
    spare = {log: _lock_holders(log) for log in unknown}
    spare_counts = Counter(account.log for account in open_ended if account.writer in known)
    held = {log for log, holders in spare.items() if holders > spare_counts[log]}
    return known | {account.writer for account in open_ended if not account.pid and account.log in held}


def _lives(account: WriterTally) -> bool:
    if account.host != host() or account.pid is None:
        return False
    started = process_started_at(account.pid)
    try:
        return started is not None and started <= parse_utc(account.started_at) + _TOLERANCE
    except (ValueError, OverflowError):
        return False


def _lock_holders(log: str) -> int:
    """Return how many descriptors of all processes have the lock file of ``log`` open; each is an open log."""
    directory, name = os.path.split(log)
    lock = os.path.join(directory, f".{name}.lock")
    try:
        wanted = identity_of(os.stat(lock))
        processes = [entry for entry in os.listdir("/proc") if entry.isdecimal()]
    except FileNotFoundError:
        return 0
    return sum(_holds(f"/proc/{process}/fd", f".{name}.lock", wanted) for process in processes)


def _holds(directory: str, name: str, wanted: tuple[int, int]) -> int:
    count = 0
    try:
        for entry in os.listdir(directory):
            path = os.path.join(directory, entry)
            # the link's text first: a stat may hang where a network is down
            if os.readlink(path).endswith(name) and identity_of(os.stat(path)) == wanted:
                count += 1
    except OSError:  # ended meanwhile, or another user's
        return count
    return count
