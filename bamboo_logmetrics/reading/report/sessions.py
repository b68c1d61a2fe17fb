"""The sessions of a report page: a row for each, and the rounds, requests and tool calls of some.

A page has room for a part of a large log's. The most expensive and the latest sessions come first.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.reading.report.figures import Columns, Figures
from bamboo_logmetrics.reading.report.names import ShownNames
from bamboo_logmetrics.reading.summary.measures import MEASURES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Span = list[Any]

MAX_SESSIONS = 2_000
_MAX_CHOSEN = 1_700  # the rest is for the parents of these
_MAX_DEPTH = 10  # levels of sub-agents
_MAX_SPANS, _MAX_OF_SESSION = 60_000, 2_000
_MAX_BYTES = 1_200_000  # of all spans as JSON

_SUMS = ("rounds", "requests", "tool_calls", "errors", "tool_errors", "total_tokens", "cost_usd")
_EVENTS = {"chat.session_started": "session started", "chat.session_completed": "session completed"}
_SPAN_KINDS = {"round": "r", "request": "q", "tool": "t", "event": "e"}
_ORDER = "rqte"  # of spans that start together

_CREATE = f"""
    CREATE TABLE session_rows AS SELECT *, least(
        row_number() OVER (ORDER BY cost_usd DESC NULLS LAST, last DESC, session_id),
        row_number() OVER (ORDER BY total_tokens DESC NULLS LAST, last DESC, session_id),
        row_number() OVER (ORDER BY last DESC, session_id)
    ) AS weight
    FROM (
        SELECT session_id, CAST(floor(epoch(min(timestamp))) AS BIGINT) AS first,
            CAST(floor(epoch(max(timestamp))) AS BIGINT) AS last,
            coalesce(mode(model_rank) FILTER (kind IN ('round', 'request')), min(model_rank)) AS model,
            min(project_rank) AS project, min(agent_rank) AS agent,
            {", ".join(f"{MEASURES[name]} AS {name}" for name in _SUMS)},
            count(*) FILTER (kind IN ('round', 'request', 'tool')) AS spans
        FROM ranked WHERE kind != 'drop' AND session_id IS NOT NULL GROUP BY session_id
    )
    LEFT JOIN (
        SELECT session_id, status, parent_session_id AS parent, active FROM sessions
    ) USING (session_id)
    LEFT JOIN (SELECT session_id, count(*) AS events FROM session_events GROUP BY session_id) USING (session_id)
"""
_EVENTS_TABLE = """
    CREATE TABLE session_events AS
    SELECT timestamp, session_id, event, status, error_type, model, project FROM typed
    WHERE event IN ('chat.session_started', 'chat.session_completed') AND session_id IS NOT NULL AND ({where})
"""
_SPANS = f"""
    SELECT * FROM (
        SELECT session_id, kind, epoch_ms(timestamp), latency_ms,
            coalesce(CASE kind WHEN 'tool' THEN tool_name ELSE endpoint END, '') AS label,
            coalesce(status, ''), round_id, total_tokens, cost_usd, model_rank
        FROM ranked SEMI JOIN shown_sessions USING (session_id) WHERE kind IN ('round', 'request', 'tool')
        UNION ALL
        SELECT session_id, 'event', epoch_ms(timestamp), NULL, event, coalesce(status, ''), NULL, NULL, NULL, NULL
        FROM session_events SEMI JOIN shown_sessions USING (session_id)
    ) AS spans(session_id, kind, moment, latency_ms, label, status, round_id, total_tokens, cost_usd, model_rank)
    QUALIFY row_number() OVER (PARTITION BY session_id ORDER BY moment, kind) <= {_MAX_OF_SESSION}
    ORDER BY session_id, moment, kind
"""


class Sessions:
    """The sessions over the table ``ranked``.

    Args:
        connection: has the table ``ranked`` and the views of lines.
        figures: the figures, whose dictionaries are used.
        names: the names as the page shows them.
        where: the condition on what counts, in SQL.
        values: its parameters.

    Attributes:
        more: the number of sessions that are left out.
    """

    def __init__(
        self, connection: DuckDBPyConnection, figures: Figures, names: ShownNames, where: str, values: Mapping[str, Any]
    ) -> None:
        self._connection = connection
        self._figures = figures
        self._names = names
        connection.execute(_EVENTS_TABLE.format(where=where), values)
        connection.execute(_CREATE)
        self._rows = self._choose()
        self.more = connection.table("session_rows").shape[0] - len(self._rows)

    def columns(self) -> Columns:
        """Return a row for each session, the first one first; ``parent`` is the place of its parent."""
        rows = sorted(self._rows.values(), key=lambda row: (row["first"], row["session_id"]))
        places = {row["session_id"]: place for place, row in enumerate(rows)}
        columns: Columns = {"id": [self._names.show("session", row["session_id"]) for row in rows]}
        for name in ("project", "agent", "model"):
            columns[name] = [self._figures.index(name, row[name]) for row in rows]
        for name in ("first", "last", *_SUMS):
            columns[name] = [row[name] for row in rows]
        columns["cost_usd"] = [None if cost is None else round(float(cost), 9) for cost in columns["cost_usd"]]
        columns["status"] = [self._status(row) for row in rows]
        columns["active"] = [bool(row["active"]) for row in rows]
        columns["sub_agent"] = [row["parent"] is not None for row in rows]
        columns["parent"] = [_other(places.get(row["parent"]), places[row["session_id"]]) for row in rows]
        columns["spans"] = [row["spans"] + (row["events"] or 0) for row in rows]
        return columns

    def timelines(self) -> tuple[dict[str, list[Span]], dict[str, int]]:
        """Return the spans of sessions, as far as there is room, and the second in which each session starts."""
        self._connection.execute("CREATE TABLE shown_sessions (session_id VARCHAR)")
        shown = list(self._within_limits())
        self._connection.execute("INSERT INTO shown_sessions SELECT unnest($ids)", {"ids": shown})
        spans: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for session, *span in self._connection.execute(_SPANS).fetchall():
            spans[session].append(tuple(span))
        timelines: dict[str, list[Span]] = {}
        starts: dict[str, int] = {}
        size = 0
        for session in shown:
            start, timeline = self._timeline(spans.pop(session, []))
            size += len(json.dumps(timeline))
            if size > _MAX_BYTES:
                break
            name = self._names.show("session", session)
            timelines[name], starts[name] = timeline, start
        return timelines, starts

    def failed(self) -> Iterator[tuple[int, int | None, int | None, str]]:
        """Give each session that ended with an error: the second, the ranks of model and project, the type."""
        yield from self._connection.execute("""
            SELECT CAST(floor(epoch(timestamp)) AS BIGINT), model_names.rank, project_names.rank,
                coalesce(error_type, '')
            FROM session_events
            LEFT JOIN model_names ON model_names.name = model LEFT JOIN project_names ON project_names.name = project
            WHERE event = 'chat.session_completed' AND status = 'error' ORDER BY ALL
        """).fetchall()

    # -- inside --------------------------------------------------------------------------

    def _choose(self) -> dict[str, dict[str, Any]]:
        """Return the rows that the page shows, by id: the heaviest first, then the parents of these."""
        rows = self._fetch("WHERE true ORDER BY weight, session_id", _MAX_CHOSEN)
        for _ in range(_MAX_DEPTH):
            missing = {row["parent"] for row in rows.values()} - {None, *rows}
            room = MAX_SESSIONS - len(rows)
            if not missing or not room:
                break
            parents = self._fetch("WHERE session_id IN (SELECT unnest($ids)) ORDER BY weight", room, list(missing))
            if not parents:
                break
            rows |= parents
        return rows

    def _fetch(self, which: str, most: int, ids: list[str] | None = None) -> dict[str, dict[str, Any]]:
        values = {} if ids is None else {"ids": ids}
        cursor = self._connection.execute(f"SELECT * FROM session_rows {which} LIMIT {most}", values)
        names = [column[0] for column in cursor.description]
        rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
        return {row["session_id"]: row for row in rows}

    def _status(self, row: Mapping[str, Any]) -> str:
        if row["status"] is None:
            return "running" if row["active"] else ""
        return self._names.show("status", row["status"])

    def _within_limits(self) -> Iterator[str]:
        """Give the sessions whose spans there is room for: the heaviest, each with its sub-agents behind it."""
        children: dict[str | None, list[str]] = defaultdict(list)
        for name, row in self._rows.items():
            children[row["parent"]].append(name)
        left, seen = _MAX_SPANS, set[str]()
        for root in self._rows:
            waiting = [root]
            while waiting:
                name = waiting.pop()
                if name in seen:
                    continue
                seen.add(name)
                left -= min(self._rows[name]["spans"] + (self._rows[name]["events"] or 0), _MAX_OF_SESSION)
                if left < 0:
                    return
                yield name
                waiting += children[name]

    def _timeline(self, rows: Sequence[tuple[Any, ...]]) -> tuple[int, list[Span]]:
        """Return the first second and the spans of a session in the order of their starts."""
        spans = sorted(
            (
                (at - (latency or 0), _ORDER.index(_SPAN_KINDS[kind]), kind, latency, *others)
                for kind, at, latency, *others in rows
            ),
            key=lambda span: span[:2],
        )
        start = spans[0][0] // 1000 if spans else 0
        rounds: dict[str, str] = {}
        for _, _, kind, _, _, _, round_id, *_ in spans:
            if round_id is not None and kind != "event":
                rounds.setdefault(round_id, f"round {len(rounds) + 1}")
        models = self._figures.dictionaries["model"]
        timeline: list[Span] = []
        for begin, _, kind, latency, label, status, round_id, tokens, cost, model in spans:
            name = rounds.get(round_id)
            timeline.append(
                [
                    *(_SPAN_KINDS[kind], begin - start * 1000, latency, self._label(kind, label, name)),
                    *(
                        self._names.show("status", status),
                        name,
                        tokens,
                        None if cost is None else round(float(cost), 9),
                    ),
                    None if model is None else models[self._figures.index("model", model)],
                ]
            )
        return start, timeline

    def _label(self, kind: str, label: str, round_name: str | None) -> str:
        if kind == "round":
            return round_name or "round"
        if kind == "event":
            return _EVENTS[label]
        return self._names.show("tool" if kind == "tool" else "endpoint", label) or kind


def _other(parent: int | None, own: int) -> int | None:
    """Return the place of a parent; None for a session that names itself."""
    return None if parent == own else parent
