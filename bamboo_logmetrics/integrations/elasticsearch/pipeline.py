"""The ingest pipeline, which turns lines of any layout into ECS documents in the server.

Its scripts get the layouts' mapping table as parameters, so that the table stays the only place that says which key
becomes which field.
"""

from __future__ import annotations

from typing import Any

from bamboo_logmetrics.format.fields import HEADER
from bamboo_logmetrics.format.layouts import mapping, otel, semconv
from bamboo_logmetrics.format.layouts.ecs import DATASET, ECS_VERSION
from bamboo_logmetrics.format.layouts.mapping import FieldMapping, Type
from bamboo_logmetrics.integrations.base import read_text
from bamboo_logmetrics.integrations.elasticsearch.mapping import Product
from bamboo_logmetrics.usage import providers

UNREADABLE_TAG = "bamboo_unreadable"

_LINE = "bamboo_logmetrics_line"  # the field that holds the line between two processors

# A document of the layout ecs is left unchanged.
_NOT_ECS = "!(ctx['@timestamp'] != null && ctx.bamboo instanceof Map && ctx.bamboo.v != null)"
_NO_ID = "ctx._id == null && ctx.bamboo instanceof Map && ctx.bamboo.writer != null && ctx.bamboo.seq != null"

# the types of the table by their names in the script
_TYPES: dict[Type, str] = {
    mapping.KEYWORD: "text",
    mapping.KEYWORDS: "texts",
    mapping.TEXT: "text",
    mapping.TRACE: "text",
    mapping.LONG: "long",
    mapping.INTEGER: "integer",
    mapping.CODE: "code",
    mapping.NUMBER: "number",
    mapping.MILLIS: "millis",
    mapping.BOOL: "boolean",
    mapping.TIME: "time",
    mapping.OBJECT: "object",
}

# names that the server keeps in the context besides the fields of the document
_METADATA = [
    "_id", "_index", "_routing", "_type", "_version", "_version_type",
    "_if_seq_no", "_if_primary_term", "_dynamic_templates", "_op_type",
]  # fmt: skip

# objects that Filebeat, Elastic Agent and Logstash add to the keys of a line that they have parsed
_SHIPPER_OBJECTS = [
    "@timestamp", "@version", "agent", "cloud", "container", "data_stream", "docker", "ecs", "elastic_agent", "host",
    "input", "kubernetes", "log", "orchestrator", "service",
]  # fmt: skip


def pipeline(description: str, product: Product) -> dict[str, Any]:
    """Return the body of the request that creates the pipeline."""
    common = {"metadata": _METADATA, "ecs_version": ECS_VERSION, "dataset": DATASET}
    # OpenSearch copies the document for each script, and cannot copy an integer beyond 64 bits
    finding = {"line": _LINE, "quote": product == "opensearch"}
    return {
        "description": description,
        "processors": [
            {"script": _script("find_text", finding) | {"if": _NOT_ECS}},
            {"json": {"field": _LINE, "if": f"ctx.{_LINE} != null"}},
            {"script": _script("to_ecs", common | {"line": _LINE} | _table()) | {"if": _NOT_ECS}},
            {"set": {"field": "_id", "value": "{{{bamboo.writer}}}-{{{bamboo.seq}}}", "if": _NO_ID}},
        ],
        "on_failure": [
            {"remove": {"field": _LINE, "ignore_missing": True}},
            {"script": _script("mark_unreadable", common | {"tag": UNREADABLE_TAG})},
            {"set": {"field": "error.message", "value": "{{{_ingest.on_failure_message}}}"}},
            {"set": {"field": "@timestamp", "value": "{{{_ingest.timestamp}}}", "override": False}},
        ],
    }


def _script(name: str, params: dict[str, Any]) -> dict[str, Any]:
    source = read_text("bamboo_logmetrics.integrations.elasticsearch", f"{name}.painless")
    return {"lang": "painless", "source": source, "params": params}


def _table() -> dict[str, Any]:
    """Return the parameters that describe the layouts."""
    return {
        "shipper_objects": _SHIPPER_OBJECTS,
        "times": "uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'",
        "header": list(HEADER[:3]),
        "everywhere": _rows(mapping.ALL_LINES),
        "only_in": {kind: _rows(rows) for kind, rows in mapping.ONLY_IN.items()},
        "otel": {
            "keys": otel.KEYS,
            "event": otel.EVENT,
            "bound": otel.BOUND,
            "timestamp": otel.TIMESTAMP,
        },
        "kinds": {kind: _without_none(semantics._asdict()) for kind, semantics in semconv.KIND_SEMANTICS.items()},
        "rounds": list(semconv.ROUNDS),
        "gemini": list(semconv.GEMINI),
        "generate_content": semconv.GENERATE_CONTENT,
        "metrics": sorted(semconv.METRICS),
        "with_status": list(semconv.WITH_STATUS),
        "outcomes": dict(semconv.OUTCOMES),
        "operations": [[end, endpoint.operation] for end, endpoint in providers.ENDPOINT_SEMANTICS.items()],
        "other": semconv.OTHER,
        "least_error_code": semconv.LEAST_ERROR_CODE,
    }


def _rows(rows: tuple[FieldMapping, ...]) -> dict[str, Any]:
    return {
        row.key: {"path": (row.ecs or row.otel).split("."), "type": _TYPES[row.type], "factor": row.factor}
        for row in rows
    }


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
