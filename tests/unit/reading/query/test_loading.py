"""Loading lines: every line once, whatever the files are, and nothing that is no line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.log_lines import LINES, as_bytes, with_headers
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.format.header import is_writer_id
from bamboo_logmetrics.format.layouts import ECS, OTEL
from bamboo_logmetrics.reading.query import loading
from bamboo_logmetrics.reading.query.columns import COLUMNS
from bamboo_logmetrics.reading.query.connection import open_connection
from bamboo_logmetrics.reading.query.loading import _batches, _Loader, load
from bamboo_logmetrics.reading.reader import read

ALL = [name for name in COLUMNS if name not in {"timestamp", "level", "event", "v", "writer", "seq", "plain"}]
LINE = with_headers([{"event": "chat.tool_called", "session_id": "s", "latency_ms": 5}])[0]


def loaded(paths, columns=("session_id", "latency_ms"), select="event, session_id, latency_ms", **options):
    """Return the account of a loading, and the rows of a query over it."""
    with open_connection() as (connection, folder):
        result = load(connection, folder, paths, columns=columns, **options)
        return result, connection.execute(f"SELECT {select} FROM lines ORDER BY writer, seq").fetchall()


def line(seq, **values):
    return as_bytes([LINE | {"seq": seq} | values])


@pytest.fixture
def in_new_york(monkeypatch):
    """Have the local time zone of New York, for a test."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("compress", [None, "gzip", "zstd"])
def test_every_line_of_a_rotated_log_once(open_log, path, compress):
    """Rotated, compressed and active files are read, the oldest first, and every line once."""
    log = open_log(max_bytes=10_000, compress=compress)
    for number in range(300):
        log.emit(tool(number))
    log.close()
    result, rows = loaded(path, select="seq")
    assert [seq for (seq,) in rows] == list(range(1, 303))
    assert len(result.files) > 3
    assert result.files[-1] == str(path)
    assert not result.skipped.total()


@pytest.mark.parametrize("columns", [(), ("line",)], ids=["columns", "whole lines"])
@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-30T14:01:00+02:00",
        "2026-11-30T01:01:00.000000-11:00",
        "2026-11-30T12:01:00Z",
        "2026-11-30t12:01:00.0000009z",
        "2026-11-30 12:01:00+0000",
    ],
)
@pytest.mark.usefixtures("in_new_york")
def test_offsets_of_times(path, moment, columns):
    """A time counts with its offset, as ``read`` has it, wherever the machine stands."""
    path.write_bytes(line(1, timestamp=moment, event="ready", plain=True))
    _, rows = loaded(path, columns, "timestamp")
    assert rows == [(datetime(2026, 11, 30, 12, 1),)]
    assert [item.timestamp for item in read(path)] == [datetime(2026, 11, 30, 12, 1, tzinfo=timezone.utc)]


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_layouts(open_log, path, layout):
    """A log of any layout gives the same columns."""
    log = open_log(layout=layout)
    event = blm.RoundCompleted(
        round_id="r", session_id="s", status="success", latency_ms=7,
        usage=blm.TokenUsage(prompt_tokens=3, completion_tokens=2, total_tokens=5, cache_write_1h_tokens=1),
    )  # fmt: skip
    log.emit(event, model="m", usage_source="partial", time_to_first_token_ms=1.5, project="p")
    log.close()
    names = "round_id session_id status latency_ms prompt_tokens completion_tokens total_tokens cache_read_tokens"
    names += " cache_write_1h_tokens model usage_source time_to_first_token_ms project timestamp"
    _, rows = loaded(path, ALL, names.replace(" ", ", "))
    time = event.meta.occurred_at.replace(tzinfo=None)
    assert rows[1] == ("r", "s", "success", 7, 3, 2, 5, None, 1, "m", "partial", 1.5, "p", time)


def test_layouts_in_one_file(path):
    """Lines of all layouts in one file are all there."""
    flats = with_headers([{"event": "chat.tool_called", "session_id": name, "latency_ms": 1} for name in "abc"])
    path.write_bytes(as_bytes([flats[0], ECS.write(flats[1]), OTEL.write(flats[2])]))
    result, rows = loaded(path)
    assert rows == [("chat.tool_called", name, 1) for name in "abc"]
    assert not result.skipped.total()


NO_LINES = {
    "torn": (b'{"timestamp":"2026-11-30T12:01:00.000000Z","level":"in\n', "broken"),
    "torn, and the next line on it": (line(9)[:70] + line(10), "broken"),
    "two lines in one": (line(9)[:-1] + line(10), "broken"),
    "text": (b"Traceback (most recent call last):\n", "broken"),
    "zeros": (b"\0\0\0\0\n", "broken"),
    "no UTF-8": (line(9, session_id="x").replace(b'"x"', b'"\xff"'), "broken"),
    "no time": (line(9, timestamp="yesterday"), "broken"),
    "a time without end": (line(9, timestamp="infinity"), "broken"),
    "a time after the year 9999": (line(9, timestamp="9999-12-31T23:59:59-02:00"), "broken"),
    "a time before the year 1": (line(9, timestamp="0001-01-01T00:00:00+02:00"), "broken"),
    "a time without a zone": (line(9, timestamp="2026-11-30T12:00:00"), "broken"),
    "a 25th hour": (line(9, timestamp="2026-11-30T24:00:00.000000Z"), "broken"),
    "a time with a space": (line(9, timestamp="2026-11-30T 2:00:00.000000Z"), "broken"),
    "a day": (line(9, timestamp="2026-11-30"), "broken"),
    "a number beyond all writers": (line(2**63), "broken"),
    "a number beyond 64 bits": (line(2**64 + 1), "broken"),
    "a year of five digits": (line(9, timestamp="10000-01-01T00:00:00Z"), "broken"),
    "deep": (b"[" * 100_000 + b"\n", "broken"),
    "another program": (b'{"level":"info","msg":"listening"}\n', "foreign"),
    "a list": (b"[1]\n", "foreign"),
    "a list of lines": (b"[" + line(9)[:-1] + b"]\n", "foreign"),
    "a large number": (b'{"n":' + b"9" * 400 + b"}\n", "foreign"),
    "another program's writer": (line(9, writer="bob"), "foreign"),
    "a later version": (line(9, v=2), "newer"),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", NO_LINES)
def test_what_is_no_line(tmp_path, name, compressed):
    """Something that is no line of a log is counted, and neither a row nor a change of the lines around it."""
    data, kind = NO_LINES[name]
    data = line(1) + data + line(2, session_id="t")
    path = tmp_path / ("a.jsonl.gz" if compressed else "a.jsonl")
    path.write_bytes(gzip.compress(data) if compressed else data)
    result, rows = loaded(path)
    assert rows == [("chat.tool_called", "s", 5), ("chat.tool_called", "t", 5)]
    assert result.skipped == {kind: 1}


def test_empty_lines_hold_nothing(path):
    """Empty lines are neither rows nor counted, by either way of reading."""
    path.write_bytes(b"\n" + line(1) + b"\n  \n" + line(2))
    result, rows = loaded(path)
    assert len(rows) == 2
    path.write_bytes(line(1) + b"\n  \nx\n" + line(2))
    assert loaded(path)[0].skipped == {"broken": 1}
    assert not result.skipped.total()


HOSTILE = {
    "a quote in a key": {'"; DROP TABLE lines; --': 1, "'": 2},
    "three thousand keys": {f"key_{number}": number for number in range(3_000)},
    "another type": {"session_id": {"a": [1]}, "model": 5, "project": [1, 2]},
    "text for a number": {"prompt_tokens": "many", "cost_usd": "free", "attempt": {"n": 1}},
    "a number beyond 64 bits": {"prompt_tokens": 2**70, "cost_usd": 10**400 // 3, "latency_ms": 2**64},
    "a number beyond any": {"cost_usd": float("inf"), "prompt_tokens": float("nan")},
    "a negative count": {"prompt_tokens": -1},
    "numbers in quotes": {"attempt": "100", "cost_usd": "0.5", "web_searches": "1"},
    "a fraction in place of a count": {"attempt": 1.5, "web_searches": 0.9, "calls": 1e3},
    "true in place of a number": {"attempt": True, "cost_usd": False, "web_searches": True},
    "null": dict.fromkeys(["session_id", "model", "prompt_tokens"]),
    "other letters": {"Session_Id": "S", "LATENCY_MS": 9},
    "a NUL": {"model": "\0a", "x\0y": 1},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values(path, name):
    """A value of another type than its column's is not there; it breaks no query and changes no other line."""
    path.write_bytes(line(1) + line(2, **HOSTILE[name]) + line(3))
    result, rows = loaded(path, ALL, "session_id, latency_ms, prompt_tokens, cost_usd, attempt, web_searches, calls")
    assert rows[0] == rows[2] == ("s", 5, None, None, None, None, None)
    assert len(rows) == 3
    assert rows[1][2:] == (None, None, None, None, None)
    assert not result.skipped.total()


def test_keys_in_other_letters_are_other_keys(path):
    """A key that differs from a column's name in case alone is not that column."""
    path.write_bytes(line(1, Session_Id="S"))
    assert loaded(path)[1] == [("chat.tool_called", "s", 5)]


def test_a_last_line_that_is_being_written(path):
    """The last line of an active file is left out until its newline is there, and not counted."""
    path.write_bytes(line(1) + line(2)[:-1])
    result, rows = loaded(path)
    assert len(rows) == 1
    assert not result.skipped.total()


def test_a_rotated_file_without_its_end(tmp_path):
    """Half a last line of a rotated file is a broken line: nobody writes it any more."""
    (tmp_path / "a.jsonl.20261130T120000000000Z-0123456789abcdef0123").write_bytes(line(1) + line(2)[:-9])
    (tmp_path / "a.jsonl").write_bytes(line(3))
    result, rows = loaded(tmp_path / "a.jsonl", select="seq")
    assert rows == [(1,), (3,)]
    assert result.skipped == {"broken": 1}


def test_a_line_of_another_layout_without_a_writer(path):
    """A line that was made outside a log, in another layout, is none of a writer."""
    path.write_bytes(line(1) + as_bytes([ECS.write(LINE | {"writer": "bob"})]))
    assert loaded(path)[0].skipped == {"foreign": 1}


def test_a_copy_of_a_file(tmp_path):
    """Lines that are in two files count once."""
    (tmp_path / "a.jsonl").write_bytes(line(1) + line(2))
    (tmp_path / "b.jsonl").write_bytes(line(1) + line(2) + line(3))
    result, rows = loaded(str(tmp_path / "*.jsonl"), select="seq")
    assert rows == [(1,), (2,), (3,)]
    assert result.repeated == 2


def test_a_damaged_file(tmp_path):
    """A file that is cut off gives the lines before the damage, and is counted."""
    data = gzip.compress(b"".join(line(seq, session_id=os.urandom(20).hex()) for seq in range(1, 2_000)))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data[: len(data) // 2])
    (tmp_path / "b.jsonl").write_bytes(line(5_000))
    result, rows = loaded([path, tmp_path / "b.jsonl"], select="seq")
    assert result.skipped["damaged"] == 1
    assert [seq for (seq,) in rows][:-1] == list(range(1, len(rows)))
    assert 500 < len(rows) < 1_500
    assert rows[-1] == (5_000,)


@pytest.mark.parametrize("size", [1_500_000, 2_500_000, 4_100_000, 4_300_000, 5_000_000, 9_000_000])
def test_long_lines(path, size):
    """A line counts up to the length up to which every command reads it, and costs no other."""
    path.write_bytes(b"".join(line(seq, event="text", plain=True, note="x" * (seq == 2) * size) for seq in (1, 2, 3)))
    result, rows = loaded(path, select="seq")
    whole = [item.seq for item in read(path, on_error="skip")]
    assert [seq for (seq,) in rows] == whole
    assert result.skipped.total() == 3 - len(whole)


def test_large_numbers_of_lines(path):
    """The largest number that a writer may have breaks no sum."""
    path.write_bytes(line(2**63 - 1) + line(2**63 - 3) + line(2**63 - 1))
    result, rows = loaded(path, select="seq")
    assert [seq for (seq,) in rows] == [2**63 - 3, 2**63 - 1]
    assert result.repeated == 1


def test_tables_on_a_disk(path, monkeypatch):
    """The tables of a log that is too large for the memory are in a file of the temporary directory."""
    monkeypatch.setattr(loading, "_IN_MEMORY", 0)
    path.write_bytes(line(1) + line(2))
    with open_connection() as (connection, folder):
        load(connection, folder, path, columns=("session_id",))
        assert connection.execute("SELECT seq, session_id FROM lines ORDER BY seq").fetchall() == [(1, "s"), (2, "s")]
        assert "lines.duckdb" in os.listdir(folder)


def test_a_number_beyond_all_types_beside_another_form_of_time(path):
    """A line whose time has another form, and that Python cannot read whole, is broken, and costs no other."""
    path.write_bytes(
        line(1) + line(2, timestamp="2026-11-30T12:00:00Z")[:-2] + b',"n":' + b"9" * 5_000 + b"}\n" + line(3)
    )
    result, rows = loaded(path, select="seq")
    assert rows == [(1,), (3,)]
    assert result.skipped == {"broken": 1}


def test_files_are_those_that_were_opened(tmp_path):
    """A log that is rotated and removed once its files are open gives the lines that were there."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2))
    with open_connection() as (connection, folder):
        loader = _Loader(connection, folder, ["timestamp", "event", "v", "writer", "seq"])
        for batch in _batches([str(path)]):
            path.rename(tmp_path / "moved")
            path.write_bytes(line(3))
            (tmp_path / "moved").unlink()
            with batch:
                loader.add(batch.files)
        assert connection.execute("SELECT seq FROM lines ORDER BY seq").fetchall() == [(1,), (2,)]


def test_many_files(tmp_path):
    """More files than one statement reads are all read, and progress reaches its end."""
    for number in range(1, 101):
        (tmp_path / f"{number}.jsonl").write_bytes(line(number))
    steps = []
    result, rows = loaded(str(tmp_path / "*.jsonl"), on_progress=lambda *step: steps.append(step))
    assert len(rows) == len(result.files) == 100
    assert len(steps) > 2
    assert steps[-1][0] == steps[-1][1] == sum(os.path.getsize(tmp_path / name) for name in os.listdir(tmp_path))


def test_names_that_are_patterns(tmp_path):
    """A name with brackets, stars and quotes is that of one file."""
    folder = tmp_path / "it's [a] *"
    folder.mkdir()
    (folder / "[b]*.jsonl").write_bytes(line(1))
    (tmp_path / "it's a b").mkdir()
    assert len(loaded(folder / "[b]*.jsonl")[1]) == 1


def test_standard_input(path, tmp_path):
    """A dash is standard input."""
    program = """
import sys
from bamboo_logmetrics.reading.summary.summarizing import summarize
print(summarize("-").lines)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], input=line(1) + b"text\n" + line(2), capture_output=True, check=True
    )
    assert result.stdout == b"2\n"


@settings(max_examples=25)
@given(
    events=LINES,
    cuts=st.lists(st.tuples(st.integers(0, 6_000), st.sampled_from([b"\n", b"", b"x", b"{}\n"])), max_size=4),
)
def test_torn_files_give_the_lines_that_read_gives(tmp_path_factory, events, cuts):
    """Whatever is torn, cut or put in between, the lines are those that the package's own reader finds."""
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    data = as_bytes(with_headers(events))
    for place, text in cuts:
        data = data[:place] + text + data[place + 17 :]
    path.write_bytes(data)
    found = [item for item in read(path, on_error="skip") if item.writer and is_writer_id(item.writer)]
    expected = {item.seq: item.timestamp for item in found}
    _, rows = loaded(path, select="seq, timestamp")
    utc = {seq: time.replace(tzinfo=datetime.now().astimezone().tzinfo) for seq, time in rows}
    assert set(expected) <= set(utc)
    valid = [json.loads(text) for text in data.split(b"\n")[:-1] if is_json(text)]
    assert set(utc) <= {value["seq"] for value in valid if isinstance(value, dict) and "seq" in value}


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
