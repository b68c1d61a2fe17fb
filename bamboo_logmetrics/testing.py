"""Test doubles: captured events, a manual clock, and sinks that fail or stand still.

For the tests of applications that log, and for those of this package.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.format.flatten import level_of
from bamboo_logmetrics.format.parse import Line, parse_line
from bamboo_logmetrics.logfiles import Sink
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import logger_of, open_pipeline
from bamboo_logmetrics.pipeline import taps
from bamboo_logmetrics.record.packed import unpack
from bamboo_logmetrics.record.queued import as_dict
from bamboo_logmetrics.system import Clock

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bamboo_logmetrics.options import OptionValues
    from bamboo_logmetrics.record.queued import QueuedRecord
    from bamboo_logmetrics.system import Lock

__all__ = ["Captured", "CapturedLine", "FailingSink", "GateSink", "ManualClock", "capture_events", "open_log_on"]


class CapturedLine(NamedTuple):
    """A plain line that was logged.

    Args:
        text: the text.
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        bound: the values bound to the logger or given in the call.
        exception: the traceback as text, or None.
    """

    text: str
    level: str
    bound: dict[str, Any]
    exception: str | None


class Captured(list[MetricsEvent]):
    """The list of the events that were emitted, in order.

    Attributes:
        bound: for each event, a dict of the values bound to the logger or given in the call.
        levels: for each event, the level of its line.
        texts: the texts of the plain lines.
        plain: the plain lines, each with ``text``, ``level``, ``bound`` and ``exception``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bound: list[dict[str, Any]] = []
        self.levels: list[str] = []
        self.texts: list[str] = []
        self.plain: list[CapturedLine] = []

    def take(self, record: QueuedRecord) -> None:
        """Add one record, instead of the queue."""
        bound = {**unpack(record.context), **unpack(as_dict(record.bound))}
        if isinstance(record.event, MetricsEvent):
            self.append(record.event)
            self.bound.append(bound)
            self.levels.append(level_of(record.event))
        else:
            exception = record.exception or bound.pop("exception", None)
            self.texts.append(record.event)
            self.plain.append(CapturedLine(record.event, record.level or "info", bound, exception))


@contextmanager
def capture_events() -> Iterator[Captured]:
    """Capture the events and plain lines of all logs of the process, from any thread, instead of writing them.

    Loggers that were cached or bound before are captured too, and no log needs to be configured. ``emit`` returns
    True for a captured event::

        with capture_events() as events:
            handle_request()
        assert [event.kind for event in events] == ["forward.request_started", "forward.request_completed"]
        assert events.plain[0].level == "warning"

    Yields:
        The events so far, as a list that grows.
    """
    captured = Captured()
    with taps.watched(captured.take):
        yield captured


class ManualClock(Clock):
    """A clock that stands still until the test moves it; pass it as the option ``clock``.

    Args:
        start_ns: start of the wall clock in nanoseconds since the epoch; the current time when left out.
    """

    _POLL_INTERVAL = 0.005  # real seconds between two looks at the time that the test sets

    def __init__(self, start_ns: int | None = None) -> None:
        self._wall = time.time_ns() if start_ns is None else start_ns
        self._passed = 0.0
        self._guard = threading.Condition()
        self._waiting = 0

    def time_ns(self) -> int:
        """Return the wall clock, in nanoseconds since the epoch, as the test has set it."""
        return self._wall

    def monotonic(self) -> float:
        """Return the seconds by which the test has moved the clock."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Move both clocks by ``seconds``; waits whose time is up end."""
        with self._guard:
            self._passed += seconds
            self._wall += round(seconds * 1e9)

    def until_waiting(self, count: int = 1, timeout: float = 10.0) -> bool:
        """Wait up to ``timeout`` real seconds until ``count`` threads wait on this clock; return True if they do."""
        with self._guard:
            return self._guard.wait_for(lambda: self._waiting >= count, timeout)

    def set_wall(self, time_ns: int) -> None:
        """Set the wall clock to nanoseconds since the epoch, backward too; the monotonic clock stands still."""
        self._wall = time_ns

    def wait(self, lock: Lock, timeout: float | None) -> bool:
        """Acquire ``lock``; return False once the test has moved the clock by ``timeout`` seconds (None: never)."""
        until = None if timeout is None else self._passed + timeout
        with self._guard:
            self._waiting += 1
            self._guard.notify_all()
        try:
            while not lock.acquire(timeout=self._POLL_INTERVAL):
                if not threading.main_thread().is_alive():
                    self._passed += self._POLL_INTERVAL  # at the end of the program nobody moves the clock any more
                if until is not None and self._passed >= until:
                    return False
            return True
        finally:
            with self._guard:
                self._waiting -= 1


class _WrappingSink(Sink):
    """A sink that passes lines on to another one, if it has one, and keeps those that were stored."""

    def __init__(self) -> None:
        self.inner: Sink | None = None
        self.seen: list[bytes] = []  # the lines that were stored

    def around(self, inner: Sink) -> Sink:
        """Pass lines on to ``inner``; return this sink. :func:`open_log_on` calls it."""
        self.inner = inner
        return self

    def lines(self) -> list[Line]:
        """Return the lines that were stored, parsed."""
        return [parse_line(line) for line in self.seen]

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Pass lines on, and keep those that were stored."""
        before = len(lines) if self.inner is None else self.inner.stored
        try:
            if self.inner is not None:
                self.inner.write(lines, deadline)
        finally:
            count = before if self.inner is None else self.inner.stored - before
            self.seen += lines[:count]
            self.stored += count

    def close(self, deadline: float | None = None) -> None:
        """Close the inner sink."""
        if self.inner is not None:
            self.inner.close(deadline)

    def open(self, deadline: float | None = None) -> None:
        """Open the inner sink."""
        if self.inner is not None:
            self.inner.open(deadline)

    def sync(self) -> None:
        """Sync the inner sink."""
        if self.inner is not None:
            self.inner.sync()

    def problems(self) -> list[str]:
        """Return the inner sink's problems."""
        return [] if self.inner is None else self.inner.problems()

    def after_fork(self) -> None:
        """Reset the inner sink in a forked child."""
        if self.inner is not None:
            self.inner.after_fork()


class GateSink(_WrappingSink):
    """A sink that holds up every write while it is shut, as a disk does that stands still.

    Args:
        shut: True to start shut.
    """

    def __init__(self, *, shut: bool = True) -> None:
        super().__init__()
        self._open = threading.Event()
        self._reached = threading.Semaphore(0)
        if not shut:
            self._open.set()

    def open_gate(self) -> None:
        """Let all writes pass, the one that waits too."""
        self._open.set()

    def shut_gate(self) -> None:
        """Hold up all writes from the next one on."""
        self._open.clear()

    def wait_for_writer(self, timeout: float = 10.0) -> bool:
        """Wait up to ``timeout`` seconds for a write at the gate since the last call; return True if there is one."""
        return self._reached.acquire(timeout=timeout)

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Store lines once the gate is open."""
        self._reached.release()
        self._open.wait()
        super().write(lines, deadline)


class FailingSink(_WrappingSink):
    """A sink whose writes fail as the test says.

    Args:
        failures: an exception for each of the first writes, None for one that works. Later writes work.

    Attributes:
        always: an exception for all writes from now on, or None.
        calls: the number of writes so far.
    """

    def __init__(self, *failures: BaseException | None) -> None:
        super().__init__()
        self.failures = list(failures)
        self.always: BaseException | None = None
        self.calls = 0

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Raise the exception that is due, or store the lines."""
        self.calls += 1
        failure = self.always or (self.failures.pop(0) if self.failures else None)
        if failure is not None:
            raise failure
        super().write(lines, deadline)


def open_log_on(
    sink: GateSink | FailingSink, path: str | os.PathLike[str], **options: Unpack[OptionValues]
) -> BoundLog:
    """Open a log whose worker writes to ``sink``, which passes the lines on to the file.

    Args:
        sink: the sink of the test.
        path: as for :func:`bamboo_logmetrics.open_log`.
        options: as for :func:`bamboo_logmetrics.open_log`.
    """
    return logger_of(open_pipeline(path, options, sink.around))
