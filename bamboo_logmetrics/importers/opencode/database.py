"""The SQLite database of OpenCode, which is only read, also while OpenCode writes to it.

In journal mode WAL a reader sees a whole state and hinders nobody. Each statement is a transaction of its own, so that
in the other modes, which OpenCode takes where WAL does not work, a writer waits for no longer than one session.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from bamboo_logmetrics.importers.opencode.records import Entry, Message, Part, Session, Storage, decoded, entry_of
from bamboo_logmetrics.importers.values import identifier, label, moment

_MAGIC = b"SQLite format 3\0"
PATIENCE_SECONDS = 5.0  # that a lock of another program is waited for
_JOURNAL_MODE = 18  # the byte of the header that is 2 for WAL
_SIDE_FILES = ("-wal", "-journal")
_TABLES = {
    "session": ("id", "parent_id", "directory", "version", "agent", "time_created", "time_updated"),
    "message": ("id", "session_id", "time_created", "time_updated", "data"),
    "part": ("id", "message_id", "session_id", "data"),
}
_NEEDED = {"session": ("id",), "message": ("id", "session_id", "data"), "part": ("message_id", "session_id", "data")}


def is_database(path: Path) -> bool:
    """Return True if a file begins as a SQLite database does. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


class Database(Storage):
    """The sessions in a database.

    Args:
        path: the database.
        modified: the time of its last change, in microseconds; used where a session has none.
        problem: called with each row that cannot be used.

    Raises OSError if it is no database of OpenCode, or cannot be read.
    """

    def __init__(self, path: Path, modified: int, problem: Callable[[str, int], None]) -> None:
        super().__init__(problem)
        self._modified = modified
        self._copy: TemporaryDirectory[str] | None = None
        self._connection = self._open(path.resolve())
        try:
            self._columns = {table: self._columns_of(table) for table in _TABLES}
            self._check()
        except BaseException:
            self.close()
            raise

    # -- opening ------------------------------------------------------------------------------

    def _open(self, path: Path) -> sqlite3.Connection:
        if not is_database(path):
            msg = "not a SQLite database"
            raise OSError(msg)
        with path.open("rb") as file:
            wal = file.read(_JOURNAL_MODE + 1)[_JOURNAL_MODE:] == b"\2"
        # in mode WAL without that file nobody writes; opening would leave files beside the database
        options = "immutable=1" if wal and not side_file(path, "-wal").exists() else "mode=ro"
        try:
            return _connect(path, options)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise _unreadable(error) from None
        except sqlite3.DatabaseError as error:
            raise _unreadable(error) from None
        return self._open_copy(path)

    def _open_copy(self, path: Path) -> sqlite3.Connection:
        """Open a copy: the folder cannot be written, which WAL needs, or a program died while it wrote."""
        self._copy = TemporaryDirectory(prefix="bamboo-import-")
        copy = Path(self._copy.name, "opencode.db")
        try:
            shutil.copyfile(path, copy)
            for suffix in _SIDE_FILES:
                with suppress(FileNotFoundError):
                    shutil.copyfile(side_file(path, suffix), side_file(copy, suffix))
            return _connect(copy, "mode=rw")
        except sqlite3.DatabaseError as error:
            self._copy.cleanup()
            raise _unreadable(error) from None
        except OSError:
            self._copy.cleanup()
            raise

    def _columns_of(self, table: str) -> set[str]:
        rows = self._rows(f"SELECT name FROM pragma_table_info('{table}')")  # noqa: S608 - a name from above
        return {row[0].decode("utf-8", "replace") for row in rows}

    def _check(self) -> None:
        for table in ("session", "message"):
            if missing := [name for name in _NEEDED[table] if name not in self._columns[table]]:
                msg = f"not a database of OpenCode: no {missing[0]} in the table {table}"
                raise OSError(msg)
        if any(name not in self._columns["part"] for name in _NEEDED["part"]):
            self.damage.append("the table part cannot be read; tool calls are left out")

    def close(self) -> None:
        """Close the database, and remove its copy."""
        self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()

    # -- reading ------------------------------------------------------------------------------

    def _rows(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(statement, values)
        except (sqlite3.DatabaseError, OverflowError) as error:
            raise _unreadable(error) from None

    def _select(self, table: str, where: str = "", *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield rows with all columns, None for a column that the table does not have, and the number of the row."""
        known = self._columns[table]
        names = ", ".join(name if name in known else "NULL" for name in _TABLES[table])
        return self._rows(f"SELECT {names}, rowid FROM {table} {where}", *values)  # noqa: S608 - names from above

    def sessions(self) -> list[Session]:
        """Return all sessions, the oldest first; also those of which only messages are left."""
        sessions: dict[str, Session] = {}
        try:
            self._add_sessions(sessions)
        except OSError as error:
            self.damage.append(f"sessions: {error}")
        self._check_newer()
        try:
            self._add_sizes(sessions)
        except OSError as error:
            self.damage.append(f"messages: {error}")
        for session in sessions.values():
            session.changed = min(session.changed or self._modified, self._modified)
        return sorted(sessions.values(), key=lambda session: (session.created or 0, session.key))

    def _add_sessions(self, sessions: dict[str, Session]) -> None:
        for name, parent, directory, version, agent, created, updated, row in self._select("session"):
            if (key := _text(name)) is None:
                self._problem("a session without an id", row)
                continue
            sessions[key] = Session(
                key,
                identifier(_text(parent)),
                _text(directory),
                label(_text(version)),
                label(_text(agent)),
                moment(created),
                moment(updated) or 0,
            )

    def _check_newer(self) -> None:
        """Tell of answers in the table that newer versions of OpenCode may use in place of ``message``."""
        if not {"type", "session_id"} <= self._columns_of("session_message"):
            return
        with suppress(OSError):  # damage is told where it matters
            ((count,),) = self._rows(
                "SELECT count(*) FROM session_message WHERE type = 'assistant' "
                "AND session_id NOT IN (SELECT session_id FROM message WHERE session_id IS NOT NULL)"
            )
            if count:
                self.damage.append(
                    f"answers in the table session_message, which is not read: {count}; update this package"
                )

    def _add_sizes(self, sessions: dict[str, Session]) -> None:
        """Note the messages of each session, and sessions of which only messages are left."""
        updated = "max(time_updated)" if "time_updated" in self._columns["message"] else "NULL"
        statement = f"SELECT session_id, count(*), {updated}, min(rowid) FROM message GROUP BY session_id"  # noqa: S608
        for name, size, changed, row in self._rows(statement):
            session_id = _text(name)
            if session_id is None:
                self._problem(f"messages without a session: {size}", row)
                continue
            session = sessions.setdefault(session_id, Session(session_id))
            session.size = size
            session.changed = max(session.changed, moment(changed) or self._modified)

    def entries(self, session: Session) -> list[Entry]:
        """Return the messages of a session; damage in one table costs only what stands there."""
        entries: dict[str, Entry] = {}
        try:
            for entry in self._messages(session.created, "WHERE session_id = ?", session.key):
                entries[entry.id] = entry
            if session.size and not self._is_found(session):
                self._problem(f"messages whose session is no text: {session.size}", 0)
        except OSError as error:
            self.damage.append(f"messages of a session: {error}")
        try:
            self._add_parts(session, entries)
        except OSError as error:
            self.damage.append(f"parts of a session: {error}")
        return sorted(entries.values(), key=lambda entry: (entry.created, entry.id))

    def _is_found(self, session: Session) -> bool:
        """Return True if messages are found by the id of their session. Raises OSError."""
        return any(True for _ in self._rows("SELECT 1 FROM message WHERE session_id = ? LIMIT 1", session.key))

    def _messages(self, otherwise: int | None, where: str = "", *values: Any) -> Iterator[Entry]:
        for name, session, created, _, data, row in self._select("message", where, *values):
            message = decoded(Message, data)
            entry = message and entry_of(_text(name), _text(session) or "", message, created, otherwise)
            if entry:
                yield entry
            elif where:
                self._problem("not a message", row)

    def _add_parts(self, session: Session, entries: dict[str, Entry]) -> None:
        if any(name not in self._columns["part"] for name in _NEEDED["part"]):
            return
        for _, message, _, data, row in self._select("part", "WHERE session_id = ?", session.key):
            part, entry = decoded(Part, data), entries.get(identifier(_text(message)) or "")
            if part is None:
                self._problem("not a part of a message", row)
            elif entry is not None:
                entry.parts.append(part)

    def all_messages(self) -> Iterator[tuple[Session, Entry]]:
        """Yield all messages with their sessions."""
        sessions: dict[str, Session] = {}
        with suppress(OSError):  # damage is told when the sessions are read
            self._add_sessions(sessions)
            for entry in self._messages(None):
                yield sessions.get(entry.session) or Session(entry.session), entry


def side_file(path: Path, suffix: str) -> Path:
    """Return the path of a file that SQLite keeps beside a database."""
    return path.with_name(path.name + suffix)


def _connect(path: Path, options: str) -> sqlite3.Connection:
    """Open a database and read from it once. Raises sqlite3.DatabaseError."""
    location = f"file:{quote(str(path))}?{options}"
    connection = sqlite3.connect(location, uri=True, isolation_level=None, timeout=PATIENCE_SECONDS)
    connection.text_factory = bytes  # a text that is not UTF-8 must not cost the rows behind it
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _unreadable(error: Exception) -> OSError:
    return OSError(f"the database cannot be read: {error}")


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None
