from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.programs import start
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import verify_command
from bamboo_logmetrics.cli.commands import cli


@pytest.fixture
def closed_log(path):
    """Write a closed log of ten events."""
    with blm.open_log(path) as log:
        for number in range(10):
            log.emit(tool(number))
    return path


def cut_out(path, *numbers):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for number, line in enumerate(lines, 1) if number not in numbers))


def test_verify_a_closed_log(run, closed_log):
    """A log that is accounted for is shown with its writer and a verdict, and gives 0."""
    result = run("verify", closed_log)
    assert result.exit_code == 0
    assert re.search(r"[0-9a-f]{20} .* 1-12 .* 10 .* stopped", result.stdout)
    assert result.stdout.splitlines()[-1] == "accounted for: 12 lines of 1 writer in 1 file"
    assert result.stderr == ""


def test_verify_a_gap(run, closed_log):
    """Missing lines are named, and give 1."""
    cut_out(closed_log, 4, 5)
    result = run("verify", closed_log)
    assert result.exit_code == 1
    assert "missing lines: 4-5 (2 in all)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("not accounted for: 2 problems")


def test_verify_a_file_of_another_program(run, tmp_path):
    """A file without a line of this package is reported, and gives 1."""
    (tmp_path / "x.jsonl").write_text('{"a":1}\n', encoding="utf-8")
    result = run("verify", tmp_path / "x.jsonl")
    assert result.exit_code == 1
    assert "has no line of a bamboo_logmetrics writer" in result.stdout


def test_verify_shows_drops_and_notes(run, path):
    """Drops that are accounted for are shown by reason, and notes beside them."""
    with blm.open_log(path, queue_size=1) as log:
        for number in range(1000):
            log.emit(tool(number))
        log.flush()
        result = run("verify", path)
        assert result.exit_code == 0
        assert "is running: pid" in result.stdout
    result = run("verify", path)
    assert result.exit_code == 0
    assert re.search(r"dropped, and recorded in the log: [\d,]+ \(queue_full [\d,]+\)", result.stdout)


def test_verify_complete(run, path, tmp_path):
    """With --complete, lines that retention has removed are missing."""
    with blm.open_log(path, max_bytes=2_000, on_full="block") as log:
        for number in range(30):
            log.emit(tool(number))
    min(tmp_path.glob("a.jsonl.2*")).unlink()
    assert run("verify", path).exit_code == 0
    assert run("verify", "--complete", path).exit_code == 1


def test_verify_as_json(run, closed_log):
    """--format json prints the report as one object and nothing else."""
    report = json.loads(run("verify", "--format", "json", closed_log).stdout)
    assert sorted(report) == [
        "broken_lines", "complete", "dropped", "files", "foreign_lines", "lines", "notes", "ok", "own", "problems",
        "writers", "written",
    ]  # fmt: skip
    assert sorted(report["writers"][0]) == [
        "acknowledged", "boot_id", "counts_agree", "dropped", "end", "first_seq", "gaps", "host", "last_seq", "lines", "log",
        "missing", "ok", "own", "pid", "pid_namespace", "removed_by_retention", "repaired_bytes", "repeats",
        "started_at", "stopped", "version", "writer", "written",
    ]  # fmt: skip
    assert report["ok"] is True
    assert report["writers"][0]["stopped"] == {"emitted": 10, "written": 10, "dropped": {}}
    cut_out(closed_log, 4)
    result = run("verify", "--format", "json", closed_log)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["writers"][0]["gaps"] == [[4, 4]]
    assert report["problems"][0] == {
        "kind": "gap",
        "text": "missing lines: 4 (1 in all)",
        "file": None,
        "line": None,
        "writer": report["writers"][0]["writer"],
    }


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["none.jsonl"], "no such log"),
        (["*.none"], "no file matches"),
        (["."], "not a regular file"),
        ([], "Missing argument"),
        (["--format", "xml", "a.jsonl"], "xml"),
        (["--nothing"], "--nothing"),
    ],
)
def test_verify_with_bad_usage(run, closed_log, monkeypatch, args, text):
    """Bad usage gives 2 and a message on stderr, and no traceback."""
    monkeypatch.chdir(closed_log.parent)
    result = run("verify", *args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_verify_patterns(run, closed_log):
    """A quoted pattern names every file that matches."""
    shutil.copy(closed_log, closed_log.with_name("b.jsonl"))
    result = run("verify", closed_log.parent / "*.jsonl")
    assert result.exit_code == 1
    assert "repeats line" in result.stdout


def test_verify_with_an_unknown_process(run, closed_log):
    """A writer without its worker_started line is shown without a process."""
    cut_out(closed_log, 1)
    result = run("verify", closed_log)
    assert result.exit_code == 0
    assert re.search(r"[0-9a-f]{20} +\? ", result.stdout)


def test_nothing_from_a_file_steers_the_terminal(run, closed_log):
    """Control characters in a log or its name are shown, not obeyed."""
    lines = closed_log.read_bytes().replace(b'"host":"', b'"host":"\\u001b[2J').splitlines(keepends=True)
    odd = closed_log.with_name("\x1b]0;x\x07.jsonl")
    odd.write_bytes(b"".join([*lines[:-1], b"broken\n"]))
    result = run("verify", odd)
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert r"\x1b[2J" in result.stdout


def test_a_name_that_is_no_text(run, closed_log):
    """A file name that is not UTF-8 is shown in both forms."""
    odd = Path(os.fsdecode(os.fsencode(closed_log.parent) + b"/\xff.jsonl"))
    try:
        closed_log.rename(odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    json.loads(run("verify", "--format", "json", odd).stdout)
    cut_out(odd, 12)
    assert run("verify", odd).exit_code == 0 or "problem" in run("verify", odd).stdout


def test_verify_in_a_process(closed_log):
    """The installed program's exit code and output are those of the command."""
    cut_out(closed_log, 4)
    with start("verify", "--format", "json", closed_log) as process:
        out, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert json.loads(out)["ok"] is False
    assert error == b""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_that_goes_away(closed_log, form):
    """Behind a reader that has gone, as in "| head", the exit code stays the verdict, and there is no traceback."""
    ours, theirs = os.pipe()
    os.close(ours)
    with start("verify", "--format", form, closed_log, stdout=theirs) as process:
        os.close(theirs)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, b"")


def test_verify_interrupted(run, closed_log, monkeypatch):
    """Ctrl-C while a log is read gives 130 and no traceback."""

    def interrupt(*_args, **_options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(verify_command.reading, "verify", interrupt)
    result = run("verify", closed_log)
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


def test_a_terminal_gets_a_bar_for_a_long_log(closed_log, monkeypatch):
    """A terminal shows a progress bar for a long log."""
    monkeypatch.setattr(verify_command, "_LONG", 0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(cli, ["verify", str(closed_log)])
    assert result.exit_code == 0
    assert "reading" in result.stderr
    assert "reading" not in result.stdout


def test_verify_acknowledges_a_loss(run, closed_log):
    """--acknowledge makes a known loss a note and gives 0; --complete still gives 1; --withdraw takes it back."""
    cut_out(closed_log, 4, 5)
    writer = blm.verify(closed_log).writers[0].writer
    result = run("verify", closed_log, "--acknowledge", writer)
    assert result.exit_code == 0
    last = result.stdout.splitlines()[-1]
    assert last == "accounted for, 1 acknowledged loss (2 lines, 1 contradiction): 10 lines of 1 writer in 1 file"
    assert re.search(
        r"note: writer [0-9a-f]{20}: acknowledged on 2\S+Z: missing lines: 4-5 \(2 in all\)", result.stdout
    )
    assert run("verify", closed_log).exit_code == 0
    assert run("verify", closed_log, "--complete").exit_code == 1
    assert run("verify", closed_log, "--withdraw", writer).exit_code == 1
    assert run("verify", closed_log, "--withdraw", writer).exit_code == 2


@pytest.mark.parametrize("option", ["--acknowledge", "--withdraw"])
def test_verify_acknowledges_nothing_of_stdin(closed_log, option):
    """Standard input has no place for a note: both options are bad usage there, and a file of that name is not read."""
    cut_out(closed_log, 4, 5)
    writer = blm.verify(closed_log).writers[0].writer
    (closed_log.parent / ".-.acknowledged").write_bytes(b"junk")

    def verify_stdin(*args):
        command = [sys.executable, "-m", "bamboo_logmetrics", "verify", *args]
        saved = closed_log.read_bytes()
        return subprocess.run(command, input=saved, capture_output=True, cwd=closed_log.parent, check=False)

    for files in (["-"], ["-", str(closed_log)]):
        done = verify_stdin(*files, option, writer)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"a loss of standard input cannot be acknowledged" in done.stderr
    done = verify_stdin("-")
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("form", ["text", "json"])
def test_verify_beside_an_unusable_file(run, closed_log, form):
    """An unusable file of acknowledged losses gives the report without it, the problem on stderr, and 1."""
    file = closed_log.with_name(f".{closed_log.name}.acknowledged")
    file.write_bytes(b"junk")
    result = run("verify", closed_log, "--format", form)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {file}: is not a file of acknowledged losses: ")
    assert result.stderr.count("\n") == 1
    assert closed_log.name in result.stdout


def test_verify_many_writers(run, path):
    """Of many writers, problems and notes the worst are shown and the rest is counted; as JSON all are there."""
    line = '{{"timestamp":"2026-11-22T15:47:13Z","level":"info","event":"x","v":1,"writer":"{:020x}","seq":{},"plain":true}}\n'
    text = "".join(
        line.format(number, seq) for number in range(1_050) for seq in (1, *([3] if number == 1_000 else []))
    )
    path.write_text(text, encoding="utf-8")
    lines = run("verify", path).stdout.splitlines()
    assert lines[1].startswith(f"{1_000:020x}")
    assert "and 1,030 more writers (unclean end 1,030); --format json lists all" in lines
    assert any(line.startswith("problem: and 1,031 more (gap 1, unclean_end 1,030)") for line in lines)
    assert len(lines) < 50
    report = json.loads(run("verify", path, "--format", "json").stdout)
    assert (len(report["writers"]), len(report["problems"]), report["files"]) == (1_050, 1_051, [str(path)])
