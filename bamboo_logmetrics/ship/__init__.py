"""Delivering logs to Loki, Elasticsearch or an OTLP server. It needs the extra ``ship``, for OTLP ``otel`` too."""

from __future__ import annotations

from bamboo_logmetrics.ship.credentials import Credentials
from bamboo_logmetrics.ship.log_set import Shipped
from bamboo_logmetrics.ship.sender import GivenUpError
from bamboo_logmetrics.ship.shipper import Shipper
from bamboo_logmetrics.ship.status import LogStatus, status

Access = Credentials  # its name up to 0.1.0

__all__ = ["Access", "Credentials", "GivenUpError", "LogStatus", "Shipped", "Shipper", "status"]
