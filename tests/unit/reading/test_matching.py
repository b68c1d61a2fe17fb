from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.log_lines import as_bytes, with_headers

from bamboo_logmetrics.reading.filters import KEYS, Filters
from bamboo_logmetrics.reading.lines import flat_line
from bamboo_logmetrics.reading.matching import make_matcher
from bamboo_logmetrics.reading.query.connection import open_connection
from bamboo_logmetrics.reading.query.selection import select_lines

LINES = with_headers(
    [
        {"event": "chat.session_started", "session_id": "s", "model": "m", "trace_id": "t"},
        {"event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "error", "level": "error"},
        {"event": "chat.tool_called", "tool_name": "ls", "session_id": 5, "level": "warning"},
        {"event": "forward.request_completed", "status": "success", "round_id": "r", "model": ["m"], "level": "odd"},
        {"event": "cache warmed", "plain": True, "session_id": None, "level": "debug", "status": True},
    ]
)


def at(minute):
    return datetime(2026, 11, 30, 12, minute, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"events": ("chat.*",)}, [1, 2, 3]),
        ({"events": ("chat.tool_called", "cache ?armed")}, [3, 5]),
        ({"events": ("chat",)}, []),
        ({"session": "s"}, [1, 2]),
        ({"session": "5"}, [3]),
        ({"session": "null"}, []),
        ({"round": "r"}, [2, 4]),
        ({"trace": "t"}, [1]),
        ({"model": "m"}, [1]),
        ({"model": '["m"]'}, [4]),
        ({"tool": "ls"}, [3]),
        ({"status": "success"}, [4]),
        ({"status": "true"}, [5]),
        ({"level": "debug"}, [1, 2, 3, 5]),
        ({"level": "warning"}, [2, 3]),
        ({"since": at(2)}, [2, 3, 4, 5]),
        ({"until": at(2)}, [1]),
        ({"since": at(2), "until": at(4), "session": "s"}, [2]),
    ],
)
def test_filters(filters, expected):
    """Each filter chooses its lines, and of several all must hold."""
    matches = make_matcher(Filters(**filters))
    assert [line["seq"] for line in LINES if matches(line)] == expected


def test_without_filters():
    """Without a filter there is nothing to ask."""
    assert make_matcher(Filters()) is None


# -- beside SQL --------------------------------------------------------------------------

_VALUES = st.sampled_from(["s", "5", "true", "5.0", 'a"; DROP', "é\u202e", "", "[1]"]) | st.sampled_from(
    [None, 5, 5.0, True, [1], {"a": "é"}, 2**70, -1]
)
_EVENTS = st.sampled_from(["chat.tool_called", "chat.x", "a\nb", "[x]", "CHAT.X", "é"])
_RANDOM = st.lists(
    st.fixed_dictionaries(
        {"event": _EVENTS},
        optional=dict.fromkeys(KEYS.values(), _VALUES)
        | {"level": st.sampled_from(["debug", "info", "warning", "error", "critical", "odd"]), "plain": st.just(True)},
    ),
    max_size=12,
)
_FILTERS = st.builds(
    Filters,
    events=st.lists(st.sampled_from(["chat.*", "*", "?", "[[]x]", "[!a]*", "chat.[a-t]*", "a*b", ""]), max_size=2).map(tuple),
    level=st.none() | st.sampled_from(["debug", "warning", "critical"]),
    since=st.none() | st.integers(0, 12).map(at),
    until=st.none() | st.integers(0, 12).map(at),
    **{name: st.none() | _VALUES.filter(lambda value: isinstance(value, str)) for name in ("session", "status", "model")},
)  # fmt: skip


@settings(max_examples=40)
@given(events=_RANDOM, filters=_FILTERS)
def test_the_same_lines_as_sql(tmp_path_factory, events, filters):
    """The filters choose the same lines as their SQL, whatever the values are."""
    path = tmp_path_factory.getbasetemp() / "same.jsonl"
    path.write_bytes(as_bytes(with_headers(events)))
    with open_connection() as (connection, _):
        by_sql = list(select_lines(connection, path, filters, Counter()))
    matches = make_matcher(filters) or (lambda _: True)
    lines = [(line, flat_line(line)) for line in path.read_bytes().splitlines()]
    assert [line + b"\n" for line, flat in lines if matches(flat)] == by_sql
