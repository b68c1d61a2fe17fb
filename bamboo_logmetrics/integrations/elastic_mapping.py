"""The types of all fields that an ECS document of ours may have, for Elasticsearch and OpenSearch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bamboo_logmetrics.format.layouts.mapping import ROWS

Product = Literal["elasticsearch", "opensearch"]
Field = dict[str, Any]

# Lucene takes no term beyond 32,766 bytes and a character has up to four: a longer text is kept, but not searchable.
_LONGEST = 8191
_DEPTH = 32  # what is bound is at most 20 deep, and stands under a key

# what the layout says beside its table
_BESIDE: Mapping[str, str] = {
    "message": "match_only_text",
    "log.level": "keyword",
    "ecs.version": "keyword",
    "event.kind": "keyword",
    "event.dataset": "keyword",
    "event.action": "keyword",
    "event.category": "keyword",
    "event.type": "keyword",
    "event.outcome": "keyword",
    "event.reason": "keyword",
    "error.type": "keyword",
    "gen_ai.operation.name": "keyword",
    "gen_ai.request.stream": "boolean",
    "bamboo.bound": "flattened",
}

# what the pipeline keeps of an agent's fields, and its mark on lines that it could not read
_AGENTS: Mapping[str, str] = {
    "agent.ephemeral_id": "keyword",
    "agent.id": "keyword",
    "agent.name": "keyword",
    "agent.type": "keyword",
    "agent.version": "keyword",
    "log.file.path": "keyword",
    "log.offset": "long",
    "tags": "keyword",
}

# ECS 9.4 says nested, which a list of texts does not fit; nothing of ours writes it yet
_OVERRIDDEN: Mapping[str, str] = {"gen_ai.response.finish_reasons": "keyword"}

_OPENSEARCH = {"flattened": "flat_object"}


def declared(product: Product) -> Mapping[str, Field]:
    """Return the definition of each field, by its path with dots."""
    rows = {row.ecs or row.otel: row.type.elastic for row in ROWS}
    types = {**rows, **_BESIDE, **_AGENTS, **_OVERRIDDEN}
    fields = {path: _definition(types[path], product) for path in sorted(types)}
    return {"@timestamp": {"type": "date"}, **fields}


def _definition(kind: str, product: Product) -> Field:
    if product == "opensearch":
        kind = _OPENSEARCH.get(kind, kind)
    if kind == "flattened":
        return {"type": kind, "depth_limit": _DEPTH, "ignore_above": _LONGEST}
    return {"type": kind, "ignore_above": _LONGEST} if kind == "keyword" else {"type": kind}


def mappings(product: Product) -> dict[str, Any]:
    """Return the mappings of the component template.

    Nothing is guessed under the objects that are ours: a number that came first as 1 would make 1.5 unsearchable. A
    field that nobody declared stays in the document and is not indexed. In Elasticsearch the other objects are open,
    because ``ecs@mappings`` gives what agents add its type in ECS; in OpenSearch nothing does, so all are closed.
    """
    root: dict[str, Any] = {"date_detection": False, "properties": {}}
    for path, definition in declared(product).items():
        _place(root["properties"], path.split("."), definition)
    closed = [root] if product == "opensearch" else [root["properties"][name] for name in ("bamboo", "gen_ai")]
    for mapping in closed:
        mapping["dynamic"] = False
    if product == "elasticsearch":
        root["properties"]["@timestamp"]["ignore_malformed"] = False  # a data stream takes no document without a time
    return root


def _place(properties: dict[str, Any], path: list[str], definition: Field) -> None:
    *outer, last = path
    for name in outer:
        properties = properties.setdefault(name, {"properties": {}})["properties"]
    properties[last] = definition
