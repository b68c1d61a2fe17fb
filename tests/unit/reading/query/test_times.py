"""Times as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.query.times import find_time

NOW = datetime(2026, 11, 30, 20, 0, 30, tzinfo=timezone.utc)
BERLIN = ZoneInfo("Europe/Berlin")
TIMES = {
    "2026-11-30": datetime(2026, 11, 29, 23, tzinfo=timezone.utc),
    "2026-11-30T14:00": datetime(2026, 11, 30, 13, tzinfo=timezone.utc),
    "2026-11-30 14:00:05.5": datetime(2026, 11, 30, 13, 0, 5, 500_000, tzinfo=timezone.utc),
    "2026-11-30T14:00Z": datetime(2026, 11, 30, 14, tzinfo=timezone.utc),
    "2026-11-30T14:00:00.123456Z": datetime(2026, 11, 30, 14, 0, 0, 123_456, tzinfo=timezone.utc),
    "2026-11-30T14:00-05:00": datetime(2026, 11, 30, 19, tzinfo=timezone.utc),
    "now": NOW,
    "30s": NOW - timedelta(seconds=30),
    "90m": NOW - timedelta(minutes=90),
    " 2h ": NOW - timedelta(hours=2),
    "7d": NOW - timedelta(days=7),
    "1w": NOW - timedelta(weeks=1),
    "today": datetime(2026, 11, 29, 23, tzinfo=timezone.utc),
    "yesterday": datetime(2026, 11, 28, 23, tzinfo=timezone.utc),
}


@pytest.mark.parametrize("text", TIMES)
def test_times(text):
    """A text names a time, of the zone if it has no offset."""
    assert find_time(text, BERLIN, NOW) == TIMES[text]


def test_local_times():
    """Without a zone times are local."""
    assert find_time("2026-11-30T14:00", None, NOW) == datetime(2026, 11, 30, 14).astimezone()
    assert find_time("today", None, NOW) == NOW.astimezone().replace(hour=0, minute=0, second=0)


def test_objects():
    """A datetime is taken as it is; one without a zone is of the zone."""
    assert find_time(NOW, BERLIN, NOW) == NOW
    assert find_time(datetime(2026, 11, 30, 14), BERLIN, NOW) == datetime(2026, 11, 30, 13, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "soon", "2h30", "-2h", "2026-13-01", "999999999w", "0001-01-01", "h", "\0"])
def test_other_texts(text):
    """Anything else is a ConfigError that shows the forms."""
    with pytest.raises(blm.ConfigError, match="use one such as 2026-11-30"):
        find_time(text, BERLIN, NOW)
