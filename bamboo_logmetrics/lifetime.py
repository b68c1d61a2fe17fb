"""Exit and fork: what every open pipeline of the process has to be told."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import Protocol


class _Ending(Protocol):
    def close(self, timeout: float = ...) -> bool: ...
    def after_fork(self) -> None: ...


_EXIT_TIMEOUT = 5.0  # seconds, for all logs together

_open: dict[int, weakref.ref[_Ending]] = {}  # a dict: its values are listed in one step, beside other threads
_finalized_in = 0  # the process whose multiprocessing exit calls us


def register(pipeline: _Ending) -> None:
    """Have ``pipeline`` closed at exit and told about forks."""
    key = id(pipeline)
    _open[key] = weakref.ref(pipeline, lambda _: _open.pop(key, None))


def forget(pipeline: _Ending) -> None:
    """Leave ``pipeline``, which has ended, alone."""
    _open.pop(id(pipeline), None)


def pipelines() -> list[_Ending]:
    """Return the open pipelines."""
    return [found for ref in list(_open.values()) if (found := ref()) is not None]


def close_all() -> None:
    """Close every open pipeline, in 5 s at most."""
    until = time.monotonic() + _EXIT_TIMEOUT
    for pipeline in pipelines():
        try:
            pipeline.close(max(0.1, until - time.monotonic()))
        except Exception:  # noqa: BLE001 - one log must not keep the others from being closed
            sys.excepthook(*sys.exc_info())


def enter_process() -> None:
    """Make sure of the exit of a multiprocessing child, which never runs atexit.

    concurrent.futures uses such children too. Called when a worker starts: in a forked child at its first emit.
    """
    global _finalized_in  # noqa: PLW0603 - one flag for the process
    # While another thread imports it, the module is there without its functions: this is no child then.
    parent_process = getattr(sys.modules.get("multiprocessing"), "parent_process", None)
    if parent_process is None or _finalized_in == os.getpid() or parent_process() is None:
        return
    _finalized_in = os.getpid()
    from multiprocessing import util

    util.Finalize(None, close_all, exitpriority=-100)


def _after_fork_in_child() -> None:
    for pipeline in pipelines():
        pipeline.after_fork()


atexit.register(close_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
