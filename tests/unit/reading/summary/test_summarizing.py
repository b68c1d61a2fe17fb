"""The summary of logs, compared with a recount that needs no DuckDB."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DATA
from support.costing import recount_costs
from support.log_lines import LINES, as_bytes, with_headers
from support.summing import recount
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.format.layouts import ECS, OTEL

USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
ROUND = {
    "event": "chat.round_completed",
    "round_id": "r",
    "session_id": "s",
    "status": "success",
    "latency_ms": 100,
    **USAGE,
}
REQUEST = {
    "event": "forward.request_completed",
    "request_id": "q",
    "status": "success",
    "status_code": 200,
    "latency_ms": 90,
    **USAGE,
}
NO_USAGE = dict.fromkeys(USAGE, 0) | {"usage_source": "missing"}
BYS = [None, "model", "tool", "session"]


def values(row):
    """Return the numbers of a row that a recount has too: all but those of prices."""
    fields = dataclasses.asdict(row)
    for name in ("key", "cost_usd", "priced_calls", "partly_priced"):
        fields.pop(name)
    return fields


_COUNTS = ("rounds", "requests", "tool_calls", "usage_calls")


def compare(summary, lines, by):
    """Compare totals and rows; rows in which nothing is counted do not matter."""
    totals, rows = recount(lines, by)
    assert values(summary.totals) == totals
    cost, priced = recount_costs(lines)
    assert summary.totals.cost_usd == (None if cost is None else pytest.approx(cost, rel=1e-9, abs=1e-12))
    assert summary.totals.priced_calls == priced
    rows = {key: row for key, row in rows.items() if any(row[name] for name in _COUNTS)}
    summed = {row.key: values(row) for row in summary.rows if any(getattr(row, name) for name in _COUNTS)}
    for row in (*rows.values(), *summed.values()):
        row.pop("sessions")
        row.pop("active_sessions", None)
    assert summed == rows


def summed(path, events, by=None, minutes=None, **options):
    """Return the summary of a log with these events."""
    path.write_bytes(as_bytes(with_headers(events, minutes)))
    return blm.summarize(path, by, **options)


@settings(max_examples=30)
@given(events=LINES, by=st.sampled_from(BYS))
def test_random_logs_are_summed_up_as_by_hand(tmp_path_factory, events, by):
    """Every figure of totals and rows equals the recount, whatever a log holds."""
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    lines = with_headers(events)
    path.write_bytes(as_bytes(lines))
    compare(blm.summarize(path, by), lines, by)


@pytest.mark.parametrize("by", BYS)
def test_the_demo_is_summed_up_as_by_hand(tmp_path, by):
    """Every figure over the log of the demo equals the recount, and each call counts once."""
    CliRunner().invoke(cli, ["demo", "--dir", str(tmp_path)])
    summary, lines = blm.summarize(tmp_path / "agent.jsonl", by), flat(tmp_path / "agent.jsonl")
    compare(summary, lines, by)
    assert summary.lines == len(lines)
    rounds = [line for line in lines if line["event"] == "chat.round_completed"]
    assert summary.totals.prompt_tokens == sum(line["prompt_tokens"] for line in rounds)


IMPORTS = {
    "claude-code": [
        "claude-code",
        "newest/claude-code-2.1.39",
        "newest/claude-code-2.1.197",
        "newest/claude-code-2.1.332",
    ],
    "codex": ["codex", "newest/codex"],
    "gemini-cli": ["gemini-cli", "newest/gemini-cli"],
    "mini-swe-agent": ["mini-swe-agent"],
    "opencode": ["newest/opencode"],
    "otlp": ["newest/otlp/*/*-logs.json"],
}


@pytest.mark.skipif(not DATA.exists(), reason="needs the recorded transcripts")
@pytest.mark.parametrize("name", IMPORTS)
def test_imported_transcripts_are_summed_up_as_by_hand(tmp_path, name):
    """Every figure over real transcripts, with the cost, equals the recount."""
    path = tmp_path / "a.jsonl"
    folders = [str(file) for pattern in IMPORTS[name] for file in sorted(DATA.glob(pattern))]
    result = CliRunner().invoke(cli, ["import", name, *folders, "-o", str(path), "--all"])
    assert path.exists(), result.output
    lines = flat(path)
    for by in BYS:
        compare(blm.summarize(path, by), lines, by)
    assert recount(lines)[0]["usage_calls"] > 0


# -- one call is counted once ------------------------------------------------------------

ONCE = {
    "a round with its request": [ROUND, REQUEST | {"round_id": "r", "session_id": "s"}],
    "a request that names its round only": [REQUEST | {"round_id": "r"}, ROUND],
    "a round without usage": [ROUND | NO_USAGE, REQUEST | {"round_id": "r", "session_id": "s"}],
    "a request outside rounds": [REQUEST],
    "a request whose round has no event": [REQUEST | {"round_id": "x", "session_id": "s"}],
    "the incoming side of a proxy": [REQUEST, REQUEST | {"side": "server"}],
    "a request of a proxy beside the client's round": [ROUND, REQUEST | {"client_round_id": "r"}],
    "a request of a proxy alone": [REQUEST | {"client_round_id": "r"}],
    "an attempt that failed before": [
        ROUND,
        *({**REQUEST, "round_id": "r", "session_id": "s", "status": status} for status in ("error", "success")),
    ],
    "usage that is partial": [ROUND | {"usage_source": "partial"}, REQUEST | {"round_id": "r", "session_id": "s"}],
}


@pytest.mark.parametrize("name", ONCE)
@pytest.mark.parametrize("backwards", [False, True])
def test_one_call_is_counted_once(path, name, backwards):
    """The tokens of one call count once, whichever events it has, in whatever order."""
    events = ONCE[name]
    totals = summed(path, events[::-1] if backwards else events).totals
    assert (totals.prompt_tokens, totals.completion_tokens, totals.total_tokens) == (10, 2, 12)
    assert totals.usage_calls == 1
    assert totals.missing_usage == 0


def test_parts_outside_the_usage_are_added(path):
    """An iteration counts its tokens beside its call, with its own model, and is no call."""
    part = ROUND | {
        "round_id": "r:1",
        "iteration": "advisor",
        "parent_round_id": "r",
        "model": "b",
        "latency_source": "missing",
    }
    request = REQUEST | {"round_id": "r", "session_id": "s", "model": "a"}
    copy = request | {"iteration": "advisor", "model": "b"}
    summary = summed(path, [ROUND | {"model": "a"}, part, request, copy], "model")
    assert {row.key: row.prompt_tokens for row in summary.rows} == {"a": 10, "b": 10}
    assert (summary.totals.rounds, summary.totals.requests, summary.totals.calls) == (1, 1, 1)


def test_not_reported_is_not_zero(path):
    """Usage and latencies that were not reported are None, counted, and in no sum; parts that nobody reports are None."""
    totals = summed(path, [ROUND | NO_USAGE | {"latency_source": "missing"}]).totals
    assert totals.prompt_tokens is totals.total_tokens is totals.latency_p50_ms is totals.tokens_per_second is None
    assert totals.missing_usage == totals.rounds == 1
    assert summed(path, [ROUND]).totals.cache_read_tokens is None
    assert summed(path, [ROUND | {"cache_read_tokens": 0}]).totals.cache_read_tokens == 0


def test_errors(path):
    """A failed call is one error, also where both its request and its round failed."""
    within = {"round_id": "r", "session_id": "s"}
    failed = [ROUND | {"status": "error"}, REQUEST | within | {"status": "timeout"}]
    assert (summed(path, failed).totals.errors, summed(path, failed).totals.error_rate) == (1, 1.0)
    assert summed(path, [ROUND, *failed[1:], REQUEST | within]).totals.errors == 1
    assert summed(path, [ROUND | {"status": "cancelled"}]).totals.errors == 0
    assert summed(path, [ROUND | {"status": "failed"}]).totals.errors == 1


def test_layouts_give_the_same_summary(tmp_path):
    """Logs of all layouts have the same numbers."""
    lines = with_headers([ROUND | {"model": "m"}, REQUEST | {"round_id": "r", "session_id": "s", "provider": "openai"}])
    rows = set()
    for name, write in (("a", dict), ("b", ECS.write), ("c", OTEL.write)):
        (tmp_path / name).write_bytes(as_bytes([write(line) for line in lines]))
        rows.add(blm.summarize(tmp_path / name, "model").rows)
    assert len(rows) == 1


# -- keys, times, filters ----------------------------------------------------------------

DIMENSIONS = {
    "agent": "x",
    "project": "p",
    "git_branch": "main",
    "provider": "openai",
    "model": "m",
    "session": "s",
    "round": "r",
}


@pytest.mark.parametrize("by", DIMENSIONS)
def test_keys(path, by):
    """A row has the value of its key; what has none is in a row of its own."""
    bound = {name: value for name, value in DIMENSIONS.items() if name not in {"session", "round"}}
    rows = summed(path, [ROUND | bound, REQUEST], by).rows
    assert {row.key: row.calls for row in rows} == {DIMENSIONS[by]: 1, None: 1}


def test_keys_that_only_some_things_have(path):
    """Tools, servers of tools and endpoints have rows for those alone; the totals have everything."""
    tool = {"event": "chat.tool_called", "tool_call_id": "t", "round_id": "r", "session_id": "s", "latency_ms": 1}
    tools = [
        tool | {"tool_name": "mcp__x__y", "mcp_server": "x", "success": True},
        tool | {"tool_name": "ls", "success": False},
    ]
    started = {"event": "forward.request_started", "request_id": "q", "endpoint": "e", "model": "m", "is_stream": True}
    events = [ROUND, started, REQUEST, *tools]
    assert {row.key: row.tool_errors for row in summed(path, events, "tool").rows} == {"mcp__x__y": 0, "ls": 1}
    assert [row.key for row in summed(path, events, "mcp_server").rows] == ["x"]
    assert {row.key: row.requests for row in summed(path, events, "endpoint").rows} == {"e": 1}
    assert {row.key: row.calls for row in summed(path, events, "status").rows} == {"success": 2, "error": 0}
    assert summed(path, events, "endpoint").totals.rounds == 1


def test_periods(path):
    """Hours, days, weeks and months are those of the time zone."""
    drop = {"event": "system.metrics_dropped", "count": 3, "reason": "queue_full"}
    events, minutes = [ROUND, ROUND, drop], [11 * 60 + 59, 12 * 60, 12 * 60]
    for by, keys in {
        "hour": ["2026-12-01T00:00+01:00", "2026-12-01T01:00+01:00"],
        "day": ["2026-12-01"],
        "week": ["2026-W49"],
        "month": ["2026-12"],
    }.items():
        summary = summed(path, events, by, minutes, tz="Europe/Berlin")
        assert [row.key for row in summary.rows] == keys
        assert summary.rows[-1].dropped == summary.totals.dropped == 3
    assert [row.key for row in summed(path, events, "day", minutes, tz="UTC").rows] == ["2026-11-30", "2026-12-01"]


def test_times_and_filters(path):
    """Only what lies within the times, of the model and of the project counts."""
    events = [ROUND | {"model": name, "project": name.upper(), "round_id": name} for name in "abc"]

    def calls(**options):
        return summed(path, events, tz="UTC", **options).totals.calls

    assert calls(since="2026-11-30T12:02") == 2
    assert calls(until="2026-11-30T12:02Z") == 1
    assert calls(since="2026-11-30T13:02+01:00", until="2026-11-30 12:03") == 1
    assert calls(since=datetime(2026, 11, 30, 12, 3, tzinfo=timezone.utc)) == 1
    assert calls(model="b") == calls(project="B") == 1
    assert calls(model="b'; --") == 0
    assert calls(since="1d") in {0, 3}


def test_comparison_with_the_period_before(path):
    """The period before has the same length, and ends where the other begins."""
    events = [ROUND | {"round_id": str(number), "model": "m"} for number in range(10)]
    summary = summed(
        path, events, "model", since="2026-11-30T12:06", until="2026-11-30T12:08", tz="UTC", compare="previous"
    )
    assert (summary.totals.calls, summary.previous.calls) == (2, 2)
    assert summary.previous_rows["m"].prompt_tokens == 20
    open_ended = summed(path, events, since="2026-11-30T12:09", tz="UTC", compare="previous")
    assert (open_ended.totals.calls, open_ended.previous.calls) == (2, 1)
    assert summed(path, [], since="1h", compare="previous").previous is None


def test_sub_agents_with_their_parents(path):
    """A roll-up counts sub-agents, and theirs, with the session that started them; circles are one."""
    parents = {"s": None, "sub": "s", "subsub": "sub", "x": "y", "y": "x", "a": "y"}
    events = [
        ROUND | {"session_id": name, "round_id": name} | ({"parent_session_id": parent} if parent else {})
        for name, parent in parents.items()
    ]
    summary = summed(path, events, "session", rollup=True)
    assert {row.key: row.rounds for row in summary.rows} == {"s": 3, "x": 3}
    assert summary.totals.sessions == 2
    assert summed(path, events, "session").totals.sessions == 6


def test_active_sessions(path):
    """A session is active if it has not ended and has a line, of whatever kind, in the last 30 minutes of the log."""
    note = {"event": "a text", "plain": True, "session_id": "noted"}
    events = [ROUND | {"session_id": name} for name in ("noted", "idle", "recent", "ended")]
    events += [
        {"event": "chat.session_completed", "session_id": "ended", "status": "completed"},
        note,
        {"event": "x", "plain": True},
    ]
    summary = summed(path, events, "session", [0, 0, 70, 80, 80, 75, 100])
    assert {row.key for row in summary.rows if row.active_sessions} == {"noted", "recent"}
    assert summary.totals.active_sessions == 2


def test_a_session_without_the_name_of_a_model(path):
    """An empty name of a model is none: it has no row of its own."""
    started = {"event": "chat.session_started", "session_id": "s", "model": ""}
    summary = summed(path, [started, ROUND | {"model": "m"}], "model")
    assert [(row.key, row.sessions) for row in summary.rows] == [("m", 1)]


@pytest.mark.parametrize("by", ["project", "agent", "provider"])
def test_an_empty_key(path, by):
    """An empty name and none are one row."""
    summary = summed(path, [ROUND | {"round_id": "a", by: ""}, ROUND | {"round_id": "b"}], by)
    assert [(row.key, row.rounds) for row in summary.rows] == [(None, 2)]


def test_no_period_before_the_first_year(path):
    """A period that would begin before the year 1 is none."""
    assert summed(path, [ROUND], since="1000-01-01", compare="previous").previous is None


def test_an_empty_log(path):
    """A log without lines has zeros, no times and no warnings."""
    summary = summed(path, [])
    assert (summary.totals.calls, summary.lines, summary.first, summary.last) == (0, 0, None, None)
    assert summary.warnings == ()


WRONG = [
    ({"by": "colour"}, "by must be one of session, "),
    ({"since": 5}, "unknown time '5'"),
    ({"since": "soon"}, "unknown time 'soon'"),
    ({"tz": "Mars/Base"}, "unknown time zone 'Mars/Base'"),
    ({"compare": "next", "since": "1d"}, "compare must be 'previous'"),
    ({"compare": "previous"}, "give since"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_arguments(path, options, message):
    """A wrong argument is a ConfigError that names the remedy."""
    with pytest.raises(blm.ConfigError, match=message):
        summed(path, [ROUND], **options)
