"""Reading a log back, and verifying that nothing is missing in it."""

from __future__ import annotations

from bamboo_logmetrics.reading.reader import read
from bamboo_logmetrics.reading.verification.report import Finding, Report, StopCounts, WriterReport
from bamboo_logmetrics.reading.verification.verifier import verify

__all__ = ["Finding", "Report", "StopCounts", "WriterReport", "read", "verify"]
