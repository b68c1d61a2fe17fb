"""Times as text: UTC, six digits, ``Z`` (RFC 3339)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])([01]\d|2[0-3]):?([0-5]\d))",
    re.ASCII,
)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def format_utc(moment: datetime) -> str:
    """Return a UTC datetime as ``2026-11-22T15:47:13.417696Z``."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return format_utc(from_ns(seconds * 1_000_000_000))[:20]


def format_ns(nanoseconds: int) -> str:
    """Return nanoseconds since the epoch in the same form, cut to microseconds."""
    seconds, remainder = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}{remainder // 1000:06}Z"  # the same second comes again and again


def from_ns(nanoseconds: int) -> datetime:
    """Return nanoseconds since the epoch as a datetime in UTC, cut to microseconds."""
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


def parse_utc(text: Any) -> datetime:
    """Return the datetime of an RFC 3339 text with zero to nine digits and any offset.

    Digits beyond the sixth are cut. Raises ValueError for any other text.
    """
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if not match:
        msg = f"not a time such as 2026-11-22T15:47:13.417696Z: {text!r:.60}"
        raise ValueError(msg)
    *parts, digits, sign, hours, minutes = match.groups()
    micro = int((digits or "0").ljust(6, "0")[:6])
    year, month, day, hour, minute, second = map(int, parts)
    moment = datetime(year, month, day, hour, minute, second, micro, timezone.utc)
    if not sign:
        return moment
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        return moment - offset if sign == "+" else moment + offset
    except OverflowError:
        msg = f"outside the years 1 to 9999 in UTC: {text}"
        raise ValueError(msg) from None
