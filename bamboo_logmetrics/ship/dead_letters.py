"""The dead-letter file: lines that could not be delivered, with the reasons, one JSON object a line."""

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
    """Appends to the file. The first letter creates it, with the mode of the log, because it holds lines of the log.

    Args:
        path: the path of the file.
        fs: the system calls.
        log: the path of the log.
    """

    def __init__(self, path: str, fs: FS, log: str) -> None:
        self.path = path
        self._log = log
        self._fs = fs

    def write(self, letters: list[dict[str, Any]], at: str) -> None:
        """Write letters to the disk; ``at`` is the time, UTC. Raises OSError."""
        if not letters:
            return
        fd = self._fs.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, self._mode())
        try:
            end = self._repair(fd)
            try:
                write_all(self._fs, fd, b"".join(encode({"at": at, **letter}) + b"\n" for letter in letters))
                self._fs.fsync(fd)
            except OSError:
                self._fs.ftruncate(fd, end)  # the caller writes them again
                raise
        finally:
            self._fs.close(fd)

    def _mode(self) -> int:
        try:
            return self._fs.stat(self._log).st_mode & 0o666
        except OSError:  # it is being rotated at this moment
            return 0o600

    def _repair(self, fd: int) -> int:
        """Cut off half a letter, left by a crash, because its batch comes again; return the size of the file."""
        size = end = self._fs.fstat(fd).st_size
        cut = 0
        while end and not cut:
            start = max(0, end - _READ)
            cut = self._fs.pread(fd, end - start, start).rfind(b"\n") + 1
            end = start + cut
        if end < size:
            self._fs.ftruncate(fd, end)
        return end


def letters_of_rejection(rejection: Rejection) -> Iterator[dict[str, Any]]:
    """Give the letters of a rejection: one for each line, or one for the batch where the server names no lines."""
    if rejection.number >= len(rejection.entries):
        for entry in rejection.entries:
            yield {
                "reason": rejection.reason,
                "writer": entry.head.writer,
                "seq": entry.head.seq,
                "line": entry.line.decode(),
            }
        return
    among: dict[str, list[int]] = {}
    for entry in rejection.entries:
        among.setdefault(entry.head.writer, [entry.head.seq, 0])[1] = entry.head.seq
    yield {"reason": rejection.reason, "refused": rejection.number, "among": among}


def letter_of_invalid(line: InvalidLine) -> dict[str, Any]:
    """Return the letter of a line that cannot be delivered."""
    return {"reason": line.reason, "line": line.line.decode("utf-8", "replace")}


def letter_of_lost(lost: Lost) -> dict[str, Any]:
    """Return the letter of numbers that the files no longer hold."""
    reason = "lost: the files do not hold these lines any more"
    return {"reason": reason, "writer": lost.writer, "lost": [lost.first, lost.last]}
