"""The counters of a log at one moment, and the reasons for which a record is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# each is also the name of the channel's counter
DROP_REASONS = (
    "queue_full",  # the queue was full, or the record made room for a newer one under drop_oldest
    "plain_gave_way",  # a plain line: the last tenth of the queue is kept for typed events
    "block_timeout",  # no room within block_timeout
    "too_large",  # the line would be longer than max_line_bytes
    "closed",  # emitted after close
    "shutdown",  # still in the queue when close's time was up
    "storage",  # taken from the queue, but not stored when close's time was up
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot of the counters of one process; ``emitted = written + dropped_total + queued`` in each.

    Args:
        emitted: calls that passed filter and processors, refused or not.
        written: user lines that are in the file.
        dropped: counts by reason; only reasons that occurred.
        dropped_total: the sum of ``dropped``.
        queued: records that wait in the queue or are being written.
        queued_bytes: memory of the records that wait in the queue, as ``queue_bytes`` limits it: at least 1,024 each;
            without those that are being written.
        own: lines of the log itself, counted in none of the others.
        writer: the id of this opening of the log by this process, 20 hex digits.
        repaired_bytes: bytes of torn last lines that this process cut away.
    """

    emitted: int
    written: int
    dropped: Mapping[str, int]
    dropped_total: int
    queued: int
    own: int
    writer: str = ""
    repaired_bytes: int = 0
    queued_bytes: int = 0
