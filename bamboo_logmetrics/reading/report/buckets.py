"""The steps of time of a report page, and the offsets from UTC within its range.

Steps of less than a day begin at multiples of their width in UTC; days, and numbers of days, at midnight of the zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo

DAY = 86_400  # seconds
QUARTER = 900
_WIDTHS = (1, 10, 60, 600, 3_600, 3 * 3_600, 6 * 3_600, DAY, 7 * DAY, 30 * DAY, 365 * DAY)
_MAX_STEPS, _MAX_DAYS = 750, 1_500
_MIN_STEPS = 8  # a coarser chart says too little


def widths_for(length: int) -> list[int]:
    """Return the widths of steps, in seconds, that suit a range of ``length`` seconds: the finest first."""
    enough = [width for width in _WIDTHS if length / width <= (_MAX_STEPS if width < DAY else _MAX_DAYS)]
    return enough or [_WIDTHS[-1]]


def is_too_coarse(width: int, length: int) -> bool:
    """Return True if a range has too few steps of this width."""
    return length / width < _MIN_STEPS


def offset_at(second: int, zone: tzinfo | None) -> int:
    """Return the offset of a zone from UTC at a time, in seconds; None is the local zone. 0 outside the calendar."""
    try:
        offset = datetime.fromtimestamp(second, zone).astimezone(zone).utcoffset()
    except (OverflowError, OSError, ValueError):
        return 0
    return int(offset.total_seconds()) if offset else 0


def day_of(second: int, zone: tzinfo | None) -> int:
    """Return the number of the day of a zone that a time is in, from 1970 on."""
    return (second + offset_at(second, zone)) // DAY


def start_of_day(day: int, zone: tzinfo | None) -> int:
    """Return the first second of a day of a zone, which is not midnight where clocks are put forward at midnight."""
    midnight = day * DAY
    seconds = sorted(midnight - offset_at(midnight + side, zone) for side in (-DAY, DAY))
    return next((second for second in seconds if day_of(second, zone) == day), seconds[-1])


def offsets(seconds: Iterable[int], zone: tzinfo | None) -> Iterator[list[int]]:
    """Give the times from which on a zone has another offset, and that offset, for rising times."""
    before: tuple[int, int] | None = None
    for second in seconds:
        offset = offset_at(second, zone)
        if before is None:
            yield [second, offset]
        elif before[1] != offset:
            yield [_find_change(before[0], second, offset, zone), offset]
        before = second, offset


def _find_change(low: int, high: int, offset: int, zone: tzinfo | None) -> int:
    """Return the first second, after ``low`` and up to ``high``, from which on the offset is this one."""
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(middle, zone) == offset:
            high = middle
        else:
            low = middle
    return high
