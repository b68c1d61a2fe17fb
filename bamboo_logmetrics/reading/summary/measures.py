"""The things that are counted, as SQL: the view ``items`` and the expressions of a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.reading.query.columns import TOKENS
from bamboo_logmetrics.reading.summary.result import SummaryRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NUMBERS = (*TOKENS, "latency_ms", "time_to_first_token_ms", "cost_usd", "reported_cost_usd", "web_searches", "count")
_FLAGS = ("whole", "attempt", "failed", "counted", "partial", "usage_missing")
_TEXTS: tuple[str, ...] = (
    "session_id",
    "round_id",
    "model",
    "provider",
    "tool_name",
    "endpoint",
    "status",
    "agent",
    "project",
)
_TEXTS += ("git_branch", "mcp_server", "price_model", "service_tier", "speed", "error_type", "reason")

# the columns that the views need for these measures, whatever the key is
NEEDED = (
    *("source", "session_id", "round_id", "client_round_id", "request_id", "model", "response_model", "provider"),
    *("status", "success", "side", "iteration", "usage_source", "latency_source", "latency_ms", "count", *TOKENS),
    *("time_to_first_token_ms", "cost_usd", "service_tier", "speed", "web_searches"),
)


def _select(source: str, kind: str, **columns: str) -> str:
    """Return one part of the view; a column that is not given is NULL."""
    types = {
        **dict.fromkeys(_TEXTS, "VARCHAR"),
        **dict.fromkeys(_FLAGS, "BOOLEAN"),
        **dict.fromkeys(_NUMBERS, "DOUBLE"),
    }
    types |= dict.fromkeys((*TOKENS, "latency_ms", "count", "web_searches"), "UBIGINT")
    values = (f"CAST({columns.get(name, 'NULL')} AS {sql_type}) AS {name}" for name, sql_type in types.items())
    return f"SELECT '{kind}' AS kind, timestamp, {', '.join(values)} FROM {source}"


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_PLACES = _same("session_id", "agent", "project", "git_branch")
_CALL = _PLACES | _same(
    "round_id", "model", "provider", "status", "latency_ms", "time_to_first_token_ms", "usage_missing"
)
_CALL |= {name: f"CASE WHEN counted THEN {name} END" for name in (*TOKENS, "cost_usd")}
_CALL |= _same("service_tier", "speed", "web_searches") | {"price_model": "coalesce(response_model, model)"}
_CALL |= {"reported_cost_usd": "CASE WHEN counted THEN cost_usd END"}
_CALL |= _same("counted") | {"partial": "counted AND usage_source = 'partial'"}

_REQUEST_ERROR = """coalesce(error_type, CASE
    WHEN status = 'timeout' THEN 'timeout'
    WHEN status_code >= 400 THEN 'HTTP ' || status_code
END)"""

# one row for each thing that is counted
_ITEMS = " UNION ALL ".join(
    (
        _select(
            "rounds",
            "round",
            **_CALL,
            error_type="error_type",
            whole="iteration IS NULL",
            attempt="iteration IS NULL AND requests = 0",
            failed="iteration IS NULL AND status = 'error' AND failed_requests = 0",
        ),
        _select(
            "requests WHERE side IS DISTINCT FROM 'server'",
            "request",
            **_CALL,
            endpoint="endpoint",
            error_type=_REQUEST_ERROR,
            whole="iteration IS NULL",
            attempt="iteration IS NULL",
            failed="iteration IS NULL AND status IN ('error', 'timeout')",
        ),
        _select(
            "tools",
            "tool",
            **_PLACES,
            **_same("round_id", "model", "provider", "tool_name", "mcp_server", "latency_ms", "error_type"),
            status="CASE WHEN success THEN 'success' ELSE 'error' END",
            failed="NOT success",
        ),
        _select(
            "typed WHERE event LIKE 'chat.%' AND event NOT IN ('chat.round_completed', 'chat.tool_called')",
            "other",
            **_PLACES,
            **_same("provider"),
            model="nullif(model, '')",
        ),
        _select(
            "typed WHERE event = 'system.metrics_dropped' AND source IS NULL", "drop", count="count", reason="reason"
        ),
    )
)

# Statements take one kind after the other: all at once, the joins of each would be in memory at the same time.
KINDS_OF_ITEMS = ("round", "request", "tool", "other", "drop")
KINDS_OF_CALLS = ("round", "request")

_QUANTILES: Mapping[str, tuple[str, str, tuple[float, ...]]] = {
    "latency": ("latency_ms", "attempt", (0.5, 0.95, 0.99)),
    "time_to_first_token": ("time_to_first_token_ms", "attempt", (0.5, 0.95)),
    "tool_latency": ("latency_ms", "kind = 'tool'", (0.5, 0.95, 0.99)),
}

# The fields of a row by their SQL over items, without those of sessions and quantiles; a name that begins with "_" is
# a part of one.
MEASURES: Mapping[str, str] = {
    "rounds": "count(*) FILTER (kind = 'round' AND whole)",
    "requests": "count(*) FILTER (kind = 'request' AND whole)",
    "tool_calls": "count(*) FILTER (kind = 'tool')",
    "tool_errors": "count(*) FILTER (kind = 'tool' AND failed)",
    "calls": "count(*) FILTER (attempt)",
    "errors": "count(*) FILTER (kind != 'tool' AND failed)",
    **{name: f"sum({name})" for name in TOKENS},
    "_hits": "sum(cache_read_tokens) FILTER (prompt_tokens IS NOT NULL)",
    "_prompts": "sum(prompt_tokens) FILTER (cache_read_tokens IS NOT NULL)",
    "_timed_tokens": "sum(completion_tokens) FILTER (latency_ms > 0)",
    "_milliseconds": "sum(latency_ms) FILTER (completion_tokens IS NOT NULL AND latency_ms > 0)",
    "cost_usd": "sum(cost_usd)",
    "reported_cost_usd": "sum(reported_cost_usd)",
    "reported_calls": "count(reported_cost_usd)",
    "priced_calls": "count(cost_usd)",
    "partly_priced": "count(*) FILTER (partly_priced)",
    "usage_calls": "count(*) FILTER (counted)",
    "partial_usage": "count(*) FILTER (partial)",
    "missing_usage": "count(*) FILTER (usage_missing)",
    "dropped": "sum(count)",
    "_first": "min(timestamp)",
    "_last": "max(timestamp)",
}
_OF_SESSIONS: Mapping[str, str] = {
    "sessions": "count(DISTINCT session)",
    "active_sessions": "count(DISTINCT session) FILTER (active)",
}


def _total(name: str, sql: str) -> str:
    """Return the SQL over parts of a measure that gives what its own SQL gives over all."""
    function = sql.partition("(")[0]
    if function == "count":
        return f'coalesce(sum("{name}"), 0)'
    return f'{function}("{name}")'


def _quantile_name(name: str, point: float) -> str:
    return f"{name}_p{round(point * 100)}_ms"


_QUANTILE_NAMES = [_quantile_name(name, point) for name, (*_, points) in _QUANTILES.items() for point in points]
_PARTS = dict(MEASURES) | {
    f"_{name}": f"list({column}) FILTER ({condition} AND {column} IS NOT NULL)"
    for name, (column, condition, _) in _QUANTILES.items()
}
_TOTALS = dict(_OF_SESSIONS) | {name: _total(name, sql) for name, sql in MEASURES.items()}
PARTS = ", ".join(f'{sql} AS "{name}"' for name, sql in _PARTS.items())
TOTALS = ", ".join(f'{sql} AS "{name}"' for name, sql in _TOTALS.items())
NAMES = tuple(_TOTALS)


def create_items(connection: DuckDBPyConnection) -> None:
    """Create the view ``items``."""
    connection.execute(f"CREATE VIEW items AS {_ITEMS}")


def find_quantiles(connection: DuckDBPyConnection) -> dict[tuple[str | None, bool], dict[str, float]]:
    """Return the quantiles by key, and True for those of all, from the view ``keyed``.

    Values are counted before they are put in order, so that memory depends on how many different ones there are.
    """
    by_key: dict[tuple[str | None, bool], dict[str, float]] = defaultdict(dict)
    for name, (_, _, points) in _QUANTILES.items():
        values = ", ".join(f"min(value) FILTER (upto >= ceil({point} * lines))" for point in points)
        rows = connection.execute(f"""
            WITH counted AS (
                SELECT key, value, count(*) AS lines FROM (SELECT key, unnest(_{name}) AS value FROM keyed) GROUP BY ALL
            )
            SELECT key, is_total, {values} FROM (
                SELECT key, is_total, value, sum(lines) OVER (PARTITION BY is_total, key) AS lines,
                    sum(lines) OVER (PARTITION BY is_total, key ORDER BY value) AS upto
                FROM (
                    SELECT key, false AS is_total, value, lines FROM counted
                    UNION ALL SELECT NULL, true, value, sum(lines) FROM counted GROUP BY value
                )
            ) GROUP BY key, is_total
        """).fetchall()
        names = [_quantile_name(name, point) for point in points]
        for key, is_total, *quantiles in rows:
            by_key[key, is_total] |= zip(names, quantiles, strict=True)
    return by_key


def make_row(key: str | None, values: Mapping[str, Any], quantiles: Mapping[str, float]) -> SummaryRow:
    """Return a row of the values of :data:`TOTALS`, and of quantiles that are known."""
    fields = {name: values[name] for name in NAMES if not name.startswith("_")}
    fields |= {name: quantiles.get(name) for name in _QUANTILE_NAMES}
    fields |= {
        name: None if (cost := values[name]) is None else float(cost) for name in ("cost_usd", "reported_cost_usd")
    }
    return SummaryRow(
        key=key,
        error_rate=_ratio(values["errors"], values["calls"]),
        cache_hit_ratio=_ratio(values["_hits"], values["_prompts"]),
        tokens_per_second=_ratio(values["_timed_tokens"], values["_milliseconds"], 1000),
        **fields,
    )


def _ratio(part: int | None, whole: int | None, factor: int = 1) -> float | None:
    return None if part is None or not whole else factor * part / whole
