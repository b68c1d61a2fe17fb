"""Usage in the answers of providers: bodies, streams and usage objects become tokens and bound names."""

from __future__ import annotations

from bamboo_logmetrics.usage.body import read_body
from bamboo_logmetrics.usage.facts import CallFacts, Iteration, UnknownUsage
from bamboo_logmetrics.usage.headers import read_headers
from bamboo_logmetrics.usage.sdk_objects import read_usage
from bamboo_logmetrics.usage.stream import StreamReader

__all__ = ["CallFacts", "Iteration", "StreamReader", "UnknownUsage", "read_body", "read_headers", "read_usage"]
