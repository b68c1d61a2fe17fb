"""The ingest pipeline: lines of any layout become ECS documents in the server.

What decides is a script with the layouts' table as its parameters, so that there is one truth about what stands where.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from bamboo_logmetrics.format.fields import HEADER
from bamboo_logmetrics.format.layouts import mapping, otel, semconv
from bamboo_logmetrics.format.layouts.ecs import DATASET, ECS_VERSION
from bamboo_logmetrics.format.layouts.mapping import FieldMapping, Type
from bamboo_logmetrics.integrations.elastic_mapping import Product

BROKEN = "bamboo_unreadable"  # the tag of what is no line

_LINE = "bamboo_logmetrics_line"  # holds the line between two processors

# Documents of the layout ecs are left as they are, and by no script.
_NOT_ECS = "!(ctx['@timestamp'] != null && ctx.bamboo instanceof Map && ctx.bamboo.v != null)"
_NO_ID = "ctx._id == null && ctx.bamboo instanceof Map && ctx.bamboo.writer != null && ctx.bamboo.seq != null"

# what the script calls the types
_CHECKS: dict[Type, str] = {
    mapping.KEYWORD: "text",
    mapping.KEYWORDS: "texts",
    mapping.TEXT: "text",
    mapping.TRACE: "text",
    mapping.LONG: "long",
    mapping.INTEGER: "integer",
    mapping.CODE: "code",
    mapping.MILLIS: "millis",
    mapping.BOOL: "boolean",
    mapping.TIME: "time",
    mapping.OBJECT: "object",
}

# what Elasticsearch and OpenSearch keep beside a document's own fields
_METADATA = [
    "_id", "_index", "_routing", "_type", "_version", "_version_type",
    "_if_seq_no", "_if_primary_term", "_dynamic_templates", "_op_type",
]  # fmt: skip

# objects that Filebeat, Elastic Agent and Logstash put beside the keys of a line that they parsed
_AGENTS = [
    "@timestamp", "@version", "agent", "cloud", "container", "data_stream", "docker", "ecs", "elastic_agent", "host",
    "input", "kubernetes", "log", "orchestrator", "service",
]  # fmt: skip


def pipeline(description: str, product: Product) -> dict[str, Any]:
    """Return the body of the pipeline."""
    common = {"metadata": _METADATA, "ecs_version": ECS_VERSION, "dataset": DATASET}
    # OpenSearch copies a document for each script, and its copying refuses what is no long
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
            {"script": _script("broken", common | {"tag": BROKEN})},
            {"set": {"field": "error.message", "value": "{{{_ingest.on_failure_message}}}"}},
            {"set": {"field": "@timestamp", "value": "{{{_ingest.timestamp}}}", "override": False}},
        ],
    }


def _script(name: str, params: dict[str, Any]) -> dict[str, Any]:
    source = (resources.files("bamboo_logmetrics.integrations") / f"{name}.painless").read_text(encoding="utf-8")
    return {"lang": "painless", "source": source, "params": params}


def _table() -> dict[str, Any]:
    """Return what the script has to know of the layouts."""
    rows = {kind: _rows(found) for kind, found in mapping.ONLY_IN.items()}
    return {
        "agents": _AGENTS,
        "times": "uuuu-MM-dd'T'HH:mm:ss.SSSSSS'Z'",
        "header": list(HEADER[:3]),
        "everywhere": _rows(mapping.EVERYWHERE),
        "only_in": rows,
        "otel": {
            "keys": {row.otel: row.key for row in mapping.ROWS},
            "event": otel.EVENT,
            "bound": otel.BOUND,
            "timestamp": otel.TIMESTAMP,
        },
        "facts": {kind: _known(facts._asdict()) for kind, facts in semconv.KIND_SEMANTICS.items()},
        "metrics": sorted(semconv.METRICS),
        "with_status": [kind for kind, found in rows.items() if "status" in found],
        "outcomes": dict(semconv.OUTCOMES),
        "apis": [[end, api.operation] for end, api in semconv.ENDPOINT_SEMANTICS.items()],
        "other": semconv.OTHER,
        "least_error_code": semconv.LEAST_ERROR_CODE,
    }


def _rows(rows: tuple[FieldMapping, ...]) -> dict[str, Any]:
    return {
        row.key: {"path": (row.ecs or row.otel).split("."), "type": _CHECKS[row.type], "factor": row.factor}
        for row in rows
    }


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
