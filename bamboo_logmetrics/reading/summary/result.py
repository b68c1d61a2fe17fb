"""The typed result of a summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal, TypeAlias

By: TypeAlias = Literal[
    "session",
    "round",
    "model",
    "provider",
    "tool",
    "endpoint",
    "status",
    "agent",
    "project",
    "git_branch",
    "mcp_server",
    "hour",
    "day",
    "week",
    "month",
]

WarningKind: TypeAlias = Literal[
    "dropped",
    "missing_lines",
    "removed_by_retention",
    "no_end",
    "partial_usage",
    "missing_usage",
    "unpriced",
    "partly_priced",
    "repeated_lines",
    "broken_lines",
    "foreign_lines",
    "newer_lines",
    "damaged_files",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """The numbers of one key, or of all. None means "not reported", never 0.

    Args:
        key: the value of the key; None for lines without it, and for the totals.
        sessions: different sessions with an event.
        active_sessions: those of them without SessionCompleted whose last line is at most 30 minutes older than the
            last line of all.
        rounds: completed rounds.
        requests: completed requests, all attempts.
        tool_calls: tool calls.
        tool_errors: those that failed.
        calls: model calls: requests, and rounds without any request in the log.
        errors: failed requests, and failed rounds none of whose requests failed.
        error_rate: errors by calls, 0 to 1.
        prompt_tokens: of each call once, as the other counts of tokens; with those of the cache.
        completion_tokens: with those of reasoning.
        total_tokens: as the providers report it.
        cache_read_tokens: within ``prompt_tokens``.
        cache_write_tokens: within ``prompt_tokens``.
        cache_write_1h_tokens: within ``cache_write_tokens``.
        reasoning_tokens: within ``completion_tokens``.
        cache_hit_ratio: cache reads by prompt tokens, of the calls that report both.
        latency_p50_ms: the median latency of model calls in milliseconds.
        latency_p95_ms: 95 of 100 calls took at most so long.
        latency_p99_ms: 99 of 100 calls took at most so long.
        time_to_first_token_p50_ms: the median, of the calls that report it.
        time_to_first_token_p95_ms: 95 of 100 calls.
        tokens_per_second: completion tokens by latency, over the calls that report both.
        tool_latency_p50_ms: the median latency of tool calls in milliseconds.
        tool_latency_p95_ms: 95 of 100 tool calls.
        tool_latency_p99_ms: 99 of 100 tool calls.
        cost_usd: the cost in US dollars: what providers reported, else by the prices at the time of the call. Only of
            the calls whose price is known.
        reported_cost_usd: the part of it that providers reported.
        reported_calls: the calls whose cost providers reported.
        priced_calls: the calls with a cost, of ``usage_calls``.
        partly_priced: those of them whose service tier or speed has the standard price, or whose web searches have
            none, since theirs is not known.
        usage_calls: the calls whose usage is counted.
        partial_usage: those of them whose counts are lower bounds.
        missing_usage: calls without usage that did not fail.
        dropped: records that were dropped before they were written; they belong to no key but a time.
    """

    key: str | None
    sessions: int
    active_sessions: int
    rounds: int
    requests: int
    tool_calls: int
    tool_errors: int
    calls: int
    errors: int
    error_rate: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    cache_hit_ratio: float | None
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    latency_p99_ms: int | None
    time_to_first_token_p50_ms: float | None
    time_to_first_token_p95_ms: float | None
    tokens_per_second: float | None
    tool_latency_p50_ms: int | None
    tool_latency_p95_ms: int | None
    tool_latency_p99_ms: int | None
    cost_usd: float | None
    reported_cost_usd: float | None
    reported_calls: int
    priced_calls: int
    partly_priced: int
    usage_calls: int
    partial_usage: int
    missing_usage: int
    dropped: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryWarning:
    """A reason why numbers are not whole.

    Args:
        kind: the reason.
        count: how many lines, records, calls, writers or files.
        text: one sentence.
    """

    kind: WarningKind
    count: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The summary of logs.

    Args:
        by: the key of the rows; None if there are none.
        rows: one for each value of the key: times in their order, others the greatest first.
        totals: the numbers of all.
        warnings: why numbers are not whole.
        files: the files that were read.
        lines: the lines of the log in them, each once.
        first: the time of the first of the counted lines, in UTC; None if there is none.
        last: the time of the last.
        since: the first time that counts.
        until: the first time that does not count any more.
        tz: the time zone of hours, days, weeks and months, as people call it.
        zone: that time zone; None for the local one.
        prices: the names and versions of the prices; empty without genai-prices, which the extra ``prices`` brings,
            and without a file of prices.
        previous: the totals of the period before, of the same length; None if it was not asked for.
        previous_rows: its rows by key.
    """

    by: By | None
    rows: tuple[SummaryRow, ...]
    totals: SummaryRow
    warnings: tuple[SummaryWarning, ...]
    files: tuple[str, ...]
    lines: int
    first: datetime | None
    last: datetime | None
    since: datetime | None
    until: datetime | None
    tz: str
    zone: tzinfo | None = None
    prices: str = ""
    previous: SummaryRow | None = None
    previous_rows: Mapping[str | None, SummaryRow] | None = None
