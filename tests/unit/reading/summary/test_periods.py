"""Hours, days, weeks and months."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bamboo_logmetrics.reading.summary.periods import find_zone, period_of, zone_text

CASES = [
    (datetime(2026, 10, 25, 0, 45), "hour", "Europe/Berlin", "2026-10-25T02:00+02:00"),
    (datetime(2026, 10, 25, 1, 45), "hour", "Europe/Berlin", "2026-10-25T02:00+01:00"),
    (datetime(2026, 11, 30, 20, 15), "hour", "Asia/Kathmandu", "2026-12-01T02:00+05:45"),
    (datetime(2026, 11, 30, 20), "day", "America/New_York", "2026-11-30"),
    (datetime(2027, 1, 1), "week", "UTC", "2026-W53"),
    (datetime(2026, 11, 30, 23, 30), "month", "Europe/Berlin", "2026-12"),
    (datetime(1, 1, 1), "day", "America/New_York", "0001-01-01"),
    (datetime(9999, 12, 31, 23, 45), "month", "Asia/Tokyo", "9999-12"),
]


@pytest.mark.parametrize(("time", "by", "zone", "period"), CASES)
def test_periods(time, by, zone, period):
    """A time in UTC is in the period of the zone, also when clocks change and at the ends of the calendar."""
    assert period_of(time, by, ZoneInfo(zone)) == period


def test_zones():
    """The local zone is shown with its offset, any other by its name."""
    assert find_zone("local") is None
    assert zone_text("local").startswith("local time, UTC")
    assert zone_text("Europe/Berlin") == "Europe/Berlin"
    assert find_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
