"""Grafana: a dashboard and alert rules over the lines in Loki."""

from __future__ import annotations

import re

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations.base import fill, quote_json, read_text

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")  # the form that Grafana demands


def dashboard() -> str:
    """Return the dashboard as JSON, for Grafana's import and provisioning; users choose its data source in Grafana."""
    return read_text(__name__, "dashboard.json")


def alerts(datasource: str = "loki") -> str:
    """Return the alert rules as YAML, for Grafana's provisioning.

    Args:
        datasource: the uid of the Loki data source.

    Raises ConfigError for a text that cannot be a uid.
    """
    if not _UID.fullmatch(datasource):
        msg = f"--datasource {datasource!r} is not a uid of Grafana: use 1 to 40 letters, digits, - and _"
        raise ConfigError(msg)
    command = f"bamboo-logmetrics config grafana --alerts --datasource {datasource}"
    return fill(read_text(__name__, "alerts.yaml"), command=command, datasource=quote_json(datasource))
