from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta, timezone

from bamboo_logmetrics.pipeline import step
from bamboo_logmetrics.pipeline.step import worker_started_fields
from bamboo_logmetrics.testing import ManualClock


def test_worker_started_fields():
    """A worker_started line says which process of which machine it is, alive since when, and what was repaired."""
    fields = worker_started_fields("1.2.3", ManualClock(), 17)
    assert list(fields) == ["version", "pid", "host", "started_at", "repaired_bytes"]
    assert (fields["version"], fields["pid"], fields["repaired_bytes"]) == ("1.2.3", os.getpid(), 17)
    assert fields["host"] == socket.gethostname()
    started = datetime.fromisoformat(fields["started_at"].replace("Z", "+00:00"))
    now = datetime.now(timezone.utc)
    assert now - timedelta(hours=24) < started < now + timedelta(seconds=2)


def test_worker_started_where_the_start_is_unknown(monkeypatch):
    """Where the system does not tell when the process was started, the time is now."""
    monkeypatch.setattr(step, "process_started_at", lambda _: None)
    assert (
        worker_started_fields("1", ManualClock(1_795_362_433_417_696_999), 0)["started_at"]
        == "2026-11-22T15:47:13.417696Z"
    )
