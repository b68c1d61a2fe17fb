"""The data of the report page: equal to the summary, and to a recount that needs no DuckDB."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from support.log_lines import LINES, as_bytes, with_headers
from support.pages import added_up, rows_of
from support.summing import recount
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.format.layouts import ECS, OTEL
from bamboo_logmetrics.reading.report.collecting import collect
from bamboo_logmetrics.reading.report.rendering import render

ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 100,
    "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12,
}  # fmt: skip
REQUEST = {
    "event": "forward.request_completed", "request_id": "q", "status": "success", "status_code": 200, "latency_ms": 90,
}  # fmt: skip
TOOL = {
    "event": "chat.tool_called", "round_id": "r", "session_id": "s", "tool_call_id": "t", "tool_name": "ls",
    "latency_ms": 5, "success": True,
}  # fmt: skip
PRICES = {"cost_usd", "priced_calls", "partly_priced"}  # of which there is no recount
STOP = {"event": "system.worker_stopped", "emitted": 1, "written": 1, "dropped": {}}


def page_of(path, events, minutes=None, **options):
    """Return the data of the page of a log with these events, as a browser reads it."""
    path.write_bytes(as_bytes(with_headers(events, minutes)))
    return json.loads(json.dumps(collect(path, tz="UTC", **options).page))


def check(data, totals, **names):
    """Check that sums over the columns are those of a recount, and as many latencies as calls with one."""
    sums = added_up(data, **names)
    assert sums == {name: totals[name] for name in sums}


def compare(data, lines):
    """Compare a page with the recount: its totals, and the sums over its columns, by model too."""
    totals, rows = recount(lines, "model")
    assert {name: value for name, value in data["totals"].items() if name not in PRICES} == totals
    check(data, totals)
    unnamed = [row for key, row in rows.items() if not key]
    for key, row in rows.items():
        if key:
            check(data, row, model=key)
        elif len(unnamed) == 1:
            check(data, row, model="")
    sessions = rows_of(data["sessions"])
    assert len(sessions) == totals["sessions"]
    assert sum(row["active"] for row in sessions) == totals["active_sessions"]
    errors = rows_of(data["errors"])
    assert sum(row["count"] for row in errors if row["kind"] in {"round", "request"}) == totals["errors"]
    assert sum(row["count"] for row in errors if row["kind"] == "tool") == totals["tool_errors"]
    assert sum(data["drops"]["count"]) == totals["dropped"]


@settings(max_examples=15)
@given(events=LINES)
def test_random_logs_are_as_counted_by_hand(tmp_path_factory, events):
    """Totals and columns of the page equal the recount, whatever a log holds."""
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    data = page_of(path, events)
    compare(data, with_headers(events))
    totals = dataclasses.asdict(blm.summarize(path).totals)
    assert data["totals"] == {name: value for name, value in totals.items() if name != "key"}


def test_the_demo_is_as_counted_by_hand(tmp_path):
    """Totals and columns of the page of the demo's log equal the recount, and no line is missing."""
    CliRunner().invoke(cli, ["demo", "--dir", str(tmp_path)])
    data = collect(tmp_path / "agent.jsonl", tz="UTC").page
    compare(data, flat(tmp_path / "agent.jsonl"))
    assert data["covers"]["lines"] == len(flat(tmp_path / "agent.jsonl"))
    assert data["covers"]["verify"]["ok"]
    assert not data["covers"]["verify"]["complete"]  # it drops events
    assert "dropped before being written" in data["covers"]["verify"]["text"]


def test_histograms_hold_each_latency_once(path):
    """The attempts in the histogram are those that the quantiles of the totals are over, each between two edges."""
    within = {"round_id": "r", "session_id": "s"}
    events = [ROUND, REQUEST | within, ROUND | {"round_id": "x", "latency_ms": 0}, TOOL | {"latency_ms": 10**12}]
    data = page_of(path, [*events, REQUEST | {"latency_source": "missing"}])
    edges = data["latency_edges_ms"]
    assert edges == sorted(set(edges))
    assert edges[0] == 0

    def pairs(columns, name):
        histogram = [number for row in columns[name] for number in row]
        return sorted(zip(histogram[::2], histogram[1::2], strict=True))

    assert pairs(data["calls"], "attempt_latency") == [(0, 1), (edges.index(70), 1)]
    assert pairs(data["calls"], "round_latency") == [(0, 1), (edges.index(100), 1)]
    assert pairs(data["calls"], "request_latency") == [(edges.index(70), 1)]
    assert pairs(data["tool_calls"], "latency") == [(len(edges) - 1, 1)]


def test_layouts_give_the_same_page(tmp_path):
    """Logs of all layouts have the same figures."""
    lines = with_headers([ROUND | {"model": "m"}, REQUEST | {"round_id": "r", "session_id": "s"}, TOOL, STOP])
    pages = []
    for name, write in (("a", dict), ("b", ECS.write), ("c", OTEL.write)):
        (tmp_path / name).write_bytes(as_bytes([write(line) for line in lines]))
        page = collect(tmp_path / name, tz="UTC").page
        pages.append({key: page[key] for key in page if key not in {"covers", "generated_at"}})
    assert pages[0] == pages[1] == pages[2]
    assert sum(pages[0]["calls"]["calls"]) == 1


EDGE_CASES = {
    "nothing": [],
    "no calls": [{"event": "hello", "plain": True}, STOP],
    "one event": [ROUND],
    "a start alone": [{"event": "chat.session_started", "session_id": "s", "model": "m"}],
    "drops alone": [{"event": "system.metrics_dropped", "count": 3, "reason": "queue_full"}],
}


@pytest.mark.parametrize("name", EDGE_CASES)
def test_logs_with_little_in_them(path, name):
    """A log with nothing to count has a page too, which equals the recount."""
    data = page_of(path, EDGE_CASES[name])
    compare(data, with_headers(EDGE_CASES[name]))
    assert (data["covers"]["first"] is None) == (name in {"nothing", "no calls"})


def test_filters(path):
    """A filter of the command leaves what the summary with that filter counts, and the page names it."""
    events = [ROUND | {"model": "a", "project": "p"}, ROUND | {"model": "b", "round_id": "x"}, TOOL, ROUND]
    page_of(path, events)
    for options in ({"model": "a"}, {"project": "p"}, {"since": "2026-11-30T12:03Z"}, {"until": "2026-11-30T12:03Z"}):
        data = collect(path, tz="UTC", **options).page
        totals = dataclasses.asdict(blm.summarize(path, **options).totals)
        assert data["totals"] == {name: value for name, value in totals.items() if name != "key"}
        sums = added_up(data)
        assert sums == {name: totals[name] for name in sums}
        ((name, value),) = options.items()
        assert data["covers"][name] in {value, int(datetime(2026, 11, 30, 12, 3, tzinfo=timezone.utc).timestamp())}


def test_three_years_in_a_zone_with_summer_time(path):
    """A log over three years has steps that begin at midnight of the zone, and each change of its offset."""
    minutes = [number * 60 * 30 for number in range(876)]  # every 30 hours
    path.write_bytes(as_bytes(with_headers([ROUND] * len(minutes), minutes)))
    data = collect(path, tz="Europe/Berlin").page
    assert data["bucket_s"] == 86_400
    assert sum(data["calls"]["rounds"]) == 876
    berlin = ZoneInfo("Europe/Berlin")
    assert {datetime.fromtimestamp(s, berlin).strftime("%H:%M:%S") for s in data["calls"]["bucket"]} == {"00:00:00"}
    assert data["calls"]["bucket"] == sorted(set(data["calls"]["bucket"]))
    assert [offset for _, offset in data["offset_s"]] == [3600, 7200] * 3 + [3600]
    change = datetime.fromtimestamp(data["offset_s"][1][0], timezone.utc)
    assert (change.month, change.hour, change.minute, change.weekday()) == (3, 1, 0, 6)


def test_many_names_stay_within_bounds(path):
    """Beyond what a dictionary holds names share an entry; every call is still counted."""
    events = [
        ROUND | {"model": f"m-{n}", "project": f"p-{n}", "agent": f"a-{n}", "round_id": str(n)} for n in range(100)
    ]
    data = page_of(path, events)
    assert data["models"][-2:] == ["(60 others)", ""]
    assert data["agents"][-2] == "(80 others)"
    assert sum(data["calls"]["rounds"]) == 100
    assert added_up(data, model="(60 others)")["rounds"] == 60


def test_standard_input_is_read_twice(path):
    """The page of standard input has both the figures and the result of verify, and stdin is as before."""
    path.write_bytes(as_bytes(with_headers([ROUND, STOP])))
    file = os.open(path, os.O_RDONLY)
    before = os.dup(0)
    try:
        os.dup2(file, 0)
        data = collect("-").page
        assert os.path.sameopenfile(0, file)
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(file)
    assert data["covers"]["verify"]["problems"] == []
    assert data["covers"]["files"] == ["-"]
    assert data["totals"]["rounds"] == 1


def test_progress_goes_over_both_readings(path):
    """The progress rises from the first reading to the end of the second."""
    path.write_bytes(as_bytes(with_headers([ROUND])))
    seen = []
    collect(path, on_progress=lambda done, total: seen.append(done / total))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.5, 1.0)


SECRETS = {
    "session_id": "s-acme-secret", "project": "acme-secret", "agent": "acme-agent", "git_branch": "acme/branch",
    "mcp_server": "acme-mcp", "error_type": "AcmeError", "error": "acme said no", "provider": "gateway.acme.example",
}  # fmt: skip


OWNED_MODELS = [
    "openai/ft:gpt-4o:acme:support:Ab1",
    "bedrock/arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4",
    "accounts/acme/models/llama-v3p1-8b",
    "projects/acme/locations/us-central1/publishers/google/models/gemini-2.5-pro",
    "/home/acme/models/Llama-3.3-70B-Instruct.gguf",
    "azure/acme-gpt-4o",
    "https://llm.acme.example/v1/gpt-4",
]


def test_anonymous(tmp_path):
    """No name of the log is on an anonymous page, the names of models are, and two pages share no hash."""
    path = tmp_path / "acme.jsonl"
    ends = {"event": "chat.session_completed", "status": "error"} | SECRETS
    events = [
        ROUND | SECRETS | {"model": "gpt-5"},
        REQUEST | SECRETS | {"status": "error", "model": "ft:gpt-5:acme::1"},
        TOOL | SECRETS | {"tool_name": "acme_tool", "success": False},
        TOOL | SECRETS | {"tool_name": "Grep"},
        *(ROUND | {"round_id": name, "model": name} for name in OWNED_MODELS),
        {"event": "forward.request_started", "request_id": "q", "endpoint": "/acme/v1", "model": "x"},
        {
            "event": "chat.session_started",
            "session_id": "child",
            "model": "gpt-5",
            "parent_session_id": "s-acme-secret",
        },
        {"event": "system.metrics_dropped", "count": 1, "reason": "acme"},
        ends,
    ]
    lines = with_headers(events)
    lines[3]["seq"] = 90  # a gap, so that verify names the file
    path.write_bytes(as_bytes(lines) + b"acme\n")
    prices = tmp_path / "acme-prices.toml"
    prices.write_text('[[price]]\nmodel = "gpt-5"\ninput = 1\noutput = 2\n')
    first, second = (collect(path, anonymous=True, project="acme-secret").page for _ in range(2))
    whole = collect(path, anonymous=True, model="ft:gpt-5:acme::1", prices=prices).page
    assert not re.search(rb"acme|123456789012", render(whole, "T"), re.IGNORECASE)
    assert whole["covers"]["prices_version"].startswith("a file of prices")
    page = render(collect(path, anonymous=True, prices=prices).page, "T")
    assert not re.search(rb"acme|123456789012", page, re.IGNORECASE)
    text = json.dumps(first)
    assert "acme" not in text.lower()
    assert {"gpt-5", "Grep"} <= set(first["models"]) | set(first["tools"])
    assert first["projects"][0].startswith("project-")
    assert first["sessions"]["id"][0].startswith("session-")
    assert first["sessions"]["id"] != second["sessions"]["id"]
    assert set(first["timelines"]) <= set(first["sessions"]["id"])
    assert first["covers"]["verify"]["problems"]
    named = collect(path).page
    assert first["totals"] == collect(path, project="acme-secret").page["totals"]
    assert "acme" in json.dumps(named)


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    "\u2028\u2029",
    "\u202eevil",
    'x"; DROP TABLE lines; --',
    "é" * 10_000,
]


def test_hostile_names(path):
    """Any name is a name, and a long one is cut to one that still differs from others."""
    events = [ROUND | {"model": n, "project": n, "agent": n, "session_id": n, "round_id": n} for n in HOSTILE]
    events += [TOOL | {"tool_name": n, "error_type": n, "session_id": n, "success": False} for n in HOSTILE]
    events += [ROUND | {"session_id": "é" * 10_001}]
    data = page_of(path, events)
    compare(
        {**data, "models": [name if len(name) < 120 else "é" * 10_000 for name in data["models"]]}, with_headers(events)
    )
    assert len(set(data["sessions"]["id"])) == 7
    assert max(map(len, data["sessions"]["id"])) == 120
    assert set(data["timelines"]) == set(data["sessions"]["id"])
