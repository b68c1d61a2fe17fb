"""The JSON files of OpenCode before its database: one for each session, each message and each part.

Below the folder ``storage`` they are ``session/PROJECT/ID.json``, ``message/SESSION/ID.json`` and
``part/MESSAGE/ID.json``; the oldest are ``session/info/ID.json``, ``session/message/SESSION/ID.json`` and
``session/part/SESSION/MESSAGE/ID.json``. OpenCode takes them over into its database and leaves them where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from bamboo_logmetrics.importers.opencode.records import (
    Entry,
    Message,
    Part,
    Session,
    SessionInfo,
    Storage,
    decoded,
    entry_of,
    time_of,
)
from bamboo_logmetrics.importers.values import identifier, label


def is_session_file(path: Path) -> bool:
    """Return True for the file of a session, by its place; other folders have files of the same name."""
    return path.suffix == ".json" and path.parent.parent.name == "session" and path.parent.parent.parent != path.parent


class SessionFile(Storage):
    """The session in one file, with the files of its messages.

    Args:
        path: the file of the session.
        modified: the time of the last change of its files, in microseconds.
        problem: called with each file that cannot be used.
    """

    def __init__(self, path: Path, modified: int, problem: Callable[[str, int], None]) -> None:
        super().__init__(problem)
        self._path = path
        self._modified = modified

    def sessions(self) -> list[Session]:
        """Return the session. Raises OSError."""
        session = _session(self._path)
        if session is None:
            msg = "not a session of OpenCode"
            raise OSError(msg)
        session.changed = self._modified
        return [session]

    def entries(self, session: Session) -> list[Entry]:
        """Return the messages of the session."""
        entries = []
        for path in message_files(self._path):
            entry = _entry(path, session)
            if entry is None:
                self._problem(f"{path.name} is not a message", 1)
                continue
            for file in _part_files(self._path, path):
                part = decoded(Part, _content(file))
                if part is None:
                    self._problem(f"{path.stem}/{file.name} is not a part of a message", 1)
                else:
                    entry.parts.append(part)
            entries.append(entry)
        return sorted(entries, key=lambda entry: (entry.created, entry.id))

    def all_messages(self) -> Iterator[tuple[Session, Entry]]:
        """Yield the messages of all sessions in the folder."""
        for file in sorted(self._path.parent.parent.glob("*/*.json")):
            session = _session(file)
            for path in message_files(file) if session else ():
                entry = session and _entry(path, session)
                if session and entry:
                    yield session, entry

    def close(self) -> None:
        """Do nothing: no file stays open."""


def message_files(path: Path) -> list[Path]:
    """Return the files of the messages of the session in a file."""
    base = path.parent.parent if path.parent.name == "info" else path.parent.parent.parent
    return sorted((base / "message" / path.stem).glob("*.json"))


def _part_files(path: Path, message: Path) -> list[Path]:
    if path.parent.name == "info":
        return sorted((path.parent.parent / "part" / path.stem / message.stem).glob("*.json"))
    return sorted((path.parent.parent.parent / "part" / message.stem).glob("*.json"))


def _session(path: Path) -> Session | None:
    info = decoded(SessionInfo, _content(path))
    if info is None:
        return None
    directory = info.directory if isinstance(info.directory, str) else None
    created = time_of(info.time, "created")
    parent = identifier(info.parentID)
    return Session(path.stem, parent, directory, label(info.version), label(info.agent), created)


def _entry(path: Path, session: Session) -> Entry | None:
    message = decoded(Message, _content(path))
    return entry_of(path.stem, session.key, message, None, session.created) if message else None


def _content(path: Path) -> bytes:
    """Return the content of a file; nothing if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
