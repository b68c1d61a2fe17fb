"""Grafana Alloy: the log to Loki."""

from __future__ import annotations

from bamboo_logmetrics.integrations import loki
from bamboo_logmetrics.integrations.base import Settings, Target, quote_json

_HELP = f"""Print config.alloy, for Grafana Alloy 1.17 or later: the log to Loki.

{loki.FORM}

\b
bamboo-logmetrics config alloy --path logs/agent.jsonl \\
  --url http://localhost:3100 > config.alloy
alloy run --storage.path=alloy-data config.alloy
"""


def _placeholders(settings: Settings) -> dict[str, str]:
    env = f", env = {quote_json(settings.env)}" if settings.env else ""
    return {
        "static_labels": f"{{ service_name = {quote_json(settings.service)}{env} }}",
        "push_url": quote_json(settings.url.append(loki.PUSH_PATH).text),
    }


ALLOY = Target(
    name="alloy",
    help=_HELP,
    url_help=loki.URL_HELP,
    package=__name__,
    template="config.alloy",
    placeholders=_placeholders,
    quote=quote_json,
)
