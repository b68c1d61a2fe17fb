"""The queries of dashboard and alerts: in LogQL's grammar, and equal to a recount of a log of the demo, panel by panel."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import yaml
from support import ROOT
from support.logql import evaluate, select
from support.loki_server import LokiServer
from support.programs import ENVIRONMENT
from support.stub_server import StubServer
from support.tools import flat

from bamboo_logmetrics.integrations import grafana
from bamboo_logmetrics.ship import Shipper

GRAMMAR = "@grafana/lezer-logql@0.4.2"  # Apache-2.0
SECONDS = 24 * 3_600

BOARD = json.loads(grafana.dashboard())
PANELS = {f"{panel['title']} ({panel['type']})": panel for panel in BOARD["panels"] if panel.get("targets")}
ALERTS = [rule["data"][0]["model"]["expr"] for rule in yaml.safe_load(grafana.alerts())["groups"][0]["rules"]]


def filled(query):
    """Return a query as Grafana sends it, for all services and environments, and a day."""
    query = query.replace("$service_name", ".+").replace("$env", ".*")
    return re.sub(r"\[\$__(auto|range)\]", "[24h]", query)


QUERIES = [filled(target["expr"]) for panel in PANELS.values() for target in panel["targets"]] + ALERTS


# -- the grammar -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def errors_in():
    """Return a function of queries: where the grammar finds the first error of each, or None."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node or no npm, for the grammar of LogQL")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    folder = cache / "bamboo-logmetrics-servers" / GRAMMAR.rpartition("/")[2]
    if not (folder / "node_modules" / "@grafana").exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = [
            "npm",
            "install",
            "--no-save",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
        ]
        done = subprocess.run([*install, GRAMMAR], capture_output=True, text=True, timeout=90)
        if done.returncode:
            pytest.skip(f"{GRAMMAR} cannot be installed: {done.stderr.strip().splitlines()[-1]}")

    def found(queries):
        done = subprocess.run(
            ["node", str(ROOT / "tests/support/lezer.js")],
            input=json.dumps(queries),
            capture_output=True,
            text=True,
            env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout)

    return found


def test_the_queries_are_logql(errors_in):
    """LogQL's grammar finds no error in any query, and finds those that are planted."""
    wrong = ['sum(count_over_time({a="b"} |= `x` [1h])', 'sum by (a) {a="b"}', "{a=b}", '{a="b"} | json x=`y` | unwrap']
    *found, first, second, third, _ = errors_in([*QUERIES, *wrong])
    assert found == [None] * len(QUERIES)
    assert None not in (first, second, third)


# -- the recount -----------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import bamboo_logmetrics as blm
log = blm.open_log(sys.argv[1])
log.emit(blm.SessionStarted(session_id="s", model="m"))
log.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Give the lines of a log of the demo and of a writer that was killed, and the entries of a Loki that has them."""
    path = tmp_path_factory.mktemp("demo") / "agent.jsonl"
    run = [sys.executable, "-m", "bamboo_logmetrics", "demo", "--dir", str(path.parent)]
    subprocess.run(run, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True, timeout=60)
    subprocess.run([sys.executable, "-c", KILLED, str(path)], env=ENVIRONMENT, check=False, timeout=60)
    with StubServer() as stub:
        loki = LokiServer().install(stub)
        Shipper(path, to="loki", url=stub.url, service="demo", env="compose").run()
    return flat(path), list(loki.kept.values())


def counted(lines, kind, *keys, **wanted):
    """Count the lines of a kind by the values of keys."""
    found = [
        line
        for line in lines
        if line["event"] == kind and all(line.get(name) == value for name, value in wanted.items())
    ]
    return by(Counter(values_of(line, keys) for line in found), keys)


def summed(lines, kind, number, *keys):
    """Add up a number of the lines of a kind by the values of keys."""
    sums = Counter()
    for line in lines:
        if line["event"] == kind and number in line:
            sums[values_of(line, keys)] += line[number]
    return by(sums, keys)


def a_minute(lines, kind, number, *keys):
    return {labels: pytest.approx(value * 60 / SECONDS) for labels, value in summed(lines, kind, number, *keys).items()}


def quantile(percent, kind, *keys):
    """Return a recount of a quantile of latencies."""

    def recount(lines):
        groups = defaultdict(list)
        for line in lines:
            if line["event"] == kind:
                groups[values_of(line, keys)].append(line["latency_ms"])
        cut = {
            values: pytest.approx(statistics.quantiles(numbers, n=100, method="inclusive")[percent - 1])
            for values, numbers in groups.items()
        }
        return by(cut, keys)

    return recount


def values_of(line, keys):
    return tuple(str(line.get(key, "")) for key in keys)


def by(numbers, keys):
    """Return numbers by values as numbers by labels; a label without a value is none."""
    return {
        frozenset((key, text) for key, text in zip(keys, values, strict=True) if text): n
        for values, n in numbers.items()
    }


def unclean(lines):
    """Count the beginnings without an end of each writer that has some."""
    own = [line for line in lines if line.get("source") != "app"]
    starts, ends = (Counter(line["writer"] for line in own if line["event"] == kind) for kind in ("system.worker_started", "system.worker_stopped"))  # fmt: skip
    return by(
        {(writer,): starts[writer] - ends[writer] for writer in starts if starts[writer] > ends[writer]}, ["writer"]
    )


def total(vector):
    return {frozenset(): sum(vector.values())}


def failed_share(lines):
    failed = counted(lines, "chat.tool_called", "tool_name", success=False)
    return {
        labels: failed[labels] / count
        for labels, count in counted(lines, "chat.tool_called", "tool_name").items()
        if labels in failed
    }


def errors(lines, *keys):
    names = {"event": "kind"}
    found = Counter(values_of(line, keys) for line in lines if line["level"] == "error" and "plain" not in line)
    return by(found, [names.get(key, key) for key in keys])


ROUND, TOOL, REQUEST = "chat.round_completed", "chat.tool_called", "forward.request_completed"
DROPPED, STORAGE, COUNT = "system.metrics_dropped", "system.storage_error", "chat.message_count_updated"

RECOUNTS = {
    "Sessions (stat)": [lambda lines: counted(lines, "chat.session_started")],
    "Rounds (stat)": [lambda lines: counted(lines, ROUND)],
    "Tokens (stat)": [lambda lines: summed(lines, ROUND, "total_tokens")],
    "Dropped (stat)": [lambda lines: summed(lines, DROPPED, "count")],
    "Storage errors (stat)": [lambda lines: counted(lines, STORAGE)],
    "Writers without a clean end (stat)": [lambda lines: {frozenset(): len(unclean(lines))}],
    "Dropped, by reason (timeseries)": [lambda lines: summed(lines, DROPPED, "count", "reason")],
    "Storage errors, by the kind in hand (timeseries)": [lambda lines: counted(lines, STORAGE, "event_type")],
    "Writers without a clean end (table)": [unclean],
    "Tokens per minute, by model (timeseries)": [
        lambda lines: a_minute(lines, ROUND, "prompt_tokens", "model"),
        lambda lines: a_minute(lines, ROUND, "completion_tokens", "model"),
        lambda lines: a_minute(lines, ROUND, "cache_read_tokens", "model"),
    ],
    "Tokens per minute of forwarded requests (timeseries)": [
        lambda lines: a_minute(lines, REQUEST, "prompt_tokens"),
        lambda lines: a_minute(lines, REQUEST, "completion_tokens"),
    ],
    "Latency of rounds (timeseries)": [quantile(percent, ROUND) for percent in (50, 95, 99)],
    "Rounds, by status (timeseries)": [lambda lines: counted(lines, ROUND, "status")],
    "Sessions (timeseries)": [
        lambda lines: counted(lines, "chat.session_started"),
        lambda lines: counted(lines, "chat.session_completed", "status"),
    ],
    "Messages in the longest sessions (timeseries)": [lambda lines: summed(lines, COUNT, "message_count", "session_id")],
    "Tool calls, by name (timeseries)": [lambda lines: counted(lines, TOOL, "tool_name")],
    "Failed tool calls, by name (timeseries)": [failed_share],
    "Latency of tools, p95 (timeseries)": [quantile(95, TOOL, "tool_name")],
    "Requests, by status code (timeseries)": [lambda lines: counted(lines, REQUEST, "status_code")],
    "Latency of requests (timeseries)": [quantile(percent, REQUEST) for percent in (50, 95, 99)],
    "Errors, by kind (timeseries)": [lambda lines: errors(lines, "event")],
    "The most frequent errors (table)": [lambda lines: errors(lines, "event", "error")],
}  # fmt: skip


@pytest.mark.parametrize("title", [title for title in PANELS if title != "Lines (logs)"])
def test_a_panel_shows_what_the_log_holds(demo, title):
    """Each query of a panel returns what a recount of the log does, and that is something."""
    lines, rows = demo
    targets = PANELS[title]["targets"]
    for target, recount in zip(targets, RECOUNTS[title], strict=True):
        found = evaluate(filled(target["expr"]), rows, at_ns=time.time_ns())
        assert found == recount(lines)
        assert found
        assert all(found.values())


def test_the_panel_of_lines(demo):
    """The panel of lines shows each line of the log."""
    lines, rows = demo
    (target,) = PANELS["Lines (logs)"]["targets"]
    assert sorted(row.line for row in select(filled(target["expr"]), rows)) == sorted(
        json.dumps(line, separators=(",", ":"), ensure_ascii=False) for line in lines
    )


def test_the_series_have_names(demo):
    """No series lacks a label that its legend shows: tokens have their model, drops their reason."""
    for panel in PANELS.values():
        for target in panel["targets"]:
            names = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            if names:
                for labels in evaluate(filled(target["expr"]), demo[1], at_ns=time.time_ns()):
                    assert names <= {name for name, _ in labels}, target["expr"]


def test_the_alerts_fire(demo):
    """The alert rules return what they are about: the demo drops events, and its agents meet a full disk."""
    lines, rows = demo
    dropped, storage = (evaluate(query, rows, at_ns=time.time_ns()) for query in ALERTS)
    assert sum(dropped.values()) == sum(line["count"] for line in lines if line["event"] == DROPPED)
    assert storage == {frozenset({("service_name", "demo"), ("env", "compose")}): len([line for line in lines if line["event"] == STORAGE])}  # fmt: skip


@pytest.mark.parametrize(
    "query",
    ['avg({a="b"})', "sum(", '{a="b"} | logfmt x', '{a="b"} |> `x`', 'rate({a="b"}[5m]) ~ 1', '5 > rate({a="b"}[5m])'],
)
def test_the_evaluator_knows_its_limits(query):
    """A query beyond what the evaluator knows is an error, and not a result."""
    with pytest.raises((SyntaxError, KeyError)):
        evaluate(query, [], at_ns=0)
