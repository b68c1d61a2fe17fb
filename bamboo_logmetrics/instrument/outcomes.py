"""The outcome of a call: its status, its error and the way in which its stream ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

COMPLETE, CLOSED, BROKEN, COLLECTED = "complete", "closed", "broken", "garbage_collected"  # values of stream_end

LEAST_ERROR = 400
_TIMEOUTS = {"TimeoutException", "TimeoutError", "Timeout"}
_MOST_WAIT = 10**9  # milliseconds, eleven days; what is longer is no wait
_MOST_TEXT = 2_000  # characters of an error's text; the log masks secrets in it


class Outcome(NamedTuple):
    """The outcome of a call.

    Args:
        status: ``success``, ``error`` or ``timeout``.
        error: the error's text, or None.
        error_type: the provider's or the exception's type, or None.
    """

    status: str
    error: str | None = None
    error_type: str | None = None


def of_exception(error: BaseException) -> Outcome:
    """Return the outcome of a call that an exception ended."""
    name = type(error).__name__
    if not isinstance(error, Exception):  # asyncio's and trio's cancellation, KeyboardInterrupt
        return Outcome("error", name, "cancelled")
    names = {cls.__name__ for cls in type(error).__mro__}
    return Outcome("timeout" if names & _TIMEOUTS else "error", _text(error), name)


def of_answer(status_code: int, error: str | None, error_type: str | None) -> Outcome:
    """Return the outcome by the HTTP status and by the error that the body holds, which a 200 may too."""
    if status_code >= LEAST_ERROR:
        return Outcome("error", error or f"HTTP {status_code}", error_type or str(status_code))
    if error is not None or error_type is not None:
        return Outcome("error", error, error_type)
    return Outcome("success")


def _text(error: Exception) -> str:
    """Return an exception's class and text; its own ``__str__`` may raise anything."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001
        text = ""
    return f"{type(error).__name__}: {text}".rstrip(": ")[:_MOST_TEXT]


def retry_wait(headers: Mapping[str, str]) -> int | None:
    """Return the milliseconds that a server asks the client to wait; None for no wait, or one beyond eleven days."""
    for name, factor in (("retry-after-ms", 1), ("retry-after", 1000)):
        try:
            wait = float(headers.get(name, "")) * factor
            return int(wait) if 0 <= wait <= _MOST_WAIT else None
        except ValueError:
            continue
    return _until(headers.get("retry-after", ""))


def _until(date: str) -> int | None:
    try:
        moment = parsedate_to_datetime(date)
        left = moment.replace(tzinfo=moment.tzinfo or timezone.utc) - datetime.now(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        return None
    wait = max(0, int(left.total_seconds() * 1000))
    return wait if wait <= _MOST_WAIT else None
