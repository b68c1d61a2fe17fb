from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import genai_prices
import pytest
from support.log_lines import as_bytes, with_headers

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.summary.result import Summary

ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 12_345,
    "prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_050, "cache_read_tokens": 250, "model": "m-1",
    "cost_usd": 0.25,
}  # fmt: skip
OTHER = ROUND | {"round_id": "q", "model": "m|2*", "status": "error", "usage_source": "missing"}
PRICED = f"priced 1 of 1 call by genai-prices {genai_prices.__version__}"
STOP = {"event": "system.worker_stopped"}


@pytest.fixture
def summed_log(path):
    """Write a log of two calls, one of which failed."""
    path.write_bytes(as_bytes(with_headers([ROUND, OTHER, STOP])))
    return path


def test_a_table(run, summed_log):
    """The table has a row for each key, one for all, and the extent of the log."""
    result = run("summary", summed_log, "--by", "model", "--tz", "UTC")
    assert result.exit_code == 0
    title, first, second, total, extent, cost = result.stdout.splitlines()
    assert title.split() == [
        "model",
        "sessions",
        "rounds",
        "errors",
        "prompt",
        "completion",
        "total",
        "cached",
        "p50",
        "p95",
        "tokens/s",
        "cost",
    ]
    assert first.split()[:6] == ["m-1", "1", "1", "0", "1,000", "50"]
    assert second.split()[:6] == ["m|2*", "1", "1", "1", "-", "-"]
    assert total.split()[:6] == ["all", "1", "2", "1", "1,000", "50"]
    assert "25.0 %" in total
    assert "12.3 s" in total
    assert extent == "3 lines in 1 file, 2026-11-30 12:01 to 2026-11-30 12:02 (UTC)"
    assert cost == f"cost: {PRICED}; $0.2500 of it reported by providers (1 call)"


def test_totals(run, summed_log):
    """Without a key each number has a line; what nobody reported has none."""
    lines = dict(line.rsplit(None, 1) for line in run("summary", summed_log).stdout.splitlines()[1:-2])
    assert lines["prompt tokens"] == "1,000"
    assert lines["errors"] == "1"
    assert lines["cost"] == "$0.2500"
    assert "reasoning tokens" not in lines


def test_json(run, summed_log):
    """The JSON has rows, totals and warnings with the names of the line, and null for what was not reported."""
    data = json.loads(run("summary", summed_log, "--by", "model", "--format", "json").stdout)
    assert [(row["key"], row["rounds"], row["prompt_tokens"]) for row in data["rows"]] == [
        ("m-1", 1, 1000),
        ("m|2*", 1, None),
    ]
    names = {"sessions", "rounds", "requests", "tool_calls", "errors", "prompt_tokens", "reasoning_tokens"}
    assert names <= set(data["totals"])
    assert "key" not in data["totals"]
    assert data["totals"]["reasoning_tokens"] is None
    assert data["warnings"] == []
    assert data["first"] == "2026-11-30T12:01:00.000000Z"


def test_csv(run, summed_log):
    """CSV has the rows, or the totals if there are none; what was not reported is empty, and warnings go to stderr."""
    summed_log.write_bytes(summed_log.read_bytes() + b"text\n")
    result = run("summary", summed_log, "--by", "model", "--format", "csv")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["key"], row["total_tokens"]) for row in rows] == [("m-1", "1050"), ("m|2*", "")]
    cost, warning = result.stderr.splitlines()
    assert cost.startswith(f"cost: {PRICED}; ")
    assert warning == "not whole: 1 broken line left out; see bamboo-logmetrics verify"
    (total,) = csv.DictReader(run("summary", summed_log, "--format", "csv").stdout.splitlines())
    assert total["rounds"] == "2"


def test_markdown(run, summed_log):
    """Markdown is a table whose keys cannot change it."""
    lines = run("summary", summed_log, "--by", "model", "--format", "markdown").stdout.splitlines()
    assert lines[0].startswith("| model | sessions |")
    assert lines[3].startswith("| m\\|2\\* | 1 |")
    assert lines[-3].startswith("3 lines in 1 file")


def test_openmetrics(run, summed_log):
    """OpenMetrics has a gauge for each number that was reported, with the key as its label."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    text = run("summary", summed_log, "--by", "model", "--format", "openmetrics").stdout
    samples = {
        (sample.name, sample.labels.get("model")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["bamboo_summary_prompt_tokens", "m-1"] == 1000
    assert ("bamboo_summary_prompt_tokens", "m|2*") not in samples
    assert samples["bamboo_summary_errors", "m|2*"] == 1
    assert samples["bamboo_summary_last_timestamp_seconds", None] == 1_796_040_120
    assert f'bamboo_summary_prices_info{{version="genai-prices {genai_prices.__version__}"}} 1' in text
    assert "bamboo_summary_prompt_tokens 1000\n" in run("summary", summed_log, "--format", "openmetrics").stdout


def test_labels_have_an_end(run, path):
    """Beyond 200 values of a label the sums are "other"; a key without end is refused."""
    path.write_bytes(as_bytes(with_headers([ROUND | {"model": f'm"{number}\\'} for number in range(250)])))
    text = run("summary", path, "--by", "model", "--format", "openmetrics").stdout
    lines = [line for line in text.splitlines() if line.startswith("bamboo_summary_prompt_tokens{")]
    assert len(lines) == 201
    assert lines[-1] == 'bamboo_summary_prompt_tokens{model="other"} 50000'
    assert 'bamboo_summary_sessions{model="other"}' not in text
    result = run("summary", path, "--by", "session", "--format", "openmetrics")
    assert result.exit_code == 2
    assert "use --by model, provider" in result.stderr


def test_labels_of_hostile_values(run, path):
    """No value, an empty one, "other" and the rest have labels of their own, and every value reads back as it was."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    hostile = ["other", "(other)", "(empty)", 'a"b', "a\\b", "a\nb", "{x}", "#"]
    names = [*hostile, *(f"m-{number}" for number in range(250))]
    rounds = [ROUND | {"round_id": str(number), "model": name} for number, name in enumerate(names)]
    heavy = {"prompt_tokens": 2_000, "total_tokens": 9_000}  # within the first 200
    rounds = [line | heavy if line["model"] in hostile else line for line in rounds]
    unnamed = {name: value for name, value in ROUND.items() if name != "model"} | heavy | {"round_id": "none"}
    path.write_bytes(as_bytes(with_headers([*rounds, unnamed])))
    text = run("summary", path, "--by", "model", "--format", "openmetrics").stdout
    families = {family.name: family for family in text_string_to_metric_families(text)}
    labels = [sample.labels["model"] for sample in families["bamboo_summary_rounds"].samples]
    assert len(labels) == len(set(labels)) == 201
    assert {*hostile, "", "((other))"} <= set(labels)
    assert labels[-1] == "((other))"
    assert sum(sample.value for sample in families["bamboo_summary_rounds"].samples) == len(names) + 1


def test_one_line(run, summed_log):
    """One line has the most important numbers, and what is not whole."""
    result = run("summary", summed_log, "--oneline")
    assert (
        result.stdout
        == f"1 session (1 active) · 2 calls · 1,050 tokens · 25 % cached · $0.2500 ({PRICED}) · p95 12.3 s · 1 error\n"
    )
    ended = {"event": "chat.session_completed", "session_id": "s", "status": "completed"}
    summed_log.write_bytes(as_bytes(with_headers([ROUND | {"usage_source": "partial"}, ended])))
    line = run("summary", summed_log, "--oneline").stdout
    assert line.startswith("1 session · 1 call · ")
    assert "$0.2500" in line
    assert line.endswith("not whole: no end, partial usage\n")


def test_many_rows(run, path):
    """A table shows 50 rows, and how many more there are."""
    path.write_bytes(as_bytes(with_headers([ROUND | {"session_id": f"s-{number}"} for number in range(60)])))
    lines = run("summary", path, "--by", "session").stdout.splitlines()
    assert len(lines) == 1 + 50 + 1 + 4
    assert lines[52] == "and 10 more rows; --format json has all"


def test_comparison(run, path):
    """A comparison shows the period before, and the change."""
    path.write_bytes(as_bytes(with_headers([ROUND, ROUND, OTHER, ROUND])))
    options = ("--since", "2026-11-30T12:03Z", "--until", "2026-11-30T12:05Z", "--compare", "previous")
    lines = run("summary", path, *options, "--by", "model").stdout.splitlines()
    assert lines[0].split()[-7:] == ["total", "before", "change", "cost", "before", "cost", "change"]
    assert lines[1].split()[-6:] == ["2,100", "-50", "%", "$0.5000", "-50", "%"]
    assert lines[2].split()[-4:] == ["-", "-", "-", "-"]
    assert lines[3].split()[-6:] == ["2,100", "-50", "%", "$0.5000", "-50", "%"]
    totals = run("summary", path, *options).stdout
    assert "before" in totals.splitlines()[0]
    data = json.loads(run("summary", path, *options, "--by", "model", "--format", "json").stdout)
    assert data["previous"]["rounds"] == 2
    assert data["previous_rows"][0]["key"] == "m-1"


def test_a_comparison_without_costs(run, path):
    """Where no cost is known in either period, only the tokens are compared."""
    call = {name: value for name, value in ROUND.items() if name != "cost_usd"}
    path.write_bytes(as_bytes(with_headers([call, call, call])))
    options = ("--since", "2026-11-30T12:02Z", "--compare", "previous", "--by", "model")
    title, row, *_ = run("summary", path, *options).stdout.splitlines()
    assert title.split()[-3:] == ["total", "before", "change"]
    assert "cost" not in title
    assert row.split()[-2:] == ["+100", "%"]


def test_a_comparison_shows_what_is_gone(run, path):
    """A model that had calls in the period before only has a row; a key that is new in each period has none."""
    gone = [ROUND | {"round_id": str(number), "model": f"old-{number}", "session_id": "t"} for number in range(60)]
    path.write_bytes(as_bytes(with_headers([*gone, ROUND], minutes=[*range(60), 60])))
    start = json.loads(run("summary", path, "--format", "json").stdout)["last"]
    options = ("--since", start, "--until", start[:11] + "23:59Z", "--compare", "previous")
    text = run("summary", path, *options, "--by", "model").stdout
    lines = text.splitlines()
    assert lines[1].split()[0] == "m-1"
    assert lines[2].split()[0].startswith("old-")
    assert lines[2].split()[-6:] == ["1,050", "-100", "%", "$0.2500", "-100", "%"]
    assert len(lines) == 1 + 50 + 1 + 4
    assert "and 11 more rows" in text
    for key in ("session", "hour"):
        assert len(run("summary", path, *options, "--by", key).stdout.splitlines()) == 1 + 1 + 1 + 3


LIMITS = [
    ("errors > 0", 1, "errors is 1: errors > 0\n"),
    ("errors>1", 0, ""),
    ("error_rate >= 0.5", 1, "error_rate is 0.5: error_rate >= 0.5\n"),
    ("prompt_tokens < 1_001", 1, "prompt_tokens is 1,000: prompt_tokens < 1_001\n"),
    ("rounds != 2", 0, ""),
    ("rounds == 2", 1, "rounds is 2: rounds == 2\n"),
    ("rounds > 1_0", 0, ""),
    ("rounds < 2.5e0", 1, "rounds is 2: rounds < 2.5e0\n"),
    ("rounds > .5", 1, "rounds is 2: rounds > .5\n"),
    ("rounds > +1.", 1, "rounds is 2: rounds > +1.\n"),
    ("cost_usd > 0.2", 1, f"cost_usd is 0.25 ({PRICED}): cost_usd > 0.2\n"),
    ("reasoning_tokens > 50", 0, "reasoning_tokens is not reported: whether reasoning_tokens > 50 is not known\n"),
]


@pytest.mark.parametrize(("limit", "code", "message"), LIMITS)
def test_limits(run, summed_log, limit, code, message):
    """A limit that is passed gives 1 and says so; a number that was not reported passes none."""
    result = run("summary", summed_log, "--oneline", "--fail-over", limit)
    assert (result.exit_code, result.stderr) == (code, message)


BAD_NUMBERS = [
    f"errors > {text}"
    for text in ("_5", "5_", "1__0", "inf", "-inf", "nan", "1e400", "-1e999", ".", "\u0665", "0x1", "1e")
]


@pytest.mark.parametrize(
    "limit", ["cost", "cost_usd > much", "price > 5", "errors => 1", "key > 1", "errors > 1; 2", *BAD_NUMBERS]
)
def test_what_is_no_limit(run, summed_log, limit):
    """Anything but a comparison of a known number is bad usage, in one line."""
    result = run("summary", summed_log, "--fail-over", limit)
    assert result.exit_code == 2
    assert "Error: Invalid value for '--fail-over'" in result.stderr


@pytest.mark.parametrize(
    "options", [["--since", "soon"], ["--tz", "Mars"], ["--compare", "previous"], ["--by", "colour"], ["no.jsonl"]]
)
def test_bad_usage(run, summed_log, options):
    """Bad usage gives 2 and names the remedy, without a traceback."""
    result = run("summary", summed_log, *options)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert not result.stdout


def test_a_narrow_terminal():
    """A table loses columns rather than digits of a number."""
    from bamboo_logmetrics.cli.summary_text import fit

    titles = ["model", "sessions", "requests", "prompt", "p50"]
    cells = [["m", "1,000", "2,000", "1,234,567,890", "1.5 s"]]
    assert fit(titles, cells, 100) == (titles, cells)
    assert fit(titles, cells, 48) == (["model", "sessions", "requests", "prompt"], [cells[0][:4]])
    assert fit(titles, cells, 10)[0] == ["model", "requests", "prompt"]


def test_hostile_names(run, path):
    """A name cannot control the terminal."""
    path.write_bytes(as_bytes(with_headers([ROUND | {"model": "\x1b[31mred\nline"}])))
    result = run("summary", path, "--by", "model")
    assert "\x1b[31m" not in result.stdout
    assert "\\x1b[31mred\\nline" in result.stdout


def test_without_duckdb(summed_log, tmp_path):
    """Without the package duckdb the command says what to install."""
    code = "import sys; sys.modules['duckdb'] = None; sys.argv[1:] = ['summary', %r]; from bamboo_logmetrics.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code % str(summed_log)], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "Error: this needs the package duckdb: pip install 'bamboo_logmetrics[cli]'\n"


def test_importing_the_package_imports_no_duckdb(run_python):
    """Neither the package nor the command line imports duckdb before it is needed."""
    result = run_python("import sys, bamboo_logmetrics.cli.commands; print('duckdb' in sys.modules)")
    assert result.stdout == "False\n"


def test_interrupt_leaves_nothing_behind(tmp_path):
    """Ctrl-C while standard input is read gives 130, and leaves no temporary file."""
    command = [sys.executable, "-m", "bamboo_logmetrics", "summary", "-"]
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    ) as process:
        line = as_bytes(with_headers([ROUND]))
        while not os.listdir(tmp_path):  # until it has begun
            process.stdin.write(line)
            process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        assert process.returncode == 130
        assert process.stderr.read() == b"interrupted\n"
    assert os.listdir(tmp_path) == []


def test_the_result_is_typed(summed_log):
    """The names of the package are those of the result."""
    assert isinstance(blm.summarize(str(summed_log)), Summary)
    assert blm.Summary is Summary
