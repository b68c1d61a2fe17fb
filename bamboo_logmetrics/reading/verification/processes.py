"""The processes that ``/proc`` shows, and the lock files that they have open."""

from __future__ import annotations

import os
from collections import Counter
from functools import cached_property

from bamboo_logmetrics.logfiles.descriptors import Identity, identity_of
from bamboo_logmetrics.logfiles.names import lock_path
from bamboo_logmetrics.system import pid_namespace

_GONE = " (deleted)"  # ends the name of an open file that was removed
_LOCK = ".lock"


class Processes:
    """A view of ``/proc``, taken at the first question. It is empty where there is no ``/proc``.

    A process has another id in each pid namespace around it, as one in a container has on the host. So processes are
    found by their innermost namespace and the id that they have there, which is the one that they know themselves.
    """

    def find(self, namespace: str | None, pid: int) -> str | None:
        """Return the name in ``/proc`` of the process with this id in this pid namespace; None if there is none."""
        return self._by_own_id.get((namespace, pid))

    def log_openings_of(self, process: str, log: str) -> int | None:
        """Count the descriptors of a log's lock file in one process: one for each opening of the log.

        Return None if that is not known: the lock file is gone, or the process is another user's.
        """
        identity = _identity_at(lock_path(log))
        files = self._open_locks.get(process)
        if identity is None or files is None:
            return None
        return files[identity] + files[_removed(log)]

    def log_openings(self, log: str) -> int:
        """Count the descriptors of a log's lock file over all processes that are shown."""
        identity = _identity_at(lock_path(log))
        return 0 if identity is None else sum(files[identity] for files in self._open_locks.values())

    @cached_property
    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir("/proc") if name.isdecimal()]
        except FileNotFoundError:
            return []

    @cached_property
    def _by_own_id(self) -> dict[tuple[str | None, int], str]:
        shown = _shown_namespace()
        by_id: dict[tuple[str | None, int], str] = {}
        for name in self._names:
            ids = _own_ids(name)
            namespace = pid_namespace(name) or (shown if len(ids) == 1 else None)
            if ids and namespace:
                by_id[namespace, ids[-1]] = name
        return by_id

    @cached_property
    def _open_locks(self) -> dict[str, Counter[Identity | str]]:
        """The lock files that each process has open, by their identity; removed ones by their name."""
        locks: dict[str, Counter[Identity | str]] = {}
        for name in self._names:
            files = _open_locks_of(f"/proc/{name}/fd")
            if files is not None:
                locks[name] = files
        return locks


def _shown_namespace() -> str | None:
    """Return the pid namespace that ``/proc`` is a view of, if it is this process's own."""
    try:
        return pid_namespace() if os.readlink("/proc/self") == str(os.getpid()) else None
    except OSError:
        return None


def _own_ids(process: str) -> list[int]:
    """Return the ids of a process, from the namespace of ``/proc`` to its own; none for a zombie or a gone one."""
    try:
        with open(f"/proc/{process}/status", "rb") as file:
            lines = dict(line.partition(b":")[::2] for line in file)
    except OSError:
        return []
    if lines.get(b"State", b"").split()[:1] == [b"Z"]:
        return []
    return [int(part) for part in lines.get(b"NSpid", process.encode()).split()]


def _open_locks_of(directory: str) -> Counter[Identity | str] | None:
    files: Counter[Identity | str] = Counter()
    try:
        entries = os.listdir(directory)
    except OSError:  # the process has ended meanwhile, or belongs to another user
        return None
    for entry in entries:
        path = os.path.join(directory, entry)
        try:
            # the link's text first: a stat may hang on a network file system that is down
            target = os.readlink(path)
            if target.endswith(_LOCK):
                files[identity_of(os.stat(path))] += 1
            elif target.endswith(_LOCK + _GONE):
                files[os.path.basename(target)] += 1
        except OSError:  # closed meanwhile
            continue
    return files


def _removed(log: str) -> str:
    return os.path.basename(lock_path(log)) + _GONE


def _identity_at(path: str) -> Identity | None:
    try:
        return identity_of(os.stat(path))
    except OSError:
        return None
