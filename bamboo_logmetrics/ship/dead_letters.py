"""The dead-letter file: what could not be delivered, each with the reason, one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.ship.destinations.base import Rejection
from bamboo_logmetrics.ship.entries import InvalidLine
from bamboo_logmetrics.ship.sequences import Lost
from bamboo_logmetrics.system import FS, write_all

_READ = 64 * 1024


class DeadLetters:
    """Appends to the file, which is made when there is something to write.

    Args:
        path: its path.
        fs: the system calls.
        log: the log, whose mode it takes: it holds lines of it.
    """

    def __init__(self, path: str, fs: FS, log: str) -> None:
        self.path = path
        self._log = log
        self._fs = fs

    def write(self, letters: list[dict[str, Any]], at: str) -> None:
        """Bring letters to the disk; ``at`` is the time, UTC. Raises OSError."""
        if not letters:
            return
        fd = self._fs.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, self._mode())
        try:
            end = self._repair(fd)
            try:
                write_all(self._fs, fd, b"".join(encode({"at": at, **letter}) + b"\n" for letter in letters))
                self._fs.fsync(fd)
            except OSError:
                self._fs.ftruncate(fd, end)  # they are written again
                raise
        finally:
            self._fs.close(fd)

    def _mode(self) -> int:
        try:
            return self._fs.stat(self._log).st_mode & 0o666
        except OSError:  # it is just being rotated
            return 0o600

    def _repair(self, fd: int) -> int:
        """Cut away half a letter, which a crash has left and whose batch comes again; return the size."""
        size = end = self._fs.fstat(fd).st_size
        cut = 0
        while end and not cut:
            start = max(0, end - _READ)
            cut = self._fs.pread(fd, end - start, start).rfind(b"\n") + 1
            end = start + cut
        if end < size:
            self._fs.ftruncate(fd, end)
        return end


def of_refusal(refusal: Rejection) -> Iterator[dict[str, Any]]:
    """Give the letters of what a destination refused: a line each, if it said which lines."""
    if refusal.how_many >= len(refusal.entries):
        for entry in refusal.entries:
            yield {
                "reason": refusal.reason,
                "writer": entry.head.writer,
                "seq": entry.head.seq,
                "line": entry.line.decode(),
            }
        return
    among: dict[str, list[int]] = {}
    for entry in refusal.entries:
        among.setdefault(entry.head.writer, [entry.head.seq, 0])[1] = entry.head.seq
    yield {"reason": refusal.reason, "refused": refusal.how_many, "among": among}


def of_broken(broken: InvalidLine) -> dict[str, Any]:
    """Return the letter of what cannot be delivered."""
    return {"reason": broken.reason, "line": broken.line.decode("utf-8", "replace")}


def of_lost(lost: Lost) -> dict[str, Any]:
    """Return the letter of numbers that the files no longer hold."""
    reason = "lost: the files do not hold these lines any more"
    return {"reason": reason, "writer": lost.writer, "lost": [lost.first, lost.last]}
