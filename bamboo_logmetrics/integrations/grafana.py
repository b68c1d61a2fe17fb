"""The dashboard and the alert rules for Grafana, over the lines in Loki."""

from __future__ import annotations

import re
from importlib.resources import files

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations.quoting import yaml

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")  # as Grafana has it


def dashboard() -> str:
    """Return the dashboard as JSON, for Grafana's import and its provisioning; its data source is chosen there."""
    return _text("grafana-dashboard.json")


def alerts(datasource: str = "loki") -> str:
    """Return alert rules as YAML for Grafana's provisioning, over the Loki data source with the uid ``datasource``.

    Raises ConfigError for what is no uid.
    """
    if not _UID.fullmatch(datasource):
        msg = f"--datasource {datasource!r} is no uid of Grafana's: letters, digits, - and _, 40 at most"
        raise ConfigError(msg)
    command = f"bamboo-logmetrics config grafana --alerts --datasource {datasource}"
    return _text("grafana-alerts.yaml").replace("<<command>>", command).replace("<<datasource>>", yaml(datasource))


def _text(name: str) -> str:
    return files("bamboo_logmetrics.integrations").joinpath(name).read_text(encoding="utf-8")
