"""Filebeat: the log to Elasticsearch."""

from __future__ import annotations

from bamboo_logmetrics.integrations.base import Settings, Target, quote_json

_HELP = """Print filebeat.yml, for Filebeat 9.1 or later: the log to Elasticsearch.

Each line becomes a document of the data stream logs-bamboo.events-default. Its _id is made from the line, so that a
line that is sent twice is stored once. First create the index template and the ingest pipeline: bamboo-logmetrics
config elasticsearch. OpenSearch is refused by this program: use bamboo-logmetrics ship --to elasticsearch for it.

\b
bamboo-logmetrics config filebeat --path logs/agent.jsonl \\
  --url http://localhost:9200 > filebeat.yml
filebeat -e -c filebeat.yml
"""


def _placeholders(settings: Settings) -> dict[str, str]:
    env = f", environment: {quote_json(settings.env)}" if settings.env else ""
    return {
        "id": quote_json(f"bamboo-{settings.path}"),
        "url": quote_json(
            settings.url.remove("/_bulk").with_port
        ),  # without a port, Filebeat would use 9200, for https too
        "service_fields": f"{{ name: {quote_json(settings.service)}{env} }}",
    }


FILEBEAT = Target(
    name="filebeat",
    help=_HELP,
    url_help="Elasticsearch (not OpenSearch), such as http://localhost:9200.",
    package=__name__,
    template="filebeat.yml",
    placeholders=_placeholders,
    quote=quote_json,
    reserved="$",
)
