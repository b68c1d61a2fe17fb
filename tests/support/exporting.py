"""Bodies of exporters: requests in OTLP, as JSON and as protobuf."""

from __future__ import annotations

import json

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

NS = 1_796_034_778_000_000_000
JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
CALL = {"event.name": "api_request", "session.id": "s1", "model": "claude", "input_tokens": "11", "output_tokens": "5"}


def log_record(at=0, body=None, **values):
    """Return a log record at a millisecond; ``__`` in a name stands for a dot."""
    named = {key.replace("__", "."): value for key, value in values.items()}
    record = {
        "timeUnixNano": str(NS + at * 1_000_000),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in named.items()],
    }
    return record if body is None else {**record, "body": {"stringValue": body}}


def call(at=0, **values):
    """Return the log record of a call of Claude Code."""
    return log_record(at, "claude_code.api_request", **{**CALL, **values})


def logs_of(*records, service="claude-code"):
    """Return a request with log records, as JSON."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    scopes = [{"scope": {"name": "scope"}, "logRecords": list(records)}]
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": scopes}]}).encode()


def metrics_of(*names):
    """Return a request with metrics, as JSON."""
    metrics = [{"name": name, "sum": {"dataPoints": [{"asInt": "1", "timeUnixNano": str(NS)}]}} for name in names]
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode()


def as_protobuf(body, request=ExportLogsServiceRequest):
    """Return a request in JSON as protobuf."""
    return ParseDict(json.loads(body), request()).SerializeToString()
