"""Choosing lines: exactly those of the file, in its order."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections import Counter
from datetime import datetime, timezone

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.log_lines import LINES, as_bytes, with_headers
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import ECS, OTEL
from bamboo_logmetrics.reading.filters import KEYS, Filters
from bamboo_logmetrics.reading.matching import make_matcher
from bamboo_logmetrics.reading.query import selection
from bamboo_logmetrics.reading.query.connection import open_connection
from bamboo_logmetrics.reading.query.selection import select_lines

LINE = with_headers([{"event": "chat.tool_called", "session_id": "s", "latency_ms": 5}])[0]


def line(seq, **values):
    return as_bytes([LINE | {"seq": seq} | values])


def select(paths, on_progress=None, **filters):
    """Return the lines that are chosen, and what is skipped."""
    skipped = Counter()
    with open_connection() as (connection, _):
        lines = list(select_lines(connection, paths, Filters(**filters), skipped, on_progress))
    return lines, skipped


@pytest.mark.parametrize("compress", [None, "gzip", "zstd"])
def test_every_line_of_a_rotated_log(open_log, path, compress):
    """Lines of rotated, compressed and active files come in the order in which they were written."""
    log = open_log(max_bytes=10_000, compress=compress)
    for number in range(300):
        log.emit(tool(number))
    log.close()
    steps = []
    lines, skipped = select(path, on_progress=lambda *step: steps.append(step))
    assert [json.loads(text)["seq"] for text in lines] == list(range(1, 303))
    assert not skipped
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_layouts(open_log, path, layout):
    """A line of any layout is chosen by the same filters, and comes as it is in the file."""
    log = open_log(layout=layout)
    for name in ("a", "b"):
        log.emit(blm.SessionStarted(session_id=name, model="m"), user="ada")
    log.close()
    _, first, second, _ = path.read_bytes().splitlines(keepends=True)
    assert select(path, events=("chat.*",))[0] == [first, second]
    assert select(path, session="b", model="m")[0] == [second]
    assert select(path, where="line ->> 'user' = 'ada' AND session_id = 'a'")[0] == [first]


def test_spelling_and_order_are_those_of_the_file(path):
    """Spaces, the order of keys, escapes and repeated lines are passed on untouched."""
    odd = b' { "event" : "x\\u00e9" , "seq":7, "v":1,"writer":"0123456789abcdef0123","level":"info",'
    odd += b'"timestamp":"2026-11-30T12:01:00.000000Z","n":1.50} \r\n'
    path.write_bytes(line(2) + odd + line(1) + line(1))
    assert select(path)[0] == [line(2), odd, line(1), line(1)]
    assert select(path, events=("xé",))[0] == [odd]


ONE_EACH = [
    {"events": ("chat.tool*",)},
    {"events": ("nothing", "chat.*")},
    {"session": "s-1"},
    {"round": "r-1"},
    {"trace": "t-1"},
    {"model": 'm"; DROP TABLE lines; --'},
    {"tool": "grep"},
    {"status": "error"},
    {"level": "error"},
    {"since": datetime(2026, 11, 30, 13, tzinfo=timezone.utc)},
    {"where": "latency_ms > 1000"},
    {"where": "line ->> 'own' = 'x'"},
    {"where": "line -> 'deep' ->> 'n' = '5'"},
]


@pytest.mark.parametrize("filters", ONE_EACH, ids=str)
def test_each_filter(path, filters):
    """Each filter chooses the one line that it is for."""
    wanted = line(
        2, session_id="s-1", round_id="r-1", trace_id="t-1", model='m"; DROP TABLE lines; --', tool_name="grep",
        status="error", level="critical", timestamp="2026-11-30T13:00:00.000000Z", latency_ms=1_001, own="x", deep={"n": 5},
    )  # fmt: skip
    path.write_bytes(line(1, event="system.x") + wanted + line(3, event="system.x"))
    assert select(path, **filters)[0] == [wanted]


def test_what_is_no_line(path, tmp_path):
    """Broken, torn and foreign lines and damaged files are counted, and none of them is a line."""
    bad = b"torn{\n" + line(9)[:40] + line(9) + b'{"a":1}\n' + line(9, v=2) + line(9, timestamp="soon") + b"\n"
    bad += line(9, model="x").replace(b'"x"', b'"\\ud800"')
    path.write_bytes(line(1) + bad + line(2) + line(3)[:-1])
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress(line(5) * 100)[:-20])
    (tmp_path / f"{path.name}.20261130T120000000000Z-0123456789abcdef0123").write_bytes(line(0) + line(4) + b"torn")
    lines, skipped = select([path, tmp_path / "z.jsonl.gz"])
    assert [text for text in lines if text != line(5)] == [line(4), line(1), line(2)]
    assert skipped == {"broken": 6, "foreign": 1, "newer": 1, "damaged": 1}


HOSTILE = {
    "a quote in a key": {'"; DROP TABLE lines; --': 1, "'": 2, "number of the line": 0},
    "three thousand keys": {f"key_{number}": number for number in range(3_000)},
    "another type": {"session_id": {"a": [1]}, "model": 5, "project": [1, 2]},
    "a number beyond 64 bits": {"prompt_tokens": 2**70, "cost_usd": 10**400 // 3, "latency_ms": 2**64},
    "a NUL": {"model": "\0a", "x\0y": 1},
    "deep": {"own": json.loads("[" * 500 + "]" * 500)},
    "the name of a column": {"line": 5, "types": "x", "lines": [1]},
}


@pytest.mark.parametrize("where", [None, "true", "latency_ms IS NULL OR latency_ms >= 0", "line IS NOT NULL"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values(path, name, where):
    """A hostile value is passed on, and changes no other line."""
    path.write_bytes(line(1) + line(2, **HOSTILE[name]) + line(3))
    assert select(path, where=where) == ([line(1), line(2, **HOSTILE[name]), line(3)], {})


def test_batches(path, monkeypatch):
    """Lines of several batches come in the order of the file."""
    monkeypatch.setattr(selection, "_LINES", 2)
    path.write_bytes(b"".join(line(seq) for seq in (3, 1, 2, 5, 4)))
    assert select(path, where="seq <> 2")[0] == [line(seq) for seq in (3, 1, 5, 4)]


BAD = [
    "nope > 1", "1) OR (2", "latency_ms >", "sum(seq) > 1", "true; DROP TABLE batch", "seq = $1", "", "a, b",
    "seq IN (SELECT seq FROM read_json('/etc/passwd'))", "'x' = (SELECT content FROM read_text('/etc/hostname'))",
]  # fmt: skip


@pytest.mark.parametrize("where", BAD)
def test_bad_conditions(path, where):
    """A condition that is not valid, or reads something else, is an error in one line, even if there is no line."""
    path.touch()
    with pytest.raises(ConfigError, match="^--where: ") as caught:
        select(path, where=where)
    assert "\n" not in str(caught.value)


def test_a_condition_that_fails(path):
    """A condition that fails on a value is an error in one line."""
    path.write_bytes(line(1, model="x"))
    with pytest.raises(ConfigError, match="^--where: Conversion Error"):
        select(path, where="CAST(model AS INTEGER) = 1")


def test_an_interrupt_is_passed_on(path):
    """An interrupt of the statement is no error of the condition."""
    path.write_bytes(line(1))
    with open_connection() as (connection, _):

        class Interrupted:
            def table(self, _):
                raise duckdb.InterruptException

            def execute(self, *arguments):
                return connection.execute(*arguments)

        with pytest.raises(duckdb.InterruptException):
            list(select_lines(Interrupted(), path, Filters(where="seq = 1"), Counter()))


@settings(max_examples=25)
@given(events=LINES, data=st.data())
def test_lines_as_rows(tmp_path_factory, events, data):
    """The lines that a condition chooses are those that SQL over the view chooses."""
    from bamboo_logmetrics.reading.query.statements import run_statement

    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    path.write_bytes(as_bytes(with_headers(events)))
    filters = Filters(
        events=data.draw(st.sampled_from([(), ("chat.*",), ("*.round_*", "system.*")])),
        session=data.draw(st.sampled_from([None, "s-1", ""])),
        model=data.draw(st.sampled_from([None, "m-1", 'm"; DROP TABLE lines; --'])),
        where=data.draw(
            st.sampled_from([None, "latency_ms > 4000", "cost_usd < 5 OR plain", "line ->> 'agent' = 'a'"])
        ),
    )
    with open_connection() as (connection, _):
        lines = list(select_lines(connection, path, filters, Counter()))
    with open_connection() as (connection, folder):
        result = run_statement(
            connection, folder, path, statement="SELECT seq FROM events ORDER BY seq", filters=filters
        )
        assert [seq for (seq,) in result.rows] == [json.loads(text)["seq"] for text in lines]


def test_layouts_in_one_file(path):
    """Lines of several layouts in one file are all found."""
    flats = with_headers([{"event": "chat.tool_called", "session_id": name, "latency_ms": 1} for name in "abc"])
    data = [as_bytes([flats[0]]), as_bytes([ECS.write(flats[1])]), as_bytes([OTEL.write(flats[2])])]
    path.write_bytes(b"".join(data))
    assert select(path, where="latency_ms = 1")[0] == data


_TEXTS = st.sampled_from(
    ["s-1", "S-1", "", "5", "true", "null", "é", "a\0b", 'm"; DROP TABLE batch; --', "[1]", "%", "*"]
)
_VALUES = _TEXTS | st.sampled_from([5, 2**70, True, None, [1], {"a": "é"}, -1])
_LEVELS = st.sampled_from(["debug", "info", "warning", "error", "critical", "odd", ""])
_TIMES = st.sampled_from(
    ["2026-11-30T12:01:00.000000Z", "2026-11-30T12:01:00.000001Z", "2026-11-30T12:01:00Z", "2026-11-30T14:01:00+02:00"]
)
_KINDS = st.sampled_from(["chat.tool_called", "chat.round_completed", "two\nlines", "", "a[b]", "CHAT.X", "[1]"])
_ANY_LINE = st.builds(
    lambda fields, header: {**header, **fields},
    st.dictionaries(st.sampled_from([*KEYS.values(), "other"]), _VALUES),
    st.fixed_dictionaries({"timestamp": _TIMES, "level": _LEVELS, "event": _KINDS}),
)
_MOMENTS = st.datetimes(
    datetime(2026, 11, 30, 12, 0, 59), datetime(2026, 11, 30, 12, 1, 1), timezones=st.just(timezone.utc)
)
_EXACT = st.just(datetime(2026, 11, 30, 12, 1, tzinfo=timezone.utc))
_FILTERS = st.builds(
    Filters,
    events=st.lists(st.sampled_from(["chat.*", "*", "?*", "two*", "", "a[[]b]", "[!c]*", "CHAT.?"]), max_size=2).map(
        tuple
    ),
    level=st.none() | st.sampled_from(["debug", "info", "warning", "error", "critical"]),
    since=st.none() | _EXACT | _MOMENTS,
    until=st.none() | _EXACT | _MOMENTS,
    **{name: st.none() | _TEXTS for name in KEYS},
)


@settings(max_examples=150)
@given(
    lines=st.lists(_ANY_LINE, max_size=12),
    filters=_FILTERS,
    only=st.sampled_from([*KEYS, "events", "level", "since", "until", ""]),
)
def test_sql_and_python_choose_the_same_lines(tmp_path_factory, lines, filters, only):
    """The filters choose the same lines in SQL, for query, and in Python, for tail."""
    if only:  # one filter alone, else hardly any line is chosen
        filters = Filters(**{only: getattr(filters, only)})
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    whole = with_headers(lines)
    path.write_bytes(as_bytes(whole))
    matches = make_matcher(filters) or (lambda _: True)
    chosen, skipped = select(
        path, **{field.name: getattr(filters, field.name) for field in dataclasses.fields(filters)}
    )
    assert [json.loads(text)["seq"] for text in chosen] == [line["seq"] for line in whole if matches(line)]
    assert not skipped
