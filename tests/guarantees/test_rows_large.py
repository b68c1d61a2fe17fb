"""Row 50: values, keys and contexts that would take long or fill the memory."""

from __future__ import annotations

import json
import os

import pytest
from support.hostile import MIB, peak_of

import bamboo_logmetrics as blm
from bamboo_logmetrics.record.snapshot import freeze

LONG = "a word, a password = secret and a token=abc " * 20_000
VALUES = {
    "keys that are NaN": lambda: {float("nan"): 1 for _ in range(20_000)},
    "thousands of long texts": lambda: [LONG] * 20_000,
    "thousands of short texts": lambda: [f"token {number}" for number in range(20_000)],
    "a long text": lambda: LONG * 10,
    "an integer of a million digits": lambda: 7**1_200_000,
    "long keys": lambda: {"k" * 100_000 + str(number): number for number in range(50)},
    "a key of long texts": lambda: {tuple([LONG] * 2_000): 1},
    "lists in lists": lambda: [[["basic text token"] * 100] * 100] * 20,
    "events in lists": lambda: [blm.SessionStarted(session_id="s" * 1_000, model="m")] * 20_000,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_row_50_large_values(path, name, layout):
    """A large value becomes a line within the limit, in each layout, under a key of the call and of the context."""
    value = VALUES[name]()
    with blm.open_log(path, layout=layout) as log:
        log.info("text", value=value, id="r-1")
        log.bind(value=value).emit(blm.SessionStarted(session_id="s", model="m"))
        log.flush()
        assert (log.stats().written, log.stats().dropped_total) == (2, 0)
    lines = path.read_bytes().splitlines()
    assert all(len(line) < 32_000 for line in lines)
    texts = [line for line in blm.read(path) if line.text == "text"]
    assert texts[0].bound["id"] == "r-1"
    assert blm.verify(path).ok


def test_row_50_thousands_of_bound_values(path):
    """Of more than 1,000 bound values the first ones are looked at, and the line says that there were more."""
    with blm.open_log(path) as log:
        log.info("text", **{f"key_{number}": number for number in range(2_000)})
    line = next(line for line in blm.read(path) if line.text == "text")
    assert (line.bound["key_999"], "key_1000" in line.bound, line.truncated) == (999, False, ("bound",))


def test_row_50_keys_that_collide():
    """Thousands of keys with the same text stay apart, in names that do not grow with their number."""
    kept = freeze({float("nan"): number for number in range(20_000)})
    assert sorted(kept.values()) == list(range(20_000))
    assert max(map(len, kept)) < 12
    assert json.loads(json.dumps(kept)) == kept


_MANY = """
import gc, sys, bamboo_logmetrics as blm
with blm.open_log(sys.argv[1], max_bytes=1_000_000, backup_count=1) as log:
    for number in range(60):
        {statement}
        log.flush()
        gc.collect()
"""
STATEMENTS = {
    "contexts": 'log.bind(text=str(number) + "x" * 3_000_000).emit(blm.SessionStarted(session_id="s", model="m"))',
    "keys": 'log.emit(blm.SessionStarted(session_id="s", model="m"), **{str(number) + "k" * 3_000_000: 1})',
    "keys of plain lines": 'log.info("text", **{str(number) + "k" * 3_000_000: 1})',
    "context keys": 'log.bind(**{str(number) + "k" * 3_000_000: 1}).info("text")',
    "integers": 'log.bind(number=(1 << 24_000_000) + number).info("text")',
}


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
@pytest.mark.parametrize("name", STATEMENTS)
def test_row_50_what_is_remembered(path, name):
    """Contexts and keys are remembered within a bound of bytes: 60 of three megabytes take no 150 MB."""
    assert peak_of(_MANY.format(statement=STATEMENTS[name]), path) < 150_000_000 // MIB
