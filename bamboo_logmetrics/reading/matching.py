"""The filters on one line, in Python. They choose the same lines as their SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.reading.filters import KEYS, Filters, events_expression
from bamboo_logmetrics.record.levels import LEVELS

Matches = Callable[[dict[str, Any]], bool]


def make_matcher(filters: Filters) -> Matches | None:
    """Return the function that says whether a flat record is wanted; None if all are.

    ``filters.where`` is not looked at: only DuckDB evaluates SQL.
    """
    tests = [*_tests(filters)]
    if not tests:
        return None
    return lambda flat: all(test(flat) for test in tests)


def _tests(filters: Filters) -> list[Matches]:
    tests: list[Matches] = []
    if filters.events:
        tests.append(_is_event(filters.events))
    for name, key in KEYS.items():
        if (wanted := getattr(filters, name)) is not None:
            tests.append(_has_text(key, wanted))
    if filters.level is not None:
        tests.append(_is_at_least(filters.level))
    if filters.since is not None or filters.until is not None:
        tests.append(_is_between(filters.since, filters.until))
    return tests


def _is_event(patterns: tuple[str, ...]) -> Matches:
    matches = re.compile(events_expression(patterns)).fullmatch
    return lambda flat: matches(flat["event"]) is not None


def _has_text(key: str, wanted: str) -> Matches:
    return lambda flat: _text(flat.get(key)) == wanted


def _text(value: Any) -> str | None:
    """Return a value of JSON as the text that SQL has for it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_at_least(level: str) -> Matches:
    wanted = {name for name, number in LEVELS.items() if number >= LEVELS[level]}
    return lambda flat: flat["level"] in wanted


def _is_between(since: datetime | None, until: datetime | None) -> Matches:
    def is_between(flat: dict[str, Any]) -> bool:
        time = parse_utc(flat["timestamp"])
        return (since is None or time >= since) and (until is None or time < until)

    return is_between
