"""The summary of logs, compared with a recount that needs no DuckDB."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from support.log_lines import LINES, as_bytes, with_headers
from support.summing import recount

from bamboo_logmetrics.reading.summary.summarizing import summarize


def values(row):
    """Return the numbers of a row that a recount has too."""
    fields = dataclasses.asdict(row)
    fields.pop("key")
    return fields


_COUNTS = ("rounds", "requests", "tool_calls", "usage_calls")


def compare(summary, lines, by):
    """Compare totals and rows; rows in which nothing is counted do not matter."""
    totals, rows = recount(lines, by)
    assert values(summary.totals) == totals
    rows = {key: row for key, row in rows.items() if any(row[name] for name in _COUNTS)}
    summed = {row.key: values(row) for row in summary.rows if any(getattr(row, name) for name in _COUNTS)}
    for row in (*rows.values(), *summed.values()):
        row.pop("sessions")
        row.pop("active_sessions", None)
    assert summed == rows


@given(events=LINES, by=st.sampled_from([None, "model", "tool", "session"]))
def test_random_logs_are_summed_up_as_by_hand(tmp_path_factory, events, by):
    """Every figure of totals and rows equals the recount, whatever a log holds."""
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    lines = with_headers(events)
    path.write_bytes(as_bytes(lines))
    compare(summarize(path, by), lines, by)
