"""Taps: functions that get the records of all channels instead of their queues, for tests of applications."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bamboo_logmetrics.pipeline.channel import Channel
    from bamboo_logmetrics.record.queued import QueuedRecord

# every channel of the process, and the taps; the last one gets the records
_channels: weakref.WeakSet[Channel] = weakref.WeakSet()
_taps: list[Callable[[QueuedRecord], None]] = []


@contextmanager
def watched(tap: Callable[[QueuedRecord], None]) -> Iterator[None]:
    """Give every record of every channel, also of new ones, to ``tap`` instead of its queue."""
    _taps.append(tap)
    _watch_all()
    try:
        yield
    finally:
        _taps.remove(tap)
        _watch_all()


def register(channel: Channel) -> None:
    """Have a new channel watched too."""
    _channels.add(channel)
    if _taps:
        channel.watch(_taps[-1])


def _watch_all() -> None:
    for channel in list(_channels):
        channel.watch(_taps[-1] if _taps else None)
