"""Row 47 of the fault matrix: stdout or stderr as the log, with a reader that is slow or gone."""

from __future__ import annotations

import json
import os
import threading

import pytest
from support import TESTS
from support.faults import HurriedClock
from support.tools import balanced, tool

import bamboo_logmetrics as blm

PATIENT = 10_000  # seconds of a HurriedClock, ten of ours


@pytest.fixture
def pipe():
    """Return the two ends of a pipe; the test closes the second one."""
    read, write = os.pipe()
    yield read, write
    os.close(read)


def read_all(fd):
    """Return all lines of a pipe until its end."""
    parts = []
    while part := os.read(fd, 65_536):
        parts.append(part)
    data = b"".join(parts)
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def assert_accounted(events, stats):
    """Check that the lines of one writer are those that its counters and its own announcements say."""
    assert balanced(stats)
    assert stats.queued == 0
    assert [line["seq"] for line in events] == list(range(1, len(events) + 1))
    assert len(events) == stats.written + stats.own
    assert sum(line["event"] == "chat.tool_called" for line in events) == stats.written
    announced = [line["count"] for line in events if line["event"] == "system.metrics_dropped"]
    assert sum(announced) == stats.dropped_total
    assert events[-1]["event"] == "system.worker_stopped"


@pytest.mark.parametrize("durability", ["queue", "write"])
def test_row_47_a_slow_reader(pipe, durability):
    """While nobody reads, calls return, lines wait and drops are counted; then every line that was kept arrives once."""
    read, write = pipe
    log = blm.open_log(
        f"/dev/fd/{write}", clock=HurriedClock(), queue_size=500, durability=durability, block_timeout=0.5
    )
    os.close(write)
    answers = [log.emit(tool(number)) for number in range(3_000)]
    assert not log.flush(timeout=100)
    stats = log.stats()
    assert balanced(stats)
    assert stats.dropped["queue_full"] > 0
    assert answers.count(True) <= stats.written + stats.queued
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(read_all(read)))
    reader.start()
    assert log.close(timeout=PATIENT)
    reader.join()
    assert_accounted(lines, log.stats())
    assert any(line["event"] == "system.storage_error" and "its reader is slow" in line["error"] for line in lines)


def test_row_47_close_on_a_full_pipe(pipe):
    """If nobody reads, close returns in its time, and everything that was not written is counted."""
    read, write = pipe
    log = blm.open_log(f"/dev/fd/{write}", clock=HurriedClock(), queue_size=5_000)
    os.close(write)
    for number in range(3_000):
        log.emit(tool(number))
    assert not log.close(timeout=1_000)
    stats = log.stats()
    assert balanced(stats)
    assert stats.emitted == 3_000
    assert stats.written + stats.dropped_total + stats.queued == 3_000
    events = read_all(read)
    assert sum(line["event"] == "chat.tool_called" for line in events) == stats.written > 0
    assert [line["seq"] for line in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("action", ["SIG_IGN", "SIG_DFL", "a handler"])
@pytest.mark.parametrize("durability", ["queue", "write"])
def test_row_47_the_reader_is_gone(run_python, action, durability):
    """A reader that goes away neither kills the process nor raises in it; what it did not take is counted."""
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from support.faults import HurriedClock
from support.tools import tool
import bamboo_logmetrics as blm

actions = {"SIG_IGN": signal.SIG_IGN, "SIG_DFL": signal.SIG_DFL, "a handler": lambda *_: print("handled")}
signal.signal(signal.SIGPIPE, actions[sys.argv[2]])
read, write = os.pipe()
log = blm.open_log(f"/dev/fd/{write}", clock=HurriedClock(), durability=sys.argv[3], block_timeout=1)
os.close(write)
log.emit(tool(0))
log.flush()
os.close(read)
for number in range(100):
    log.emit(tool(number))
print(log.close(timeout=500))
stats = log.stats()
print(stats.emitted, stats.written, stats.written + stats.dropped_total + stats.queued)
"""
    done = run_python(code, TESTS, action, durability)
    assert (done.returncode, done.stdout) == (0, "False\n101 1 101\n")
    assert "Broken pipe" in done.stderr


def test_row_47_several_processes_on_one_pipe(run_python, tmp_path):
    """Long and short lines of five processes on stdout, of which four were forked, all arrive whole and once."""
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")  # from 3.12 on, about forks beside threads
sys.path.insert(0, sys.argv[1])
from support.tools import tool
import bamboo_logmetrics as blm

log = blm.open_log("-", flush_interval=0, on_full="block", block_timeout=60)
log.emit(tool("parent"))
log.flush()
for child in range(4):
    if os.fork() == 0:
        break
else:
    child = "parent"
for number in range(300):
    assert log.emit(tool(f"{child}-{number}", tool_name="n" * (number * 37 % 3_000)))
assert log.close(timeout=60)
if child == "parent":
    for _ in range(4):
        assert os.wait()[1] == 0
"""
    done = run_python(code, TESTS)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.encode().splitlines(keepends=True)
    assert max(map(len, lines)) <= 4_096
    events = [json.loads(line) for line in lines]
    calls = [line["tool_call_id"] for line in events if line["event"] == "chat.tool_called"]
    assert len(calls) == len(set(calls)) == 5 * 300 + 1
    saved = tmp_path / "saved.jsonl"
    saved.write_text(done.stdout, encoding="utf-8")
    report = blm.verify(saved)
    assert report.ok
    assert (report.written, len(report.writers)) == (1_501, 5)


@pytest.mark.parametrize("lost", [False, True])
def test_row_47_verify_reads_a_saved_stream(run_python, lost):
    """verify reads a stream from stdin, by a pipe or a file, and names a line that is missing."""
    code = """
import subprocess, sys
program = '''
import bamboo_logmetrics as blm
with blm.open_log("/dev/stdout") as log:
    for number in range(10):
        log.emit(blm.SessionStarted(session_id=str(number), model="m"))
'''
lines = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.splitlines(keepends=True)
if sys.argv[1] == "True":
    del lines[5]
command = [sys.executable, "-m", "bamboo_logmetrics", "verify", "-"]
done = subprocess.run(command, input=b"".join(lines), capture_output=True)
print(done.returncode, done.stdout.decode(), done.stderr.decode())
with open("saved", "wb") as file:
    file.writelines(lines)
with open("saved", "rb") as file:
    print(subprocess.run(command, stdin=file, capture_output=True).returncode)
"""
    done = run_python(code, lost)
    assert done.stderr == ""
    if lost:
        assert "missing lines: 6 (1 in all)" in done.stdout
        assert (done.stdout[0], done.stdout[-2:]) == ("1", "1\n")
    else:
        assert "accounted for: 12 lines of 1 writer in 1 file" in done.stdout
        assert (done.stdout[0], done.stdout[-2:]) == ("0", "0\n")
