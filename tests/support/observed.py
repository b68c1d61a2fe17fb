"""The events of observed calls in a test's log."""

from __future__ import annotations

import json
import threading
from pathlib import Path

STARTED, COMPLETED = "forward.request_started", "forward.request_completed"


def lines_of(log, *kinds):
    """Return the lines of a log as dictionaries, of some kinds only."""
    assert log.flush(30)
    lines = [json.loads(text) for text in Path(log.path).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if not kinds or line["event"] in kinds]


def calls_of(log):
    """Return (started, completed) of each call, in the order of their ends; each must have exactly one of both."""
    lines = lines_of(log, STARTED, COMPLETED)
    started = {line["request_id"]: line for line in lines if line["event"] == STARTED}
    completed = [line for line in lines if line["event"] == COMPLETED and "iteration" not in line]
    assert len(started) == len([line for line in lines if line["event"] == STARTED])
    assert sorted(line["request_id"] for line in completed) == sorted(started)
    return [(started[line["request_id"]], line) for line in completed]


def wait_for_calls(log, count=1):
    """Wait until a number of calls are completed, which a client does not see that has left."""
    never = threading.Event()
    while len(lines_of(log, COMPLETED)) < count:
        never.wait(0.01)


def call_of(log):
    """Return (started, completed) of the only call."""
    (call,) = calls_of(log)
    return call


def ending_of(log):
    """Return status, HTTP status, end of the stream, source of the usage and total tokens of the only call."""
    line = call_of(log)[1]
    return tuple(line.get(key) for key in ("status", "status_code", "stream_end", "usage_source", "total_tokens"))
