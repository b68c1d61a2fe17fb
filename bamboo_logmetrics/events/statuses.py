"""Statuses of sessions, rounds and requests."""

from __future__ import annotations

from enum import Enum
from operator import attrgetter
from typing import Any

from bamboo_logmetrics.events.base import add_status


class _Status(str, Enum):
    __str__ = str.__str__


class SessionStatus(_Status):
    """Status of a session."""

    RUNNING = "running"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"


class RoundStatus(_Status):
    """Status of a round."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"


class ForwardStatus(_Status):
    """Outcome of a forwarded request."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"


def read_status(text: Any) -> Any:
    """Return a status text as this version writes it; older writers write ``failed`` for ``error``."""
    return "error" if text == "failed" else text


for _status in (SessionStatus, RoundStatus, ForwardStatus):
    add_status(_status, encoder=attrgetter("value"), decoder=read_status)
