"""The kinds of servers: one module each, imported when it is used."""

from __future__ import annotations

import re

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship.destinations.base import Destination, ResourceDefaults

DESTINATIONS = ("loki", "elasticsearch", "otlp")

_DATA_STREAM = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)


def make_destination(kind: str, labels: ResourceDefaults, data_stream: str | None = None) -> Destination:
    """Return a destination. Raises ConfigError for what does not fit, ImportError where its extra is not installed."""
    if data_stream is not None and kind != "elasticsearch":
        msg = f"a data stream is of Elasticsearch, not of {kind}"
        raise ConfigError(msg)
    if data_stream is not None and not _DATA_STREAM.fullmatch(data_stream):
        msg = f"data_stream={data_stream!r} must be lower-case letters, digits, '.', '_' and '-'"
        raise ConfigError(msg)
    if kind == "loki":
        from bamboo_logmetrics.ship.destinations.loki import Loki

        return Loki(labels)
    if kind == "elasticsearch":
        from bamboo_logmetrics.ship.destinations.elasticsearch import DATA_STREAM, Elasticsearch

        return Elasticsearch(labels, data_stream or DATA_STREAM)
    if kind == "otlp":
        from bamboo_logmetrics.ship.destinations.otlp import Otlp

        return Otlp(labels)
    msg = f"to={kind!r} must be one of {', '.join(DESTINATIONS)}"
    raise ConfigError(msg)
