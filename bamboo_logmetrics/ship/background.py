"""One call at a time in a thread of its own, so that the next batch is made ready while one is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundCalls(Generic[T]):
    """Makes calls, in order. Its thread does not hold up the end of the process, as an Executor's would."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Future[T] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="bamboo-logmetrics-courier", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def send(self, call: Callable[[], T]) -> None:
        """Have a call made."""
        self._calls.put(call)

    def outcome(self, timeout: float | None = None) -> Future[T] | None:
        """Wait for a call, and return what came of it; None when somebody nudged, or ``timeout`` seconds are over."""
        try:
            return self._outcomes.get(timeout=timeout)
        except Empty:
            return None

    def last_outcome(self, timeout: float) -> Future[T] | None:
        """Wait for a call, whoever nudges; None when ``timeout`` seconds are over."""
        try:
            while (found := self._outcomes.get(timeout=timeout)) is None:
                continue
        except Empty:
            return None
        return found

    def nudge(self) -> None:
        """Have whoever waits for an outcome look up. From any thread or signal handler."""
        self._outcomes.put(None)

    def close(self) -> None:
        """End the thread, once the call that is under way is made; nobody waits for that."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            outcome: Future[T] = Future()
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is asked for
                outcome.set_exception(error)
            self._outcomes.put(outcome)
