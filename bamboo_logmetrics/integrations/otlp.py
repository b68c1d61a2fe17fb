"""The native keys under OpenTelemetry's names, as statements for the collector: by the table of the layouts."""

from __future__ import annotations

from collections.abc import Iterator

from bamboo_logmetrics.format.layouts import mapping, semconv
from bamboo_logmetrics.format.layouts.mapping import EVERYWHERE, ONLY_IN, FieldMapping

_CHECKS = {
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
    """Give the statements that make attributes of a line in the cache; what they took is not left there."""
    yield from _derived()
    yield f'set(log.trace_id.string, log.cache["trace_id"]) where {_TRACE_ID}'
    yield f'delete_key(log.cache, "trace_id") where {_TRACE_ID}'
    for row in EVERYWHERE:
        yield from _moved(row, "")
    for kind, rows in ONLY_IN.items():
        for row in rows:
            yield from _moved(row, f" and {_is(kind)}")


def _moved(row: FieldMapping, condition: str) -> Iterator[str]:
    source = f'log.cache["{row.key}"]'
    where = _CHECKS[row.type].format(source) + condition
    yield f'set(log.attributes["{row.otel}"], {source}) where {where}'
    yield f'delete_key(log.cache, "{row.key}") where {where}'


def _is(kind: str) -> str:
    return f'log.event_name == "bamboo.{kind}"'


def _derived() -> Iterator[str]:
    """Give what follows from the event, as ``derived`` has it."""
    for kind, facts in semconv.KIND_SEMANTICS.items():
        if facts.operation:
            yield f'set(log.attributes["gen_ai.operation.name"], "{facts.operation}") where {_is(kind)}'
    yield from _api()
    yield (
        'set(log.attributes["gen_ai.request.stream"], true) '
        f'where {_is("forward.request_started")} and log.cache["is_stream"] == true'
    )
    failures = [status for status, outcome in semconv.OUTCOMES.items() if outcome == "failure"]
    failed = f'IsMatch(log.cache["status"], "^({"|".join(failures)})$$")'
    for kind in ("chat.session_completed", "chat.round_completed", "forward.request_completed"):
        yield f'set(log.attributes["error.type"], log.cache["status"]) where {_is(kind)} and {failed}'
    yield (
        'set(log.attributes["error.type"], String(log.cache["status_code"])) '
        f'where {_is("forward.request_completed")} and {failed} and log.cache["status_code"] >= 400'
    )
    yield (
        f'set(log.attributes["error.type"], "{semconv.OTHER}") '
        f'where {_is("chat.tool_called")} and log.cache["success"] == false'
    )


def _api() -> Iterator[str]:
    """Give what the endpoint of a request says."""
    for end, api in semconv.ENDPOINT_SEMANTICS.items():
        pattern = end.removeprefix(".").replace(".", "[./]")
        where = (
            'where IsMatch(log.event_name, "^bamboo.forward.request_") and '
            f'IsString(log.cache["endpoint"]) and IsMatch(log.cache["endpoint"], "(^|[./]){pattern}/*([?]|$$)")'
        )
        yield f'set(log.attributes["gen_ai.operation.name"], "{api.operation}") {where}'
        if api.openai:
            yield f'set(log.attributes["openai.api.type"], "{api.openai}") {where}'
