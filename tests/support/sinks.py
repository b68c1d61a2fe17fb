"""A sink that calls the log from within a write, and helpers for tests with slow sinks."""

from __future__ import annotations

import threading

from bamboo_logmetrics.testing import FailingSink
from support.tools import tool


def flush_at_last(log, clock):
    """Let time pass until everything is written."""
    while not log.flush(timeout=0):
        clock.advance(1)


def hold_one(sink, log):
    """Let worker_started through and have the worker hold the line of one event."""
    sink.shut_gate()
    log.emit(tool("held"))
    assert sink.wait_for_writer()


class Reentrant(FailingSink):
    """A sink that does something with the log in the middle of a write."""

    def __init__(self, action):
        super().__init__()
        self.action = action
        self.log = None
        self.written = threading.Semaphore(0)  # one for each line

    def write(self, lines, deadline=None):
        if self.log is not None and self.action is not None:
            action, self.action = self.action, None
            action(self.log)
        super().write(lines, deadline)
        self.written.release(len(lines))
