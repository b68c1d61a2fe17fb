"""Kibana: a data view, saved searches and a dashboard over the documents in Elasticsearch.

``saved_objects.ndjson`` holds one saved object a line, as Kibana exports them, each after those that it refers to. They
have the versions of Kibana 8.9; every later Kibana migrates them when it imports them.
"""

from __future__ import annotations

import json

from bamboo_logmetrics.integrations.base import fill, read_text
from bamboo_logmetrics.integrations.elasticsearch.requests import NAMES, TemplateNames


def saved_objects(names: TemplateNames = NAMES) -> str:
    """Return the saved objects as lines of JSON, for Kibana's import."""
    name = _escape(names.name)
    return fill(
        read_text(__name__, "saved_objects.ndjson"),
        name=name,
        nested_name=_escape(name),  # Kibana keeps the panels of a dashboard as JSON within a string
        pattern=_escape(names.pattern),
    )


def _escape(text: str) -> str:
    return json.dumps(text)[1:-1]
