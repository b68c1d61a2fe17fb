from __future__ import annotations

import json
import os
import re
import resource
import runpy
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.programs import ENVIRONMENT, PROGRAM, run_code, start
from support.tools import flat, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import formatting, import_, main
from bamboo_logmetrics.cli import verify as verify_command
from bamboo_logmetrics.cli.commands import cli


@pytest.fixture
def path(tmp_path):
    """Write a closed log of ten events."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path) as log:
        for number in range(10):
            log.emit(tool(number))
    return path


@pytest.fixture
def run():
    """Run a command in this process; returns click's result."""

    def running(*args):
        return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="bamboo-logmetrics")

    return running


def cut_out(path, *numbers):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for number, line in enumerate(lines, 1) if number not in numbers))


# -- the group ---------------------------------------------------------------------------


def test_version(run):
    """--version names the program and the package's version."""
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("bamboo-logmetrics")
    assert blm.__version__ in result.stdout


@pytest.mark.parametrize("command", [[], ["verify"], ["import"], ["import", "claude-code"], ["demo"]], ids=str)
def test_every_command_has_help(run, command):
    """Each command explains itself, on lines that fit a terminal."""
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_help_names_the_completion(run):
    """The help says how to get tab completion, and that works."""
    assert "_BAMBOO_LOGMETRICS_COMPLETE=bash_source bamboo-logmetrics" in run("--help").stdout
    environment = {**ENVIRONMENT, "_BAMBOO_LOGMETRICS_COMPLETE": "zsh_source"}
    done = subprocess.run(PROGRAM, capture_output=True, text=True, check=False, env=environment)
    assert "#compdef bamboo-logmetrics" in done.stdout


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra(missing):
    """Without click or rich, the program says what to install, and exits with 2."""
    code = f"import sys; sys.modules['{missing}'] = None; from bamboo_logmetrics.cli import main; main()"
    done = run_code(code)
    assert done.returncode == 2
    assert done.stderr == f"bamboo-logmetrics needs the package {missing}: pip install 'bamboo_logmetrics[cli]'\n"


def test_another_missing_package_is_not_hidden():
    """An import that fails for another reason is not taken for a missing extra."""
    code = (
        "import sys; sys.modules['bamboo_logmetrics.cli.demo'] = None; from bamboo_logmetrics.cli import main; main()"
    )
    done = run_code(code)
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install" not in done.stderr


def test_as_a_module(monkeypatch, capsys):
    """``python -m bamboo_logmetrics`` is the same program."""
    monkeypatch.setattr(sys, "argv", ["bamboo_logmetrics", "--version"])
    with pytest.raises(SystemExit) as exited:
        runpy.run_module("bamboo_logmetrics", run_name="__main__")
    assert exited.value.code == 0
    assert capsys.readouterr().out.startswith("bamboo-logmetrics")
    assert runpy.run_module("bamboo_logmetrics.__main__")["main"]


def test_main_in_this_process(monkeypatch, capsys):
    """The entry point runs the command of sys.argv."""
    from bamboo_logmetrics.cli import main

    monkeypatch.setattr(sys, "argv", ["bamboo-logmetrics", "--version"])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 0
    assert blm.__version__ in capsys.readouterr().out


def test_main_says_what_is_missing(monkeypatch, capsys):
    """The entry point gives a hint, and no traceback, where rich is not installed."""
    from bamboo_logmetrics.cli import main

    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.cli.commands")
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 2
    assert "pip install 'bamboo_logmetrics[cli]'" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.cli.commands")
    monkeypatch.setitem(sys.modules, "bamboo_logmetrics.cli.demo", None)
    with pytest.raises(ModuleNotFoundError):
        main()


# -- verify ------------------------------------------------------------------------------


def test_verify_a_closed_log(run, path):
    """A log that is accounted for is shown with its writer and a verdict, and gives 0."""
    result = run("verify", path)
    assert result.exit_code == 0
    assert re.search(r"[0-9a-f]{20} .* 1-12 .* 10 .* stopped", result.stdout)
    assert result.stdout.splitlines()[-1] == "OK: 12 lines of 1 writer in 1 file, every event is accounted for"
    assert result.stderr == ""


def test_verify_a_gap(run, path):
    """Missing lines are named, and give 1."""
    cut_out(path, 4, 5)
    result = run("verify", path)
    assert result.exit_code == 1
    assert "missing lines: 4-5 (2 in all)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("NOT ACCOUNTED FOR: 2 problems")


def test_verify_a_file_of_somebody_else(run, tmp_path):
    """A file without a line of ours is said to be one, and gives 1."""
    (tmp_path / "x.jsonl").write_text('{"a":1}\n', encoding="utf-8")
    result = run("verify", tmp_path / "x.jsonl")
    assert result.exit_code == 1
    assert "holds no line of a writer of ours" in result.stdout


def test_verify_shows_drops_and_notes(run, tmp_path):
    """Drops that are accounted for are shown by reason, and notes beside them."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path, queue_size=1) as log:
        for number in range(1000):
            log.emit(tool(number))
        log.flush()
        result = run("verify", path)
        assert result.exit_code == 0
        assert "is running: pid" in result.stdout
    result = run("verify", path)
    assert result.exit_code == 0
    assert re.search(r"dropped, and said so in the log: [\d,]+ \(queue_full [\d,]+\)", result.stdout)


def test_verify_complete(run, tmp_path):
    """With --complete, what retention has removed is missing."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path, max_bytes=2_000, on_full="block") as log:
        for number in range(30):
            log.emit(tool(number))
    min(tmp_path.glob("a.jsonl.2*")).unlink()
    assert run("verify", path).exit_code == 0
    assert run("verify", "--complete", path).exit_code == 1


def test_verify_as_json(run, path):
    """--format json prints the report as one object and nothing else."""
    report = json.loads(run("verify", "--format", "json", path).stdout)
    assert sorted(report) == [
        "broken_lines", "complete", "dropped", "files", "foreign_lines", "lines", "notes", "ok", "own", "problems",
        "writers", "written",
    ]  # fmt: skip
    assert sorted(report["writers"][0]) == [
        "counts_agree", "dropped", "end", "first_seq", "gaps", "host", "last_seq", "lines", "log", "missing", "ok",
        "own", "pid", "removed_by_retention", "repaired_bytes", "repeats", "started_at", "stopped", "version",
        "writer", "written",
    ]  # fmt: skip
    assert report["ok"] is True
    assert report["writers"][0]["stopped"] == {"emitted": 10, "written": 10, "dropped": {}}
    cut_out(path, 4)
    result = run("verify", "--format", "json", path)
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
def test_verify_with_bad_usage(run, path, monkeypatch, args, text):
    """Bad usage gives 2 and a message on stderr, and no traceback."""
    monkeypatch.chdir(path.parent)
    result = run("verify", *args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_verify_patterns(run, path):
    """A quoted pattern names every file that matches."""
    shutil.copy(path, path.with_name("b.jsonl"))
    result = run("verify", path.parent / "*.jsonl")
    assert result.exit_code == 1
    assert "is there again" in result.stdout


def test_verify_with_an_unknown_process(run, path):
    """A writer whose worker_started is not there has no process to show."""
    cut_out(path, 1)
    result = run("verify", path)
    assert result.exit_code == 0
    assert re.search(r"[0-9a-f]{20} +\? ", result.stdout)


def test_nothing_from_a_file_steers_the_terminal(run, path):
    """Control characters in a log or its name are shown, not obeyed."""
    lines = path.read_bytes().replace(b'"host":"', b'"host":"\\u001b[2J').splitlines(keepends=True)
    odd = path.with_name("\x1b]0;x\x07.jsonl")
    odd.write_bytes(b"".join([*lines[:-1], b"broken\n"]))
    result = run("verify", odd)
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert r"\x1b[2J" in result.stdout


def test_a_name_that_is_no_text(run, path):
    """A file name that is not UTF-8 is shown in both forms."""
    odd = Path(os.fsdecode(os.fsencode(path.parent) + b"/\xff.jsonl"))
    try:
        path.rename(odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    json.loads(run("verify", "--format", "json", odd).stdout)
    cut_out(odd, 12)
    assert run("verify", odd).exit_code == 0 or "problem" in run("verify", odd).stdout


def test_verify_in_a_process(path):
    """The installed program's exit code and output are those of the command."""
    cut_out(path, 4)
    with start("verify", "--format", "json", path) as process:
        out, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert json.loads(out)["ok"] is False
    assert error == b""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_that_goes_away(path, form):
    """Behind a reader that has gone, as in "| head", the exit code stays the verdict, and there is no traceback."""
    ours, theirs = os.pipe()
    os.close(ours)
    with start("verify", "--format", form, path, stdout=theirs) as process:
        os.close(theirs)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, b"")


def test_unheard_in_this_process(monkeypatch, tmp_path):
    """After a broken pipe, stdout leads nowhere, so that the flush at exit cannot fail."""
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with formatting.unheard():
            raise BrokenPipeError
        file.write("to nobody")
    assert (tmp_path / "out").read_bytes() == b""


def test_verify_interrupted(run, path, monkeypatch):
    """Ctrl-C while a log is read gives 130 and no traceback."""

    def interrupt(*_args, **_options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(verify_command.reading, "verify", interrupt)
    result = run("verify", path)
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


def test_a_terminal_gets_a_bar_for_a_long_log(path, monkeypatch):
    """Reading much is shown on a terminal."""
    monkeypatch.setattr(verify_command, "_LONG", 0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(cli, ["verify", str(path)])
    assert result.exit_code == 0
    assert "reading" in result.stderr
    assert "reading" not in result.stdout


# -- import ------------------------------------------------------------------------------

START = datetime(2026, 11, 22, 15, 47, tzinfo=timezone.utc)


def record(number, kind, content, **more):
    """Return a record of a made-up transcript."""
    return {
        "type": kind,
        "uuid": f"u{number}",
        "parentUuid": f"u{number - 1}" if number else None,
        "timestamp": (START + timedelta(seconds=number)).isoformat(),
        "sessionId": more.pop("session", "s-1"),
        "version": "2.1.0",
        "cwd": "/home/x/project",
        "message": content,
    }


def transcript(session="s-1", rounds=2):
    """Return a made-up transcript: a prompt, then rounds with a tool call each."""
    found = [record(0, "user", {"content": "hello"}, session=session)]
    for number in range(rounds):
        usage = {"input_tokens": 100, "output_tokens": 10}
        use = {"type": "tool_use", "id": f"{session}-t{number}", "name": "Bash", "input": {}}
        message = {"id": f"{session}-m{number}", "model": "m", "usage": usage, "stop_reason": "x", "content": [use]}
        answer = {"content": [{"type": "tool_result", "tool_use_id": use["id"], "content": "secret words"}]}
        found.append(record(2 * number + 1, "assistant", message, session=session))
        found.append(record(2 * number + 2, "user", answer, session=session))
    return found


def put(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in records), encoding="utf-8")
    return path


@pytest.fixture
def source(tmp_path):
    """Make a directory with one transcript."""
    return put(tmp_path / "projects" / "p" / "s-1.jsonl", transcript()).parent


def test_import(run, source, tmp_path):
    """Sessions, rounds, tool calls and tokens are imported into a log that is accounted for."""
    out = tmp_path / "new" / "directory" / "history.jsonl"
    result = run("import", "claude-code", source, "-o", out)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "imported from 1 file: 1 session, 2 rounds, 2 tool calls, 220 tokens",
        f"written: 9 events to {out}",
    ]
    assert result.stderr == ""
    assert sum(line["event"] == "chat.tool_called" for line in flat(out)) == 2
    assert b"secret words" not in out.read_bytes()
    assert blm.verify(out).ok


def test_import_names_what_it_skips(run, source, tmp_path):
    """A broken line is named on stderr with its place, skipped and counted, and is no failure."""
    broken = source / "s-1.jsonl"
    broken.write_text(broken.read_text(encoding="utf-8") + "{half\n", encoding="utf-8")
    result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 0
    assert f"{broken}:6: not JSON" in result.stderr.replace("\n", "")
    assert "skipped: 1 line that cannot be used, named above" in result.stdout


def test_import_writes_an_event_once(run, source, tmp_path):
    """A history that is copied into a second transcript is imported once."""
    shutil.copy(source / "s-1.jsonl", source / "s-1-copy.jsonl")
    out = tmp_path / "out.jsonl"
    result = run("import", "claude-code", source, "-o", out)
    assert result.exit_code == 0
    assert "2 rounds" in result.stdout
    assert "already there: 9 events" in result.stdout
    ids = [line["event_id"] for line in flat(out) if "event_id" in line]
    assert len(ids) == len(set(ids)) == 9


def test_import_refuses_an_output_that_exists(run, source, tmp_path):
    """A log that exists, or of which rotated files exist, is not written without --append."""
    out = tmp_path / "out.jsonl"
    assert run("import", "claude-code", source, "-o", out).exit_code == 0
    before = out.read_bytes()
    result = run("import", "claude-code", source, "-o", out)
    assert result.exit_code == 2
    assert "add to it with --append" in result.stderr
    assert out.read_bytes() == before
    out.rename(f"{out}.20260101T000000000000Z-{'a' * 20}")
    assert run("import", "claude-code", source, "-o", out).exit_code == 2
    assert not out.exists()


def test_import_appends_what_is_new(run, source, tmp_path):
    """With --append, what is there is not written again, and a session that went on gets its new end."""
    out = tmp_path / "out.jsonl"
    run("import", "claude-code", source, "-o", out)
    result = run("import", "claude-code", source, "-o", out, "--append")
    assert result.exit_code == 0
    assert "already there: 9 events" in result.stdout
    assert "written: 0 events" in result.stdout
    put(source / "s-1.jsonl", transcript(rounds=3))
    result = run("import", "claude-code", source, "-o", out, "--append")
    assert "1 round, 1 tool call, 110 tokens" in result.stdout
    assert "written: 5 events" in result.stdout
    assert [line["event"] for line in flat(out)].count("chat.session_completed") == 2
    assert blm.verify(out).ok


def test_import_does_not_read_what_it_writes(run, source):
    """An output within the directory that is imported is not taken for a transcript."""
    out = source / "out.jsonl"
    assert run("import", "claude-code", source, "-o", out).exit_code == 0
    result = run("import", "claude-code", source, "-o", out, "--append")
    assert result.exit_code == 0
    assert "imported from 1 file:" in result.stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["none", "-o", "out.jsonl"], "none"),
        (["empty", "-o", "out.jsonl"], "no *.jsonl in empty"),
        (["projects"], "--output"),
        (["-o", "out.jsonl"], "Missing argument"),
        (["projects", "-o", "empty"], "not a regular file"),
        (["projects", "-o", "file/out.jsonl"], "exists"),
    ],
)
def test_import_with_bad_usage(run, source, monkeypatch, args, text):
    """Bad usage gives 2 and a message on stderr, and nothing is written."""
    tmp_path = source.parent.parent
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    result = run("import", "claude-code", *args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_import_when_the_disk_is_full(run, source, tmp_path, monkeypatch):
    """When not everything could be written, that is said with the counts, and gives 1."""
    put(source / "s-2.jsonl", transcript("s-2", 10))
    out = tmp_path / "out.jsonl"
    monkeypatch.setattr(import_, "PATIENCE", 0.2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, hard))
    try:
        result = run("import", "claude-code", source, "-o", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    found = re.search(r"NOT ALL WRITTEN: (\d+) emitted, (\d+) written, dropped (\d+).*, given up (\d+)", result.stdout)
    emitted, written, dropped, given_up = map(int, found.groups())
    assert emitted == written + dropped + given_up
    assert written == len(flat(out)) - 1


def test_import_stops_when_the_log_takes_no_more(run, source, tmp_path, monkeypatch):
    """A log that is full and cannot be written ends the import instead of waiting for each event."""
    put(source / "s-2.jsonl", transcript("s-2", 10))
    monkeypatch.setattr(import_, "PATIENCE", 0.2)
    monkeypatch.setenv("BAMBOO_LOGMETRICS_QUEUE_SIZE", "2")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    assert "block_timeout 1" in result.stdout
    assert "imported from 1 file" in result.stdout


def test_import_goes_on_while_something_is_written(run, source, tmp_path, monkeypatch):
    """A slow disk is waited for, as long as it takes anything."""
    put(source / "s-2.jsonl", transcript("s-2", 500))
    monkeypatch.setattr(import_, "PATIENCE", 0.001)
    monkeypatch.setattr(import_, "open_log", lambda path, **_: blm.open_log(path, on_full="block"))
    result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl")
    assert "imported from 2 files: 2 sessions, 502 rounds" in result.stdout


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/proc/self/mem"), reason="needs an unreadable file")
def test_import_of_an_unreadable_file(run, source, tmp_path):
    """A transcript that cannot be read is named, the others are imported, and the exit code is 1."""
    unreadable = source / "s-0.jsonl"
    unreadable.touch()
    unreadable.chmod(0)
    if os.access(unreadable, os.R_OK):  # root may read anything but this
        unreadable.unlink()
        unreadable.symlink_to("/proc/self/mem")
    result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "NOT READ: 1 file, named above" in result.stdout
    assert "imported from 1 file" in result.stdout
    assert result.stderr


def test_import_interrupted(run, source, tmp_path, monkeypatch):
    """Ctrl-C closes the log, says what was imported, and gives 130."""
    convert = import_.importer.convert

    def interrupted(*args):
        events = convert(*args)
        yield next(events)
        yield next(events)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(import_.importer, "convert", interrupted)
    out = tmp_path / "out.jsonl"
    result = run("import", "claude-code", source, "-o", out)
    assert result.exit_code == 130
    assert "INTERRUPTED" in result.stdout
    assert "written: 2 events" in result.stdout
    assert blm.verify(out).ok


def test_import_shows_a_bar_on_a_terminal(source, tmp_path, monkeypatch):
    """On a terminal the import shows how far it is, on stderr."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(cli, ["import", "claude-code", str(source), "-o", str(tmp_path / "out.jsonl")])
    assert result.exit_code == 0
    assert "importing" in result.stderr
    assert "importing" not in result.stdout


def test_import_in_a_process(source, tmp_path):
    """The installed program imports, and verify accounts for what it wrote."""
    out = tmp_path / "out.jsonl"
    with start("import", "claude-code", source, "-o", out) as process:
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, b"")
    assert b"2 rounds" in stdout
    assert blm.verify(out).ok


# -- demo --------------------------------------------------------------------------------


def test_demo(run, tmp_path):
    """The demo loses events on purpose, and every one of them is accounted for."""
    result = run("demo", "--dir", tmp_path)
    assert result.exit_code == 0
    path = tmp_path / "agent.jsonl"
    [emitted] = re.findall(r"emitted ([\d,]+)", result.stdout)
    [written] = re.findall(r"written ([\d,]+), and", result.stdout)
    dropped, again = re.findall(r"dropped.* ([\d,]+) \(queue_full [\d,]+\)", result.stdout)
    number = [int(text.replace(",", "")) for text in (emitted, written, dropped)]
    assert dropped == again
    assert number[0] == number[1] + number[2]
    assert number[2] > 0
    assert str(path) in result.stdout
    assert "OK: " in result.stdout
    assert blm.verify(path).ok


def test_demo_leaves_something_to_look_at(run, tmp_path):
    """The demo's files hold sessions, failed rounds, tool calls, plain lines, drops, rotated and compressed files."""
    run("demo", "--dir", tmp_path)
    lines = flat(tmp_path / "agent.jsonl")
    kinds = {line["event"] for line in lines}
    assert {
        "chat.session_started", "chat.session_completed", "chat.round_started", "chat.round_completed",
        "chat.tool_called", "chat.message_count_updated", "cache warmed", "system.metrics_dropped",
    } <= kinds  # fmt: skip
    assert {line["session_id"] for line in lines if "session_id" in line} == {f"demo-{n}" for n in range(1, 5)}
    assert any(line.get("status") == "error" and line["event"] == "chat.round_completed" for line in lines)
    assert any(line.get("success") is False for line in lines)
    assert list(tmp_path.glob("agent.jsonl.*.gz"))
    assert "sk-demo" not in json.dumps(lines)


def test_demo_is_the_same_each_time(run, tmp_path):
    """But for ids and times, the demo's rounds are the same each time."""

    def rounds(directory):
        run("demo", "--dir", tmp_path / directory)
        found = [line for line in flat(tmp_path / directory / "agent.jsonl") if line["event"] == "chat.round_completed"]
        return sorted((line["round_id"], line["total_tokens"], line["latency_ms"]) for line in found)

    assert rounds("one") == rounds("two")
    assert len(rounds("three")) == 100


def test_demo_in_a_new_directory():
    """Without --dir, the demo logs into a directory that it makes, names and leaves."""
    with start("demo") as process:
        out, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, b"")
    [path] = re.findall(r"bamboo-logmetrics verify (/.*)", out.decode())
    assert blm.verify(path).ok
    shutil.rmtree(os.path.dirname(path))


def test_demo_where_nothing_can_be_written(run, tmp_path):
    """A directory that cannot be made gives 2 and the reason."""
    (tmp_path / "file").touch()
    result = run("demo", "--dir", tmp_path / "file" / "sub")
    assert result.exit_code == 2
    assert "Not a directory" in result.stderr


# -- what is printed ---------------------------------------------------------------------


def test_printable():
    """Text is shown as it is, but for what would steer a terminal or is no text."""
    assert formatting.printable("größer [x] 大") == "größer [x] 大"
    assert formatting.printable("a\x1b[0m\n\u202e\udcff") == r"a\x1b[0m\n\u202e\udcff"


def test_counts():
    """Counts are shown with their sum, by reason."""
    assert formatting.counts({}) == "0"
    assert formatting.counts({"too_large": 1_000, "queue_full": 2}) == "1,002 (queue_full 2, too_large 1,000)"


def test_plural():
    """One is one, and all others are many."""
    assert [formatting.plural(count, "line") for count in (0, 1, 2_000)] == ["0 lines", "1 line", "2,000 lines"]


def test_ctrl_c_while_it_is_imported(monkeypatch, capsys):
    """Ctrl-C in the first moments, while modules are imported, ends it as later, without a traceback."""

    class Interrupting:
        @staticmethod
        def find_spec(name, *_):
            if name == "bamboo_logmetrics.cli.commands":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.cli.commands")
    monkeypatch.setattr(sys, "meta_path", [Interrupting, *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""
