"""The command query."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import duckdb
import pytest
from support.log_lines import as_bytes, with_headers

ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 12_345,
    "prompt_tokens": 1_000, "model": "m-1", "cost_usd": 0.25, "user": "ada",
}  # fmt: skip
TOOL = {"event": "chat.tool_called", "session_id": "s", "tool_name": "\x1b[31mred\nline", "latency_ms": 5}
PLAIN = {"event": "warmed, up", "plain": True, "level": "warning"}
PROGRAM = [sys.executable, "-m", "bamboo_logmetrics", "query"]


@pytest.fixture
def queried_log(path):
    """Write a log of a call, a tool call and a plain line."""
    path.write_bytes(as_bytes(with_headers([ROUND, TOOL, PLAIN])))
    return path


def on_terminal(arguments, columns=200):
    """Return the output of a query on a terminal, stdout and stderr without its styles, and its exit code."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = os.environ | {"TERM": "xterm"}
    for name in ("COLUMNS", "LINES"):
        env.pop(name, None)
    with subprocess.Popen([*PROGRAM, *map(str, arguments)], stdout=follower, stderr=follower, env=env) as process:
        os.close(follower)
        data = b""
        try:
            while chunk := os.read(leader, 65_536):
                data += chunk
        except OSError:  # the program has ended
            pass
        os.close(leader)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode()), process.wait(timeout=30)


def test_query_is_grep(queried_log, tmp_path):
    """A query for an event gives exactly the lines that grep gives, from all files of a log."""
    log = as_bytes(with_headers([TOOL, ROUND, TOOL])).replace(b": ", b":")
    queried_log.write_bytes(log)
    (tmp_path / f"{queried_log.name}.20261130T120000000000Z-0123456789abcdef0123").write_bytes(log)
    names = [str(tmp_path / name) for name in sorted(os.listdir(tmp_path), reverse=True)]
    for arguments in (["--event", "chat.tool_called"], ["--event", "chat.tool*,x", "--format", "json"]):
        result = subprocess.run([*PROGRAM, str(queried_log), *arguments], capture_output=True, check=False)
        grep = subprocess.run(["grep", "-h", '"event":"chat.tool_called"', *names], capture_output=True, check=True)
        assert (result.stdout, result.stderr, result.returncode) == (grep.stdout, b"", 0)
        assert len(grep.stdout.splitlines()) == 4


@pytest.mark.parametrize("form", ["json", "table", "csv"])
def test_nothing_matches(run, queried_log, form):
    """Exit code 1 without a word if nothing matches, as grep."""
    result = run("query", queried_log, "--event", "nothing", "--format", form)
    assert result.exit_code == 1
    assert result.stdout.count("\n") == (form == "csv")
    assert not result.stderr


def test_limit(run, queried_log):
    """No more lines or rows come than the limit says."""
    assert len(run("query", queried_log, "--limit", 2).stdout.splitlines()) == 2
    assert run("query", queried_log, "--limit", 0).exit_code == 1
    assert len(run("query", queried_log, "--limit", 1, "--format", "csv").stdout.splitlines()) == 2


def test_sql_as_json(run, queried_log):
    """Rows of SQL are JSON lines; times are as in a line, JSON stays JSON, and what no JSON can hold is text or null."""
    sql = """
        SELECT seq, timestamp, line -> 'user' AS user, CAST('nan' AS DOUBLE) AS nan, [1.5::DECIMAL(3,1)] AS list,
            {'a': DATE '2026-11-30'} AS struct, 170141183460469231731687303715884105727::HUGEINT AS huge, 'é' AS "q""x",
            INTERVAL 1 DAY AS day, '\\xFF'::BLOB AS bytes, NULL AS nothing, '{ \n }'::JSON AS open, true AS yes
        FROM events WHERE seq = 1
    """
    result = run("query", queried_log, "--sql", sql)
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert json.loads(line) == {
        "seq": 1, "timestamp": "2026-11-30T12:01:00.000000Z", "user": "ada", "nan": None, "list": [1.5],
        "struct": {"a": "2026-11-30"}, "huge": 2**127 - 1, 'q"x': "é", "day": "1 day, 0:00:00", "bytes": "\\xff",
        "nothing": None, "open": {}, "yes": True,
    }  # fmt: skip


def test_csv(run, queried_log):
    """CSV has the columns of the view, quoted where needed; what is not there is empty."""
    rows = list(csv.DictReader(run("query", queried_log, "--format", "csv").stdout.splitlines(keepends=True)))
    assert [row["event"] for row in rows] == ["chat.round_completed", "chat.tool_called", "warmed, up"]
    assert [row["plain"] for row in rows] == ["", "", "true"]
    assert rows[1]["tool_name"] == TOOL["tool_name"]
    assert rows[0]["cost_usd"] == "0.25"


def test_files(run, queried_log, tmp_path):
    """With -o the result is in a new file, in the form that its name says, and an existing file stays as it is."""
    for name in ("x.csv", "x.parquet", "x.jsonl"):
        assert run("query", queried_log, "-o", tmp_path / name, "--model", "m-1").exit_code == 0
        assert run("query", queried_log, "-o", tmp_path / name).exit_code == 2
    with duckdb.connect() as connection:
        for name in ("x.parquet", "x.csv"):
            connection.execute(f"SELECT model, seq FROM '{tmp_path / name}'")
            assert connection.fetchall() == [("m-1", 1)]
    assert (tmp_path / "x.jsonl").read_bytes() == queried_log.read_bytes().splitlines(keepends=True)[0]
    result = run("query", queried_log, "--format", "parquet")
    assert result.exit_code == 2
    assert "give -o FILE" in result.stderr


def test_a_failure_leaves_no_file(run, queried_log, tmp_path):
    """The output is not there after a query that failed."""
    result = run("query", queried_log, "-o", tmp_path / "x.csv", "--sql", "SELECT CAST(event AS INTEGER) FROM events")
    assert result.exit_code == 2
    assert not (tmp_path / "x.csv").exists()


def test_what_is_left_out(run, queried_log):
    """Lines that are broken, foreign or newer are counted on stderr, by every way of reading."""
    queried_log.write_bytes(b"torn\n{}\n" + queried_log.read_bytes() + as_bytes(with_headers([ROUND | {"v": 2}])))
    told = {
        "1 broken line left out; see bamboo-logmetrics verify",
        "1 line of other programs left out",
        "1 line of a newer version left out: update this package",
    }
    for arguments in ([], ["--format", "csv"], ["--sql", "SELECT 1"]):
        assert set(run("query", queried_log, *arguments).stderr.splitlines()) == told


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--where", "nope > 1"], "The columns are timestamp, level"),
        (["--sql", "SELECT nope FROM rounds"], "The columns are timestamp, event_id"),
        (["--sql", "DROP VIEW events"], "give one SELECT"),
        (["--since", "soon"], "use one such as"),
        (["--limit", "-1"], "x>=0"),
        (["--format", "xml"], "'json', 'table', 'csv', 'parquet'"),
        (["-o", "no/such/x.csv"], "make it first"),
    ],
)
def test_bad_usage(run, queried_log, arguments, text):
    """Bad usage gives 2 and one line with the remedy."""
    result = run("query", queried_log, *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert text in result.stderr
    assert not result.stdout


def test_no_such_file(run, tmp_path):
    """A file that does not exist is bad usage."""
    assert run("query", tmp_path / "no.jsonl").exit_code == 2


def test_a_table_on_a_terminal(queried_log):
    """A terminal gets a table by default, without escape sequences of the log, whose columns fit its width."""
    wide, code = on_terminal([queried_log])
    assert code == 0
    assert "\\x1b[31mred\\nline" in wide
    assert "chat.round_completed" in wide
    narrow, _ = on_terminal([queried_log], columns=70)
    table, _, rest = narrow.partition("too narrow for: ")
    assert max(map(len, table.splitlines())) <= 70
    assert "writer" in rest


def test_json_on_a_terminal(queried_log):
    """With --format json a terminal gets the very lines."""
    text, code = on_terminal([queried_log, "--format", "json", "--limit", 1])
    assert code == 0
    assert text.encode().replace(b"\r", b"") == queried_log.read_bytes().splitlines(keepends=True)[0]


def test_a_closed_pipe(queried_log):
    """The end of a pipe that is closed early is no error."""
    queried_log.write_bytes(queried_log.read_bytes() * 2_000)
    command = f"{' '.join(PROGRAM)} {queried_log} | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, check=False)
    assert result.stdout == queried_log.read_bytes().splitlines(keepends=True)[0]
    assert result.stderr == b""


def test_standard_input(queried_log):
    """A dash is standard input."""
    data = queried_log.read_bytes()
    for arguments, count in ([], 3), (["--format", "csv"], 5):
        result = subprocess.run([*PROGRAM, "-", *arguments], input=data, capture_output=True, check=True)
        assert len(result.stdout.splitlines()) == count


@pytest.mark.parametrize("form", ["json", "csv"])
def test_interrupt_leaves_nothing_behind(tmp_path, form):
    """Ctrl-C gives 130, and leaves neither a temporary file nor a part of the output."""
    env = os.environ | {"TMPDIR": str(tmp_path)}
    command = [*PROGRAM, "-", "--format", form, "-o", str(tmp_path / "output")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        line = as_bytes(with_headers([ROUND]))
        while len(os.listdir(tmp_path)) < 2:  # until it has begun
            process.stdin.write(line)
            process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == b"interrupted\n"
    assert os.listdir(tmp_path) == []


def test_a_statement_that_takes_long_can_be_interrupted(queried_log, tmp_path):
    """Ctrl-C ends a statement that runs."""
    env = os.environ | {"TMPDIR": str(tmp_path / "t")}
    (tmp_path / "t").mkdir()
    sql = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"
    command = [*PROGRAM, str(queried_log), "--sql", sql, "-o", str(tmp_path / "output")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=env) as process:
        while not (
            list(tmp_path.glob(".*.tmp")) and os.listdir(tmp_path / "t")
        ):  # until it has an output and a database
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert os.listdir(tmp_path / "t") == []
    assert not [name for name in os.listdir(tmp_path) if "output" in name or name.endswith(".tmp")]


def test_a_condition_over_the_whole_line_changes_no_columns(run, queried_log):
    """The columns are the same whether a condition names the whole line or not."""
    result = run("query", queried_log, "--format", "csv", "--where", "line ->> 'user' = 'ada'")
    other = run("query", queried_log, "--format", "csv", "--model", "m-1")
    assert result.stdout == other.stdout
    assert len(result.stdout.splitlines()) == 2
