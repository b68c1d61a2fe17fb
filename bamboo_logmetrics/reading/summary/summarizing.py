"""Summarizing logs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, get_args

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import AnyPath
from bamboo_logmetrics.reading.query.connection import close_outside, with_connection
from bamboo_logmetrics.reading.query.loading import Loaded, Progress, load
from bamboo_logmetrics.reading.query.times import check_order, find_time
from bamboo_logmetrics.reading.query.views import create_views
from bamboo_logmetrics.reading.summary.measures import (
    KINDS_OF_ITEMS,
    NAMES,
    NEEDED,
    PARTS,
    TOTALS,
    create_items,
    find_quantiles,
    make_row,
)
from bamboo_logmetrics.reading.summary.periods import LOCAL, PERIODS, create_periods, find_zone, zone_text
from bamboo_logmetrics.reading.summary.price_files import read_price_file
from bamboo_logmetrics.reading.summary.prices import create_costs
from bamboo_logmetrics.reading.summary.rates import PriceSource
from bamboo_logmetrics.reading.summary.result import By, Summary, SummaryRow
from bamboo_logmetrics.reading.summary.summary_warnings import find_warnings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# the columns of "items" by key, where they have another name
_KEYS: Mapping[str, str] = {
    "round": "round_id",
    "tool": "tool_name",
    **dict.fromkeys(PERIODS, "period"),
}
_OWN_ROWS = {"tool", "mcp_server", "endpoint"}  # keys that other things do not have
# what is loaded for keys besides
_LOADED_FOR: Mapping[str, str] = {"tool": "tool_name"} | {
    name: name for name in ("agent", "endpoint", "git_branch", "mcp_server", "project")
}
_CONDITIONS: Mapping[str, str] = {
    "since": "timestamp >= $since",
    "until": "timestamp < $until",
    "model": "model = $model",
    "project": "project = $project",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of the lines that counts; times in UTC."""

    since: datetime | None
    until: datetime | None
    model: str | None
    project: str | None

    def condition(self) -> tuple[str, dict[str, Any]]:
        """Return the condition on the columns of ``items`` in SQL, and the values of its parameters."""
        values = {
            "since": _naive(self.since),
            "until": _naive(self.until),
            "model": self.model,
            "project": self.project,
        }
        used = {name: value for name, value in values.items() if value is not None}
        return " AND ".join(_CONDITIONS[name] for name in used) or "true", used

    def previous(self, last: datetime | None) -> Selection | None:
        """Return the period before, of the same length; None without an end, as where there is no line."""
        until = self.until or last
        if self.since is None or until is None:
            return None
        try:
            return Selection(self.since - (until - self.since), self.since, self.model, self.project)
        except OverflowError:  # before the year 1
            return None


def summarize(
    paths: AnyPath | Iterable[AnyPath],
    by: By | None = None,
    *,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    model: str | None = None,
    project: str | None = None,
    compare: str | None = None,
    tz: str = LOCAL,
    rollup: bool = False,
    prices: str | os.PathLike[str] | None = None,
    on_progress: Progress | None = None,
) -> Summary:
    """Sum up logs: sessions, calls, errors, tokens, latencies, drops. Each call's tokens count once.

    Args:
        paths: logs, rotated files (each stands for its log) or patterns, as for ``verify``; ``"-"`` is standard input.
        by: the key of the rows; None for totals alone.
        since: the first time that counts: a datetime, ISO 8601, ``"2h"`` (ago), ``"yesterday"``.
        until: the first time that does not count any more.
        model: counts this model only.
        project: counts this project only.
        compare: ``"previous"`` to sum up the period before ``since`` as well, of the same length.
        tz: the time zone of periods and of times without an offset; ``"local"`` is this machine's.
        rollup: True to count sub-agents with the session that started them.
        prices: a file of prices, in TOML or LiteLLM's JSON, that come before those of genai-prices.
        on_progress: is called with the bytes read so far and in all, in another thread.

    Raises FileNotFoundError for a path or pattern that names nothing, and ConfigError for a wrong argument, a path
    that is not a regular file, or a package that is not installed.
    """
    _check(by, compare, since)
    own_prices = None if prices is None else read_price_file(prices)
    wanted = select(since, until, model, project, tz)
    columns = [_LOADED_FOR[by]] if by is not None and by in _LOADED_FOR else []
    columns += ["project"] if project is not None else []
    columns += ["parent_session_id"] if rollup else []

    def work(connection: DuckDBPyConnection, folder: str) -> Summary:
        loaded = load_items(connection, folder, paths, columns=columns, on_progress=on_progress)
        return sum_up(
            connection, loaded, wanted, by=by, compare=compare is not None, tz=tz, rollup=rollup, prices=own_prices
        )

    return with_connection(work)


def select(
    since: datetime | str | None, until: datetime | str | None, model: str | None, project: str | None, tz: str
) -> Selection:
    """Return the part of the lines that arguments of :func:`summarize` name. Raises ConfigError for a wrong one."""
    zone, now = find_zone(tz), datetime.now(timezone.utc)
    begin = None if since is None else find_time(since, zone, now)
    end = None if until is None else find_time(until, zone, now)
    check_order(begin, end)
    return Selection(begin, end, model, project)


def load_items(
    connection: DuckDBPyConnection,
    folder: str,
    paths: AnyPath | Iterable[AnyPath],
    *,
    columns: Iterable[str],
    on_progress: Progress | None,
) -> Loaded:
    """Load logs, and create the views of lines and the view ``items``.

    Args:
        connection: an empty database, which loses all access to files.
        folder: a directory for temporary files.
        paths: as of :func:`summarize`.
        columns: those to load besides what sums need.
        on_progress: as of :func:`summarize`.
    """
    needed = (*NEEDED, *columns)
    loaded = load(connection, folder, paths, columns=needed, on_progress=on_progress)
    close_outside(connection)
    create_views(connection, needed)
    create_items(connection)
    return loaded


def sum_up(
    connection: DuckDBPyConnection,
    loaded: Loaded,
    wanted: Selection,
    *,
    by: By | None = None,
    compare: bool = False,
    tz: str = LOCAL,
    rollup: bool = False,
    prices: PriceSource | None = None,
) -> Summary:
    """Return the summary of loaded logs, and leave the view ``costed``; arguments as of :func:`summarize`."""
    zone = find_zone(tz)
    used_prices = create_costs(connection, prices)
    _create_roots(connection, rollup=rollup)
    if by in PERIODS:
        create_periods(connection, str(by), zone)
    rows, totals, (first, last) = _sum(connection, wanted, by)
    earlier = wanted.previous(_last(connection)) if compare else None
    before = _sum(connection, earlier, by) if earlier else None
    return Summary(
        by=by,
        rows=tuple(rows),
        totals=totals,
        warnings=find_warnings(connection, loaded, totals, used_prices),
        files=tuple(loaded.files),
        lines=connection.table("lines").shape[0],
        first=first,
        last=last,
        since=wanted.since,
        until=wanted.until,
        tz=zone_text(tz),
        zone=zone,
        prices=used_prices,
        previous=before[1] if before else None,
        previous_rows={row.key: row for row in before[0]} if before else None,
    )


def _check(by: str | None, compare: str | None, since: object) -> None:
    if by is not None and by not in get_args(By):
        msg = f"by must be one of {', '.join(get_args(By))}; got {by!r:.80}"
        raise ConfigError(msg)
    if compare not in {None, "previous"}:
        msg = f"compare must be 'previous'; got {compare!r:.80}"
        raise ConfigError(msg)
    if compare and since is None:
        msg = "a comparison with the period before needs its begin: give since, such as 7d"
        raise ConfigError(msg)


def _create_roots(connection: DuckDBPyConnection, *, rollup: bool) -> None:
    """Create the table of sessions that count as another one, and that of active sessions."""
    parents: dict[str, str] = {}
    if rollup:
        rows = connection.execute(
            "SELECT session_id, parent_session_id FROM sessions WHERE parent_session_id IS NOT NULL"
        )
        parents = dict(rows.fetchall())
    connection.execute("CREATE TABLE roots (session_id VARCHAR, root VARCHAR)")
    if parents:
        roots = {session: _root(session, parents) for session in parents}
        values = {"sessions": list(roots), "roots": list(roots.values())}
        connection.execute("INSERT INTO roots SELECT unnest($sessions), unnest($roots)", values)
    connection.execute("CREATE TABLE active_sessions AS SELECT session_id FROM sessions WHERE active")


def _root(session: str, parents: Mapping[str, str]) -> str:
    """Return the session that a sub-agent belongs to in the end; in a circle, the first of it by name."""
    way = {session: None}  # in order
    while (parent := parents.get(session)) is not None:
        if parent in way:
            return min([*way][[*way].index(parent) :])
        way[session := parent] = None
    return session


def _sum(
    connection: DuckDBPyConnection, wanted: Selection, by: str | None
) -> tuple[list[SummaryRow], SummaryRow, tuple[datetime | None, datetime | None]]:
    """Return the rows, the totals, and the times of the first and last line."""
    _create_parts(connection, wanted, by)
    rows: list[SummaryRow] = []
    totals, span = None, (None, None)
    quantiles = find_quantiles(connection)
    group, sets = ("key, grouping(key) = 1", "(key), ()") if by else ("NULL, true", "()")
    cursor = connection.execute(f"SELECT {group}, {TOTALS} FROM keyed GROUP BY GROUPING SETS ({sets})")
    for key, is_total, *numbers in cursor.fetchall():
        named = dict(zip(NAMES, numbers, strict=True))
        row = make_row(key, named, quantiles[key, is_total])
        if is_total:
            totals = replace(row, dropped=row.dropped or 0)
            span = (_aware(named["_first"]), _aware(named["_last"]))
        elif key is not None or (by not in _OWN_ROWS and row.rounds + row.requests + row.tool_calls + row.usage_calls):
            rows.append(row if by in PERIODS else replace(row, dropped=None))
    assert totals is not None
    rows.sort(key=_by_key if by in PERIODS else _greatest_first)
    return rows, totals, span


def _create_parts(connection: DuckDBPyConnection, wanted: Selection, by: str | None) -> None:
    """Create the table ``parts``, the sums of the items of each kind by session and key, and the view ``keyed``."""
    key = "NULL" if by in {None, "session"} else f"nullif({_KEYS.get(str(by), by)}, '')"
    periods = ", periods.key AS period" if by in PERIODS else ""
    join = "LEFT JOIN periods ON quarter = time_bucket(INTERVAL 15 MINUTES, timestamp)" if by in PERIODS else ""
    where, values = wanted.condition()
    statement = f"""
        SELECT {key} AS key, session_id, {PARTS}
        FROM (SELECT costed.*{periods} FROM costed {join} WHERE {where} AND kind = $kind)
        GROUP BY ALL
    """
    for kind in KINDS_OF_ITEMS:
        begin = "CREATE OR REPLACE TABLE parts AS" if kind == KINDS_OF_ITEMS[0] else "INSERT INTO parts"
        connection.execute(f"{begin} {statement}", values | {"kind": kind})
    connection.execute(f"""
        CREATE OR REPLACE VIEW keyed AS SELECT * REPLACE ({"session" if by == "session" else "key"} AS key) FROM (
            SELECT parts.*, coalesce(root, parts.session_id) AS session,
                active_sessions.session_id IS NOT NULL AS active
            FROM parts
            LEFT JOIN roots ON roots.session_id = parts.session_id
            LEFT JOIN active_sessions ON active_sessions.session_id = parts.session_id
        )
    """)


def _by_key(row: SummaryRow) -> tuple[bool, str]:
    return row.key is None, row.key or ""


def _greatest_first(row: SummaryRow) -> tuple[int, int, int, bool, str]:
    return -(row.total_tokens or 0), -row.calls, -row.tool_calls, *_by_key(row)


def _last(connection: DuckDBPyConnection) -> datetime | None:
    (last,) = connection.execute("SELECT max(timestamp) FROM lines").fetchall()[0]
    return None if last is None else _aware(last) + timedelta(microseconds=1)


def _naive(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=None)


def _aware(time: Any) -> Any:
    return None if time is None else time.replace(tzinfo=timezone.utc)
