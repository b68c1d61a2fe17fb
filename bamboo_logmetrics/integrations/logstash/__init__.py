"""Logstash: the log to Elasticsearch."""

from __future__ import annotations

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations.base import Settings, Target

_HELP = """Print logstash.conf, for Logstash 8 or 9: the log to Elasticsearch.

Each line becomes a document of the data stream logs-bamboo.events-default. Its _id is made from the line, so that a
line that is sent twice is stored once. First create the index template and the ingest pipeline: bamboo-logmetrics
config elasticsearch. OpenSearch is refused by this program: use bamboo-logmetrics ship --to elasticsearch for it.

\b
bamboo-logmetrics config logstash --path logs/agent.jsonl \\
  --url http://localhost:9200 > logstash.conf
logstash -f logstash.conf
"""


def _quote(text: str) -> str:
    """Return a text as a string of Logstash, which has no escapes. Raises ConfigError for one with both quotes."""
    quotes = [quote for quote in "\"'" if quote not in text]
    if not quotes:
        msg = f"Logstash cannot read {text!r}, which contains both kinds of quotes: rename the directory"
        raise ConfigError(msg)
    return quotes[0] + text + quotes[0]


def _placeholders(settings: Settings) -> dict[str, str]:
    env = f' "[service][environment]" => {_quote(settings.env)}' if settings.env else ""
    return {
        "url": _quote(
            settings.url.remove("/_bulk").with_port
        ),  # without a port, Logstash would use 9200, for https too
        "service_fields": f'"[service][name]" => {_quote(settings.service)}{env}',
    }


LOGSTASH = Target(
    name="logstash",
    help=_HELP,
    url_help="Elasticsearch (not OpenSearch), such as http://localhost:9200.",
    package=__name__,
    template="logstash.conf",
    placeholders=_placeholders,
    quote=_quote,
    reserved="$",
)
