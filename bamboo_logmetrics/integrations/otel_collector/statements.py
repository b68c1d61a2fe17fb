"""Statements of the collector that rename the native keys to OpenTelemetry's names, made from the mapping table."""

from __future__ import annotations

from collections.abc import Iterator

from bamboo_logmetrics.format.layouts import mapping, otel, semconv
from bamboo_logmetrics.format.layouts.mapping import EVERYWHERE, ONLY_IN, FieldMapping
from bamboo_logmetrics.usage import providers

_CONDITIONS = {
    mapping.KEYWORD: "IsString({0})",
    mapping.TEXT: "IsString({0})",
    mapping.TRACE: "IsString({0})",
    mapping.TIME: "IsString({0})",
    mapping.LONG: "IsInt({0})",
    mapping.INTEGER: "IsInt({0})",
    mapping.MILLIS: "IsInt({0}) and {0} >= 0",
    mapping.CODE: "IsInt({0}) and {0} > 0",
    mapping.BOOL: "IsBool({0})",
    mapping.KEYWORDS: "IsList({0})",
    mapping.OBJECT: "IsMap({0})",
}
_TRACE_ID = (
    'IsMatch(log.cache["trace_id"], "^[0-9a-fA-F]{32}$$") and not IsMatch(log.cache["trace_id"], "^0+$$")'  # $$ is a $
)


def statements() -> Iterator[str]:
    """Yield the statements. They move the keys of a line from the collector's cache to attributes."""
    yield from _derived()
    yield f'set(log.trace_id.string, log.cache["trace_id"]) where {_TRACE_ID}'
    yield f'delete_key(log.cache, "trace_id") where {_TRACE_ID}'
    for row in EVERYWHERE:
        yield from _move(row, "")
    for kind, rows in ONLY_IN.items():
        for row in rows:
            yield from _move(row, f" and {_is(kind)}")


def _move(row: FieldMapping, condition: str) -> Iterator[str]:
    source = f'log.cache["{row.key}"]'
    where = _CONDITIONS[row.type].format(source) + condition
    yield f'set(log.attributes["{row.otel}"], {source}) where {where}'
    yield f'delete_key(log.cache, "{row.key}") where {where}'


def _is(kind: str) -> str:
    return f'log.event_name == "{otel.EVENT}{kind}"'


def _derived() -> Iterator[str]:
    """Yield statements for the values that ``semconv`` derives from an event."""
    for kind, semantics in semconv.KIND_SEMANTICS.items():
        if semantics.operation:
            yield f'set(log.attributes["gen_ai.operation.name"], "{semantics.operation}") where {_is(kind)}'
    yield from _endpoints()
    yield (
        'set(log.attributes["gen_ai.request.stream"], true) '
        f'where {_is("forward.request_started")} and log.cache["is_stream"] == true'
    )
    failures = [status for status, outcome in semconv.OUTCOMES.items() if outcome == "failure"]
    failed = f'IsMatch(log.cache["status"], "^({"|".join(failures)})$$")'
    for kind in semconv.WITH_STATUS:
        yield f'set(log.attributes["error.type"], log.cache["status"]) where {_is(kind)} and {failed}'
    yield (
        'set(log.attributes["error.type"], String(log.cache["status_code"])) '
        f"where {_is('forward.request_completed')} and {failed} "
        f'and log.cache["status_code"] >= {semconv.LEAST_ERROR_CODE}'
    )
    yield (
        f'set(log.attributes["error.type"], "{semconv.OTHER}") '
        f'where {_is("chat.tool_called")} and log.cache["success"] == false'
    )


def _endpoints() -> Iterator[str]:
    """Yield statements for the values that depend on the endpoint of a request."""
    for end, endpoint in providers.ENDPOINT_SEMANTICS.items():
        pattern = end.removeprefix(".").replace(".", "[./]")
        where = (
            'where IsMatch(log.event_name, "^bamboo.forward.request_") and '
            f'IsString(log.cache["endpoint"]) and IsMatch(log.cache["endpoint"], "(^|[./]){pattern}/*([?]|$$)")'
        )
        yield f'set(log.attributes["gen_ai.operation.name"], "{endpoint.operation}") {where}'
        if endpoint.openai:
            yield f'set(log.attributes["openai.api.type"], "{endpoint.openai}") {where}'
