"""Finds every lock that a log has by walking its objects, so that one added later is tested too; and hooks into them."""

from __future__ import annotations

import sys
import threading
from collections import deque
from types import ModuleType

LOCKS = (type(threading.Lock()), type(threading.RLock()))
_CONTAINERS = (list, tuple, set, frozenset, deque, dict)
_PACKAGE = "bamboo_logmetrics"


class LockAttribute:
    """The attribute that holds a lock; ``name`` is the path to it, such as ``pipeline._worker._step_lock``."""

    def __init__(self, name, owner, key):
        self.name, self.owner, self.key = name, owner, key
        self.lock = getattr(owner, key)

    def hook(self, taken, leaving=lambda: None):
        """Put a lock in its place that calls ``taken`` once it is held, and ``leaving`` before it is released."""
        setattr(self.owner, self.key, Hooked(self.lock, taken, leaving))


class Hooked:
    """A lock that calls ``taken`` right after it was taken, and ``leaving`` right before it is released."""

    def __init__(self, lock, taken, leaving):
        self._lock, self._taken, self._leaving = lock, taken, leaving

    def acquire(self, blocking=True, timeout=-1):  # noqa: FBT002 - as the lock's own
        got = self._lock.acquire(blocking, timeout)
        if got:
            self._taken()
        return got

    def release(self):
        self._leaving()
        self._lock.release()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()

    def __getattr__(self, name):  # _is_owned of an RLock, locked, _at_fork_reinit
        return getattr(self._lock, name)


def find(**roots):
    """Return the place of every lock below the roots and in the package's modules."""
    modules = {name: module for name, module in list(sys.modules.items()) if _is_ours(name)}
    todo = deque([*roots.items(), *modules.items()])
    places, seen = [], set()
    while todo:
        name, thing = todo.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        for key, value in _parts(thing):
            if isinstance(value, LOCKS) and isinstance(key, str):
                places.append(LockAttribute(f"{name}.{key}", thing, key))
            elif _is_walked(value):
                todo.append((f"{name}.{key}", value))
    return places


def _is_ours(module):
    return module.partition(".")[0] == _PACKAGE and module != f"{_PACKAGE}.testing"


def _is_walked(value):
    if isinstance(value, _CONTAINERS):
        return True
    module = type(value).__module__  # of threading: Condition, Event, Semaphore, which hold locks of their own
    return _is_ours(module) or (module == "threading" and not isinstance(value, threading.Thread))


def _parts(thing):
    """Return the attributes or items of an object, with those in slots and the locks of its class."""
    if isinstance(thing, dict):
        return [(f"[{key!r}]", value) for key, value in list(thing.items())]
    if isinstance(thing, _CONTAINERS):
        return [(f"[{index}]", value) for index, value in enumerate(list(thing))]
    parts = list(getattr(thing, "__dict__", {}).items())
    if isinstance(thing, ModuleType):
        return parts
    for cls in type(thing).__mro__:
        parts += [(key, getattr(thing, key)) for key in getattr(cls, "__slots__", ()) if hasattr(thing, key)]
        parts += [(key, value) for key, value in vars(cls).items() if isinstance(value, LOCKS)]
    return parts
