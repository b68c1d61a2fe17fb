"""A summary as text, where the command's tests do not look."""

from __future__ import annotations

import dataclasses

import pytest
from support.log_lines import as_bytes, with_headers

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import summary_text

NUMBERS = [
    ("prompt_tokens", None, "-"),
    ("prompt_tokens", 1234567, "1,234,567"),
    ("error_rate", 0.1234, "12.3 %"),
    ("latency_p50_ms", 9_999, "9,999 ms"),
    ("latency_p50_ms", 10_000, "10.0 s"),
    ("cost_usd", 0, "$0.00"),
    ("cost_usd", 0.00012, "$0.0001"),
    ("cost_usd", 1234.5, "$1,234.50"),
    ("tokens_per_second", 12.34, "12.3"),
]


@pytest.mark.parametrize(("name", "value", "text"), NUMBERS)
def test_numbers(name, value, text):
    """A number has its unit; what was not reported is a dash."""
    assert summary_text.number(name, value) == text


def test_changes():
    """A change is in percent of the number before, where there are both."""
    assert summary_text.change(150, 100) == "+50 %"
    assert summary_text.change(0, 100) == "-100 %"
    assert summary_text.change(5, 0) == summary_text.change(5, None) == summary_text.change(None, 5) == "-"


def test_an_empty_log(path):
    """A log in which nothing counts has no times, and one line with the numbers that are there."""
    path.write_bytes(b"")
    summary = blm.summarize(path)
    assert summary_text.extent(summary) == "0 lines in 1 file, of which none counts"
    assert summary_text.one_line(summary) == "0 sessions · 0 calls"
    assert summary_text.openmetrics(summary).endswith("\n# EOF")
    assert "last_timestamp" not in summary_text.openmetrics(summary)
    assert summary_text.cost_note(summary) == []


def test_prices_are_named(path):
    """The cost names the data of its prices."""
    call = {"event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 1}
    call |= {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "model": "gpt-5", "provider": "openai"}
    path.write_bytes(as_bytes(with_headers([call, call | {"model": "none"}])))
    summary = blm.summarize(path)
    assert summary_text.cost_note(summary) == [f"cost: priced 1 of 2 calls by {summary.prices}"]


def test_an_empty_value_is_not_no_value(path):
    """A row whose key is the empty text has a label of its own beside that of no key."""
    path.write_bytes(b"")
    summary = blm.summarize(path, by="model")
    rows = tuple(dataclasses.replace(summary.totals, key=key) for key in (None, "", "(empty)"))
    text = summary_text.openmetrics(dataclasses.replace(summary, rows=rows))
    labels = [line.partition("{")[2].partition("}")[0] for line in text.splitlines() if "rounds{" in line]
    assert labels == ['model=""', 'model="((empty))"', 'model="(empty)"']
