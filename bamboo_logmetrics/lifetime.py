"""Exit and fork: what every open pipeline of the process has to be told."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Protocol


class _Ending(Protocol):
    def close(self, timeout: float = ...) -> bool: ...
    def after_fork(self) -> None: ...


_open: weakref.WeakSet[_Ending] = weakref.WeakSet()
_finalized_in = 0  # the process whose multiprocessing exit calls us


def register(pipeline: _Ending) -> None:
    """Have ``pipeline`` closed at exit and told about forks."""
    _open.add(pipeline)


def forget(pipeline: _Ending) -> None:
    """Leave ``pipeline``, which has ended, alone."""
    _open.discard(pipeline)


def pipelines() -> list[_Ending]:
    """Return the open pipelines."""
    return list(_open)


def close_all() -> None:
    """Close every open pipeline; each waits its own 5 s at most."""
    for pipeline in pipelines():
        pipeline.close()


def enter_process() -> None:
    """Make sure of the exit of a multiprocessing child, which never runs atexit.

    concurrent.futures uses such children too. Called when a worker starts: in a forked child at its first emit.
    """
    global _finalized_in  # noqa: PLW0603 - one flag for the process
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None or _finalized_in == os.getpid() or multiprocessing.parent_process() is None:
        return
    _finalized_in = os.getpid()
    from multiprocessing import util

    util.Finalize(None, close_all, exitpriority=-100)


def _after_fork_in_child() -> None:
    for pipeline in pipelines():
        pipeline.after_fork()


atexit.register(close_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
