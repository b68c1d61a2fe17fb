"""Events of OpenCode's sessions, with the times of its database.

- A **session** has its own id. A sub-agent is a session with ``parent_session_id`` and ``parent_tool_call_id``; a fork
  has ``forked_from``, and what it copied counts for its parent alone.
- A **round** is one answer. It ends when the model has said everything; the tools that it asked for run after that.
- A **tool call** failed by its state or by the exit code of a shell command, which OpenCode calls completed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.catalog import Catalog
from bamboo_logmetrics.importers.catalogued import CataloguedImporter
from bamboo_logmetrics.importers.facts import FileFacts
from bamboo_logmetrics.importers.opencode.database import Database, is_database, side_file
from bamboo_logmetrics.importers.opencode.files import SessionFile, is_session_file, message_files
from bamboo_logmetrics.importers.opencode.records import Session, Storage
from bamboo_logmetrics.importers.opencode.session import SessionFacts, roots_of
from bamboo_logmetrics.importers.sources import FileState, state_of


class OpenCode(CataloguedImporter):
    """Sessions of OpenCode."""

    name = "opencode"
    agent = "opencode"
    help = (
        "Import OpenCode's sessions: rounds, tool calls and tokens, with their times, but without their texts. Its "
        "database is only read, also while OpenCode runs."
    )
    patterns = ("opencode*.db", "session/*/ses_*.json")
    usual_path = "~/.local/share/opencode"

    def usual_paths(self) -> tuple[Path, ...]:
        """Return the folder of OpenCode's data, which ``XDG_DATA_HOME`` may move."""
        data = os.environ.get("XDG_DATA_HOME")
        return (Path(data, "opencode"),) if data else super().usual_paths()

    def recognises(self, path: Path) -> bool:
        """Return True for a SQLite database, and for the file of a session."""
        try:
            return is_session_file(path) if path.suffix == ".json" else is_database(path)
        except OSError:
            return True  # it is reported when it is read

    def state(self, path: Path) -> FileState:
        """Return the state of a file with those that belong to it: a log of writes, or the files of messages."""
        others = message_files(path) if path.suffix == ".json" else [side_file(path.resolve(), "-wal")]
        states = [state_of(path), *(state_of(other) for other in others if other.is_file())]
        return FileState(
            sum(state.size for state in states),
            max(state.mtime_ns for state in states),
            blake2b(b"".join(state.fingerprint for state in states), digest_size=8).digest(),
        )

    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:  # noqa: ARG002
        """Return the facts of all sessions in a file."""
        whole = FileFacts([], [], [], [])
        for _, facts in self._each(path, self.state(path), report, lambda _: True):
            whole.sessions += facts.sessions
            whole.calls += facts.calls
            whole.points += facts.points
        return whole

    def collect(
        self,
        catalog: Catalog,
        files: Sequence[tuple[Path, FileState | None]],
        report: ImportReport,
        is_growing: Callable[[FileState], bool],  # noqa: ARG002 - each session has a time of its own
    ) -> None:
        """Read files into a catalog, one session at a time, but for sessions that are unchanged."""
        for path, known in files:
            report.begin(path)
            try:
                state = known or self.state(path)
                self._collect_sessions(catalog, path, state, report)
            except OSError as error:
                report.problem(path, error.strerror or str(error))
            else:
                catalog.store.file_read(path, state)

    def _collect_sessions(self, catalog: Catalog, path: Path, state: FileState, report: ImportReport) -> None:
        def is_new(session: Session) -> bool:
            row = catalog.store.execute(
                "SELECT size, mtime_ns FROM file WHERE path = ?", (_place(path, session),)
            ).fetchone()
            return bool(row != (session.size, session.changed * 1000))

        for session, facts in self._each(path, state, report, is_new):
            own_state = FileState(session.size, session.changed * 1000, b"")
            catalog.add(Path(_place(path, session)), own_state, facts)

    def _each(
        self, path: Path, state: FileState, report: ImportReport, is_new: Callable[[Session], bool]
    ) -> Iterator[tuple[Session, FileFacts]]:
        """Yield the facts of each new session. Raises OSError, also for damage, after everything that can be read."""
        storage = _storage(path, state, report)
        try:
            sessions = storage.sessions()
            roots, spawned = roots_of({session.id: session for session in sessions}), dict[str, str]()
            for index, session in enumerate(sessions):
                if is_new(session):
                    entries = storage.entries(session)
                    yield session, SessionFacts(session, storage.original, roots[session.id], spawned).of(entries)
                report.progress(state.size * (index + 1) // len(sessions) - state.size * index // len(sessions))
        finally:
            storage.close()
        if storage.damage:
            more = f", and {len(storage.damage) - 1} more such places" if len(storage.damage) > 1 else ""
            msg = f"{storage.damage[0]}{more}"
            raise OSError(msg)


def _place(path: Path, session: Session) -> str:
    """Return the name under which the store knows a session."""
    return f"{path}#{session.id}"


def _storage(path: Path, state: FileState, report: ImportReport) -> Storage:
    modified = state.mtime_ns // 1000

    def problem(message: str, row: int) -> None:
        report.problem(path, message, row)

    kind = SessionFile if path.suffix == ".json" else Database
    return kind(path, modified, problem)


OPENCODE = OpenCode()
