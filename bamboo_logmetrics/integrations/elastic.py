"""What Elasticsearch and OpenSearch must know before the first line comes: requests, as data.

Lifecycle policy, component template, ingest pipeline and index template, in the order in which they are to be sent.
The data stream comes into being with its first document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.integrations.elastic_mapping import Product, mappings
from bamboo_logmetrics.integrations.elastic_pipeline import pipeline

KEEP = 90  # days
PRIORITY = 200  # above the 100 of the servers' own template for logs-*-*
_ROLLOVER = {"age": "30d", "size": "50gb"}


@dataclass(frozen=True, slots=True)
class TemplateNames:
    """What things are called in the server.

    Args:
        name: of policy, pipeline and index template; the component template has ``@mappings`` after it.
        pattern: the data streams that they are for.
    """

    name: str = "bamboo-events"
    pattern: str = "logs-bamboo.events-*"

    @property
    def component(self) -> str:
        """Return the name of the component template."""
        return f"{self.name}@mappings"


NAMES = TemplateNames()


class Request(NamedTuple):
    """One request.

    Args:
        method: the HTTP method.
        path: of the URL, without the first slash.
        body: plain data, to be sent as JSON.
    """

    method: str
    path: str
    body: dict[str, Any]


def requests(product: Product, names: TemplateNames = NAMES, *, keep: int = KEEP) -> list[Request]:
    """Return what is to be sent, in order. Sending it again changes nothing.

    Args:
        product: ``elasticsearch`` (8.13 or later) or ``opensearch`` (2.15 or later).
        names: what things are called.
        keep: for how many days events are kept, from the rollover of their backing index, which comes after 30 days
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
        "index.auto_expand_replicas": "0-1",  # one where there is a second node for it; a lone node stays green
        "index.mapping.ignore_malformed": True,  # a field of a wrong type is not indexed, and the document is kept
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
        settings["index.lifecycle.name"] = names.name  # in place of the one in logs@settings
        servers_own = ["logs@mappings", "logs@settings"]
        template["composed_of"] = [*servers_own, names.component, "ecs@mappings"]
        template["ignore_missing_component_templates"] = [*servers_own, "ecs@mappings"]
    else:
        settings["index.codec"] = "best_compression"  # as logs@settings has it in Elasticsearch
    return template


def _about(what: str) -> dict[str, str]:
    return {"description": f"bamboo_logmetrics: {what}", "version": __version__}


def console(sent: Iterable[Request]) -> str:
    """Return requests as the console of Kibana's and OpenSearch Dashboards' Dev Tools takes them."""
    return "\n".join(f"{request.method} {request.path}\n{_pretty(request.body)}\n" for request in sent)


def _pretty(body: dict[str, Any]) -> str:
    """Return JSON in which a text of several lines stands between three quotes, as only that console knows them."""
    long = {text: f"@{number}@" for number, text in enumerate(_texts(body))}
    text = json.dumps(_replaced(body, long), indent=2, ensure_ascii=False)
    for source, mark in long.items():
        text = text.replace(f'"{mark}"', f'"""\n{source.rstrip()}\n"""')
    return text


def _texts(data: Any) -> list[str]:
    if isinstance(data, str):
        return [data] if "\n" in data else []
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [text for item in items for text in _texts(item)]


def _replaced(data: Any, marks: dict[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _replaced(value, marks) for key, value in data.items()}
    if isinstance(data, list):
        return [_replaced(item, marks) for item in data]
    return marks.get(data, data) if isinstance(data, str) else data
