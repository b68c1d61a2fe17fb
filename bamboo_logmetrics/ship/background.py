"""One call at a time in a thread of its own, so that the next batch is encoded while one is on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundCalls(Generic[T]):
    """Makes calls in order. Unlike an Executor's, its thread does not delay the exit of the process."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Future[T] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="bamboo-logmetrics-delivery", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, call: Callable[[], T]) -> None:
        """Have a call made."""
        self._calls.put(call)

    def outcome(self, timeout: float | None = None) -> Future[T] | None:
        """Wait for the end of a call, and return it; None after :meth:`wake`, or after ``timeout`` seconds."""
        try:
            return self._outcomes.get(timeout=timeout)
        except Empty:
            return None

    def last_outcome(self, timeout: float) -> Future[T] | None:
        """Wait for the end of a call, whatever :meth:`wake` does; None after ``timeout`` seconds."""
        try:
            while (outcome := self._outcomes.get(timeout=timeout)) is None:
                continue
        except Empty:
            return None
        return outcome

    def wake(self) -> None:
        """Have :meth:`outcome` return. From any thread or signal handler."""
        self._outcomes.put(None)

    def close(self) -> None:
        """End the thread after the call that is being made; does not wait for it."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            outcome: Future[T] = Future()
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised again by outcome().result()
                outcome.set_exception(error)
            self._outcomes.put(outcome)
