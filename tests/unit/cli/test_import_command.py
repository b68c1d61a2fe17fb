from __future__ import annotations

import gzip
import json
import os
import re
import resource
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from click.testing import CliRunner
from support.programs import start
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import import_command
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.importers.claude_code.importer import ClaudeCode
from bamboo_logmetrics.logfiles.compression import need_zstd

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
    result = run("import", "claude-code", source, "-o", out, "--all")
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
    """A broken line is reported on stderr with its place, skipped and counted; the exit code stays 0."""
    broken = source / "s-1.jsonl"
    broken.write_text(broken.read_text(encoding="utf-8") + "{half\n", encoding="utf-8")
    result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl", "--all")
    assert result.exit_code == 0
    assert f"{broken}:6: not JSON" in result.stderr.replace("\n", "")
    assert "skipped: 1 line that cannot be used, named above" in result.stdout


def test_import_writes_an_event_once(run, source, tmp_path):
    """A history that is copied into a second transcript is imported once."""
    shutil.copy(source / "s-1.jsonl", source / "s-1-copy.jsonl")
    out = tmp_path / "out.jsonl"
    result = run("import", "claude-code", source, "-o", out, "--all")
    assert result.exit_code == 0
    assert "2 rounds" in result.stdout
    assert "counted once: 2 calls that were seen in more than one place" in result.stdout
    ids = [line["event_id"] for line in flat(out) if "event_id" in line]
    assert len(ids) == len(set(ids)) == 9


def test_import_refuses_an_output_that_exists(run, source, tmp_path):
    """A log that exists, or of which rotated files exist, is not written without --append."""
    out = tmp_path / "out.jsonl"
    assert run("import", "claude-code", source, "-o", out, "--all").exit_code == 0
    before = out.read_bytes()
    result = run("import", "claude-code", source, "-o", out, "--all")
    assert result.exit_code == 2
    assert "add to it with --append" in result.stderr
    assert out.read_bytes() == before
    out.rename(f"{out}.20260101T000000000000Z-{'a' * 20}")
    assert run("import", "claude-code", source, "-o", out, "--all").exit_code == 2
    assert not out.exists()


def test_import_appends_what_is_new(run, source, tmp_path):
    """With --append, existing events are not written again, and a session that continued gets its new end."""
    out = tmp_path / "out.jsonl"
    run("import", "claude-code", source, "-o", out, "--all")
    result = run("import", "claude-code", source, "-o", out, "--append", "--all")
    assert result.exit_code == 0
    assert "unchanged: 1 file, not read again" in result.stdout
    assert "written: 0 events" in result.stdout
    put(source / "s-1.jsonl", transcript(rounds=3))
    result = run("import", "claude-code", source, "-o", out, "--append", "--all")
    assert "1 round, 1 tool call, 110 tokens" in result.stdout
    assert "written: 5 events" in result.stdout
    assert [line["event"] for line in flat(out)].count("chat.session_completed") == 2
    assert blm.verify(out).ok


def test_import_does_not_read_what_it_writes(run, source):
    """An output within the directory that is imported is not taken for a transcript."""
    out = source / "out.jsonl"
    assert run("import", "claude-code", source, "-o", out, "--all").exit_code == 0
    result = run("import", "claude-code", source, "-o", out, "--append", "--all")
    assert result.exit_code == 0
    assert "unchanged: 1 file" in result.stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["none", "-o", "out.jsonl"], "none"),
        (["empty", "-o", "out.jsonl"], "no *.jsonl in empty"),
        (["projects"], "--output"),
        (["projects", "-o", "out.jsonl", "--settle", "soon"], "use one such as 10m"),
        (
            ["foreign", "-o", "out.jsonl"],
            "none of the 1 file in foreign is of claude-code; give the files of that tool",
        ),
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
    put(tmp_path / "foreign" / "rollout-1.jsonl", [{"timestamp": "x", "type": "session_meta", "payload": {"id": "y"}}])
    result = run("import", "claude-code", *args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_import_when_the_disk_is_full(run, source, tmp_path, monkeypatch):
    """If not everything could be written, the summary gives the counts, and the exit code is 1."""
    put(source / "s-2.jsonl", transcript("s-2", 10))
    out = tmp_path / "out.jsonl"
    monkeypatch.setattr(import_command, "GIVE_UP_AFTER", 0.2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, hard))
    try:
        result = run("import", "claude-code", source, "-o", out, "--all")
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
    monkeypatch.setattr(import_command, "GIVE_UP_AFTER", 0.2)
    monkeypatch.setenv("BAMBOO_LOGMETRICS_QUEUE_SIZE", "2")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl", "--all")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    assert "block_timeout 1" in result.stdout
    assert "IDS NOT SAVED" in result.stdout


def test_import_goes_on_while_something_is_written(run, source, tmp_path, monkeypatch):
    """The import waits for a slow disk as long as it accepts anything."""
    put(source / "s-2.jsonl", transcript("s-2", 500))
    monkeypatch.setattr(import_command, "GIVE_UP_AFTER", 0.001)
    monkeypatch.setattr(import_command, "open_log", lambda path, **_: blm.open_log(path, on_full="block"))
    result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl", "--all")
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
    result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl", "--all")
    assert result.exit_code == 1
    assert "NOT READ: 1 file, named above" in result.stdout
    assert "imported from 1 file" in result.stdout
    assert result.stderr


def test_import_interrupted(run, source, tmp_path, monkeypatch):
    """Ctrl-C closes the log, prints the summary, and gives 130."""
    due = ClaudeCode.due

    def interrupted(*args):
        events = due(*args)
        yield next(events)
        yield next(events)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ClaudeCode, "due", interrupted)
    out = tmp_path / "out.jsonl"
    result = run("import", "claude-code", source, "-o", out, "--all")
    assert result.exit_code == 130
    assert "INTERRUPTED" in result.stdout
    assert "written: 2 events" in result.stdout
    assert blm.verify(out).ok


def test_import_shows_a_bar_on_a_terminal(source, tmp_path, monkeypatch):
    """On a terminal, the import shows a progress bar on stderr."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(cli, ["import", "claude-code", str(source), "-o", str(tmp_path / "out.jsonl"), "--all"])
    assert result.exit_code == 0
    assert "importing" in result.stderr
    assert "importing" not in result.stdout
    assert "writing" in result.stderr
    assert re.search(r"(\d+)/\1 events", result.stderr)


def test_import_in_a_process(source, tmp_path):
    """The installed program imports, and verify accounts for what it wrote."""
    out = tmp_path / "out.jsonl"
    with start("import", "claude-code", source, "-o", out, "--all") as process:
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, b"")
    assert b"2 rounds" in stdout
    assert blm.verify(out).ok


def test_import_from_the_usual_place(run, source, tmp_path, monkeypatch):
    """With no path, the importer looks where the tool keeps its files."""
    home = tmp_path / "home"
    put(home / ".claude" / "projects" / "p" / "s-9.jsonl", transcript("s-9"))
    monkeypatch.setenv("HOME", str(home))
    result = run("import", "claude-code", "-o", tmp_path / "out.jsonl", "--all")
    assert result.exit_code == 0
    assert "imported from 1 file: 1 session, 2 rounds" in result.stdout


def test_import_of_compressed_files_and_linked_folders(run, source, tmp_path):
    """H15: compressed transcripts are read, and a linked folder is followed, once."""
    folder = tmp_path / "more"
    folder.mkdir()
    for number, compress in enumerate((gzip.compress, need_zstd().compress), 2):
        lines = put(tmp_path / "x.jsonl", transcript(f"s-{number}")).read_bytes()
        (folder / f"s-{number}.jsonl.{'gz' if number == 2 else 'zst'}").write_bytes(compress(lines))
    (folder / "link").symlink_to(source)
    (folder / "again").symlink_to(folder)
    result = run("import", "claude-code", folder, "-o", tmp_path / "out.jsonl", "--all")
    assert result.exit_code == 0, result.output
    assert "imported from 3 files: 3 sessions, 6 rounds" in result.stdout
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(lines)[:-20])
    result = run("import", "claude-code", folder, "-o", tmp_path / "out.jsonl", "--all", "--append")
    assert result.exit_code == 1
    assert "NOT READ: 1 file" in result.stdout


def test_import_says_which_numbers_are_not_whole(run, source, tmp_path):
    """Partial and missing usage and failed requests are counted in the summary."""
    lines = transcript(rounds=3)
    lines[1]["message"]["stop_reason"] = None
    lines[3]["message"]["usage"] = None
    lines.append({**record(9, "system", None), "subtype": "api_error", "error": {"status": 529}, "retryAttempt": 1})
    put(source / "s-1.jsonl", lines)
    result = run("import", "claude-code", source, "-o", tmp_path / "out.jsonl", "--all")
    assert "failed requests: 1" in result.stdout
    assert "PARTIAL: 1 of 3 rounds have usage from before the answer was complete" in result.stdout
    assert "MISSING: 1 of 3 rounds have no usage" in result.stdout


def test_import_follow(source, tmp_path, monkeypatch):
    """--follow writes what is added while it runs, until SIGTERM, and ends with the summary and exit code 0."""
    monkeypatch.setattr(import_command, "FOLLOW_EVERY", 0)
    out = tmp_path / "out.jsonl"
    steps = iter([lambda: put(source / "s-2.jsonl", transcript("s-2")), lambda: None])

    def cycle(*args):
        ran = import_cycle(*args)
        step = next(steps, None)
        if step is None:
            signal.raise_signal(signal.SIGTERM)
        else:
            step()
        return ran

    import_cycle = import_command._cycle
    monkeypatch.setattr(import_command, "_cycle", cycle)
    result = CliRunner().invoke(
        cli, ["import", "claude-code", str(source), "-o", str(out), "--follow", "--settle", "0"]
    )
    assert result.exit_code == 0, result.output
    assert "2 sessions, 4 rounds" in result.stdout
    assert "INTERRUPTED" not in result.stdout
    assert blm.verify(out).ok
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_import_in_a_thread(source, tmp_path):
    """Outside the main thread, where no signal can be handled, an import works too."""
    out = tmp_path / "out.jsonl"
    args = ["import", "claude-code", str(source), "-o", str(out), "--all"]
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(CliRunner().invoke, cli, args).result()
    assert result.exit_code == 0
    assert "2 rounds" in result.stdout


def test_import_auto(run, source, tmp_path):
    """auto reads each file by the importer that recognises it, in one order of time, and says what it did not know."""
    rollout = [
        {"timestamp": "2026-11-22T15:47:01Z", "type": "session_meta", "payload": {"id": "t1"}},
        {"timestamp": "2026-11-22T15:47:02Z", "type": "event_msg", "payload": {"type": "token_count", "info": {"last_token_usage": {"input_tokens": 1, "output_tokens": 1}}}},
    ]  # fmt: skip
    put(source / "rollout-2026-11-22T15-47-00-t1.jsonl", rollout)
    put(source / "notes.jsonl", [{"text": "hello"}])
    out = tmp_path / "out.jsonl"
    result = run("import", "auto", source, "-o", out, "--all")
    assert result.exit_code == 0, result.output
    assert "2 sessions, 3 rounds" in result.stdout
    for text in ("files of claude-code: 1", "files of codex: 1", "files that are not recognised, left out: 1"):
        assert text in result.stdout
    events = [line for line in flat(out) if "event_id" in line]
    assert {line["importer"] for line in events} == {"claude-code", "codex"}
    assert {line["importer"] for line in events if line["session_id"] == "t1"} == {"codex"}
    assert [line["timestamp"] for line in events] == sorted(line["timestamp"] for line in events)
    assert "unchanged: 2 files" in run("import", "auto", source, "-o", out, "--all", "--append").stdout


def test_import_auto_from_the_usual_places(run, tmp_path, monkeypatch):
    """Without a path, auto reads the usual place of each tool that has one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / ".claude" / "projects" / "p" / "s-9.jsonl", transcript("s-9"))
    result = run("import", "auto", "-o", tmp_path / "out.jsonl", "--all")
    assert "files of claude-code: 1" in result.stdout


def test_import_of_what_another_import_held_back(run, source, tmp_path):
    """Events that one importer held back are written by the next import under the name of their own importer."""
    out = tmp_path / "out.jsonl"
    run("import", "claude-code", source, "-o", out)
    folder = put(
        tmp_path / "codex" / "rollout-2026-11-22T15-47-00-t1.jsonl",
        [{"timestamp": "2026-11-22T15:47:01Z", "type": "session_meta", "payload": {"id": "t1"}}],
    ).parent
    assert run("import", "codex", folder, "-o", out, "--append", "--all").exit_code == 0
    events = [line for line in flat(out) if "event_id" in line]
    assert {line["importer"] for line in events if line["session_id"] == "s-1"} == {"claude-code"}
    assert sum(line["event"] == "chat.session_completed" for line in events) == 2
