"""The columns that are read from lines: the header, the fields of events, and the well-known bound names.

Names are those of the line. A value of another type than that of its column is NULL, and changes no other value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bamboo_logmetrics.format.header import MAX_SEQ

_TEXT, _COUNT, _NUMBER, _BOOL = "VARCHAR", "UBIGINT", "DOUBLE", "BOOLEAN"


def _typed(sql_type: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), sql_type)


HEADER: Mapping[str, str] = {
    "timestamp": "TIMESTAMP",  # UTC
    "level": _TEXT,
    "event": _TEXT,
    "v": _COUNT,
    "writer": _TEXT,
    "seq": _COUNT,
    "plain": _BOOL,
}

ALWAYS = ("timestamp", "event", "writer", "seq", "plain")  # that are loaded whatever is asked for

CHECKED = ("v",)  # what ``VALID`` needs beside them
# the header of a line that ``verify`` counts, once it is loaded
NUMBERED = f"event IS NOT NULL AND regexp_full_match(writer, '[0-9a-f]{{20}}') AND seq BETWEEN 1 AND {MAX_SEQ}"
# before it is loaded: its time is one that logs write, and that Python has too, in every zone
VALID = (
    f"v = 1 AND {NUMBERED} AND timestamp LIKE '____-__-__T__:__:__.______Z' "
    "AND NOT contains(timestamp, ' ') AND NOT contains(timestamp, 'T24') AND "
    "TRY_CAST(timestamp AS TIMESTAMP) BETWEEN TIMESTAMP '0001-01-03 00:00:00' AND TIMESTAMP '9999-12-29 00:00:00'"
)

# Numbers that are bound: unlike those of an event, they may be of any type, and are read as JSON.
_BOUND: Mapping[str, str] = {
    **_typed(_COUNT, "attempt calls web_searches web_fetches"),
    **_typed(_NUMBER, "time_to_first_token_ms retry_wait_ms turn_duration_ms wait_ms execution_ms"),
    **_typed(_NUMBER, "billed_input_tokens billed_output_tokens cost_usd cost_usd_estimate"),
}
_FORMS: Mapping[str, str] = {_COUNT: "[0-9]+", _NUMBER: "[-0-9].*"}  # of the JSON of a number

# every column of the view "events", by name: its type in SQL
COLUMNS: Mapping[str, str] = {
    **HEADER,
    **_typed(_TEXT, "source event_id trace_id session_id round_id tool_call_id tool_name request_id"),
    **_typed(_TEXT, "model response_model provider endpoint status error error_type reason event_type"),
    **_typed(_COUNT, "status_code prompt_tokens completion_tokens total_tokens cache_read_tokens cache_write_tokens"),
    **_typed(_COUNT, "cache_write_1h_tokens reasoning_tokens latency_ms message_count count total"),
    **_typed(_BOOL, "is_stream success"),
    **_typed(_TEXT, "usage_source latency_source round_source stream_end stop_reason iteration side"),
    **_typed(_TEXT, "response_id provider_request_id service_tier speed fallback_from"),
    **_BOUND,
    **_typed(
        _TEXT,
        "agent agent_type parent_session_id parent_tool_call_id parent_round_id forked_from turn_id session_source",
    ),
    **_typed(_TEXT, "client_round_id project git_branch mcp_server skill plugin entrypoint client_version"),
}

LINE = "line"  # the column of the whole line as JSON, in the native layout; it is loaded only where it is asked for

# parts of the usage, as they are summed
TOKENS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
)


def types_of(names: Iterable[str]) -> dict[str, str]:
    """Return the types as which columns are read."""
    return {name: "JSON" if name in _BOUND else _TEXT if name == "timestamp" else COLUMNS[name] for name in names}


def struct_of(names: Iterable[str]) -> str:
    """Return the argument ``columns`` of ``read_json`` for some columns; all are names of this module, never input."""
    return "{" + ", ".join(f"'{name}': '{sql_type}'" for name, sql_type in types_of(names).items()) + "}"


def value_of(name: str) -> str:
    """Return the value of a column that was read, in SQL.

    A time is in UTC, without a zone. An infinite number, as of 1e400, is NULL, for it would spoil every sum.
    """
    if name == "timestamp":
        return f'TRY_CAST("{name}" AS TIMESTAMP) AS "{name}"'
    if name not in _BOUND:
        return f'"{name}"'
    value = f'TRY_CAST("{name}" AS {COLUMNS[name]})'
    finite = f" AND isfinite({value})" if COLUMNS[name] == _NUMBER else ""
    return f"""CASE WHEN regexp_full_match("{name}", '{_FORMS[COLUMNS[name]]}'){finite} THEN {value} END AS "{name}" """
