"""For the tests of applications that log, and of this package."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.format.parse import Line, parse_line
from bamboo_logmetrics.logfiles import Sink
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import logger_of, open_pipeline
from bamboo_logmetrics.pipeline import channel
from bamboo_logmetrics.record.queued import as_dict
from bamboo_logmetrics.system import Clock

if TYPE_CHECKING:
    from bamboo_logmetrics.record.queued import QueuedRecord
    from bamboo_logmetrics.system import Lock

__all__ = ["Captured", "FailingSink", "GateSink", "ManualClock", "capture_events", "open_log_on"]


class Captured(list[MetricsEvent]):
    """The events that were emitted, in order.

    ``bound`` holds what was bound beside each, and ``texts`` the plain lines.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bound: list[dict[str, Any]] = []
        self.texts: list[str] = []

    def take(self, record: QueuedRecord) -> None:
        """Keep one record."""
        if isinstance(record.event, MetricsEvent):
            self.append(record.event)
            self.bound.append({**record.context, **as_dict(record.bound)})
        else:
            self.texts.append(record.event)


@contextmanager
def capture_events() -> Iterator[Captured]:
    """Capture what every log of the process is given, from any thread, instead of writing it.

    Loggers that were cached or bound before are captured too, and no log needs to be configured::

        with capture_events() as events:
            handle_request()
        assert [event.kind for event in events] == ["forward.request_started", "forward.request_completed"]
    """
    captured = Captured()
    with channel.watched(captured.take):
        yield captured


class ManualClock(Clock):
    """A clock that stands still until the test moves it.

    Args:
        start_ns: nanoseconds since the epoch at which the wall clock starts; now when left out.
    """

    _LOOK = 0.005  # real seconds between two looks at the time that the test sets

    def __init__(self, start_ns: int | None = None) -> None:
        self._wall = time.time_ns() if start_ns is None else start_ns
        self._passed = 0.0
        self._guard = threading.Condition()
        self._waiting = 0

    def time_ns(self) -> int:
        """Return the wall clock as the test has set it."""
        return self._wall

    def monotonic(self) -> float:
        """Return the seconds by which the test has moved the clock."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; waits whose time is up end."""
        with self._guard:
            self._passed += seconds
            self._wall += round(seconds * 1e9)

    def until_waiting(self, count: int = 1, timeout: float = 10.0) -> bool:
        """Wait until ``count`` threads wait on this clock; tell whether they do after ``timeout`` real seconds."""
        with self._guard:
            return self._guard.wait_for(lambda: self._waiting >= count, timeout)

    def set_wall(self, time_ns: int) -> None:
        """Set the wall clock, backward too, while no time passes."""
        self._wall = time_ns

    def wait(self, lock: Lock, timeout: float | None) -> bool:
        """Take ``lock``, or give up when the test has let ``timeout`` seconds pass."""
        until = None if timeout is None else self._passed + timeout
        with self._guard:
            self._waiting += 1
            self._guard.notify_all()
        try:
            while not lock.acquire(timeout=self._LOOK):
                if not threading.main_thread().is_alive():
                    self._passed += self._LOOK  # the program ends, and nobody will move the clock any more
                if until is not None and self._passed >= until:
                    return False
            return True
        finally:
            with self._guard:
                self._waiting -= 1


class _Around(Sink):
    """A sink around another, or with none of its own: then it keeps the lines."""

    def __init__(self) -> None:
        self.inner: Sink | None = None
        self.seen: list[bytes] = []  # the lines that were stored

    def around(self, inner: Sink) -> Sink:
        """Pass on to ``inner`` what gets through; given to :func:`open_log_on`."""
        self.inner = inner
        return self

    def lines(self) -> list[Line]:
        """Return what was stored, parsed."""
        return [parse_line(line) for line in self.seen]

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Store lines and pass them on."""
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
        """Tell the inner sink."""
        if self.inner is not None:
            self.inner.after_fork()


class GateSink(_Around):
    """A sink that lets nothing through while it is shut; a slow disk at its slowest.

    Args:
        shut: whether it starts shut.
    """

    def __init__(self, *, shut: bool = True) -> None:
        super().__init__()
        self._open = threading.Event()
        self._reached = threading.Semaphore(0)
        if not shut:
            self._open.set()

    def open_gate(self) -> None:
        """Let everything through from now on."""
        self._open.set()

    def shut_gate(self) -> None:
        """Hold up the next write."""
        self._open.clear()

    def wait_for_writer(self, timeout: float = 10.0) -> bool:
        """Wait until a write has reached the gate since the last call; tell whether one has."""
        return self._reached.acquire(timeout=timeout)

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Store lines once the gate is open."""
        self._reached.release()
        self._open.wait()
        super().write(lines, deadline)


class FailingSink(_Around):
    """A sink whose writes fail as the test says.

    Args:
        failures: an exception for each of the first writes, None for one that works; later ones work.
    """

    def __init__(self, *failures: BaseException | None) -> None:
        super().__init__()
        self.failures = list(failures)
        self.always: BaseException | None = None  # set it to fail from now on
        self.calls = 0

    def write(self, lines: list[bytes], deadline: float | None = None) -> None:
        """Raise what is due, or store the lines."""
        self.calls += 1
        failure = self.always or (self.failures.pop(0) if self.failures else None)
        if failure is not None:
            raise failure
        super().write(lines, deadline)


def open_log_on(sink: GateSink | FailingSink, path: str | os.PathLike[str], **options: Any) -> BoundLog:
    """Open a log as :func:`bamboo_logmetrics.open_log` does, with ``sink`` before its file."""
    around: Callable[[Sink], Sink] = sink.around
    return logger_of(open_pipeline(path, options, around))
