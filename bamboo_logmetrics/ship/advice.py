"""Remedies for answers that are about the address, the credentials or the tenant, and not about a line."""

from __future__ import annotations

import re

_BY_STATUS = {
    401: "authentication failed: check BAMBOO_LOGMETRICS_SHIP_USER, _PASSWORD, _TOKEN and _API_KEY",
    403: "permission denied: check the rights of this user, token or API key",
    404: "not found: check the URL",
}

_VICTORIALOGS = (
    "VictoriaLogs takes lines at /insert?_msg_field=event,message,body.stringValue for --to loki, at"
    " /insert/opentelemetry for --to otlp, and at /insert/elasticsearch for --to elasticsearch"
)

# the words of servers and of TLS, and the remedy
_BY_TEXT = (
    (r"no org id", "this server has tenants: give --tenant, or set BAMBOO_LOGMETRICS_SHIP_TENANT"),
    (r"HTTP request (?:to an|was sent to) HTTPS", "the server expects TLS: give a URL with https"),
    (r"WRONG_VERSION_NUMBER|wrong version number", "the server does not expect TLS: give a URL with http"),
    (r"unsupported path requested", _VICTORIALOGS),
)

# ports at which another interface of the same server, or another server, is usually found
_BY_PORT = {
    4317: "4317 is the port for gRPC: the one for HTTP is 4318",
    9095: "9095 is Loki's port for gRPC: the one for HTTP is 3100",
    9300: "9300 is the port between Elasticsearch's nodes: the one for HTTP is 9200",
    3000: "3000 is Grafana's port: Loki's is 3100",
    5601: "5601 is Kibana's port: Elasticsearch's is 9200",
}


_PERHAPS_ANOTHER_SERVER = (0, 404, 405, 415)  # statuses of one that does not know such a request


def advice(status: int, error: str, port: int) -> str:
    """Return the remedy for an answer; empty where none is known.

    Args:
        status: the HTTP status; 0 where no answer came.
        error: the error.
        port: the port of the server's URL.
    """
    for words, remedy in _BY_TEXT:
        if re.search(words, error):
            return remedy
    by_port = _BY_PORT.get(port, "") if status in _PERHAPS_ANOTHER_SERVER else ""
    return by_port or _BY_STATUS.get(status, "")
