"""The command ``report``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support.log_lines import as_bytes, with_headers
from support.pages import data_of

from bamboo_logmetrics.cli.commands import cli

ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 100,
    "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "model": "m-1", "cost_usd": 0.25,
}  # fmt: skip

OLD = b'<!doctype html><meta name="generator" content="bamboo-logmetrics">old'


@pytest.fixture
def here(path, monkeypatch):
    """Write a log of one call into the working directory."""
    monkeypatch.chdir(path.parent)
    path.write_bytes(as_bytes(with_headers([ROUND])))
    return path


def test_a_page(run, here):
    """Without an output the page is report.html; the command prints its extent and how to open it."""
    result = run("report", here, "--tz", "UTC", "--title", "T")
    assert result.exit_code == 0
    first, extent, warning, opening = result.stdout.splitlines()
    assert first.startswith("report.html: ")
    assert first.endswith(" MB, 1 session, 1 call, 0 tool calls, $0.2500")
    assert extent == "1 line in 1 file, 2026-11-30 12:01 to 2026-11-30 12:01 (UTC)"
    assert warning.startswith("not whole: 1 writer without an end")
    assert opening == f"open it in a browser: file://{here.parent.resolve()}/report.html"
    data = data_of((here.parent / "report.html").read_bytes())
    assert (data["title"], data["totals"]["rounds"], data["anonymous"]) == ("T", 1, False)


def test_the_page_on_stdout(run, here):
    """With a dash the page is on stdout, and the rest on stderr."""
    result = run("report", here, "-o", "-", "--anonymous")
    assert result.exit_code == 0
    data = data_of(result.stdout_bytes)
    assert data["anonymous"]
    assert data["sessions"]["id"][0].startswith("session-")
    assert result.stderr.startswith("the page: ")
    assert "open it" not in result.stderr
    assert os.listdir(here.parent) == [here.name]


def test_options(run, here):
    """The filters are those of the summary; what nobody reported, such as a cost, is not shown."""
    assert run("report", here, "--model", "other", "-o", "a b.html").stdout.splitlines()[0].endswith(" 0 tool calls")
    assert data_of((here.parent / "a b.html").read_bytes())["totals"]["rounds"] == 0
    result = run(
        "report", here, "--since", "2026-11-30T12:00Z", "--until", "2026-12-01", "--project", "p", "-o", "a b.html"
    )
    assert result.stdout.splitlines()[-1].endswith("/a%20b.html")


def test_prices(run, here, monkeypatch):
    """Own prices come first, and the newest ones of the package can be fetched before."""
    from bamboo_logmetrics.reading.summary import price_updates

    here.write_bytes(as_bytes(with_headers([ROUND | {"cost_usd": None}])))
    here.with_name("prices.toml").write_text('[[price]]\nmodel = "m-1"\ninput = 100_000\noutput = 0\n')
    monkeypatch.setattr(price_updates, "update_prices", lambda: "fetched")
    result = run("report", here, "--prices", "prices.toml", "--update-prices")
    assert (result.exit_code, result.stderr) == (0, "fetched\n")
    assert result.stdout.splitlines()[0].endswith("$1.00")


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["-o", "a.jsonl"], "is not a page of this command: remove it, or give another name"),
        (["-o", "."], "give the name of a file"),
        (["-o", "none/report.html"], "make it first"),
        (["--since", "soon"], "use one such as"),
        (["--tz", "Mars"], "unknown time zone"),
        (["no.jsonl"], "give the path of a log file"),
    ],
)
def test_bad_usage(run, here, options, remedy):
    """Bad usage gives 2 and one line with the remedy, and writes nothing."""
    before = here.read_bytes()
    result = run("report", here, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert remedy in result.stderr
    assert (os.listdir(here.parent), here.read_bytes()) == ([here.name], before)


def test_a_terminal_gets_no_page(here, monkeypatch, capsys):
    """A page on a terminal is refused."""
    main, terminal = os.openpty()
    with open(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.main(["report", str(here), "-o", "-"], standalone_mode=False) == 2
        monkeypatch.undo()
    os.close(main)
    assert capsys.readouterr().err == "Error: the page is for a file or a pipe; use -o report.html\n"


def test_without_duckdb(here):
    """Without the package duckdb the command says at once what to install."""
    code = "import sys; sys.modules['duckdb'] = None; sys.argv[1:] = ['report', %r]; from bamboo_logmetrics.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code % str(here)], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "Error: this needs the package duckdb: pip install 'bamboo_logmetrics[cli]'\n"


def test_interrupt_leaves_nothing_behind(tmp_path):
    """Ctrl-C while standard input is read gives 130, leaves no file, and keeps the older page."""
    page, temporary = tmp_path / "report.html", tmp_path / "tmp"
    page.write_bytes(OLD)
    temporary.mkdir()
    command = [sys.executable, "-m", "bamboo_logmetrics", "report", "-", "-o", str(page)]
    env = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        line = as_bytes(with_headers([ROUND]))
        for _ in range(2_000):  # more than a pipe holds: it has begun to read
            process.stdin.write(line)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        assert process.returncode == 130
        assert process.stderr.read() == b"interrupted\n"
    assert sorted(os.listdir(tmp_path)) == ["report.html", "tmp"]
    assert (os.listdir(temporary), page.read_bytes()) == ([], OLD)
