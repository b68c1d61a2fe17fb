"""Points in time as people write them: ISO 8601, ``2h``, ``yesterday``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from bamboo_logmetrics.errors import ConfigError

_AGO = re.compile(r"(\d{1,9})\s*([smhdw])", re.ASCII)
_FRACTION = re.compile(r"\.(\d+)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SHOWN = "%Y-%m-%dT%H:%M:%SZ"
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}


def find_time(value: str | datetime, zone: tzinfo | None, now: datetime) -> datetime:
    """Return the time that a text or an object names, in UTC.

    Args:
        value: a date or time in ISO 8601; ``now``, ``today``, ``yesterday`` (their first moment); or how long ago,
            such as ``30m``, ``2h``, ``7d``, ``1w``. A time without an offset is of ``zone``.
        zone: a time zone; None for the local one.
        now: the present time, with its zone.

    Raises ConfigError for anything else.
    """
    try:
        time = value if isinstance(value, datetime) else _parse(str(value).strip(), zone, now)
        if time.tzinfo is None:
            time = time.astimezone() if zone is None else time.replace(tzinfo=zone)
        return time.astimezone(timezone.utc)
    except (ValueError, OverflowError, OSError):
        msg = f"unknown time {str(value)!r:.80}; use one such as 2026-11-30, 2026-11-30T14:00, 2h, 7d or yesterday"
        raise ConfigError(msg) from None


def check_order(since: datetime | None, until: datetime | None) -> None:
    """Raise ConfigError if the end of a period is before its beginning."""
    if since is not None and until is not None and since > until:
        msg = f"no time is after {since:{_SHOWN}} (--since) and before {until:{_SHOWN}} (--until); exchange them"
        raise ConfigError(msg)


def _parse(text: str, zone: tzinfo | None, now: datetime) -> datetime:
    if text == "now":
        return now
    if text in _DAYS:
        day = now.astimezone(zone) + timedelta(days=_DAYS[text])
        return day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    text = _FRACTION.sub(lambda match: f".{match[1]:0<6.6}", text)  # Python 3.10 reads three or six digits only
    return datetime.fromisoformat(text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text)
