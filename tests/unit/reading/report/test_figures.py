"""The columns of the page: small whatever a log holds, and whole."""

from __future__ import annotations

import pytest
from support.log_lines import as_bytes, with_headers
from support.pages import added_up, rows_of

from bamboo_logmetrics.reading.report import figures
from bamboo_logmetrics.reading.report.collecting import collect

ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "error", "latency_ms": 100,
    "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12,
}  # fmt: skip
FAILED = {"event": "chat.session_completed", "session_id": "s", "status": "error"}


def page_of(path, events, minutes=None):
    path.write_bytes(as_bytes(with_headers(events, minutes)))
    return collect(path, tz="UTC").page


LIMITS = [(10**6, 1, 42), (150, 10, 26), (60, 60, 12), (8, 600, 7)]


@pytest.mark.parametrize(("most", "width", "names"), LIMITS)
def test_coarser_steps_and_fewer_names(path, monkeypatch, most, width, names):
    """Where there are too many rows, steps are coarser and fewer names stay apart; the sums are the same."""
    monkeypatch.setattr(figures, "_MAX_ROWS", dict.fromkeys(figures._MAX_ROWS, most))
    events = [ROUND | {"model": f"m-{n % 45}", "round_id": str(n)} for n in range(180)]
    data = page_of(path, events, [n / 20 for n in range(180)])
    assert (data["bucket_s"], len(data["models"])) == (width, names)
    assert len(data["calls"]["bucket"]) <= most
    assert added_up(data)["rounds"] == 180
    assert added_up(data)["total_tokens"] == 180 * 12


def test_steps_of_days(path):
    """Steps of several days hold what is in these days, errors of sessions and drops too."""
    drop = {"event": "system.metrics_dropped", "count": 3, "reason": "queue_full"}
    day = 24 * 60
    data = page_of(path, [ROUND, FAILED, drop, ROUND], [0, 1, 2, 3_000 * day])
    assert data["bucket_s"] == 7 * 86_400
    (first, second) = data["calls"]["bucket"]
    assert second - first >= 3_000 * 86_400 - 7 * 86_400
    assert data["drops"]["time"] == [first]
    assert [row["bucket"] for row in rows_of(data["errors"]) if row["kind"] == "session"] == [first]


def test_types_of_errors(path):
    """A type of error has its name; a request without one has its status code, and rare types are "other"."""
    request = {
        "event": "forward.request_completed", "request_id": "q", "status": "error", "status_code": 503, "latency_ms": 1,
    }  # fmt: skip
    many = [ROUND | {"error_type": f"e-{n:02}", "round_id": str(n)} for n in range(35)]
    events = [request, request | {"status": "timeout"}, *many, *many, FAILED | {"error_type": "e-34"}, ROUND]
    counts = {}
    for row in rows_of(page_of(path, events)["errors"]):
        key = row["kind"], row["error_type"]
        counts[key] = counts.get(key, 0) + row["count"]
    assert counts["round", "e-00"] == 2
    assert counts["round", "other"] == 10
    assert counts["session", "other"] == 1
    assert counts["round", ""] == 1
    assert sum(counts.values()) == 2 + 70 + 1 + 1
    few = page_of(path, [request, request | {"status": "timeout"}, FAILED])["errors"]
    assert sorted(few["error_type"]) == ["", "HTTP 503", "timeout"]


def test_reasons_of_drops(path):
    """Drops are counted by reason; beyond 20 reasons the rest is "other"."""
    drops = [{"event": "system.metrics_dropped", "count": 2, "reason": f"r-{n:02}"} for n in range(25)]
    data = page_of(path, [*drops, drops[0]])["drops"]
    assert sum(data["count"]) == 52
    assert len(set(data["reason"])) == 21
