"""OpenTelemetry Collector: the log to any server by OTLP."""

from __future__ import annotations

from textwrap import indent

from bamboo_logmetrics.integrations.base import Settings, Target, quote_json
from bamboo_logmetrics.integrations.otel_collector.statements import statements
from bamboo_logmetrics.ship.destinations.otlp import Otlp

_HELP = """Print otel-collector.yaml, for OpenTelemetry Collector Contrib 0.149 or later: the log by OTLP.

Each line becomes a log record whose attributes have OpenTelemetry's names, as in the layout "otel". The attribute
log.record.uid identifies the line.

\b
bamboo-logmetrics config otel-collector --path logs/agent.jsonl \\
  --url http://localhost:4318 > otel-collector.yaml
otelcol-contrib --config otel-collector.yaml
"""


def _quote(text: str) -> str:
    """Return a text as a string of the collector's YAML, in which ``$$`` stands for ``$``."""
    return quote_json(text.replace("$", "$$"))


def _placeholders(settings: Settings) -> dict[str, str]:
    env = f", deployment.environment.name: {_quote(settings.env)}" if settings.env else ""
    return {
        "state": _quote(settings.state or settings.state_beside_log("otel-collector")),
        "resource": f"{{ service.name: {_quote(settings.service)}{env} }}",
        "statements": indent("\n".join(f"- {statement}" for statement in statements()), " " * 10),
        "url": _quote(settings.url.remove(Otlp.path).text),  # the exporter appends it
    }


OTEL_COLLECTOR = Target(
    name="otel-collector",
    help=_HELP,
    url_help="Any OTLP/HTTP endpoint, such as http://localhost:4318, or Loki's http://localhost:3100/otlp.",
    package=__name__,
    template="otel-collector.yaml",
    placeholders=_placeholders,
    quote=_quote,
    has_state=True,
)
