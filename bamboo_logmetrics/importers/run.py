"""One import into a log: reads what changed, writes what is due in order of time, and notes what was written.

The store is behind the log, never ahead of it: what is not noted as written is looked up in the log by the next run.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec

from bamboo_logmetrics.events import (
    ChatEvent,
    ForwardEvent,
    MetricsEvent,
    RequestCompleted,
    RoundCompleted,
    UnknownEvent,
)
from bamboo_logmetrics.events.times import EPOCH
from bamboo_logmetrics.format.parse import Line
from bamboo_logmetrics.importers.base import ImportedEvent, Importer, ImportReport, Note, Placed
from bamboo_logmetrics.importers.catalog import Catalog, Tally
from bamboo_logmetrics.importers.catalogued import CataloguedImporter
from bamboo_logmetrics.importers.sources import FileState
from bamboo_logmetrics.importers.spool import add_files, take_events
from bamboo_logmetrics.importers.store import Store
from bamboo_logmetrics.importers.timeline import Due
from bamboo_logmetrics.logfiles.side_files import MODE, mode_of, open_side_file
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.reading import read
from bamboo_logmetrics.system import FS, Clock

_MICROSECOND = timedelta(microseconds=1)
_BATCH = 4096  # events between two notes in the store
# the end of a session is two events
_PLANNED = """
SELECT (SELECT count(*) + ifnull(sum(rank = 2), 0) FROM timeline) + (SELECT count(*) FROM spool)
"""
_REPORTED = 256  # events between two reports of the progress
now_ns = time.time_ns


def store_path(log: str) -> str:
    """Return the path of the store beside a log; it is hidden, so that no pattern for logs matches it."""
    directory, name = os.path.split(log)
    return os.path.join(directory, f".{name}.import.sqlite")


def lock_path(log: str) -> str:
    """Return the path of the lock of the imports into a log."""
    directory, name = os.path.split(log)
    return os.path.join(directory, f".{name}.import.lock")


def open_store(log: str, *, exists: bool) -> Store:
    """Open the store of a log; without the log, a store that is left over is removed."""
    path = store_path(log)
    if not exists:
        for suffix in ("", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(path + suffix)
    fs = FS()
    fs.close(open_side_file(fs, path, os.O_RDWR | os.O_CREAT, mode_of(fs, log, MODE)))
    store = Store(path)
    if exists and store.get("complete") != 1:  # an import was killed, or is older than its store
        store.remember_logged(filter(None, map(_id_of, read(log, on_error="skip"))))
    return store


def _id_of(line: Line) -> str | None:
    """Return the id of an event or of a note that an import wrote; None if the line has none."""
    event = line.event
    if isinstance(event, (ChatEvent, ForwardEvent)):
        return event.meta.event_id
    fields = line.bound
    if isinstance(event, UnknownEvent):
        fields = msgspec.json.decode(event.payload or "{}")
    event_id = fields.get("import_id", fields.get("event_id"))
    return event_id if isinstance(event_id, str) else None


class EventClock(Clock):
    """Gives plain lines of an import the time at which it happened; all else has the time of the import."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self.moment_ns: int | None = None

    def time_ns(self) -> int:
        """Return the time of the note that is being written, or the time."""
        if self.moment_ns is not None and threading.get_ident() == self._thread:
            return self.moment_ns
        return time.time_ns()


def emit_at_its_time(log: BoundLog, clock: EventClock, event: Note | Placed, bound: Mapping[str, object]) -> bool:
    """Write what has no meta, from which a line would take its time; ``clock`` is the clock of the log."""
    clock.moment_ns = (event.meta.occurred_at - EPOCH) // _MICROSECOND * 1000
    try:
        if isinstance(event, Placed):
            return log.emit(event.event, **bound)
        session = {"session_id": event.session_id} if event.session_id else {}
        log.info(event.text, event_id=event.meta.event_id, **session, **bound)
    finally:
        clock.moment_ns = None
    return True


class ImportRun:
    """Imports files into an open log.

    Args:
        importer: the source.
        log: the log, opened with ``on_full="block"`` and ``clock``.
        clock: the clock of the log.
        store: the store of the log.
        settle_seconds: seconds without a change after which a file counts as finished; None for at once.
        give_up_after: seconds in which the disk takes nothing.

    Attributes:
        imported: the number of events by class.
        tally: counts of what was seen in several places.
        unchanged: files that were not read again.
        partial, missing: rounds with such a usage.
        failed: requests that failed.
        held: the number of calls and of sessions that may go on, and are not written yet.
        interrupted: True after Ctrl-C or SIGTERM.
        refused: True if the log takes no more.
    """

    def __init__(
        self,
        importer: Importer,
        log: BoundLog,
        clock: EventClock,
        store: Store,
        *,
        settle_seconds: float | None,
        give_up_after: float,
    ) -> None:
        self._importer = importer
        self._log = log
        self._clock = clock
        self._store = store
        self._settle_seconds = settle_seconds
        self._give_up_after = give_up_after
        self._marks: list[tuple[str, tuple[int, ...]]] = []
        self.imported: Counter[type[MetricsEvent]] = Counter()
        self.tally = Tally()
        self._catalog = Catalog(store, importer.name, self.tally, getattr(importer, "agent", ""))
        self.tokens = self.unchanged = self.partial = self.missing = self.failed = 0
        self.interrupted = self.refused = False
        self.held = (0, 0)

    # -- reading ------------------------------------------------------------------------------

    def changed(self, files: Sequence[Path], report: ImportReport) -> list[tuple[Path, FileState | None]]:
        """Return the files to read: all that are new or changed since the last import."""
        if not self._importer.independent:
            return [(path, None) for path in files]

        def on_error(path: Path, error: OSError) -> None:
            report.begin(path)
            report.problem(path, error.strerror or str(error))

        return list(self._store.changed(files, on_error, self._importer.state))

    def run(self, files: Sequence[tuple[Path, FileState | None]], report: ImportReport) -> None:
        """Read files and write the events that are due."""
        try:
            self._write(self._due(files, report), report)
        except KeyboardInterrupt:
            self.interrupted = True
        except sqlite3.OperationalError as error:  # the disk is full
            self._store.error = str(error)

    @property
    def store_error(self) -> str | None:
        """The reason why the known ids cannot be saved, or None."""
        return self._store.error

    def _due(self, files: Sequence[tuple[Path, FileState | None]], report: ImportReport) -> Iterator[Due]:
        importer = self._importer
        if not isinstance(importer, CataloguedImporter):
            add_files(self._catalog, importer, files, report)
            return take_events(self._store)
        before = None if self._settle_seconds is None else now_ns() // 1000 - int(self._settle_seconds * 1e6)
        importer.collect(
            self._catalog, files, report, lambda state: before is not None and state.mtime_ns // 1000 > before
        )
        return importer.due(self._catalog, before)

    # -- writing ------------------------------------------------------------------------------

    def _write(self, events: Iterator[Due], report: ImportReport) -> None:
        total = 0
        for number, due in enumerate(events):
            if number == 0:  # from here on the store may be behind the log
                self._store.set("complete", 0)
                self._store.commit()
                total = self._planned()
            if number % _REPORTED == 0:
                report.written(min(number, total), total)
            if not self._store.is_logged(due.imported.event.meta.event_id):
                if not self._emit(due.imported):
                    self.refused = True  # the log would wait for each further event until the timeout
                    return
            else:
                self.tally.known += 1
            if due.mark:
                self._marks.append(due.mark)
            if len(self._marks) >= _BATCH and not self._note():
                return
        report.written(total, total)

    def _planned(self) -> int:
        """Return the number of events that will be written, without iterations, which are few."""
        return int(self._store.execute(_PLANNED).fetchone()[0])

    def _emit(self, imported: ImportedEvent) -> bool:
        event, bound = imported
        if isinstance(event, (Note, Placed)):
            if isinstance(event, Placed):
                self.imported[type(event.event)] += 1
            return emit_at_its_time(self._log, self._clock, event, bound)
        if not self._log.emit(event, **bound):
            return False
        self.imported[type(event)] += 1
        if isinstance(event, RequestCompleted):
            self.failed += event.status != "success"
        if isinstance(event, RoundCompleted):
            self.tokens += event.usage.total_tokens
            self.partial += bound.get("usage_source") == "partial"
            self.missing += bound.get("usage_source") == "missing"
        return True

    def _note(self) -> bool:
        """Note in the store what is in the file by now; return False if not everything is."""
        if not self._flush():
            return False
        for statement, values in self._marks:
            self._store.execute(statement, values)
        self._marks.clear()
        self._store.commit()
        return True

    def _flush(self) -> bool:
        """Write the queued events, as long as the disk takes any; return True if all are in the file."""
        written = -1
        while not self.refused and not self._log.flush(self._give_up_after) and self._log.stats().written > written:
            written = self._log.stats().written
        stats = self._log.stats()
        return stats.written == stats.emitted

    def finish(self) -> None:
        """Write everything that is queued and note it."""
        try:
            if self._note() and not self.interrupted and not self.refused and not self._store.error:
                for path, state in self.tally.read:
                    self._store.file_read(path, state)
                self.tally.read.clear()
                self._store.set("complete", 1)
                self._store.commit()
            self.held = self._held_back()
        except sqlite3.OperationalError as error:
            self._store.error = str(error)

    def complete(self, report: ImportReport) -> bool:
        """Return True if every file was read and every event written."""
        stats = self._log.stats()
        return stats.written == stats.emitted and not report.unread_files and not self._store.error

    def _held_back(self) -> tuple[int, int]:
        calls = self._store.execute("SELECT count(*) FROM item WHERE state = 0 AND kind = 'call'").fetchone()[0]
        sessions = self._store.execute(
            "SELECT count(*) FROM session WHERE changed = 1 AND hold > ?",
            (0 if self._settle_seconds is None else now_ns() // 1000 - int(self._settle_seconds * 1e6),),
        ).fetchone()[0]
        return int(calls), 0 if self._settle_seconds is None else int(sessions)
