from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from support.programs import start
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import demo_command


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
    assert "accounted for: " in result.stdout
    assert blm.verify(path).ok


def test_demo_ends_with_its_summary(run, tmp_path):
    """The last lines sum up the rounds of each model, and say that what was dropped is in no number."""
    output = run("demo", "--dir", tmp_path).stdout
    *_, title, small, large, total, extent, warning = [
        line for line in output.splitlines() if not line.startswith("cost: ")
    ]
    assert title.split()[:3] == ["model", "sessions", "rounds"]
    assert [line.split()[:3] for line in (small, large, total)] == [
        ["gpt-5", "2", "50"],
        ["gpt-5-mini", "2", "50"],
        ["all", "4", "100"],
    ]
    assert " lines in " in extent
    assert warning.startswith("not whole: ")
    assert "dropped" in warning


def test_demo_leaves_something_to_look_at(run, tmp_path):
    """The demo's files hold sessions, failed rounds, tool calls, plain lines, drops, rotated and compressed files."""
    run("demo", "--dir", tmp_path)
    lines = flat(tmp_path / "agent.jsonl")
    kinds = {line["event"] for line in lines}
    assert {
        "chat.session_started", "chat.session_completed", "chat.round_started", "chat.round_completed",
        "chat.tool_called", "chat.message_count_updated", "cache warmed", "system.metrics_dropped",
        "forward.request_started", "forward.request_completed", "system.storage_error",
    } <= kinds  # fmt: skip
    assert {line["session_id"] for line in lines if "session_id" in line} == {f"demo-{n}" for n in range(1, 5)}
    assert any(line.get("status") == "error" and line["event"] == "chat.round_completed" for line in lines)
    assert any(line.get("success") is False for line in lines)
    assert {line["model"] for line in lines if line["event"] == "chat.round_completed"} == {"gpt-5-mini", "gpt-5"}
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
    [(program, path)] = re.findall(r"\n  (.*) verify (/.*)", out.decode())
    assert blm.verify(path).ok
    done = subprocess.run(f"{program} verify {path}", shell=True, capture_output=True, check=False)
    assert done.returncode == 0
    shutil.rmtree(os.path.dirname(path))


def test_demo_where_nothing_can_be_written(run, tmp_path):
    """A directory that cannot be made gives 2 and the reason."""
    (tmp_path / "file").touch()
    result = run("demo", "--dir", tmp_path / "file" / "sub")
    assert result.exit_code == 2
    assert "Not a directory" in result.stderr


def test_the_commands_to_try_start_as_this_one(monkeypatch, tmp_path):
    """The demo prints commands that work where it runs: by name, by path, or by a module."""
    program = tmp_path / "my bin" / "bamboo-logmetrics"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", str(program.parent))
    assert demo_command._program() == "bamboo-logmetrics"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo_command._program() == f"'{program}'"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "__main__.py")])
    assert demo_command._program() == f"{shlex.quote(sys.executable)} -m bamboo_logmetrics"
