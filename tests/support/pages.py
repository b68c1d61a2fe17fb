"""The data in a report page, and sums over it, made without the package's own code."""

from __future__ import annotations

import json
import re

_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_SUMMED = (
    "rounds", "requests", "calls", "errors", "usage_calls", "prompt_tokens", "completion_tokens", "total_tokens",
    "cache_read_tokens",
)  # fmt: skip


def data_of(page):
    """Return the data of a page, decoded."""
    (text,) = _DATA.findall(page.decode())
    return json.loads(text)


def rows_of(columns):
    """Return the rows of columns of equal length."""
    assert len({len(column) for column in columns.values()}) == 1
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _total(values):
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _ratio(part, whole):
    return None if part is None or not whole else part / whole


def added_up(data, **names):
    """Return the sums over the columns of a page, of rows with these names (such as ``model="m"``) only."""

    def wanted(columns):
        return [row for row in rows_of(columns) if all(data[f"{k}s"][row[k]] == name for k, name in names.items())]

    calls, tools = wanted(data["calls"]), wanted(data["tool_calls"])
    sums = {name: _total(row[name] for row in calls) for name in _SUMMED}
    for name in ("rounds", "requests", "calls", "errors", "usage_calls"):
        sums[name] = sums[name] or 0
    hits, prompts = (_total(row[name] for row in calls) for name in ("cache_hit_tokens", "cache_hit_prompt_tokens"))
    return sums | {
        "tool_calls": sum(row["count"] for row in tools),
        "tool_errors": sum(row["errors"] for row in tools),
        "cache_hit_ratio": _ratio(hits, prompts),
        "error_rate": _ratio(sums["errors"], sums["calls"]),
    }
