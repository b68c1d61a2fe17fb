from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from support.tools import flat, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.integrations.lnav import log_format
from bamboo_logmetrics.reading.query.columns import COLUMNS

_NATIVE = {"session_id", "tool_name", "latency_ms", "success", "model"}


def test_the_fields_of_the_format_are_columns():
    """Each field that lnav shows or knows is a column of the view of events, or lnav's own."""
    definition = json.loads(log_format())["bamboo_logmetrics"]
    shown = {part["field"] for part in definition["line-format"] if isinstance(part, dict)}
    known = {definition[f"{name}-field"] for name in ("timestamp", "level", "opid")}
    assert shown | known | set(definition["value"]) <= {*COLUMNS, "__timestamp__", "__level__"}
    assert set(definition["value"]) >= _NATIVE


@pytest.fixture
def lnav(tmp_path):
    """Return a function that runs lnav with the format, in a home of its own."""
    if shutil.which("lnav") is None:
        pytest.skip("lnav is not installed")
    file = tmp_path / "bamboo_logmetrics.json"
    file.write_text(log_format(), encoding="utf-8")

    def run(*arguments):
        environ = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "TERM": "xterm"}
        return subprocess.run(
            ["lnav", *map(str, arguments)],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout

    run("-i", file)
    return run


def test_lnav_shows_each_line_and_sums_its_numbers(lnav, tmp_path):
    """All lines of a rotated and compressed log are shown with their columns, and SQL finds their numbers."""
    path = tmp_path / "logs" / "a.jsonl"
    with blm.open_log(path, max_bytes=4_000, compress="gzip") as log:
        for number in range(60):
            log.emit(tool(number), model="gpt-5")
        log.warning("cache is cold", entries=3)
    files = [*path.parent.glob("a.jsonl.*"), path]
    assert len(files) > 3
    shown = lnav("-n", *files).splitlines()
    assert len(shown) == len(flat(path))
    assert sum("chat.tool_called" in line and " gpt-5 " in line for line in shown) == 60
    (warned,) = [line for line in shown if "cache is cold" in line]
    assert " WARNING " in warned
    sums = lnav(
        "-n",
        "-c",
        ";SELECT count(*), sum(latency_ms) FROM bamboo_logmetrics WHERE event = 'chat.tool_called'",
        *files,
    )
    latencies = [line["latency_ms"] for line in flat(path) if line["event"] == "chat.tool_called"]
    assert sums.split()[-2:] == [str(len(latencies)), str(sum(latencies))]
