"""The dead letters of a log as a source of lines to be delivered again."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import suppress

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship.dead_letters import is_letter, line_of, refused_in
from bamboo_logmetrics.ship.destinations.base import Rejection
from bamboo_logmetrics.ship.entries import Entry, entry_of
from bamboo_logmetrics.ship.log_source import Batch, LogSource
from bamboo_logmetrics.ship.log_state import Shipped
from bamboo_logmetrics.ship.sequences import LineSet

_Line = tuple[str, int]  # writer and number


class DeadLetterSource(LogSource):
    """Reads the lines in the dead-letter file of a log; those that are delivered are removed from it at the end.

    The checkpoint notes each delivered line, together with the counts, before the file gets smaller. So after a crash
    a line is neither counted twice nor lost, and at most one batch is sent again. Letters without a line, of lost
    lines for instance, and lines that are refused again stay.

    Arguments and errors are those of :class:`LogSource`; ConfigError too if nothing was shipped under this name.
    """

    def _begin(self) -> None:
        self._resent = LineSet(self.state.resent)
        self._refused_again = self._staying = self._unreadable = self._known = 0
        self._letters = self._lines()
        if not self.state.saved_at:
            msg = f"nothing of {self.log} was shipped under this name; give the --name and --to of its dead letters"
            raise ConfigError(msg)

    def _lines(self) -> Generator[Entry, None, None]:
        seen: set[_Line] = set()  # a crash may have left a letter twice
        self._find_staying()
        for letter in self._dead_letters.read():
            entry = _entry_in(letter)
            if entry is None:
                continue
            line = _id_of(entry)
            if line not in self._resent and line not in seen:
                seen.add(line)
                yield entry

    def _find_staying(self) -> None:
        """Count the refused lines whose letters hold no line that can be delivered, and the unreadable letters."""
        counted: set[int] = set()
        for letter in self._dead_letters.read():
            self._unreadable += not is_letter(letter)
            if _entry_in(letter) is None and (content := hash(letter.partition(b",")[2])) not in counted:
                counted.add(content)  # without its time: a letter may be there twice
                self._staying += refused_in(letter)

    def next_batch(self, size: int) -> Batch | None:
        """Return about ``size`` bytes of lines; None at the end of the file. Raises OSError."""
        entries: list[Entry] = []
        while size > 0 and (entry := next(self._letters, None)) is not None:
            entries.append(entry)
            size -= len(entry.line) + 1
        return Batch(entries, self.state.position, {}, [], []) if entries else None

    def note_delivered(self, entries: Iterable[Entry]) -> None:
        """Count lines of the batch under way that are delivered, and save that. From any thread."""
        with self._guard:
            self._count(entries)
            with suppress(OSError):  # the next checkpoint will have it
                self.save()

    def commit(self, batch: Batch, rejections: list[Rejection]) -> None:
        """Count the lines of a batch that are delivered, for the next :meth:`save`; all others stay."""
        refused = {_id_of(entry) for rejection in rejections for entry in rejection.entries}
        self._refused_again += len(refused) + len(batch.invalid)
        self._count(entry for entry in batch.entries if _id_of(entry) not in refused)

    def _count(self, entries: Iterable[Entry]) -> None:
        lines = [line for line in map(_id_of, entries) if line not in self._resent]
        self._resent.add(lines)
        counted = min(len(lines), max(0, self.state.refused - self._staying))
        self._known += len(lines) - counted  # the file was put back: they were delivered and counted before
        self.state = msgspec.structs.replace(
            self.state,
            verified=self.state.verified or bool(lines),
            shipped=self.state.shipped + counted,
            refused=self.state.refused - counted,
            resent=self._resent.intervals(),
        )

    def save_position(self) -> None:
        """Remove the delivered lines from the file. Raises OSError; it can be called again."""
        if self.state.resent:
            self._dead_letters.remove(self._is_resent)
            self._resent = LineSet({})
            self.state.resent = {}
            self.save()

    def _is_resent(self, letter: bytes) -> bool:
        entry = _entry_in(letter)
        return entry is not None and _id_of(entry) in self._resent

    def close(self) -> None:
        """Close the files, and let another process ship the log."""
        self._letters.close()
        super().close()

    @property
    def notices(self) -> list[str]:
        """The notices about the file, at its end."""
        path, texts = self._dead_letters.path, []
        if self._unreadable:
            texts.append(f"{path}: {self._unreadable:,} of its lines cannot be read, and stay there")
        if self._known:
            texts.append(f"{path}: {self._known:,} delivered lines count no more, as no more were refused")
        return texts

    @property
    def result(self) -> Shipped:
        """The result of this run."""
        return Shipped(self.state.shipped - self._before.shipped, self._refused_again, 0)


def _entry_in(letter: bytes) -> Entry | None:
    """Return the line in a letter, or None where there is none that can be delivered."""
    line = line_of(letter)
    try:
        return None if line is None else entry_of(line)
    except ValueError:
        return None


def _id_of(entry: Entry) -> _Line:
    return entry.head.writer, entry.head.seq
