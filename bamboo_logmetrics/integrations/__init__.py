"""Configurations for log shippers, which send a log to a server, and for the servers that store and show its lines.

Each target has a folder with its templates and the code that fills them in. Nothing here reads or sends a line of a
log.
"""

from __future__ import annotations

from collections.abc import Mapping

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations.alloy import ALLOY
from bamboo_logmetrics.integrations.base import Target
from bamboo_logmetrics.integrations.filebeat import FILEBEAT
from bamboo_logmetrics.integrations.fluent_bit import FLUENT_BIT
from bamboo_logmetrics.integrations.logstash import LOGSTASH
from bamboo_logmetrics.integrations.otel_collector import OTEL_COLLECTOR
from bamboo_logmetrics.integrations.vector import VECTOR

__all__ = ["TARGETS", "Target", "render"]

TARGETS: Mapping[str, Target] = {
    target.name: target for target in (FILEBEAT, LOGSTASH, ALLOY, FLUENT_BIT, VECTOR, OTEL_COLLECTOR)
}


def render(target: str, **settings: str) -> str:
    """Return the configuration of a log shipper, by its name; settings as for :meth:`Target.render`.

    Raises ConfigError for an unknown name, and for a value that the shipper would misread.
    """
    if target not in TARGETS:
        msg = f"there is no configuration for {target!r}; there are: {', '.join(TARGETS)}"
        raise ConfigError(msg)
    return TARGETS[target].render(**settings)
