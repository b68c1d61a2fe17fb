"""Outcomes of calls: exceptions, statuses, and the wait that a server asks for."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from freezegun import freeze_time

from bamboo_logmetrics.instrument import outcomes


class Unprintable(Exception):
    def __str__(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError("refused"), ("error", "ConnectError: refused", "ConnectError")),
        (httpx.PoolTimeout(""), ("timeout", "PoolTimeout", "PoolTimeout")),
        (TimeoutError(), ("timeout", "TimeoutError", "TimeoutError")),
        (asyncio.CancelledError(), ("error", "CancelledError", "cancelled")),
        (KeyboardInterrupt(), ("error", "KeyboardInterrupt", "cancelled")),
        (Unprintable(), ("error", "Unprintable", "Unprintable")),
        (ValueError("x" * 10_000), ("error", ("ValueError: " + "x" * 10_000)[:2_000], "ValueError")),
    ],
)
def test_of_exceptions(error, outcome):
    """The outcome of an exception is by its class."""
    assert outcomes.of_exception(error) == outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((200, None, None), ("success", None, None)),
        ((500, None, None), ("error", "HTTP 500", "500")),
        ((429, "slow", "rate"), ("error", "slow", "rate")),
        ((200, "bad", None), ("error", "bad", None)),
    ],
)
def test_of_answers(answer, outcome):
    """The outcome of an answer is by its status, and by the error in its body."""
    assert outcomes.of_answer(*answer) == outcome


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2000),
        ({"retry-after": "0.5"}, 500),
        ({"retry-after-ms": "70", "retry-after": "2"}, 70),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "9" * 5_000}, None),
        ({"retry-after": "1000000"}, 10**9),
        ({"retry-after-ms": "1000000001"}, None),
        ({"retry-after": "Mon, 30 Nov 2099 12:00:30 GMT"}, None),
        ({"retry-after": "nonsense"}, None),
        ({"retry-after": "Mon, 30 Nov 2026 12:00:30 GMT"}, 30_000),
        ({"retry-after": "Mon, 30 Nov 2026 11:00:00 -0000"}, 0),
    ],
)
@freeze_time("2026-11-30 12:00:00")
def test_retry_wait(headers, wait):
    """The wait is given in milliseconds, seconds or as a date."""
    assert outcomes.retry_wait(headers) == wait
