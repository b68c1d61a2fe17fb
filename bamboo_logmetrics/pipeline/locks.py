"""A lock that knows its owner."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from bamboo_logmetrics.system import Lock


class OwnedLock:
    """One thread at a time, and none twice: a signal handler or a finaliser in the middle of the work is turned away.

    It is a re-entrant lock only because that knows its owner from the very moment it was got.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock: Any = RLock()

    def mine(self) -> bool:
        """Tell whether the calling thread is inside."""
        return bool(self._lock._is_owned())

    def run(self, work: Callable[[], None], enter: Callable[[Lock], bool]) -> bool:
        """Do ``work`` inside; False when ``enter`` could not get the lock, or this thread is inside already."""
        lock = self._lock
        if lock._is_owned():
            return False
        try:
            if not enter(lock):
                return False
            work()
        finally:
            try:  # noqa: SIM105 - the release must be the first call: a second interrupt cannot come before it
                lock.release()
            except RuntimeError:
                pass  # it was not had
        return True


def try_acquire(lock: Lock) -> bool:
    """Get the lock without waiting."""
    return lock.acquire(blocking=False)
