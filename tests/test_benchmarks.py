from __future__ import annotations

import gzip
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from bamboo_logmetrics.format.fields import HEADER
from bamboo_logmetrics.format.layouts import flat_of

ROOT = Path(__file__).parent.parent
MAIN = ROOT / "benchmarks" / "__main__.py"

# the benchmarks are not installed: their own entry makes them importable, and nothing else of the checkout
_spec = importlib.util.spec_from_file_location("benchmarks_entry", MAIN)
_entry = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_entry)
_before = list(sys.path)
_entry.find_benchmarks()
sys.path[:] = _before

from benchmarks import (  # noqa: E402
    calls,
    cli,
    comparison,
    fresh,
    latency,
    measure,
    page,
    peers,
    plots,
    profiling,
    proxying,
    reading,
    report,
    rounds,
    scaling,
    targets,
)
from benchmarks.check import check  # noqa: E402
from benchmarks.events import MARK  # noqa: E402
from benchmarks.jobs import caller, commands, emitting, memory, processes, running, situations, throughput  # noqa: E402
from benchmarks.jobs.proxying import proxying as proxying_job  # noqa: E402
from benchmarks.jobs.reading import summary_beside  # noqa: E402
from benchmarks.sizes import Sizes  # noqa: E402

COUNT = 300
LINE = f'{{"round_id":"{MARK}"}}\n'.encode()


def needs(name):
    """Skip where a peer is not installed."""
    if peers.missing(name):
        pytest.skip(f"not installed: {', '.join(peers.missing(name))}")


def test_percentiles_are_those_of_the_nearest_rank():
    """Percentiles of 1 to 100 and of small lists are what one counts by hand."""
    ordered = list(range(1, 101))
    assert [measure.percentile(ordered, part) for part in (0.5, 0.9, 0.99, 0.999, 1)] == [50, 90, 99, 100, 100]
    assert measure.percentile([7], 0.5) == measure.percentile([7], 0.999) == 7
    assert measure.percentile([1, 2], 0.5) == 1
    assert measure.percentile([1, 2, 3], 0.5) == 2
    with pytest.raises(ValueError, match="no values"):
        measure.percentile([], 0.5)


def test_latencies_are_microseconds():
    """Nanoseconds in any order become percentiles and the maximum in microseconds."""
    found = measure.latencies([3000, 1000, 2000, 9000])
    assert (found["p50"], found["p99.9"], found["max"]) == (2.0, 9.0, 9.0)


def test_calls_are_timed_one_by_one():
    """Each call gets its argument and a time of its own, and bursts are shared among threads without a gap."""
    seen = []
    peer = running.Peer(emit=seen.append, plain=seen.append, close=lambda: None, flush=lambda: seen.append("flush"))
    times = running.timed_bursts(peer, kind="emit", count=25, burst=10, threads=3)
    assert sorted(each for each in seen if each != "flush") == list(range(25))
    assert seen.count("flush") == 3
    assert all(time > 0 for time in times)
    assert running.split(range(10), 3) == [range(3), range(3, 6), range(6, 10)]


def test_the_check_counts_what_is_there(tmp_path):
    """Lines of the benchmark and of the log's own are counted in plain and compressed files, and lock files left out."""
    (tmp_path / "log.jsonl").write_bytes(LINE * 3 + b'{"own":1}\n')
    (tmp_path / "log.jsonl.1.gz").write_bytes(gzip.compress(LINE * 2))
    (tmp_path / ".log.jsonl.lock").write_bytes(b"")
    found = check(tmp_path)
    assert (found.lines, found.own, found.broken, found.files, found.compressed) == (5, 1, 0, 2, 1)


def test_the_check_finds_a_missing_line(tmp_path):
    """One line fewer than was logged is one lost, and the report says so."""
    (tmp_path / "log.jsonl").write_bytes(LINE * 9)
    found = running.checked(tmp_path, 10)
    assert found["lost"] == 1
    assert "1 of 10 lines are not there" in report.losses("x", {"check": found})
    assert report.all_losses({"y": {"check": running.checked(tmp_path, 9)}}) == [
        "Every file was read: all lines are there, all parse."
    ]


@pytest.mark.parametrize("torn", [LINE[:-1], LINE[:-5] + b"\n", LINE[3:], b"\n", b"[1]\n", b'{"a":NaN}\n', b"\xff\n"])
def test_the_check_finds_a_torn_line(tmp_path, torn):
    """A line without its end, without its beginning, or that is no object is broken, not one of the lines."""
    (tmp_path / "log.jsonl").write_bytes(LINE + torn)
    found = running.checked(tmp_path, 2)
    assert (found["lines"], found["broken"], found["lost"]) == (1, 1, 1)


@pytest.mark.parametrize("name", peers.NAMES)
def test_a_peer_loses_nothing(name):
    """Every peer, in fresh processes, writes all lines of a small run, events and plain texts."""
    needs(name)
    called = fresh.run(caller.caller, peer=name, count=COUNT, burst=100, threads=2)
    through = fresh.run(throughput.throughput, peer=name, count=COUNT, kind="plain")
    for answer in (called, through):
        assert (answer["check"]["lost"], answer["check"]["broken"]) == (0, 0)
    assert 0 < called["p50"] <= called["p99"] <= called["p99.9"] <= called["max"]
    assert through["cpu_us"] > 0
    assert through["events_per_s"] > 0


CALLS = calls.tasks(Sizes(count=COUNT))


def lines_of(folder, name):
    """Run a task of the table of calls, and return its answer and the lines of the application in its file."""
    folder.mkdir()
    subprocess.run(
        fresh.prepare(CALLS[name].job, folder, dict(CALLS[name].arguments)), env=fresh.environment(), check=True
    )
    lines = [json.loads(line) for line in (folder / "log" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return fresh.read_answer(folder), [line for line in lines if MARK in str(line)]


def values_of(line):
    """Return the values that a call gave to a line of either side, in one form."""
    names = {"message": "event", "log.level": "level"}  # of ecs-logging
    flat = {names.get(name, name): value for name, value in line.items()} if "bamboo" not in line else flat_of(line)
    given = {name: value for name, value in flat.items() if value is not None}
    for name in {*HEADER, "event_id", "ecs.version", "@timestamp"} - {"event", "level"}:
        given.pop(name, None)
    return {**given, "due": given.get("due", "").replace("+00:00", "Z")}


@pytest.mark.parametrize("name", calls.CASES)
def test_both_sides_of_a_case_write_the_same(tmp_path, name):
    """Ours and the reference write one line for each call, or ten of a request, with the same values in each."""
    needs(calls.CASES[name].reference)
    answer, ours = lines_of(tmp_path / "us", f"us {name}, cpu")
    _, theirs = lines_of(tmp_path / "ref", f"ref {name}, cpu")
    assert len(ours) == COUNT == answer["check"]["lines"]
    assert list(map(values_of, ours)) == list(map(values_of, theirs))


@pytest.mark.parametrize("who", ["us", "ref"])
def test_the_time_of_a_request_is_that_of_ten_lines(tmp_path, who):
    """A request counts as one call, and all ten lines of each are expected in the file."""
    needs(peers.US if who == "us" else peers.REFERENCE)
    answer, lines = lines_of(tmp_path / who, f"{who} request, caller")
    assert (answer["check"]["expected"], answer["check"]["lost"], len(lines)) == (COUNT, 0, COUNT)
    assert CALLS[f"{who} request, caller"].arguments["count"] == COUNT // 10


def test_the_table_of_calls():
    """Two rows for each case; "no more" asks for a factor of one; where nothing is asked for nothing is met."""
    run = {name: {"p50": 1.0, "cpu_us": 1.0, "check": {"lost": 0, "broken": 0}} for name in CALLS}
    run["us nested, caller"]["p50"] = 0.5
    rows = {row[0]: row for row in calls.table([run]).rows}
    assert len(rows) == 2 * len(calls.CASES)
    assert rows["a list, a dict and a float: caller p50"][1:] == ["2 times less", "0.5 us", "1 us", "2x", "met"]
    assert rows["log.exception: CPU of all threads"][1:] == ["no more", "1 us", "1 us", "1x", "met"]
    assert rows["five scalars: caller p50"][-1] == "missed"
    assert rows["a request: three context variables, ten lines: caller p50"][1:] == ["", "1 us", "1 us", "1x", ""]


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_a_situation_is_what_it_is_called(name):
    """Each situation ends with every acknowledged line in its files; those that rotate have done so."""
    found = fresh.run(situations.situation, name=name, count=COUNT)["check"]
    assert (found["lost"], found["broken"]) == (0, 0)
    assert (found["files"] > 1) == (name in {"rotation", "compression"})
    assert (found["compressed"] > 0) == (name == "compression")
    assert found["lines"] == (situations.FULL_QUEUE if name == "full" else COUNT)


def test_processes_share_a_file():
    """Two processes write all their lines into one file."""
    found = fresh.run(processes.processes, peer=peers.US, count=COUNT, number=2, burst=100)
    assert (found["check"]["lines"], found["check"]["lost"]) == (COUNT, 0)
    assert found["p99"] > 0


def test_memory_is_that_of_the_queue():
    """Queued events take hundreds of bytes each by tracemalloc's count, and all of them are written at last."""
    found = fresh.run(memory.full_queue, count=COUNT, trace=True)
    assert 100 < found["bytes_per_event"] < 5000
    assert found["check"]["lost"] == 0


def test_commands_are_timed_in_turn():
    """Verify, jq and imports have a time each; ours loads modules, a bare Python none."""
    imported = fresh.run(commands.imports, rounds=1)
    assert imported["modules"]["bare"] == 0 < imported["modules"]["us"] <= imported["modules"]["opened"]
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    found = fresh.run(commands.verify_and_jq, lines=COUNT, rounds=1)
    assert min(found["seconds"].values()) > 0


def test_summary_is_measured_beside_others(monkeypatch):
    """Summary and DuckDB read the same files, plain or compressed; jq is left out where it is not installed."""
    monkeypatch.setenv("PATH", "/nowhere")
    found = {form: fresh.run(summary_beside, events=COUNT, compress=form, rounds=1) for form in (None, "gzip")}
    for answer in found.values():
        assert answer["files"] > 3
        assert set(answer["seconds"]) == set(answer["cpu"]) == set(answer["mb"]) == {"summary", "duckdb"}
    assert reading.table({"plain": found[None]}).rows[0][-3:-1] == ["", ""]


def test_the_proxy_is_measured_beside_others():
    """The proxy answers as the provider does, and its row has what it adds."""
    found = {name: fresh.run(proxying_job, server=name, count=64, connections=4) for name in ("none", "bamboo")}
    assert min(found["bamboo"].values()) > 0
    rows = proxying.table(found).rows
    assert [row[0] for row in rows] == ["the provider alone", "bamboo-logmetrics proxy"]
    assert rows[0][2] == rows[0][-1] == ""


def test_a_job_that_fails_says_why():
    """The error message of a fresh process that fails is in the exception, and the rounds go on without it."""
    with pytest.raises(fresh.JobError, match="No module named 'benchmarks.peers.nobody'"):
        fresh.run(emitting.emitting, peer="nobody", count=1)
    tasks = {
        "bad": rounds.task(emitting.emitting, peer="nobody", count=1),
        "good": rounds.task(emitting.emitting, peer=peers.US, count=10),
    }
    assert list(rounds.interleaved("test", tasks, 2)) == ["good"]


def test_rounds_give_medians():
    """Of several answers the median counts, of maxima and of losses the greatest."""
    answers = [{"p50": p50, "max": p50, "check": {"lost": lost}} for p50, lost in [(3, 0), (1, 2), (2, 0)]]
    assert rounds.median(answers) == {"p50": 2, "max": 3, "check": {"lost": 2}}


def _answers():
    check_ = {"lines": 1, "own": 0, "broken": 0, "lost": 0, "expected": 1, "size": 400}
    times = dict.fromkeys(("p50", "p90", "p99", "p99.9", "p99.99", "max", "timer"), 1.0)
    runs = ("made", "emit", "compressing", "through", "plain")
    found = {f"{who} {run}": {**times, "cpu_us": 2.0, "events_per_s": 5.0} for who in ("us", "ref") for run in runs}
    found["us made"]["p50"] = 1 / 32
    found["memory"] = {"mb": 91.0, "bytes_per_event": 910.0, "check": check_}
    found["import"] = {
        "seconds": {"bare": 0.01, "us": 0.04, "peers": 0.03, "opened": 0.05},
        "modules": {"us": 1, "peers": 2, "opened": 3},
    }
    return found


def test_the_table_of_targets():
    """A row for each target: met, missed, or not measured; factors are of the right way round."""
    rows = {row[0]: row for row in targets.table([_answers(), _answers()]).rows}
    assert len(rows) == 10
    assert rows["caller, event already made, p50"][4:] == ["32x", "32x", "met"]
    assert rows["caller, event made in the call, p50"][4:] == ["1x", "1x", "missed"]
    assert rows["import bamboo_logmetrics"][2:] == ["30 ms", "20 ms", "1.5x", "1.5x", "met"]
    assert rows["memory with a full queue of made events"][2:] == ["91 MB", "", "91 MB", "91 MB", "missed"]
    assert "was not measured" in rows["bamboo-logmetrics verify"][2]


def test_markdown_goes_between_markers(tmp_path):
    """Only what stands between a section's markers is replaced, any number of times; a page without them is refused."""
    made = tmp_path / "page.md"
    made.write_text("a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n", encoding="utf-8")
    for _ in range(2):
        page.write({"x": report.Table("t", ("a", "b"), [["1", "2"]], ["note"]).markdown()}, made)
    assert made.read_text(encoding="utf-8") == (
        "a\n<!-- begin x -->\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n\nnote\n<!-- end x -->\nb\n"
    )
    with pytest.raises(ValueError, match="begin y"):
        page.write({"y": ""}, made)


def test_the_page_has_every_section():
    """docs/reference/performance.md has the markers of every section that is written."""
    text = page.PAGE.read_text(encoding="utf-8")
    found = re.findall(r"<!-- begin (\w+) -->", text)
    assert found == list(cli.SECTIONS)
    for name in found:
        assert page.replace(text, name, "new") != text


def test_one_section_of_the_page_is_written(monkeypatch):
    """The sections that are named are measured and written, and no others."""
    written = {}
    monkeypatch.setattr(page, "write", written.update)
    answer = CliRunner().invoke(cli.main, ["page", "machine"])
    assert answer.exit_code == 0, answer.output
    assert list(written) == ["machine"]
    assert "| Python | CPython" in written["machine"]


def test_plots_are_the_same_each_time(tmp_path):
    """A plot is SVG without a date, and drawing it twice gives the same bytes."""
    pytest.importorskip("matplotlib")
    answers = {latency.REFERENCE_TITLE: _answers()["us emit"], "idle disk": _answers()["us emit"]}
    curve = scaling.Curve("threads", peers.US, [1, 2], [5.0, 6.0], [1.0, 2.0])
    for name in ("one", "two"):
        plots.latency(answers, tmp_path / name / "latency.svg")
        plots.scaling("threads", [curve], tmp_path / name / "threads.svg")
    for name in ("latency.svg", "threads.svg"):
        drawn = (tmp_path / "one" / name).read_bytes()
        assert drawn == (tmp_path / "two" / name).read_bytes()
        assert ET.fromstring(drawn).tag.endswith("svg")


def test_every_axis_has_its_points():
    """All axes of scaling are measured for us, and their tasks are runs that exist."""
    points = scaling.points(Sizes(count=400), (peers.US,))
    assert {point.axis for point in points} == set(scaling.AXES)
    assert [point.x for point in points if point.axis == "threads"] == [1, 2, 4, 8]
    point = next(point for point in points if point.name == "line 32500 bamboo")
    found = fresh.run(point.through.job, **point.through.arguments)
    assert found["check"]["lost"] == 0
    (curve,) = scaling.curves([point], {point.name: found, f"{point.name}, caller": {"p99": 1.0}})
    assert 32_500 < curve.xs[0] < 33_500


def test_every_stage_has_its_time():
    """Each stage of a record's way has a time of its own."""
    rows = profiling.stages_table(1_500).rows
    assert [row[2] for row in rows if row[1] == "worker"].count("makes its line") == 3
    assert all(math.isfinite(float(row[3])) for row in rows)  # a difference of two runs: on a busy machine below 0


def test_instructions_are_counted_without_the_start(monkeypatch):
    """The instructions of an event are the difference of two runs, so that starting is not in it."""

    def counted(command, folder):
        events = int(re.search(r'"count": (\d+)', (folder / "order.json").read_text(encoding="utf-8"))[1])
        (folder / "answer.json").write_text("{}", encoding="utf-8")
        return 1_000_000 + 7 * events

    assert profiling.instructions(counted, peers.US, "emit", 100) == 7
    monkeypatch.setattr(
        profiling, "_run", lambda command, folder: "123,,instructions:u,1,100.00,,\n==1== Collected : 456\n"
    )
    assert profiling.by_perf(["x"], ROOT) == 123
    assert profiling.by_callgrind(["x"], ROOT) == 456


def test_the_command_line_runs_the_peers(tmp_path):
    """The entry file alone runs the suite from anywhere, with the package that is installed."""
    needs("stdlib_rotating")
    options = ["--quick", "--rounds", "1", "--count", "50", "stdlib_rotating"]
    done = subprocess.run(
        [sys.executable, MAIN, "peers", *options], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "RotatingFileHandler" in done.stdout
    assert "all lines are there" in done.stdout.replace("\n", " ")


def test_what_is_not_installed_is_left_out_aloud(monkeypatch, capsys):
    """A peer that is not installed is named, with the extra that has it, and the others run."""
    monkeypatch.setattr(peers, "_importable", lambda module: False)
    names, left_out = peers.installed(("loguru_enqueue",))
    assert names == []
    assert "loguru is not installed; the extra 'bench'" in left_out[0]
    assert comparison.measure(Sizes(rounds=1, count=10), ("loguru_enqueue",)) == {}
    assert "loguru is not installed" in capsys.readouterr().err.replace("\n", " ")
    for measured in (cli.target_runs, calls):
        with pytest.raises(cli.click.ClickException, match="left out"):
            measured.measure(Sizes())


def test_the_benchmarks_are_not_in_the_wheel():
    """setup.cfg finds the package and its subpackages only."""
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert re.search(
        r"\[options.packages.find\]\ninclude =\n    bamboo_logmetrics\n    bamboo_logmetrics\.\*\n\n", text
    )


def test_every_peer_says_where_its_set_up_comes_from():
    """Every module of a peer has a title, what it needs, and a docstring that names the documentation it follows."""
    files = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("*.py")}
    assert files - {"__init__", "base", "kinds", "logging_calls", "structlog_calls"} == set(peers.ALL)
    for name in peers.ALL:
        module = peers.module_of(name)
        assert module.TITLE
        assert module.NEEDS
        assert name.startswith("bamboo") or "Set up as" in module.__doc__
    assert os.path.basename(MAIN) == "__main__.py"
