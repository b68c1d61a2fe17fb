"""The views over the table ``lines``: ``events``, ``rounds``, ``requests``, ``tools`` and ``sessions``.

Their columns are stable. A count that was not reported is NULL, never 0, and so is a latency that is not known. Each
call's usage counts once: ``counted`` is true for the one row that holds it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from bamboo_logmetrics.reading.query.columns import ALWAYS, COLUMNS, LINE, TOKENS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_USAGE = ", ".join(TOKENS)
_KNOWN_USAGE = "usage_source IS DISTINCT FROM 'missing' AND prompt_tokens IS NOT NULL"
_TOKENS_IF_KNOWN = ", ".join(f"CASE WHEN {_KNOWN_USAGE} THEN {name} END AS {name}" for name in TOKENS)
_LATENCY = "CASE WHEN latency_source IS DISTINCT FROM 'missing' THEN latency_ms END AS latency_ms"
_OF_CALLS = (
    "response_model, response_id, usage_source, service_tier, speed, stop_reason, time_to_first_token_ms, iteration, "
    "parent_round_id, web_searches, cost_usd, cost_usd_estimate, error, error_type"
)
_OF_PLACES = "agent, agent_type, parent_session_id, project, git_branch, writer, seq"

_TYPED = """
    SELECT * REPLACE (CASE WHEN status = 'failed' THEN 'error' ELSE status END AS status)
    FROM events WHERE plain IS DISTINCT FROM true
"""

# one row for each round of a session: its model, whether its own usage is known, and its requests
_ROUND_FACTS = f"""
    SELECT session_id, round_id,
        max(nullif(model, '')) FILTER (event = 'chat.round_completed' AND iteration IS NULL) AS model,
        max(nullif(model, '')) FILTER (event = 'chat.round_started') AS asked_model,
        max(provider) FILTER (event LIKE 'chat.%') AS provider,
        coalesce(bool_or({_KNOWN_USAGE}) FILTER (event = 'chat.round_completed' AND iteration IS NULL), false)
            AS has_usage,
        bool_or(event = 'chat.round_completed' AND iteration IS NULL) AS has_completed,
        count(*) FILTER (event = 'forward.request_completed' AND iteration IS NULL) AS requests,
        count(*) FILTER (event = 'forward.request_completed' AND iteration IS NULL AND status IN ('error', 'timeout'))
            AS failed_requests,
        bool_or({_KNOWN_USAGE}) FILTER (event = 'forward.request_completed') AS requests_have_usage
    FROM placed
    WHERE round_id IS NOT NULL AND side IS DISTINCT FROM 'server'
    GROUP BY session_id, round_id
"""

_CALLS = """
    SELECT * FROM typed WHERE event IN ('chat.round_started', 'chat.round_completed', 'forward.request_completed')
"""

_WITHOUT_SESSION = """
    SELECT count(*) FROM typed WHERE event = 'forward.request_completed' AND session_id IS NULL
        AND coalesce(round_id, client_round_id) IS NOT NULL
"""

# the events of calls; a request that names a round, but no session, belongs to the session of that round
_PLACED = f"""
    SELECT calls.* REPLACE (
        coalesce(calls.session_id, owners.session_id) AS session_id,
        coalesce(calls.round_id, CASE WHEN owners.round_id IS NOT NULL THEN calls.client_round_id END) AS round_id
    )
    FROM ({_CALLS}) AS calls
    LEFT JOIN (
        SELECT round_id, max(session_id) AS session_id FROM typed
        WHERE event IN ('chat.round_started', 'chat.round_completed') GROUP BY round_id
    ) AS owners
    ON event = 'forward.request_completed' AND calls.session_id IS NULL
        AND owners.round_id = coalesce(calls.round_id, calls.client_round_id)
"""

_ROUNDS = f"""
    SELECT timestamp, event_id, trace_id, session_id, round_id, status,
        coalesce(nullif(placed.model, ''), asked_model, response_model) AS model,
        coalesce(placed.provider, round_facts.provider) AS provider,
        {_TOKENS_IF_KNOWN}, {_LATENCY},
        {_OF_CALLS}, calls, {_OF_PLACES},
        coalesce(requests, 0) AS requests,
        coalesce(failed_requests, 0) AS failed_requests,
        {_KNOWN_USAGE} AS counted,
        iteration IS NULL AND NOT coalesce({_KNOWN_USAGE}, false) AND NOT coalesce(requests_have_usage, false)
            AND status IS DISTINCT FROM 'error' AS usage_missing
    FROM placed LEFT JOIN round_facts USING (session_id, round_id)
    WHERE event = 'chat.round_completed'
"""

_REQUESTS = f"""
    SELECT timestamp, event_id, trace_id, session_id, round_id, request_id, started.endpoint, status, status_code,
        coalesce(nullif(placed.model, ''), started.model, response_model) AS model,
        coalesce(placed.provider, round_facts.provider) AS provider,
        {_TOKENS_IF_KNOWN}, {_LATENCY},
        {_OF_CALLS}, attempt, retry_wait_ms, side, client_round_id, {_OF_PLACES},
        {_KNOWN_USAGE} AND side IS DISTINCT FROM 'server' AND NOT coalesce(has_usage, false) AS counted,
        iteration IS NULL AND side IS DISTINCT FROM 'server' AND NOT coalesce(has_completed, false)
            AND NOT coalesce({_KNOWN_USAGE}, false) AND status = 'success' AS usage_missing
    FROM placed
    LEFT JOIN round_facts USING (session_id, round_id)
    LEFT JOIN (
        SELECT request_id, max(endpoint) AS endpoint, max(nullif(model, '')) AS model FROM typed
        WHERE event = 'forward.request_started' GROUP BY request_id
    ) AS started USING (request_id)
    WHERE event = 'forward.request_completed'
"""

_TOOLS = f"""
    SELECT timestamp, event_id, trace_id, session_id, round_id, tool_call_id, tool_name, success,
        coalesce(nullif(typed.model, ''), round_facts.model, asked_model) AS model,
        coalesce(typed.provider, round_facts.provider) AS provider,
        {_LATENCY}, wait_ms, execution_ms, error_type, mcp_server, {_OF_PLACES}
    FROM typed LEFT JOIN round_facts USING (session_id, round_id)
    WHERE event = 'chat.tool_called'
"""

_SESSIONS = """
    SELECT session_id,
        min(timestamp) AS first_at,
        max(timestamp) AS last_at,
        max(status) FILTER (event = 'chat.session_completed') AS status,
        max(model) FILTER (event = 'chat.session_started') AS model,
        max(parent_session_id) AS parent_session_id,
        max(agent) AS agent,
        max(project) AS project,
        max(git_branch) AS git_branch,
        max(message_count) AS message_count,
        count(*) FILTER (event = 'chat.round_completed' AND iteration IS NULL) AS rounds,
        count(*) FILTER (event = 'forward.request_completed' AND iteration IS NULL AND side IS DISTINCT FROM 'server')
            AS requests,
        count(*) FILTER (event = 'chat.tool_called') AS tool_calls,
        NOT bool_or(event = 'chat.session_completed' AND plain IS DISTINCT FROM true)
            AND max(timestamp) >= (SELECT max(timestamp) FROM lines) - INTERVAL 30 MINUTES AS active
    FROM events
    WHERE session_id IS NOT NULL
    GROUP BY session_id
    HAVING bool_or(plain IS DISTINCT FROM true)
"""

_VIEWS = {"rounds": _ROUNDS, "requests": _REQUESTS, "tools": _TOOLS, "sessions": _SESSIONS}


def create_views(connection: DuckDBPyConnection, columns: Collection[str]) -> None:
    """Create the views over the table ``lines``, which has these columns besides those that always are there.

    The other columns are there too, and NULL; ``line`` is there only if it is among these columns.
    """
    loaded = {*ALWAYS, *columns}
    names = [f'"{name}"' if name in loaded else f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in COLUMNS.items()]
    names += [LINE] if LINE in loaded else []
    connection.execute(f"CREATE VIEW events AS SELECT {', '.join(names)} FROM lines")
    connection.execute(f"CREATE VIEW typed AS {_TYPED}")
    without_session = connection.execute(_WITHOUT_SESSION).fetchone() != (0,)
    connection.execute(f"CREATE VIEW placed AS {_PLACED if without_session else _CALLS}")
    connection.execute(f"CREATE TABLE round_facts AS {_ROUND_FACTS}")  # several views use it
    for name, statement in _VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {statement}")
