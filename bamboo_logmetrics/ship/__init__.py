"""Delivering logs to Loki, Elasticsearch or an OTLP server. It needs the extra ``ship``, for OTLP ``otel`` too."""

from __future__ import annotations

from bamboo_logmetrics.ship.access import Access
from bamboo_logmetrics.ship.sending import GivenUpError
from bamboo_logmetrics.ship.shipper import Shipper
from bamboo_logmetrics.ship.status import LogStatus, status
from bamboo_logmetrics.ship.tails import Shipped

__all__ = ["Access", "GivenUpError", "LogStatus", "Shipped", "Shipper", "status"]
