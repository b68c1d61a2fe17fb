"""The warnings: each reason with its count, and none without a reason."""

from __future__ import annotations

import gzip
import os

import pytest
from support.log_lines import as_bytes, with_headers
from support.tools import tool

import bamboo_logmetrics as blm

ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 1,
    "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost_usd": 0.25,
}  # fmt: skip
STOP = {"event": "system.worker_stopped"}
DROP = {"event": "system.metrics_dropped", "count": 7, "reason": "queue_full"}


def lines(*events):
    return with_headers([*events, STOP])


CASES = {
    "nothing": (as_bytes(lines(ROUND)), {}),
    "drops": (as_bytes(lines(DROP, ROUND, DROP)), {"dropped": 14}),
    "drops of the application's own": (as_bytes(lines(DROP | {"source": "app"})), {}),
    "a gap": (as_bytes([line for line in lines(*[ROUND] * 9) if line["seq"] not in {3, 4, 7}]), {"missing_lines": 3}),
    "a missing beginning": (as_bytes(lines(ROUND, ROUND)[1:]), {"removed_by_retention": 1}),
    "no end": (as_bytes(lines(ROUND)[:-1]), {"no_end": 1}),
    "a text like an end": (as_bytes(with_headers([ROUND, STOP | {"plain": True}])), {"no_end": 1}),
    "partial usage": (as_bytes(lines(ROUND | {"usage_source": "partial"})), {"partial_usage": 1}),
    "missing usage": (as_bytes(lines(ROUND | {"usage_source": "missing"})), {"missing_usage": 1}),
    "a failed call": (as_bytes(lines(ROUND | {"usage_source": "missing", "status": "error"})), {}),
    "lines twice": (as_bytes(lines(ROUND)) * 2, {"repeated_lines": 2}),
    "lines twice, and a gap": (as_bytes([*lines(*[ROUND] * 4)[::2]] * 2), {"repeated_lines": 3, "missing_lines": 2}),
    "broken and foreign lines": (b"x\n{}\n[]\n" + as_bytes(lines(ROUND)), {"broken_lines": 1, "foreign_lines": 2}),
    "a broken line of a known number": (as_bytes(lines(ROUND, ROUND | {"timestamp": "soon"})), {"broken_lines": 1}),
    "a broken line twice": (
        as_bytes(lines(ROUND | {"timestamp": "soon"})) * 2,
        {"broken_lines": 2, "repeated_lines": 1},
    ),
    "a broken line with the number of another": (
        as_bytes([*lines(ROUND, ROUND | {"timestamp": "soon"}), lines(ROUND, ROUND)[1]]),
        {"broken_lines": 1},
    ),
    "a newer version": (as_bytes([*lines(ROUND), lines()[0] | {"v": 2}]), {"newer_lines": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_warnings(path, name):
    """Each reason is told with its count."""
    data, expected = CASES[name]
    path.write_bytes(data)
    warnings = blm.summarize(path).warnings
    assert {warning.kind: warning.count for warning in warnings} == expected
    assert all(str(warning).startswith(f"{warning.count:,} ") for warning in warnings)


def test_a_damaged_file(tmp_path):
    """A file that is cut off is told, and that the end is missing."""
    data = gzip.compress(as_bytes(lines(*[ROUND | {"trace_id": os.urandom(20).hex()} for _ in range(2_000)])))
    (tmp_path / "a.jsonl.gz").write_bytes(data[: len(data) // 2])
    assert "damaged_files" in {warning.kind for warning in blm.summarize(tmp_path / "a.jsonl.gz").warnings}


def test_a_real_log_is_whole(open_log, path):
    """A log that was closed has no warnings; one that is open has no end yet."""
    log = open_log()
    log.emit(tool())
    log.flush()
    assert [warning.kind for warning in blm.summarize(path).warnings] == ["no_end"]
    log.close()
    assert blm.summarize(path).warnings == ()
