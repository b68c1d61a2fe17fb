"""The order of lines for Loki, which refuses an entry that is too far behind the newest of its stream.

The newest is that at the moment when the entry's turn comes. So lines are sent by their times, and a request spans
less than Loki accepts: sent again, no line of it is refused because of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from bamboo_logmetrics.ship.entries import Entry

_LONGEST_SPAN = 30 * 60 * 1_000_000_000  # ns in one request; Loki accepts an hour behind the newest

time_of = attrgetter("time_ns")


def requests_by_time(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    """Return lines by their times, half an hour at most in each request; as they are where that is all of them."""
    times = [entry.time_ns for entry in entries]
    if max(times) < min(times) + _LONGEST_SPAN:
        return [entries]
    requests: list[list[Entry]] = []
    until = float("-inf")
    for entry in sorted(entries, key=time_of):
        if entry.time_ns >= until:
            requests.append([])
            until = entry.time_ns + _LONGEST_SPAN
        requests[-1].append(entry)
    return list(requests)
