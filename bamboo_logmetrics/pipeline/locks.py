"""A lock that knows its owner."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from bamboo_logmetrics.system import Lock


class OwnedLock:
    """A lock that no thread takes twice: a signal handler or a finaliser within the work is turned away.

    An RLock underneath, because only an RLock records its owner atomically with acquiring.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock: Any = RLock()

    def held_by_me(self) -> bool:
        """Return True if the calling thread holds the lock."""
        return bool(self._lock._is_owned())

    def run(self, work: Callable[[], None], acquire: Callable[[Lock], bool]) -> bool:
        """Run ``work`` with the lock; return False if ``acquire`` did not get it, or the calling thread holds it."""
        lock = self._lock
        if lock._is_owned():
            return False
        try:
            if not acquire(lock):
                return False
            work()
        finally:
            try:  # noqa: SIM105 - the release must be the first call: a second interrupt cannot come before it
                lock.release()
            except RuntimeError:
                pass  # the lock was not acquired
        return True


def try_acquire(lock: Lock) -> bool:
    """Acquire a lock without waiting; return True if it was free."""
    return lock.acquire(blocking=False)
