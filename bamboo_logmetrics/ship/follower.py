"""Following a log: all its files in order, the oldest first, and what is appended then, through rotation.

A rotated file's name sorts by its time, and the active file becomes the first name behind all those before it. So a
place needs the name of the last file that lies behind it and, to know its own file again whatever that is called by
now, a fingerprint of the beginning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bamboo_logmetrics.logfiles.discovery import size_at
from bamboo_logmetrics.logfiles.log_file import LONGEST_LINE, LogFile, identity_at, open_file, open_rotated
from bamboo_logmetrics.logfiles.names import Rotated, rotated_exists, rotated_files
from bamboo_logmetrics.logfiles.position import HEAD, Chunk, Position, fingerprint
from bamboo_logmetrics.system import FS

GONE = "the file that was being read is gone: what stood behind the place in it is not known"
TRUNCATED = "the file that was being read was truncated: what stood behind the place in it is not known"
NOT_KNOWN = (GONE, TRUNCATED)  # reasons of pieces that are no lines


class Follower:
    """Reads a log from a place on.

    Args:
        log: the real path of the active file, which need not be there.
        place: where to go on; the beginning of the oldest file when left out.
        fs: the system calls.
    """

    def __init__(self, log: str, place: Position | None = None, *, fs: FS) -> None:
        self.log = log
        self._fs = fs
        self._resume = place or Position()  # where it is while no file is open
        self._passed, self._in_oldest = self._resume.passed, self._resume.in_oldest
        self._file: LogFile | None = None
        self._head, self._head_size, self._in_line = "", 0, False
        self._done = False  # nobody appends to the file any more
        self._left = False  # the active file is gone, and is not waited for any more
        self._gone = ""  # why what stood behind the place is not known, which is to be said
        self._ahead = False  # more stood behind the place when the file was looked at last

    # -- reading -------------------------------------------------------------------------

    @property
    def place(self) -> Position:
        """Where it is."""
        if self._file is None:
            return self._resume
        return Position(
            self._passed, self._head, self._head_size, self._file.offset, self._in_line, in_oldest=self._in_oldest
        )

    def read(self, size: int) -> Chunk | None:
        """Return about ``size`` bytes of whole lines, of one file; None at the end, for now. Raises OSError."""
        try:
            while self._file is not None or self._open_next():
                assert self._file is not None
                self._look_for_truncation(self._file)
                if self._gone:
                    reason, self._gone = self._gone, ""
                    return Chunk([], self.place, b"", reason)
                data = self._peek_lines(self._file, size)
                self._ahead = bool(data)
                if b"\n" in data:
                    return self._piece(self._file, data[: data.rfind(b"\n") + 1])
                if len(data) > LONGEST_LINE:
                    return self._too_long(self._file, data)
                if not self._done:
                    if self._may_grow(self._file):
                        return None
                    self._done = True  # what was appended before it was renamed may have come after this look
                elif (rest := self._leave(self._file, data)) is not None:
                    return rest
        except OSError:
            if self._file is not None and self._file.compressed:
                self.close()  # it cannot be gone on with in the middle: it is opened again
            raise
        return None

    def beginning(self) -> tuple[Position, bytes] | None:
        """Return the place before the first line there is, by which its file is known again, and that line.

        None where there is no line yet, or where it is behind one already. Raises OSError.
        """
        if self._file is None and not self._open_next():
            return None
        assert self._file is not None
        if self._file.offset or b"\n" not in (data := self._peek_lines(self._file, HEAD)):
            return None
        head = data[: min(data.rfind(b"\n") + 1, HEAD)]
        place = Position(self._passed, fingerprint(head), len(head), 0, in_oldest=self._in_oldest)
        return place, data.partition(b"\n")[0]

    def size_ahead(self) -> int:
        """Return the bytes of the files behind the place; of a compressed file, all of its own. Raises OSError."""
        if self._file is None and not self._open_next():
            return 0
        assert self._file is not None
        size = self._file.size_ahead()
        if self._file.base:
            size += sum(
                size_at(self._fs, os.path.join(os.path.dirname(self.log), item.name))
                for item in rotated_files(self._fs, self.log)
                if item.base > self._file.base
            )
            size += size_at(self._fs, self.log)
        return size

    def leave_gone(self) -> bool:
        """Have :meth:`read` wait no more for what is appended to the file that is open, since it is gone.

        Return True when none is open.
        """
        self._left = self._file is not None
        return not self._left

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._resume = self.place
            self._file.close()
            self._file, self._done = None, False

    def _peek_lines(self, file: LogFile, size: int) -> bytes:
        """Return about ``size`` bytes, or more when not even one line ends within them."""
        while len(data := file.peek(size)) == size and b"\n" not in data and size <= LONGEST_LINE:
            size = min(size * 4, LONGEST_LINE + 1)
        return data

    def _piece(self, file: LogFile, data: bytes) -> Chunk:
        self._ahead = file.size_ahead() > len(data)
        self._go_on(file, data, in_line=False)
        return Chunk(data[:-1].split(b"\n"), self.place)

    def _too_long(self, file: LogFile, data: bytes) -> Chunk:
        self._go_on(file, data, in_line=True)
        reason = f"longer than any line; {len(data)} bytes of it are left out but for its beginning"
        return Chunk([], self.place, data[:HEAD], reason)

    def _go_on(self, file: LogFile, data: bytes, *, in_line: bool) -> None:
        if not file.offset:
            self._head_size = min(len(data), HEAD)
            self._head = fingerprint(data[: self._head_size])
        file.skip(len(data))
        self._in_line = in_line

    # -- which file ----------------------------------------------------------------------

    def _may_grow(self, file: LogFile) -> bool:
        """Tell whether a file is the active one, or will be: while it is rotated, none is, and that may be put back."""
        if file.base or self._left:
            return False
        active = identity_at(self._fs, self.log)
        if active is not None:
            return active == file.identity
        return all(self._is_it(item, file) for item in self._not_passed())

    def _look_for_truncation(self, file: LogFile) -> None:
        """Go back to the beginning of a file that was truncated, and perhaps written again, from outside."""
        if file.base or not file.offset:
            return
        there = file.begins_with(self._head, self._head_size) and file.seek(file.offset, in_line=self._in_line)
        if not there:
            file.seek(0)
            self._gone = TRUNCATED if self._ahead else ""
            self._head, self._head_size, self._in_line, self._in_oldest = "", 0, False, False

    def _leave(self, file: LogFile, rest: bytes) -> Chunk | None:
        """Close a file that has been read to its end, and return what is wrong with that."""
        if file.base:
            self._passed = file.base
        elif (first := next(self._not_passed(), None)) is not None and self._is_it(first, file):
            self._passed = first.base
        file.close()
        self._file, self._done, self._left, self._in_oldest = None, False, False, False
        self._resume = Position(self._passed, in_oldest=False)
        if not rest and not file.damage:
            return None
        return Chunk([], self._resume, rest, file.damage or "cut off: it has no newline")

    def _is_it(self, rotated: Rotated, file: LogFile) -> bool:
        """Tell whether the active file that was open is this rotated one by now; it may be compressed already."""
        found = open_rotated(self._fs, self.log, rotated)
        if found is None:
            return False
        try:
            return found.identity == file.identity or (
                bool(self._head) and found.begins_with(self._head, self._head_size)
            )
        finally:
            found.close()

    def _open_next(self) -> bool:
        """Open the file that follows what has been passed, at the place in it; tell whether there is one."""
        file = self._next_file()
        if file is None:
            return False
        with _closing_what_fails(file):
            place = self._resume
            known = bool(place.head) and file.begins_with(place.head, place.head_size)
            cut_off = known and not file.seek(place.offset, in_line=place.in_line)
        if cut_off:  # from outside
            file.close()
            self._resume = Position(self._passed, in_oldest=False)
            there = self._open_next()
            self._gone = TRUNCATED
            return there
        found = place if known else Position()
        self._head, self._head_size, self._in_line = found.head, found.head_size, found.in_line
        self._in_oldest = place.in_oldest and (known or not place.head)
        self._gone = GONE if place.head and not known else self._gone
        self._file = file
        return True

    def _next_file(self) -> LogFile | None:
        active = open_file(self._fs, self.log)  # before the others are listed: it may be rotated just now
        with _closing_what_fails(active):
            for item in self._not_passed():
                if (found := open_rotated(self._fs, self.log, item)) is not None:
                    if active is not None:
                        active.close()
                    return found
        return active

    def _not_passed(self) -> Iterator[Rotated]:
        """Give the rotated files that have not been passed, the oldest first."""
        found = rotated_files(self._fs, self.log)
        if found and found[0].base < self._passed and self._passed not in {item.base for item in found}:
            self._passed = ""  # the clock went back, or names were changed: the ledger knows what is there again
        return (item for item in found if item.base > self._passed and rotated_exists(self._fs, self.log, item))


@contextmanager
def _closing_what_fails(file: LogFile | None) -> Iterator[None]:
    """Close a file where something is raised."""
    try:
        yield
    except BaseException:
        if file is not None:
            file.close()
        raise
