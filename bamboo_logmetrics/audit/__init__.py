"""Reading a log back, and proving that nothing is missing in it."""

from __future__ import annotations

from bamboo_logmetrics.audit.reading import read
from bamboo_logmetrics.audit.report import Finding, Report, StopCounts, WriterReport
from bamboo_logmetrics.audit.verifying import verify

__all__ = ["Finding", "Report", "StopCounts", "WriterReport", "read", "verify"]
