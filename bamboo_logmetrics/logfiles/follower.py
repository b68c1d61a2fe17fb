"""Follows a log: reads all its files, the oldest first, and then the lines that are appended, through rotation.

The names of rotated files sort by time, and the active file will be the next of them. So a position needs the name of
the newest file before it, and a fingerprint of the beginning of its own file, which may have another name by now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bamboo_logmetrics.logfiles.log_file import LONGEST_LINE, LogFile, identity_at, open_file, open_rotated
from bamboo_logmetrics.logfiles.names import Rotated, rotated_exists, rotated_files
from bamboo_logmetrics.logfiles.plain_size import plain_size
from bamboo_logmetrics.logfiles.position import HEAD, Chunk, Position, fingerprint
from bamboo_logmetrics.system import FS

GONE = "the file that was being read is gone: it is not known which lines followed in it"
TRUNCATED = "the file that was being read was truncated: it is not known which lines followed in it"
MOST_LINES = 10_000  # in one chunk; a chunk of 1 MiB has more only if it holds lines that are none of ours
NOT_KNOWN = (GONE, TRUNCATED)  # reasons of chunks that stand for no line


class Follower:
    """Reads a log from a position on.

    Args:
        log: the real path of the active file, which need not exist.
        position: the position to start at; None for the beginning of the oldest file.
        repeats: True to read all files again if the newest that was passed is gone while older ones are there, so that
            no line is left out; False to leave out what has an older name, so that no line is read twice.
        fs: the system calls.

    Attributes:
        ended: True once a log that is itself a compressed file was read to its end: nothing is appended to it.
    """

    def __init__(self, log: str, position: Position | None = None, *, repeats: bool = True, fs: FS) -> None:
        self.log = log
        self._repeats = repeats
        self._fs = fs
        self._resume = position or Position()  # the position while no file is open
        self._passed, self._in_oldest = self._resume.passed, self._resume.in_oldest
        self._file: LogFile | None = None
        self._head, self._head_size, self._in_line = "", 0, False
        self._done = False  # no process appends to the file any more
        self._left = False  # the active file is gone and will not come back
        self.ended = False
        self._gone = ""  # why the lines after the position are not known; still to be reported
        self._ahead = False  # there were bytes after the position at the last read

    # -- reading -------------------------------------------------------------------------

    @property
    def position(self) -> Position:
        """The position after the last line that was read."""
        if self._file is None:
            return self._resume
        return Position(
            self._passed, self._head, self._head_size, self._file.offset, self._in_line, in_oldest=self._in_oldest
        )

    def read(self, size: int) -> Chunk | None:
        """Return about ``size`` bytes of whole lines of one file; None at the end of the log. Raises OSError."""
        try:
            while self._file is not None or self._open_next():
                assert self._file is not None
                self._check_truncation(self._file)
                if self._gone:
                    reason, self._gone = self._gone, ""
                    return Chunk([], self.position, b"", reason)
                data = self._peek_lines(self._file, size)
                self._ahead = bool(data)
                if b"\n" in data:
                    return self._chunk(self._file, _whole_lines(data))
                if len(data) > LONGEST_LINE:
                    return self._too_long(self._file, data)
                if not self._done:
                    if self._may_grow(self._file):
                        return None
                    self._done = True  # lines may have been appended between this read and the renaming: read once more
                elif (remainder := self._leave(self._file, data)) is not None:
                    return remainder
        except OSError:
            if self._file is not None and self._file.compressed:
                self.close()  # decompression cannot continue after an error: the file is opened again
            raise
        return None

    def beginning(self) -> tuple[Position, bytes] | None:
        """Return the position before the first line of the log, with its file's fingerprint, and that line.

        Return None where there is no line yet, or where a line was read already. Raises OSError.
        """
        if self._file is None and not self._open_next():
            return None
        assert self._file is not None
        if self._file.offset or b"\n" not in (data := self._peek_lines(self._file, HEAD)):
            return None
        head = data[: min(data.rfind(b"\n") + 1, HEAD)]
        position = Position(self._passed, fingerprint(head), len(head), 0, in_oldest=self._in_oldest)
        return position, data.partition(b"\n")[0]

    def size_ahead(self) -> int:
        """Return the bytes after the position, decompressed. Raises OSError."""
        if self._file is None and not self._open_next():
            return 0
        assert self._file is not None
        file = self._file
        size = plain_size(self._fs, file.path) - file.offset if file.compressed else file.size_ahead()
        if file.base:
            size += sum(
                plain_size(self._fs, os.path.join(os.path.dirname(self.log), item.name))
                for item in rotated_files(self._fs, self.log)
                if item.base > file.base
            )
            size += plain_size(self._fs, self.log)
        return max(0, size)

    def leave_gone(self) -> bool:
        """Have :meth:`read` leave the open file at its end, because the file was removed.

        Return True if no file is open.
        """
        self._left = self._file is not None
        return not self._left

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            self._resume = self.position
            self._file.close()
            self._file, self._done = None, False

    def _peek_lines(self, file: LogFile, size: int) -> bytes:
        """Return about ``size`` bytes, or more if no line ends within them."""
        while len(data := file.peek(size)) == size and b"\n" not in data and size <= LONGEST_LINE:
            size = min(size * 4, LONGEST_LINE + 1)
        return data

    def _chunk(self, file: LogFile, data: bytes) -> Chunk:
        self._ahead = file.size_ahead() > len(data)
        self._advance(file, data, in_line=False)
        return Chunk(data[:-1].split(b"\n"), self.position)

    def _too_long(self, file: LogFile, data: bytes) -> Chunk:
        self._advance(file, data, in_line=True)
        reason = f"longer than any line; {len(data)} bytes of it are left out but for its beginning"
        return Chunk([], self.position, data[:HEAD], reason)

    def _advance(self, file: LogFile, data: bytes, *, in_line: bool) -> None:
        if not file.offset:
            self._head_size = min(len(data), HEAD)
            self._head = fingerprint(data[: self._head_size])
        file.skip(len(data))
        self._in_line = in_line

    # -- which file ----------------------------------------------------------------------

    def _may_grow(self, file: LogFile) -> bool:
        """Return True if a file is the active one, or may be again: a rotation that fails renames it back."""
        if file.base or file.compressed or self._left:
            return False
        active = identity_at(self._fs, self.log)
        if active is not None:
            return active == file.identity
        return all(self._is_it(item, file) for item in self._not_passed())

    def _check_truncation(self, file: LogFile) -> None:
        """Go back to the beginning of a file that another program truncated, and perhaps wrote again."""
        if file.base or file.compressed or not file.offset:
            return
        unchanged = file.begins_with(self._head, self._head_size) and file.seek(file.offset, in_line=self._in_line)
        if not unchanged:
            file.seek(0)
            self._gone = TRUNCATED if self._ahead else ""
            self._head, self._head_size, self._in_line, self._in_oldest = "", 0, False, False

    def _leave(self, file: LogFile, remainder: bytes) -> Chunk | None:
        """Close a file at its end, and return a chunk with the reason if its end is damaged."""
        if file.base:
            self._passed = file.base
        elif file.compressed:
            self.ended = True
        elif (first := next(self._not_passed(), None)) is not None and self._is_it(first, file):
            self._passed = first.base
        self._resume = self.position if self.ended else Position(self._passed, in_oldest=False)
        file.close()
        self._file, self._done, self._left, self._in_oldest = None, False, False, False
        if not remainder and not file.damage:
            return None
        return Chunk([], self._resume, remainder, file.damage or "cut off: it has no newline")

    def _is_it(self, rotated: Rotated, file: LogFile) -> bool:
        """Return True if the open file, once active, is this rotated one by now; it may be compressed already."""
        candidate = open_rotated(self._fs, self.log, rotated)
        if candidate is None:
            return False
        try:
            return candidate.identity == file.identity or (
                bool(self._head) and candidate.begins_with(self._head, self._head_size)
            )
        finally:
            candidate.close()

    def _open_next(self) -> bool:
        """Open the next file, at the position in it; return True if there is one."""
        file = None if self.ended else self._next_file()
        if file is None:
            return False
        with _closed_on_error(file):
            resume = self._resume
            known = bool(resume.head) and file.begins_with(resume.head, resume.head_size)
            truncated = known and not file.seek(resume.offset, in_line=resume.in_line)
        if truncated:  # by another program
            file.close()
            self._resume = Position(self._passed, in_oldest=False)
            opened = self._open_next()
            self._gone = TRUNCATED
            return opened
        start = resume if known else Position()
        self._head, self._head_size, self._in_line = start.head, start.head_size, start.in_line
        self._in_oldest = resume.in_oldest and (known or not resume.head)
        self._gone = GONE if resume.head and not known else self._gone
        self._file = file
        return True

    def _next_file(self) -> LogFile | None:
        active = open_file(self._fs, self.log)  # before listing the others: it may be rotated at this moment
        with _closed_on_error(active):
            for item in self._not_passed():
                if (rotated := open_rotated(self._fs, self.log, item)) is not None:
                    if active is not None:
                        active.close()
                    return rotated
        return active

    def _not_passed(self) -> Iterator[Rotated]:
        """Give the rotated files after the newest that was passed, the oldest first."""
        files = rotated_files(self._fs, self.log)
        known = not files or files[0].base >= self._passed or self._passed in {item.base for item in files}
        if self._repeats and not known:
            self._passed = ""  # the clock went back, or files were renamed: SequenceTracker leaves out repeated lines
        return (item for item in files if item.base > self._passed and rotated_exists(self._fs, self.log, item))


@contextmanager
def _closed_on_error(file: LogFile | None) -> Iterator[None]:
    """Close a file if the block raises."""
    try:
        yield
    except BaseException:
        if file is not None:
            file.close()
        raise


def _whole_lines(data: bytes) -> bytes:
    """Return the whole lines at the beginning of data that has a newline, about :data:`MOST_LINES` at most."""
    end = len(data)
    while end > 1 and data.count(b"\n", 0, end) > MOST_LINES:
        end //= 2
    return data[: data.rfind(b"\n", 0, end) + 1] or data[: data.find(b"\n") + 1]
