"""Steps of time, and offsets of zones."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from bamboo_logmetrics.reading.report.buckets import (
    day_of,
    is_too_coarse,
    offset_at,
    offsets,
    start_of_day,
    widths_for,
)

DAY = 86_400
WIDTHS = [
    (0, 1), (600, 1), (2 * 3_600, 10), (12 * 3_600, 60), (3 * DAY, 600), (30 * DAY, 3_600), (3 * 365 * DAY, DAY),
    (9_998 * 365 * DAY, 365 * DAY),
]  # fmt: skip


@pytest.mark.parametrize(("length", "width"), WIDTHS)
def test_widths(length, width):
    """The finest step is fine for a short log, and has an end for a long one."""
    assert widths_for(length)[0] == width
    assert not is_too_coarse(1, 600)
    assert is_too_coarse(DAY, 3_600)


def second(*parts):
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp())


ZONES = ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "UTC", "Africa/Cairo"]


@pytest.mark.parametrize("name", ZONES)
def test_days_begin_at_midnight(name):
    """Each hour of three years is in the day whose start is the last midnight, also where clocks change at midnight."""
    zone = ZoneInfo(name)
    for time in range(second(2009, 1, 1), second(2012, 1, 10), 5 * 3_600 + 1):
        day = day_of(time, zone)
        start = start_of_day(day, zone)
        assert start <= time < start + 25 * 3_600
        assert day_of(start, zone) == day
        assert day_of(start - 1, zone) < day
        local = datetime.fromtimestamp(time, zone)
        assert (local.replace(tzinfo=None) - datetime(1970, 1, 1)).days == day


def test_offsets():
    """An offset is known from its first second on, between any two times; outside the calendar there is none."""
    berlin = ZoneInfo("Europe/Berlin")
    times = [second(2026, 1, 1), second(2026, 7, 1), second(2026, 7, 2), second(2026, 12, 1)]
    assert list(offsets(times, berlin)) == [
        [second(2026, 1, 1), 3_600],
        [second(2026, 3, 29, 1), 7_200],
        [second(2026, 10, 25, 1), 3_600],
    ]
    assert list(offsets([], berlin)) == []
    assert offset_at(second(1, 1, 1), ZoneInfo("America/New_York")) == 0
    assert offset_at(0, None) == datetime.fromtimestamp(0).astimezone().utcoffset().total_seconds()
