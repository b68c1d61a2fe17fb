"""An FS whose calls fail, stop short or are watched as a test says."""

from __future__ import annotations

import errno
import os

from bamboo_logmetrics.system import FS

WATCHED = (
    "open",
    "close",
    "read",
    "pread",
    "write",
    "ftruncate",
    "fchmod",
    "fsync",
    "fstat",
    "stat",
    "rename",
    "unlink",
    "makedirs",
    "listdir",
    "lock",
    "unlock",
)


def oserror(code):
    """Return the OSError of an errno."""
    return OSError(code, os.strerror(code))


class FaultyFS(FS):
    """Counts its calls; ``plan[name]`` is a function of the call's number and arguments that may raise or answer."""

    def __init__(self):
        self.calls = []
        self.plan = {}

    def count(self, name):
        return sum(call[0] == name for call in self.calls)

    def fail(self, name, code=errno.EIO, *, times=1, after=0, when=lambda *_: True):
        """Let calls of ``name`` fail, ``times`` of them, after the first ``after``; None: for good."""
        seen = [0]

        def answer(*args):
            if not when(*args):
                return
            seen[0] += 1
            if seen[0] > after and (times is None or seen[0] <= after + times):
                raise oserror(code) if isinstance(code, int) else code
            return

        self.plan[name] = answer

    def heal(self):
        self.plan.clear()


def _watched(name):
    real = getattr(FS, name)

    def call(self, *args):
        self.calls.append((name, *args))
        if (answer := self.plan.get(name)) is not None:
            given = answer(*args)
            if given is not None:
                return given
        return real(self, *args)

    return call


for _name in WATCHED:
    setattr(FaultyFS, _name, _watched(_name))
