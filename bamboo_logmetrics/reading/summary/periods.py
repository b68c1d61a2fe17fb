"""Hours, days, weeks and months in a time zone.

The zone's rules are Python's, not DuckDB's: its time zones need an extension. Every offset from UTC is a multiple of
15 minutes, so that each quarter of an hour lies within one hour of any zone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bamboo_logmetrics.errors import ConfigError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LOCAL = "local"


def _week(time: datetime) -> str:
    year, week, _ = time.isocalendar()
    return f"{year:04}-W{week:02}"


PERIODS: Mapping[str, Callable[[datetime], str]] = {
    "hour": lambda time: time.replace(minute=0).isoformat(timespec="minutes"),
    "day": lambda time: time.date().isoformat(),
    "week": _week,
    "month": lambda time: f"{time.year:04}-{time.month:02}",
}


def find_zone(name: str) -> tzinfo | None:
    """Return the zone of a name such as ``Europe/Berlin`` or ``UTC``; None for ``local``.

    Raises ConfigError for a name that is not known.
    """
    if name == LOCAL:
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        msg = f"unknown time zone {name!r:.80}; use one such as UTC or Europe/Berlin, or {LOCAL}"
        raise ConfigError(msg) from None


def zone_text(name: str) -> str:
    """Return the name of a zone for people; of the local one with its offset."""
    return datetime.now().astimezone().strftime("local time, UTC%z") if name == LOCAL else name


def period_of(time: datetime, by: str, zone: tzinfo | None) -> str:
    """Return the hour, day, week or month of a time in UTC."""
    try:
        time = time.replace(tzinfo=timezone.utc).astimezone(zone)
    except (OverflowError, OSError, ValueError):  # the first or last day of the calendar
        time = time.replace(tzinfo=timezone.utc)
    return PERIODS[by](time)


def create_periods(connection: DuckDBPyConnection, by: str, zone: tzinfo | None) -> None:
    """Create the table ``periods``: each quarter of an hour in which there is a line, and its period."""
    quarters = connection.execute("SELECT DISTINCT time_bucket(INTERVAL 15 MINUTES, timestamp) FROM lines").fetchall()
    keys = [period_of(quarter, by, zone) for (quarter,) in quarters]
    connection.execute("CREATE TABLE periods (quarter TIMESTAMP, key VARCHAR)")
    connection.execute(
        "INSERT INTO periods SELECT unnest($quarters), unnest($keys)",
        {"quarters": [quarter for (quarter,) in quarters], "keys": keys},
    )
