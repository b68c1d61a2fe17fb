"""Statements of the collector that rename the native keys to OpenTelemetry's names, made from the mapping table."""

from __future__ import annotations

from collections.abc import Iterator

from bamboo_logmetrics.format.layouts import mapping, otel, semconv
from bamboo_logmetrics.format.layouts.mapping import ALL_LINES, ONLY_IN, USAGE_WITHIN_ROUND, FieldMapping
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
    mapping.NUMBER: "(IsInt({0}) or IsDouble({0}))",
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
    for row in ALL_LINES:
        yield from _move(row, "")
    yield from _usage_within_round()
    for kind, rows in ONLY_IN.items():
        for row in rows:
            yield from _move(row, f" and {_is(kind)}")


def _move(row: FieldMapping, condition: str) -> Iterator[str]:
    source = f'log.cache["{row.key}"]'
    where = _CONDITIONS[row.type].format(source) + condition
    yield f'set(log.attributes["{row.otel}"], {source}) where {where}'
    yield f'delete_key(log.cache, "{row.key}") where {where}'


def _usage_within_round() -> Iterator[str]:
    """Yield statements for the usage of a request, which is counted with its round if it is within one."""
    where = f'where {_is("forward.request_completed")} and log.attributes["bamboo.round.id"] != ""'
    for name, within in USAGE_WITHIN_ROUND.items():
        condition = f'{where} and log.attributes["bamboo.round.id"] != nil and log.attributes["{name}"] != nil'
        yield f'set(log.attributes["{within}"], log.attributes["{name}"]) {condition}'
        yield f'delete_key(log.attributes, "{name}") {condition}'


def _is(kind: str) -> str:
    return f'log.event_name == "{otel.EVENT}{kind}"'


def _derived() -> Iterator[str]:
    """Yield statements for the values that ``semconv`` derives from an event."""
    for kind, semantics in semconv.KIND_SEMANTICS.items():
        if semantics.operation:
            yield f'set(log.attributes["gen_ai.operation.name"], "{semantics.operation}") where {_is(kind)}'
    gemini = "|".join(semconv.GEMINI).replace(".", "[.]")
    for kind in semconv.ROUNDS:
        yield (
            f'set(log.attributes["gen_ai.operation.name"], "{semconv.GENERATE_CONTENT}") '
            f'where {_is(kind)} and IsString(log.cache["provider"]) and IsMatch(log.cache["provider"], "^({gemini})$$")'
        )
    yield from _endpoints()
    yield from _response()
    yield (
        'set(log.attributes["gen_ai.request.stream"], true) '
        f'where {_is("forward.request_started")} and log.cache["is_stream"] == true'
    )
    failures = [status for status, outcome in semconv.OUTCOMES.items() if outcome == "failure"]
    failed = f'IsMatch(log.cache["status"], "^({"|".join(failures)})$$")'
    typed = 'IsString(log.cache["error_type"]) and log.cache["error_type"] != ""'
    for kind in semconv.WITH_STATUS:
        yield f'set(log.attributes["error.type"], log.cache["status"]) where {_is(kind)} and {failed}'
        yield f'set(log.attributes["error.type"], log.cache["error_type"]) where {_is(kind)} and {failed} and {typed}'
    yield (
        'set(log.attributes["error.type"], String(log.cache["status_code"])) '
        f"where {_is('forward.request_completed')} and {failed} "
        f'and log.cache["status_code"] >= {semconv.LEAST_ERROR_CODE}'
    )
    yield (
        f'set(log.attributes["error.type"], "{semconv.OTHER}") '
        f'where {_is("chat.tool_called")} and log.cache["success"] == false'
    )
    yield (
        'set(log.attributes["error.type"], log.cache["error_type"]) '
        f'where {_is("chat.tool_called")} and log.cache["success"] == false and {typed}'
    )


def _response() -> Iterator[str]:
    """Yield statements for the values that follow from bound values of a completed call."""
    first, reason = 'log.cache["time_to_first_token_ms"]', 'log.cache["stop_reason"]'
    for kind in semconv.WITH_USAGE:
        for is_number, value in ((f"IsInt({first})", f"Double({first})"), (f"IsDouble({first})", first)):
            yield (
                f'set(log.attributes["gen_ai.response.time_to_first_chunk"], {value} / 1000.0) '
                f"where {_is(kind)} and {is_number}"
            )
        yield (
            f'set(log.attributes["gen_ai.response.finish_reasons"], [{reason}]) '
            f'where {_is(kind)} and IsString({reason}) and {reason} != ""'
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
