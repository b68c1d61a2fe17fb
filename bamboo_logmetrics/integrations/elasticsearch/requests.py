"""The requests that set up Elasticsearch or OpenSearch, as data.

They create a lifecycle policy, a component template, an ingest pipeline and an index template, in this order. The
server creates the data stream itself, with the first document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.integrations.elasticsearch.mapping import Product, mappings
from bamboo_logmetrics.integrations.elasticsearch.pipeline import pipeline

KEEP = 90  # days
PRIORITY = 200  # above the 100 of the servers' own template for logs-*-*
_ROLLOVER = {"age": "30d", "size": "50gb"}


@dataclass(frozen=True, slots=True)
class TemplateNames:
    """Names in the server.

    Args:
        name: the name of policy, pipeline and index template; the component template has ``@mappings`` after it.
        pattern: the pattern of the data streams that the index template is for.
    """

    name: str = "bamboo-events"
    pattern: str = "logs-bamboo.events-*"

    @property
    def component(self) -> str:
        """The name of the component template."""
        return f"{self.name}@mappings"


NAMES = TemplateNames()


class Request(NamedTuple):
    """One request.

    Args:
        method: the HTTP method.
        path: the path of the URL, without the first slash.
        body: plain data, to be sent as JSON.
    """

    method: str
    path: str
    body: dict[str, Any]


def setup_requests(product: Product, names: TemplateNames = NAMES, *, keep: int = KEEP) -> list[Request]:
    """Return the requests, in the order in which to send them. Sending them again changes nothing.

    Args:
        product: ``elasticsearch`` (8.13 or later) or ``opensearch`` (2.15 or later).
        names: the names in the server.
        keep: the days for which events are kept after the rollover of their backing index, which comes after 30 days
            at the latest.
    """
    path, policy = _lifecycle(product, names, keep)
    component = {"template": {"mappings": mappings(product)}, "_meta": _about("the types of the fields")}
    description = "Lines of bamboo_logmetrics, of any layout, as ECS documents"
    return [
        Request("PUT", path, policy),
        Request("PUT", f"_component_template/{names.component}", component),
        Request("PUT", f"_ingest/pipeline/{names.name}", pipeline(description, product)),
        Request("PUT", f"_index_template/{names.name}", _index_template(product, names)),
    ]


def _lifecycle(product: Product, names: TemplateNames, keep: int) -> tuple[str, dict[str, Any]]:
    if product == "elasticsearch":
        rollover = {"max_age": _ROLLOVER["age"], "max_primary_shard_size": _ROLLOVER["size"]}
        phases = {
            "hot": {"min_age": "0ms", "actions": {"rollover": rollover}},
            "delete": {"min_age": f"{keep}d", "actions": {"delete": {}}},
        }
        return f"_ilm/policy/{names.name}", {"policy": {"phases": phases, "_meta": _about("how long they are kept")}}
    rollover = {"min_index_age": _ROLLOVER["age"], "min_primary_shard_size": _ROLLOVER["size"]}
    delete = {"state_name": "delete", "conditions": {"min_rollover_age": f"{keep}d"}}
    policy = {
        "description": _about("how long they are kept")["description"],
        "default_state": "hot",
        "states": [
            {"name": "hot", "actions": [{"rollover": rollover}], "transitions": [delete]},
            {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": [names.pattern], "priority": PRIORITY}],
    }
    return f"_plugins/_ism/policies/{names.name}", {"policy": policy}


def _index_template(product: Product, names: TemplateNames) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "index.default_pipeline": names.name,
        "index.auto_expand_replicas": "0-1",  # one replica if there is a second node; a single node stays green
        "index.mapping.ignore_malformed": True,  # a value of a wrong type is not indexed, and its document is kept
    }
    template: dict[str, Any] = {
        "index_patterns": [names.pattern],
        "data_stream": {},
        "priority": PRIORITY,
        "composed_of": [names.component],
        "template": {"settings": settings},
        "_meta": _about("events of LLM agents and proxies"),
    }
    if product == "elasticsearch":
        settings["index.lifecycle.name"] = names.name  # replaces the policy of logs@settings
        builtin = ["logs@mappings", "logs@settings"]
        template["composed_of"] = [*builtin, names.component, "ecs@mappings"]
        template["ignore_missing_component_templates"] = [*builtin, "ecs@mappings"]
    else:
        settings["index.codec"] = "best_compression"  # Elasticsearch gets this from logs@settings
    return template


def _about(subject: str) -> dict[str, str]:
    return {"description": f"bamboo_logmetrics: {subject}", "version": __version__}
