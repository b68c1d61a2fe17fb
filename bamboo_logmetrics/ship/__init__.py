"""Delivering logs to servers such as Loki or Elasticsearch. Needs the extra ``ship``, for OTLP ``otel`` too."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.ship.credentials import Credentials
from bamboo_logmetrics.ship.log_status import LogStatus, status

if TYPE_CHECKING:
    from bamboo_logmetrics.ship.log_state import Shipped
    from bamboo_logmetrics.ship.sender import GivenUpError
    from bamboo_logmetrics.ship.shipper import Shipper

Access = Credentials  # the name up to 0.1.0

__all__ = ["Access", "Credentials", "GivenUpError", "LogStatus", "Shipped", "Shipper", "status"]

# Imported on first use: they need httpx, and `ship.urls` must not.
_LATE = {"GivenUpError": "sender", "Shipped": "log_state", "Shipper": "shipper"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value
