"""The types of all fields that an ECS document of this package may have, for Elasticsearch and OpenSearch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bamboo_logmetrics.format.layouts.mapping import OLD_NAMES, ROWS

Product = Literal["elasticsearch", "opensearch"]
Field = dict[str, Any]

# A term of Lucene has at most 32,766 bytes, and a character up to four. A longer text is kept, but not searchable.
_IGNORE_ABOVE = 8191
_DEPTH = 32  # bound values are at most 20 deep, and stand under a key

# fields that the layout ecs derives, besides those of its table
_DERIVED: Mapping[str, str] = {
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

# fields of log shippers that the pipeline keeps, and its own tag on lines that it could not read
_FROM_SHIPPERS: Mapping[str, str] = {
    "agent.ephemeral_id": "keyword",
    "agent.id": "keyword",
    "agent.name": "keyword",
    "agent.type": "keyword",
    "agent.version": "keyword",
    "log.file.path": "keyword",
    "log.offset": "long",
    "tags": "keyword",
}

# ECS 9.4 says nested, which a list of texts does not fit. No event of this package has the field yet.
_OVERRIDDEN: Mapping[str, str] = {"gen_ai.response.finish_reasons": "keyword"}

_OPENSEARCH = {"flattened": "flat_object"}


def declared_fields(product: Product) -> Mapping[str, Field]:
    """Return the definition of each field by its path with dots."""
    rows = {row.ecs or row.otel: row.type.elastic for row in ROWS}
    rows |= {old: rows[new] for old, new in OLD_NAMES.items()}
    types = {**rows, **_DERIVED, **_FROM_SHIPPERS, **_OVERRIDDEN}
    definitions = {path: _definition(types[path], product) for path in sorted(types)}
    return {"@timestamp": {"type": "date"}, **definitions}


def _definition(kind: str, product: Product) -> Field:
    if product == "opensearch":
        kind = _OPENSEARCH.get(kind, kind)
    if kind == "flattened":
        return {"type": kind, "depth_limit": _DEPTH, "ignore_above": _IGNORE_ABOVE}
    return {"type": kind, "ignore_above": _IGNORE_ABOVE} if kind == "keyword" else {"type": kind}


def mappings(product: Product) -> dict[str, Any]:
    """Return the mappings of the component template.

    The server must not guess types under the objects of this package: after a first value of 1 it would not index 1.5.
    An undeclared field stays in the document and is not indexed. In Elasticsearch, the other objects are dynamic:
    ``ecs@mappings`` knows the types of the fields that log shippers add. OpenSearch has no such template, so no object
    is dynamic there.
    """
    root: dict[str, Any] = {"date_detection": False, "properties": {}}
    for path, definition in declared_fields(product).items():
        _insert(root["properties"], path.split("."), definition)
    static = [root] if product == "opensearch" else [root["properties"][name] for name in ("bamboo", "gen_ai")]
    for mapping in static:
        mapping["dynamic"] = False
    if product == "elasticsearch":
        root["properties"]["@timestamp"]["ignore_malformed"] = False  # a data stream refuses a document without a time
    return root


def _insert(properties: dict[str, Any], path: list[str], definition: Field) -> None:
    *outer, last = path
    for name in outer:
        properties = properties.setdefault(name, {"properties": {}})["properties"]
    properties[last] = definition
