"""Delivering logs to Loki, Elasticsearch or an OTLP server. It needs the extra ``ship``, for OTLP ``otel`` too."""

from __future__ import annotations

from bamboo_logmetrics.ship.credentials import Access
from bamboo_logmetrics.ship.log_set import Shipped
from bamboo_logmetrics.ship.sender import GivenUpError
from bamboo_logmetrics.ship.shipper import Shipper
from bamboo_logmetrics.ship.status import LogStatus, status

__all__ = ["Access", "GivenUpError", "LogStatus", "Shipped", "Shipper", "status"]
