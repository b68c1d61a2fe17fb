"""How sessions, rounds and requests stand or ended."""

from __future__ import annotations

from enum import Enum
from operator import attrgetter
from typing import Any

from bamboo_logmetrics.events.base import add_status


class _Status(str, Enum):
    __str__ = str.__str__


class SessionStatus(_Status):
    """How a session stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"


class RoundStatus(_Status):
    """How a round stands."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"


class ForwardStatus(_Status):
    """How a forwarded request ended."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"


def read_status(text: Any) -> Any:
    """Return a status text as this version writes it: older writers say ``failed``."""
    return "error" if text == "failed" else text


for _status in (SessionStatus, RoundStatus, ForwardStatus):
    add_status(_status, encoder=attrgetter("value"), decoder=read_status)
