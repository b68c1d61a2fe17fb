"""The check that a test leaves nothing behind: no thread of a log, no open log, no descriptor of a test's file."""

from __future__ import annotations

import gc
import os
import threading

from bamboo_logmetrics.pipeline import process

TESTS_FILES = "/pytest-"  # in the path of every file that a test makes


class LeakCheck:
    """Compare the process with its state when this object was made.

    Collecting garbage takes longer than most tests, so it is done only where a descriptor is left: an object in a
    reference cycle may hold it.
    """

    JOIN_TIMEOUT = 10.0  # seconds for a thread of a log that is ending

    def __init__(self) -> None:
        self._threads = _threads()
        self._descriptors = _descriptors()

    def leaks(self) -> list[str]:
        """Return one line for each leak, and close the logs that are open."""
        lines = [f"log left open: {pipeline.path}" for pipeline in process.pipelines()]
        if lines:
            process.close_all()
        for thread in _threads() - self._threads:
            thread.join(self.JOIN_TIMEOUT)
            if thread.is_alive():
                lines.append(f"thread left running: {thread.name}")
        if not _descriptors() <= self._descriptors:
            gc.collect()
        return lines + [f"descriptor left open: {name}" for name in sorted(_descriptors() - self._descriptors)]


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("bamboo")}


def _descriptors() -> set[str]:
    """Return number and path of each open file of a test; an empty set where there is no /proc."""
    if not os.path.isdir("/proc/self/fd"):
        return set()
    links = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the descriptor of the listing itself
            continue
        if TESTS_FILES in path:
            links.add(f"{number} {path}")
    return links
