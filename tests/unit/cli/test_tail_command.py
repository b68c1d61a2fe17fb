from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress

import pytest
from rich.cells import cell_len
from rich.text import Text
from support.log_lines import as_bytes, with_headers
from support.shiplog import HandLog, ids_in

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import tail_command

COMMAND = [sys.executable, "-m", "bamboo_logmetrics", "tail"]
EVENTS = [
    {
        "event": "chat.tool_called",
        "tool_name": "ls",
        "success": True,
        "session_id": f"s{number % 2}",
        "latency_ms": number,
    }
    for number in range(30)
]
TORN = b'{"timestamp":"2026-11-22T15:47:13.400000Z","level":"in'


@pytest.fixture
def events_log(path):
    """Write a log of 30 events."""
    path.write_bytes(as_bytes(with_headers(EVENTS)))
    return path


@pytest.fixture
def start():
    """Start the command as a process with pipes, which is ended after the test."""
    processes = []

    def starting(*args, **options):
        processes.append(
            subprocess.Popen(
                [*COMMAND, *map(str, args)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.PIPE,
                **options,
            )
        )
        return processes[-1]

    yield starting
    for process in processes:
        process.kill()
        process.communicate()


def on_terminal(*args, width=80, ending=None, environment=None):
    """Run the command on a terminal until ``ending`` is there, then interrupt it; return its bytes and its exit code."""
    fd, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, args)],
        stdin=end, stdout=end, stderr=end, env={"TERM": "xterm", "PATH": "/bin", **(environment or {})},
    )  # fmt: skip
    os.close(end)
    output = b""
    with suppress(OSError):  # when the last process has left the terminal
        while data := os.read(fd, 65_536):
            output += data
            if ending is not None and ending in output:
                ending = None
                process.send_signal(signal.SIGINT)
    os.close(fd)
    return output, process.wait(60)


# -- the last lines ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], range(21, 31)),
        (["-n", "3"], range(28, 31)),
        (["-n", "-3"], range(28, 31)),
        (["--lines", "0"], []),
        (["-n", "+1"], range(1, 31)),
        (["-n", "all"], range(1, 31)),
        (["--all"], range(1, 31)),
        (["-n", "99"], range(1, 31)),
        (["-n", "3", "--session", "s1"], [26, 28, 30]),
        (["--session", "s1", "--all"], range(2, 31, 2)),
        (["--since", "2026-11-30T12:05:00Z"], range(5, 31)),
        (["--since", "2026-11-30T12:05:00Z", "-n", "2"], range(29, 31)),
        (["--event", "system.*"], []),
    ],
)
def test_which_lines(run, events_log, options, expected):
    """The last lines come that are wanted, byte for byte in JSON."""
    result = run("tail", events_log, "--format", "json", *options)
    lines = events_log.read_bytes().splitlines(keepends=True)
    assert result.exit_code == 0
    assert result.stdout_bytes == b"".join(lines[number - 1] for number in expected)


def test_text(run, events_log):
    """Without a terminal each line is text without colour; table is another word for it."""
    for form in ("text", "table"):
        result = run("tail", "-n", "1", "--tz", "UTC", "--format", form, events_log)
        line = "2026-11-30 12:30:00.000+00:00 info  tool_called       s1                ok           29 ms ls\n"
        assert result.stdout == line


@pytest.mark.parametrize("layout", ["ecs", "otel"])
def test_layouts(run, path, layout):
    """Lines of the other layouts are shown alike, and pass as they are."""
    with blm.open_log(path, layout=layout) as log:
        log.emit(blm.SessionStarted(session_id="s-1", model="m-1"))
    result = run("tail", path, "--session", "s-1")
    assert result.stdout.split()[2:] == ["info", "session_started", "s-1", "m-1"]
    assert run("tail", path, "--format", "json").stdout_bytes == path.read_bytes()


def test_several_logs(run, tmp_path, events_log):
    """Of several logs each line names its log; a long name is cut at its beginning."""
    (tmp_path / "a-log-with-a-long-name.jsonl").write_bytes(events_log.read_bytes())
    lines = run("tail", tmp_path / "*.jsonl", "-n", "1").stdout.splitlines()
    assert sorted(line[30:46].strip() for line in lines) == ["a", "…ith-a-long-name"]


def test_other_lines(run, events_log):
    """Other programs' lines are shown unless there is a filter or JSON; what is not shown is counted."""
    with events_log.open("ab") as file:
        file.write(
            b'Listening \x1b[1m\xff\n{"msg":"x"}\n\n' + TORN + b"\n" + as_bytes([with_headers(EVENTS)[0] | {"v": 2}])
        )
    result = run("tail", "-n", "3", events_log)
    assert result.stdout.splitlines()[1:] == [r"Listening \x1b[1m\xff", '{"msg":"x"}']
    counted = "not shown: 1 broken line, 1 line of a newer version (update this package)\n"
    assert result.stderr == counted
    others = "not shown: 1 line that is not JSON, 1 line of another program, 1 broken line, 1 line of a newer version"
    for options in (["--session", "s1"], ["--format", "json"]):
        result = run("tail", "-n", "3", events_log, *options)
        assert len(result.stdout.splitlines()) == 3
        assert result.stderr == f"{others} (update this package)\n"


def test_a_torn_end_of_a_rotated_file(run, tmp_path):
    """A rotated file that ends within a line is named, and its torn line counted."""
    log = HandLog(tmp_path)
    log.append(log.make(1) + TORN)
    log.rotate()
    result = run("tail", log.path)
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == f"{log.path}: cut off: it has no newline\nnot shown: 1 broken line\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", "many"], "'many' is not a number of lines; use one such as 100, or +1 for all"),
        (["-n", "+5"], "'+5' is not a number of lines; use one such as 100, or +1 for all"),
        (["--where", "seq > 1"], "tail has no --where; use: bamboo-logmetrics query FILE --where ..."),
        (["--tz", "Mars"], "unknown time zone 'Mars'; use one such as UTC or Europe/Berlin, or local"),
    ],
)
def test_bad_usage(run, events_log, options, message):
    """An option that cannot be used is one line with the remedy."""
    result = run("tail", events_log, *options)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(message)


def test_no_such_log(run, tmp_path):
    """A log that does not exist is an error."""
    result = run("tail", tmp_path / "no.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no such log" in result.stderr


# -- following ---------------------------------------------------------------------------


def test_every_line_once_while_a_log_rotates(start, path):
    """While a log writes and rotates, each of its lines comes once and in order; Ctrl-C ends with 130."""
    log = blm.open_log(path, max_bytes=4_000, compress="gzip", on_full="block")
    process = start("-f", "--all", "--format", "json", path)
    written = threading.Thread(
        target=lambda: ([log.info("line", number=number) for number in range(3_000)], log.close())
    )
    written.start()
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if lines[-1]["event"] == "system.worker_stopped":
            break
    written.join()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert [line["seq"] for line in lines] == list(range(1, 3_003))
    assert (rest, errors, process.returncode) == (b"", b"interrupted\n", 130)
    assert len(list(path.parent.glob("*.gz"))) > 50


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_steps_of_following(run, tmp_path, monkeypatch, number, code):
    """It waits only when nothing was appended, the longer the less comes, and ends at a signal."""
    log, waits, before = HandLog(tmp_path), [], signal.getsignal(signal.SIGTERM)

    def wait(seconds, *, stdin):
        waits.append(seconds)
        assert not stdin
        if len(waits) == 6:
            signal.raise_signal(number)
        if len(waits) in {1, 4}:
            log.append(log.make(1) + TORN + b"\n")

    monkeypatch.setattr(tail_command, "_wait", wait)
    log.write(1)
    result = run("tail", "-f", log.path, "--format", "json")
    assert [seq for _, seq in ids_in(result.stdout_bytes)] == [1, 2, 3]
    assert waits == [0.05, 0.05, 0.1, 0.2, 0.05, 0.1]
    assert result.stderr.splitlines()[0] == "not shown: 2 broken lines"
    assert result.exit_code == code
    assert signal.getsignal(signal.SIGTERM) is before


def test_lines_that_retention_removed(run, tmp_path, monkeypatch):
    """Lines of a file that is removed before it is read are counted when that is noticed, and at the end."""
    log, waits = HandLog(tmp_path), []

    def wait(seconds, *, stdin):
        waits.append(seconds)
        if len(waits) > 1:
            signal.raise_signal(signal.SIGINT)
        log.rotate()
        log.write(4)
        log.rotate()
        os.unlink(log.rotated[-1])
        log.write(1)

    monkeypatch.setattr(tail_command, "_wait", wait)
    log.write(2)
    result = run("tail", "-f", log.path, "--format", "json")
    assert [seq for _, seq in ids_in(result.stdout_bytes)] == [1, 2, 7]
    said = f"{log.path}: 4 lines are missing, perhaps removed by retention before being read"
    assert result.stderr.splitlines() == [said, "not shown: 4 missing lines", "interrupted"]


def test_waiting(monkeypatch):
    """The wait ends when standard input has something, and is an error when the reader of stdout is gone."""
    reader, writer = os.pipe()
    stdin_reader, stdin_writer = os.pipe()
    before = os.dup(0)
    os.dup2(stdin_reader, 0)
    os.write(stdin_writer, b"x")
    with os.fdopen(writer, "w") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        tail_command._wait(None, stdin=True)
        tail_command._wait(0.001, stdin=False)
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            tail_command._wait(None, stdin=False)
    os.dup2(before, 0)
    for fd in (before, stdin_reader, stdin_writer):
        os.close(fd)


def test_a_signal_ends_it(start, tmp_path):
    """A signal ends it, and what was not shown is counted before."""
    log = HandLog(tmp_path)
    process = start("-f", log.path, tmp_path / "b*.jsonl")
    assert process.stderr.readline().endswith(b"a.jsonl is not there yet: waiting for it\n")
    assert process.stderr.readline().endswith(b"b*.jsonl is not there yet: waiting for it\n")
    log.append(TORN + b"\n" + log.make(1))
    assert b"tool_called" in process.stdout.readline()
    HandLog(tmp_path, "b.jsonl").write(1)
    assert b" b " in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert errors.startswith(b"not shown: 1 broken line\n")
    assert process.returncode == 143


def test_a_closed_pipe_ends_it(start, events_log):
    """When the reader of stdout goes, it ends at once and silently, although nothing is appended."""
    process = start(events_log, "-f", "-n", "1")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""


# -- standard input ----------------------------------------------------------------------


def test_a_stream(start, events_log):
    """A stream is shown as it comes, whole, with the lines of other programs, and its end is the end."""
    process = start("-", "--tz", "UTC")
    process.stdin.write(b"Listening\n" + events_log.read_bytes())
    process.stdin.flush()
    assert process.stdout.readline() == b"Listening\n"
    assert [process.stdout.readline().split()[3] for _ in range(30)] == [b"tool_called"] * 30
    rest, errors = process.communicate(b"the end", timeout=60)
    assert (rest, errors, process.returncode) == (b"the end\n", b"", 0)


def test_the_end_of_a_stream(start, events_log):
    """With a number of lines, the last ones of a stream come at its end."""
    process = start("-", "-n", "2", "--format", "json")
    output = process.communicate(events_log.read_bytes(), timeout=60)[0]
    assert [json.loads(line)["seq"] for line in output.splitlines()] == [29, 30]


# -- on a terminal -----------------------------------------------------------------------


@pytest.mark.parametrize("width", [30, 160])
def test_on_a_terminal(tmp_path, width):
    """On a terminal there is colour, nothing is wider than it, and nothing in a line controls it; it is left in order."""
    log = HandLog(tmp_path)
    hostile = "\\u001b]0;evil\\u0007 \\u202e \\u009b31m 日本語 " + "x" * 300
    log.append(log.make(3, text=f'","tool_name":"{hostile}","a":"') + b"foreign \x1b[5m\n")
    output, code = on_terminal(log.path, "-f", width=width, ending=b"foreign")
    assert code == 130
    lines = output.decode().replace("\r", "").split("\n")
    lines = [line for line in lines if "tool_called" in line or "foreign" in line]
    assert len(lines) == 4
    for line in lines:
        text = Text.from_ansi(line.removeprefix("^C")).plain
        assert cell_len(text) <= width
        assert text.isprintable()
        assert "\x1b[2m" in line
        assert line.endswith("\x1b[0m")


def test_json_on_a_terminal(tmp_path):
    """On a terminal, JSON has escapes in place of what could control it, and means the same."""
    log = HandLog(tmp_path)
    log.append(log.make(1, text='","a":"\u202e\x7f\U000e0001'))
    output, code = on_terminal(log.path, "--format", "json", width=500)
    (line,) = [line for line in output.decode().splitlines() if line.startswith("{")]
    assert code == 0
    assert line.isprintable()
    assert json.loads(line)["a"] == "\u202e\x7f\U000e0001"


def test_colour_by_environment(tmp_path, start, events_log):
    """NO_COLOR forbids colour on a terminal, and FORCE_COLOR has it in a pipe."""
    output, _ = on_terminal(events_log, environment={"NO_COLOR": "1"})
    assert b"tool_called" in output
    assert b"\x1b[1m" not in output
    process = start(events_log, env=os.environ | {"FORCE_COLOR": "1"})
    assert b"\x1b[1mtool_called" in process.communicate(timeout=60)[0]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_search_is_shown(run, events_log, monkeypatch, terminal):
    """On a terminal a long search shows how many lines were looked at, until one of them is shown."""
    monkeypatch.setattr(tail_command, "_STEP", 7)
    monkeypatch.setattr(tail_command, "_LONG", -1.0)
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    for session, count in (("none", 0), ("s1", 10)):
        result = run("tail", events_log, "--session", session, "--format", "json")
        assert ("looking for lines: " in result.stderr) is terminal
        assert result.stderr.endswith("\x1b[2K" if terminal else "")
        assert (result.exit_code, len(result.stdout.splitlines())) == (0, count)


# -- hostile numbers and files -----------------------------------------------------------


@pytest.mark.parametrize("count", ["99999999999999999999", "9" * 5_000, "-" + "9" * 30, "0" * 30 + "3"])
def test_numbers_of_lines_of_any_size(run, events_log, count):
    """A number that is larger than any log asks for all lines; leading zeros are none."""
    result = run("tail", events_log, "-n", count, "--format", "json")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == (3 if count.endswith("3") else 30)


@pytest.mark.parametrize("files", [["-"], ["LOG"]])
def test_all_and_a_number(run, events_log, files):
    """--all and a number contradict each other."""
    files = [events_log if file == "LOG" else file for file in files]
    result = run("tail", *files, "--all", "-n", "5")
    assert result.exit_code == 2
    assert "give one of them" in result.stderr
    assert run("tail", events_log, "--all", "-n", "+1").exit_code == 0


@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_a_compressed_file_that_is_cut_off(run, tmp_path, events_log, follow):
    """A compressed file that is named itself is shown up to its damage, which is said once, and the command ends."""
    data = gzip.compress(events_log.read_bytes())
    packed = tmp_path / "plain.gz"
    packed.write_bytes(data[:-10])
    result = run("tail", packed, "-n", "3", "--format", "json", *follow)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.count(str(packed)) == 1
    assert len(result.stderr.splitlines()) == 2  # with the broken line before the damage
