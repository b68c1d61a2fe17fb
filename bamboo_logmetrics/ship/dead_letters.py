"""The dead-letter file: lines that could not be delivered, with the reasons, one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.logfiles.follower import NOT_KNOWN
from bamboo_logmetrics.logfiles.repair import end_of_lines
from bamboo_logmetrics.logfiles.side_files import create_side_file, mode_of, open_alone, open_side_file
from bamboo_logmetrics.ship.destinations.base import Rejection
from bamboo_logmetrics.ship.entries import InvalidLine
from bamboo_logmetrics.ship.sequences import Lost
from bamboo_logmetrics.system import FS, write_all

_CHUNK = 1024 * 1024  # bytes
_START = b'{"at":"'  # of each letter
_PRIVATE = 0o600  # the mode while the log is being rotated
DEAD_LETTER_BYTES = 64 * 1024 * 1024  # the limit of the file by default


class DeadLetters:
    """Appends to the file. The first letter creates it, with the mode of the log, because it holds lines of the log.

    Args:
        path: the path of the file.
        fs: the system calls.
        log: the path of the log.
        limit: the largest size of the file in bytes.
    """

    def __init__(self, path: str, fs: FS, log: str, limit: int = DEAD_LETTER_BYTES) -> None:
        self.path = path
        self.limit = limit
        self._log = log
        self._fs = fs

    def write(self, letters: list[dict[str, Any]], at: str) -> int:
        """Write letters to the disk; ``at`` is the time, UTC. Raises OSError.

        Return the number of letters that are left out, because the file is full.
        """
        if not letters:
            return 0
        fd = open_side_file(self._fs, self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, self._mode())
        try:
            end = self._repair(fd)
            try:
                fitting = _fitting((encode({"at": at, **letter}) + b"\n" for letter in letters), self.limit - end)
                write_all(self._fs, fd, b"".join(fitting))
                self._fs.fsync(fd)
            except OSError:
                self._fs.ftruncate(fd, end)  # the caller writes them again
                raise
        finally:
            self._fs.close(fd)
        return len(letters) - len(fitting)

    def read(self) -> Iterator[bytes]:
        """Yield the letters, without their newlines; there are none where there is no file. Raises OSError."""
        try:
            fd = open_alone(self._fs, self.path, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            remainder, offset = b"", 0
            while part := self._fs.pread(fd, _CHUNK, offset):
                offset += len(part)
                *letters, remainder = (remainder + part).split(b"\n")
                yield from letters
        finally:
            self._fs.close(fd)

    def remove(self, sent: Callable[[bytes], bool]) -> None:
        """Remove the letters of which ``sent`` is true: a new file replaces the old one as a whole. Raises OSError."""
        partial, any_left = f"{self.path}.tmp", False
        fd = create_side_file(self._fs, partial, self._mode())
        try:
            for letter in self.read():
                if not sent(letter):
                    write_all(self._fs, fd, letter + b"\n")
                    any_left = True
            self._fs.fsync(fd)
        finally:
            self._fs.close(fd)
        self._fs.rename(partial, self.path)
        if not any_left:
            self._fs.unlink(self.path)
        self._sync_directory()

    def _sync_directory(self) -> None:
        fd = self._fs.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._fs.fsync(fd)
        finally:
            self._fs.close(fd)

    def _mode(self) -> int:
        return mode_of(self._fs, self._log, _PRIVATE)

    def _repair(self, fd: int) -> int:
        """Cut off half a letter, left by a crash, because its batch comes again; return the size of the file.

        Anything else that has no newline stays, and a new line is begun.
        """
        size = self._fs.fstat(fd).st_size
        end = end_of_lines(self._fs, fd, size)
        if end == size:
            return size
        if end is not None:
            torn = self._fs.pread(fd, len(_START), end)
            if torn == _START[: len(torn)]:
                self._fs.ftruncate(fd, end)
                return end
        self._fs.write(fd, b"\n")
        return size + 1


def _fitting(letters: Iterable[bytes], room: int) -> list[bytes]:
    """Return those of the letters, in their order, that fit into so many bytes."""
    fitting = []
    for letter in letters:
        if len(letter) <= room:
            fitting.append(letter)
            room -= len(letter)
    return fitting


def line_of(letter: bytes) -> bytes | None:
    """Return the line in a letter, or None for a letter without one."""
    line = _decoded(letter).get("line")
    return line.encode("utf-8", "surrogatepass") if isinstance(line, str) else None


def is_letter(data: bytes) -> bool:
    """Return True for a line of the file that is a letter."""
    return isinstance(_decoded(data).get("reason"), str)


def refused_in(letter: bytes) -> int:
    """Return how many refused lines a letter stands for; 0 for lines that are lost or not known."""
    decoded = _decoded(letter)
    if isinstance(decoded.get("line"), str):
        return int(decoded.get("reason") not in NOT_KNOWN)
    number = decoded.get("refused")
    return max(0, number) if isinstance(number, int) else 0


def _decoded(letter: bytes) -> dict[str, Any]:
    """Return the contents of a letter; nothing for what is none."""
    try:
        decoded = msgspec.json.decode(letter)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


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
