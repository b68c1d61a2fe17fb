from __future__ import annotations

from datetime import datetime, timezone

import pytest
from support.log_lines import with_headers

from bamboo_logmetrics.reading.filters import Filters
from bamboo_logmetrics.reading.matching import make_matcher

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
