"""A summary as text: a table, Markdown, one line, CSV, JSON, OpenMetrics."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bamboo_logmetrics.cli.formatting import plural, printable
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.summary.periods import PERIODS
from bamboo_logmetrics.reading.summary.result import Summary, SummaryRow

_FIELDS = tuple(field.name for field in dataclasses.fields(SummaryRow))
MEASURES = tuple(name for name in _FIELDS if name != "key")
MAX_ROWS = 50  # of a table for people

# the columns of a table with rows, and their titles; a column without any value is left out
_COLUMNS: Mapping[str, str] = {
    "sessions": "sessions",
    "rounds": "rounds",
    "requests": "requests",
    "tool_calls": "tools",
    "errors": "errors",
    "prompt_tokens": "prompt",
    "completion_tokens": "completion",
    "total_tokens": "total",
    "cache_hit_ratio": "cached",
    "latency_p50_ms": "p50",
    "latency_p95_ms": "p95",
    "time_to_first_token_p50_ms": "first token",
    "tokens_per_second": "tokens/s",
    "cost_usd": "cost",
    "dropped": "dropped",
}
_TOOL_COLUMNS: Mapping[str, str] = {
    "sessions": "sessions",
    "tool_calls": "calls",
    "tool_errors": "errors",
    "tool_latency_p50_ms": "p50",
    "tool_latency_p95_ms": "p95",
    "tool_latency_p99_ms": "p99",
}
_COMPARED: Mapping[str, str] = {"total_tokens": "total", "cost_usd": "cost"}  # with the period before
# columns that a narrow terminal does without, the first ones first
_NARROW: tuple[str, ...] = (
    "first token",
    "tokens/s",
    "p50",
    "rounds",
    "sessions",
    "cached",
    "dropped",
    "total before",
    "cost before",
)
_NARROW += ("tools", "p95")
_GAP = 2  # spaces between two columns
_ENDLESS_KEYS = {"session", "round", *PERIODS}  # the next period has others
_CLOSED_KEYS = ("model", "provider", "tool", "endpoint", "status", "agent", "mcp_server")
_MAX_LABELS = 200
_EMPTY, _REST = "(empty)", "other"  # labels of an empty value, and of all rows beyond those
_PREFIX = "bamboo_summary_"
_THOUSAND = 1_000


# -- numbers -----------------------------------------------------------------------------


def number(name: str, value: float | None) -> str:
    """Return a number for people; a dash for what was not reported."""
    if value is None:
        return "-"
    if name.endswith(("_ratio", "_rate")):
        return f"{100 * value:.1f} %"
    if name.endswith("_ms"):
        return f"{value:,.0f} ms" if value < 10 * _THOUSAND else f"{value / _THOUSAND:,.1f} s"
    if name.endswith("cost_usd"):
        return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def change(now: float | None, before: float | None) -> str:
    """Return the change of a number, such as ``+12 %``; a dash where there is nothing to compare."""
    if now is None or not before:
        return "-"
    return f"{100 * (now - before) / before:+.0f} %"


def _key(row: SummaryRow) -> str:
    return "-" if row.key is None else printable(row.key)


# -- tables ------------------------------------------------------------------------------


def table_of(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the cells of the table: a row for each key and one for all, or a row for each number.

    What was not reported is a dash, and left out where it is so in every row.
    """
    if summary.by is None:
        return _vertical(summary)
    rows = [*summary.rows[:MAX_ROWS], summary.totals]
    columns = _TOOL_COLUMNS if summary.by in {"tool", "mcp_server"} else _COLUMNS
    names = [name for name in columns if any(getattr(row, name) for row in rows)]
    titles = [str(summary.by), *(columns[name] for name in names)]
    cells = [[_key(row), *(number(name, getattr(row, name)) for name in names)] for row in rows]
    cells[-1][0] = "all"
    if summary.previous_rows is not None and summary.previous is not None:
        gone = _gone(summary)[: MAX_ROWS - len(rows) + 1]
        cells[-1:-1] = [[_key(row), *("-" for _ in names)] for row in gone]
        now = [*rows[:-1], *(None for _ in gone), summary.totals]
        before = [*(summary.previous_rows.get(row.key) for row in rows[:-1]), *gone, summary.previous]
        for name, title in _COMPARED.items():
            if any(getattr(row, name) is not None for row in (summary.totals, summary.previous)):
                titles += [f"{title} before", "change" if name == "total_tokens" else f"{title} change"]
                for line, row, old in zip(cells, now, before, strict=True):
                    line.extend(_comparison(name, row, old))
    return titles, cells


def _gone(summary: Summary) -> list[SummaryRow]:
    """Return the rows of the period before whose key has no row now; none for keys that are new in each period."""
    if summary.previous_rows is None or summary.by in _ENDLESS_KEYS:
        return []
    keys = {row.key for row in summary.rows}
    return [row for key, row in summary.previous_rows.items() if key not in keys]


def _comparison(name: str, now: SummaryRow | None, before: SummaryRow | None) -> list[str]:
    """Return the number before and its change; a row that is gone has nothing now."""
    old = getattr(before, name) if before else None
    return [number(name, old), change(0 if now is None else getattr(now, name), old)]


def _vertical(summary: Summary) -> tuple[list[str], list[list[str]]]:
    totals, before = summary.totals, summary.previous
    titles, cells = ["", "all"], []
    for name in MEASURES:
        value, old = getattr(totals, name), getattr(before, name) if before else None
        if value is None and old is None:
            continue
        line = [name.replace("_", " ").removesuffix(" ms").removesuffix(" usd"), number(name, value)]
        cells.append([*line, number(name, old), change(value, old)] if before else line)
    return [*titles, "before", "change"] if before else titles, cells


def fit(titles: list[str], cells: list[list[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """Return a table without the columns that do not fit a width: a number that is cut would be a wrong one."""
    lines = [titles, *cells]
    for title in _NARROW:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        if sum(widths) + _GAP * len(widths) <= width:
            break
        if title in lines[0]:
            column = lines[0].index(title)
            lines = [line[:column] + line[column + 1 :] for line in lines]
    return lines[0], lines[1:]


def markdown(summary: Summary) -> str:
    """Return the table in Markdown, with the extent and the warnings below."""
    titles, cells = table_of(summary)
    lines = [titles, ["---", *("---:" for _ in titles[1:])], *cells]
    table = "\n".join("| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines)
    notes = "".join(
        f"\n\n{note}" for note in (extent(summary), *left_out(summary), *cost_note(summary), *warnings(summary))
    )
    return table + notes


def _escape(text: str) -> str:
    for char in "\\`*_<|[":
        text = text.replace(char, f"\\{char}")
    return text


def extent(summary: Summary) -> str:
    """Return the extent of a summary: lines, files, times."""
    text = f"{plural(summary.lines, 'line')} in {plural(len(summary.files), 'file')}"
    if summary.first is None or summary.last is None:
        return f"{text}, of which none counts"
    first, last = (_time(time, summary) for time in (summary.first, summary.last))
    return f"{text}, {first} to {last} ({summary.tz})"


def _time(time: datetime, summary: Summary) -> str:
    return time.astimezone(summary.zone).strftime("%Y-%m-%d %H:%M")


def priced(summary: Summary) -> str:
    """Return how many calls have a price, by which data."""
    totals = summary.totals
    text = f"priced {totals.priced_calls:,} of {plural(totals.usage_calls, 'call')}"
    return f"{text} by {summary.prices}" if summary.prices else text


def cost_note(summary: Summary) -> list[str]:
    """Return the line on the cost: how many calls have a price, by which data, and how much was reported."""
    totals = summary.totals
    if not totals.usage_calls:
        return []
    if totals.cost_usd is None and not summary.prices:
        return ["cost: not known; pip install 'bamboo_logmetrics[prices]' brings prices"]
    text = f"cost: {priced(summary)}"
    if totals.reported_cost_usd is not None:
        reported = f"{number('cost_usd', totals.reported_cost_usd)} of it reported by providers"
        text += f"; {reported} ({plural(totals.reported_calls, 'call')})"
    return [text]


def left_out(summary: Summary) -> list[str]:
    """Return the line on rows that a table leaves out, if there are any."""
    count = len(summary.rows) + len(_gone(summary)) - MAX_ROWS
    return [f"and {plural(count, 'more row')}; --format json has all"] if count > 0 else []


def warnings(summary: Summary) -> list[str]:
    """Return the reasons why numbers are not whole, a line each."""
    return [f"not whole: {warning}" for warning in summary.warnings]


def one_line(summary: Summary) -> str:
    """Return the most important numbers in one line, for a status line."""
    totals = summary.totals
    parts = [
        plural(totals.sessions, "session") + (f" ({totals.active_sessions:,} active)" if totals.active_sessions else "")
    ]
    parts.append(plural(totals.calls, "call"))
    if totals.total_tokens is not None:
        parts.append(plural(totals.total_tokens, "token"))
    if totals.cache_hit_ratio is not None:
        parts.append(f"{100 * totals.cache_hit_ratio:.0f} % cached")
    if totals.cost_usd is not None:
        parts.append(f"{number('cost_usd', totals.cost_usd)} ({priced(summary)})")
    if totals.latency_p95_ms is not None:
        parts.append(f"p95 {number('latency_p95_ms', totals.latency_p95_ms)}")
    if totals.errors:
        parts.append(plural(totals.errors, "error"))
    if summary.warnings:
        parts.append("not whole: " + ", ".join(warning.kind.replace("_", " ") for warning in summary.warnings))
    return " · ".join(parts)


# -- for programs ------------------------------------------------------------------------


def as_dict(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON values; what was not reported is None."""
    return {
        "by": summary.by,
        "rows": [dataclasses.asdict(row) for row in summary.rows],
        "totals": _measures(summary.totals),
        "warnings": [dataclasses.asdict(warning) for warning in summary.warnings],
        "previous": None if summary.previous is None else _measures(summary.previous),
        "previous_rows": [dataclasses.asdict(row) for row in (summary.previous_rows or {}).values()],
        "files": list(summary.files),
        "lines": summary.lines,
        **{name: _iso(getattr(summary, name)) for name in ("first", "last", "since", "until")},
        "tz": summary.tz,
        "prices": summary.prices or None,
    }


def _measures(row: SummaryRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in MEASURES}


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def as_json(summary: Summary) -> str:
    """Return a summary as indented JSON."""
    text = json.dumps(as_dict(summary), indent=2, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()  # the name of a file may not be UTF-8


def as_csv(summary: Summary) -> str:
    """Return the rows as CSV, the totals if there are none; what was not reported is empty."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(_FIELDS)
    for row in summary.rows if summary.by else [summary.totals]:
        writer.writerow(["" if (value := getattr(row, name)) is None else value for name in _FIELDS])
    return output.getvalue().rstrip("\n")


def openmetrics(summary: Summary) -> str:
    """Return the numbers as gauges: of all, or with the key as a label, of at most 200 values and ``other``.

    A key that is itself ``other`` keeps its name; then the rest is ``(other)``.

    Raises ConfigError for a key that has no end of values.
    """
    if summary.by is not None and summary.by not in _CLOSED_KEYS:
        msg = f"a metric must not have a label for each {summary.by}: use --by {', '.join(_CLOSED_KEYS)}, or none"
        raise ConfigError(msg)
    samples = list(_samples(summary))
    lines: list[str] = []
    for name in MEASURES:
        values = [(label, row[name]) for label, row in samples if row.get(name) is not None]
        if values:
            lines += [f"# TYPE {_PREFIX}{name} gauge", *(f"{_PREFIX}{name}{label} {value}" for label, value in values)]
    if summary.prices and summary.totals.usage_calls:
        lines += [f"# TYPE {_PREFIX}prices info", f'{_PREFIX}prices_info{{version="{_label(summary.prices)}"}} 1']
    if summary.last is not None:
        name = f"{_PREFIX}last_timestamp_seconds"
        lines += [f"# TYPE {name} gauge", f"{name} {summary.last.timestamp()}"]
    return "\n".join([*lines, "# EOF"])


def _samples(summary: Summary) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if summary.by is None:
        yield "", _measures(summary.totals)
        return
    taken = {row.key for row in summary.rows}
    empty, remainder = (_other_name(name, taken) for name in (_EMPTY, _REST))
    for row in summary.rows[:_MAX_LABELS]:
        value = "" if row.key is None else row.key or empty  # an empty label is the same as none
        yield f'{{{summary.by}="{_label(value)}"}}', _measures(row)
    if others := summary.rows[_MAX_LABELS:]:
        yield f'{{{summary.by}="{_label(remainder)}"}}', _added(others)


def _other_name(name: str, taken: Collection[str | None]) -> str:
    """Return a name that no key has."""
    while name in taken:
        name = f"({name})"
    return name


def _added(rows: Sequence[SummaryRow]) -> dict[str, Any]:
    """Return the sums of the numbers that can be added: sessions may be in several rows."""
    names = [name for name in MEASURES if not name.endswith(("sessions", "_ms", "_ratio", "_rate", "_second"))]
    values = {name: [value for row in rows if (value := getattr(row, name)) is not None] for name in names}
    return {name: sum(items) for name, items in values.items() if items}


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


TEXTS: Mapping[str, Callable[[Summary], str]] = {
    "json": as_json,
    "csv": as_csv,
    "markdown": markdown,
    "openmetrics": openmetrics,
}
