"""The interface of an importer, which turns the session files of another tool into events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from bamboo_logmetrics.events import ChatEvent, EventMeta, ForwardEvent, MetricsEvent
from bamboo_logmetrics.importers.sources import FileState, files_below, identity, state_of


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is no call, to be written as a plain line of level info.

    Args:
        text: the text of the line, which is always the same for its kind.
        session_id: the session in which it happened.
        meta: its id and its time.
    """

    text: str
    session_id: str
    meta: EventMeta
    kind: ClassVar[str] = "note"


@dataclass(frozen=True, slots=True)
class Placed:
    """An event without a meta, such as one of a kind that this version does not know, with an id and a time.

    Args:
        event: the event, which is written as it is.
        meta: the id by which it is known again, and the time of its line. An importer that makes the id up binds it as
            ``import_id``, so that it is known again from the log too.
    """

    event: MetricsEvent
    meta: EventMeta

    @property
    def kind(self) -> str:
        """The kind of the event."""
        return self.event.kind


class ImportedEvent(NamedTuple):
    """An event or a note, and the values to be bound to it.

    The event has the time at which it happened. Its id depends only on the source, so that an event that is imported
    again has the same id again.
    """

    event: ChatEvent | ForwardEvent | Note | Placed
    bound: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of a file that was left out.

    Args:
        path: the file.
        line: the number of the line, from 1 on; None if the whole file could not be read.
        message: the reason. It must not quote the file, which may hold prompts and secrets.
    """

    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.message}"


def _ignore(*_: object) -> None:
    """Ignore a problem or the progress."""


class ImportReport:
    """Collects what an importer reports about a run, besides its events.

    Args:
        on_problem: called with each problem.
        on_progress: called with the number of bytes read since its last call.
        on_written: called now and then with the number of events written so far, and that of all that will be.

    Attributes:
        files: the number of files that were begun.
        unread_files: how many of them could not be read.
        skipped_lines: the number of lines with a problem.
        counts: further totals for the summary, by the text that names them; an importer adds to it as it likes.
    """

    def __init__(
        self,
        on_problem: Callable[[Problem], None] = _ignore,
        on_progress: Callable[[int], None] = _ignore,
        on_written: Callable[[int, int], None] = _ignore,
    ) -> None:
        self._on_problem = on_problem
        self._on_progress = on_progress
        self._on_written = on_written
        self.files = self.unread_files = self.skipped_lines = 0
        self.counts: Counter[str] = Counter()

    def begin(self, _path: Path) -> None:
        """Report that the importer begins to read a file."""
        self.files += 1

    def problem(self, path: Path, message: str, line: int | None = None) -> None:
        """Report a line that was left out, or a whole file; arguments as for :class:`Problem`."""
        if line is None:
            self.unread_files += 1
        else:
            self.skipped_lines += 1
        self._on_problem(Problem(path, line, message))

    def progress(self, size: int) -> None:
        """Report the number of bytes read since the last call. All calls add up to the size of all files."""
        self._on_progress(size)

    def written(self, number: int, total: int) -> None:
        """Report how many of all events of a run are written."""
        self._on_written(number, total)


class Importer(ABC):
    """One source of events.

    Attributes:
        name: the name on the command line, such as ``claude-code``.
        help: one or more sentences for the help text: which events the importer makes of which files.
        patterns: patterns of the names of files that belong to the tool, such as ``*.jsonl``; with the folders above
            them where names are not enough, such as ``chats/*.json``.
        usual_path: the directory in which the tool keeps them, for help texts and messages.
        independent: True if each file is complete in itself, so that unchanged ones need not be read again.
        unique_ids: True if events with one id are one event, also where their times differ.
    """

    name: str
    help: str
    patterns: tuple[str, ...]
    usual_path: str
    independent: bool = False
    unique_ids: bool = False

    def find(self, paths: Iterable[Path]) -> list[Path]:
        """Return the files to import: each file in ``paths``, and each matching file below a directory, once.

        The files of a directory are sorted by the parts of their paths, so ``s1/a.jsonl`` comes before ``s1.jsonl``.
        Linked directories are followed, and a file with several names is taken once. Raises FileNotFoundError for a
        path that does not exist.
        """
        files: dict[tuple[int, int], Path] = {}
        for path in paths:
            if path.is_dir():
                for file in files_below(path, self.patterns):
                    files.setdefault(identity(file), file)
            elif path.exists():
                files.setdefault(identity(path), path)
            else:
                msg = f"no such file or directory: {path}; give a file or a directory such as {self.usual_path}"
                raise FileNotFoundError(msg)
        return list(files.values())

    def usual_paths(self) -> tuple[Path, ...]:
        """Return the places that are read when none is given."""
        return (Path(self.usual_path).expanduser(),)

    def recognises(self, path: Path) -> bool:  # noqa: ARG002
        """Return True if a file may be one of the tool's."""
        return True

    def state(self, path: Path) -> FileState:
        """Return the state of a file, which differs after a change. Raises OSError."""
        return state_of(path)

    @abstractmethod
    def read(self, files: Sequence[Path], report: ImportReport) -> Iterator[ImportedEvent]:
        """Yield the events of all files of a run.

        An importer gets all files at once, because one session may stand in several files. If each file is complete in
        itself, use :func:`read_each`. A part that cannot be used is reported as a problem and left out; a file that
        cannot be read must not stop the others.
        """


def read_each(
    files: Iterable[Path], report: ImportReport, read_file: Callable[[Path, ImportReport], Iterator[ImportedEvent]]
) -> Iterator[ImportedEvent]:
    """Yield the events of each file, one file after the other, and report those that cannot be read."""
    for file in files:
        report.begin(file)
        try:
            yield from read_file(file, report)
        except OSError as error:
            report.problem(file, error.strerror or str(error))
