"""Small things that many tests need. Counts made here never come from the log's own counters."""

from __future__ import annotations

import glob
import gzip
import json

import bamboo_logmetrics as blm
from bamboo_logmetrics.record.queued import QueuedRecord


def tool(number=0, **fields):
    """Return an event, numbered in its tool_call_id."""
    values = {"round_id": "r", "session_id": "s", "tool_name": "t", "latency_ms": 1, "success": True} | fields
    return blm.ToolCalled(tool_call_id=f"c{number}", **values)


def record(event, bound=None, ack=None):
    """Return the record that a logger would queue for an event."""
    return QueuedRecord(event, bound or {}, {}, ack=ack)


def text_record(text, level="info", **bound):
    """Return the record that a logger would queue for a plain line."""
    return QueuedRecord(text, bound, {}, level, 1_700_000_000_000_000_000)


def _strict(name):
    raise AssertionError(f"{name} is not JSON")


def physical(path):
    """Return every physical line of a log, rotated and compressed ones first, as bytes."""
    names = sorted(name for name in glob.glob(f"{glob.escape(str(path))}.2*"))
    lines = []
    for name in [*names, str(path)]:
        if name.endswith(".gz") and name[:-3] in names:
            continue
        opener = gzip.open if name.endswith(".gz") else open
        with opener(name, "rb") as file:
            data = file.read()
        assert data == b"" or data.endswith(b"\n")
        lines += data.split(b"\n")[:-1]
    return lines


def flat(path):
    """Return the lines of a log as strict JSON objects."""
    return [json.loads(line, parse_constant=_strict) for line in physical(path)]


def typed(path):
    """Return the lines that the application's chat and forward events made."""
    return [line for line in flat(path) if line["event"].startswith(("chat.", "forward.")) and "plain" not in line]


def kinds(path):
    """Return the event names of all lines."""
    return [line["event"] for line in flat(path)]


def of_kind(path, kind):
    """Return the log's own lines of one kind."""
    lines = [line for line in flat(path) if line["event"] == kind]
    return [line for line in lines if "plain" not in line and "source" not in line]


def dropped(path):
    """Return the sums of the MetricsDropped lines by reason."""
    sums = {}
    for line in of_kind(path, "system.metrics_dropped"):
        sums[line["reason"]] = sums.get(line["reason"], 0) + line["count"]
    return sums


def balanced(stats):
    """Return True if a snapshot adds up."""
    return (
        stats.emitted == stats.written + stats.dropped_total + stats.queued
        and stats.dropped_total == sum(stats.dropped.values())
        and stats.queued >= 0
    )


class Turn:
    """One turn of an event loop for everything else that is ready: ``await Turn()``."""

    def __await__(self):
        yield
