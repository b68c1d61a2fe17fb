"""The SQLite file beside a log that keeps the known ids of everything imported into it, and what is held back.

One import at a time uses it; a second one waits. Without a path it is a temporary file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.importers.sources import FileState, state_of
from bamboo_logmetrics.logfiles.side_files import MODE, mode_of, open_side_file
from bamboo_logmetrics.system import FS

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY, path TEXT UNIQUE, size INTEGER, mtime_ns INTEGER, fingerprint BLOB
);
CREATE TABLE IF NOT EXISTS key (hash INTEGER PRIMARY KEY, item INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, session INTEGER NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL,
    state INTEGER NOT NULL, hold INTEGER NOT NULL, round_id TEXT, call INTEGER, data BLOB
);
CREATE INDEX IF NOT EXISTS waiting ON item (state) WHERE state = 0;
CREATE INDEX IF NOT EXISTS owned ON item (session, kind);
CREATE TABLE IF NOT EXISTS shown (item INTEGER, session INTEGER, PRIMARY KEY (item, session)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, hold INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0,
    ended INTEGER, changed INTEGER NOT NULL DEFAULT 1, data BLOB
);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TEMP TABLE logged (hash INTEGER PRIMARY KEY);
CREATE TEMP TABLE timeline (
    at INTEGER, rank INTEGER, item INTEGER, step INTEGER, PRIMARY KEY (at, rank, item, step)
) WITHOUT ROWID;
CREATE TEMP TABLE spool (number INTEGER PRIMARY KEY, at REAL, key INTEGER UNIQUE, data BLOB);
"""
_CACHE_KIB = 16_384
_VARIABLES = 500  # in one statement
_ODD, _MASK = 0x9E37_79B9_7F4A_7C15, (1 << 64) - 1
_PAUSE = 0.2  # seconds


def key_of(*parts: object) -> int:
    """Return the number that stands for an id in the store."""
    text = parts[0] if len(parts) == 1 else "\0".join(map(str, parts))
    digest = blake2b(str(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@lru_cache(maxsize=8192)
def hash_of(text: str) -> int:
    """Return 64 bits of the hash of an id; ids of lines come twice in a row, as id and as that of the line before."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def mixed(first: int, second: int, kind: int) -> int:
    """Return the number that stands for two hashes and a kind in the store."""
    key = ((first * _ODD ^ second) * _ODD + kind) & _MASK
    return key - (_MASK + 1) if key > _MASK >> 1 else key  # SQLite's integers are signed


class Store:
    """The tables of known ids.

    Args:
        path: the file; None for a temporary one.

    Attributes:
        newest_item: the highest number of an item.
        error: the reason why nothing is saved; None if all is well.

    Raises ConfigError if the file is none of ours or of a newer version. A full disk is no error: then the ids are kept
    in memory, and the next import reads them from the log.
    """

    def __init__(self, path: str | None = None) -> None:
        self.error: str | None = None
        try:
            self._connection = _connect(path or "", temporary=path is None)
        except sqlite3.OperationalError as error:
            self.error = str(error)
            self._connection = _connect(":memory:", temporary=True)
        except sqlite3.DatabaseError as error:
            msg = f"{path} cannot be used ({error}); remove it, and the ids are read from the log again"
            raise ConfigError(msg) from None
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany
        self.newest_item: int = self.execute("SELECT ifnull(max(id), 0) FROM item").fetchone()[0]
        self._near: dict[int, int] = {}
        self._expected: set[int] = set()
        self._added: list[tuple[int, int]] = []
        self._moved: dict[int, int] = {}
        self.execute("BEGIN")

    def commit(self) -> None:
        """Bring everything to the disk."""
        self.execute("COMMIT")
        self.execute("BEGIN")

    def close(self) -> None:
        """Close the file; what is not committed is forgotten."""
        self._connection.close()

    # -- settings -----------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """Return the value of a setting, or None."""
        row = self.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set(self, name: str, value: Any) -> None:
        """Change a setting."""
        self.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    # -- ids of events ------------------------------------------------------------------------

    def remember_logged(self, event_ids: Iterable[str]) -> None:
        """Note ids of events that stand in the log, for this run."""
        self.executemany("INSERT OR IGNORE INTO logged VALUES (?)", ((key_of(event_id),) for event_id in event_ids))

    def is_logged(self, event_id: str) -> bool:
        """Return True if an event was noted as standing in the log."""
        return self.execute("SELECT 1 FROM logged WHERE hash = ?", (key_of(event_id),)).fetchone() is not None

    def expect(self, keys: Sequence[int]) -> None:
        """Look keys up together, which is much faster than one by one; they are remembered until :meth:`flush`."""
        for start in range(0, len(keys), _VARIABLES):
            some = keys[start : start + _VARIABLES]
            marks = ",".join("?" * len(some))
            self._near.update(self.execute(f"SELECT hash, item FROM key WHERE hash IN ({marks})", some))  # noqa: S608
        self._expected.update(keys)

    def flush(self) -> None:
        """Write the keys that were added."""
        self.executemany("INSERT OR IGNORE INTO key VALUES (?, ?)", self._added)
        self.executemany("INSERT OR REPLACE INTO key VALUES (?, ?)", self._moved.items())
        for keys in (self._near, self._expected, self._added, self._moved):
            keys.clear()

    def add_key(self, key: int, item: int) -> bool:
        """Add a key; return False if it is known."""
        if self.item_of(key) is not None:
            return False
        self._near[key] = item
        self._added.append((key, item))
        return True

    def add_keys(self, keys: Iterable[int], item: int) -> None:
        """Add the keys of an item; those that are known stay."""
        for key in keys:
            self.add_key(key, item)

    def move_key(self, key: int, item: int) -> None:
        """Add a key, or give it to another item."""
        self._near[key] = self._moved[key] = item

    def item_of(self, key: int) -> int | None:
        """Return the item with a key, or None."""
        item = self._near.get(key)
        if item is not None or key in self._expected:
            return item
        row = self.execute("SELECT item FROM key WHERE hash = ?", (key,)).fetchone()
        return row[0] if row else None

    def new_item(self) -> int:
        """Return the number for another item."""
        self.newest_item += 1
        return self.newest_item

    # -- files --------------------------------------------------------------------------------

    def changed(
        self,
        files: Sequence[Path],
        on_error: Callable[[Path, OSError], None],
        state_of: Callable[[Path], FileState] = state_of,
    ) -> Iterator[tuple[Path, FileState]]:
        """Yield the files that are new or changed since they were read, with their states."""
        for path in files:
            try:
                state = state_of(path)
            except OSError as error:
                on_error(path, error)
                continue
            row = self.execute("SELECT size, mtime_ns, fingerprint FROM file WHERE path = ?", (str(path),)).fetchone()
            if row is None or FileState(*row) != state:
                yield path, state

    def file_id(self, path: Path) -> int:
        """Return the number of a file."""
        name = str(path)
        row = self.execute("SELECT id FROM file WHERE path = ?", (name,)).fetchone()
        if row is None:
            cursor = self.execute("INSERT INTO file (path) VALUES (?)", (name,))
            return int(cursor.lastrowid or 0)
        return int(row[0])

    def file_read(self, path: Path, state: FileState) -> None:
        """Note that a file was read in this state."""
        self.execute(
            "UPDATE file SET size = ?, mtime_ns = ?, fingerprint = ? WHERE id = ?", (*state, self.file_id(path))
        )


def _connect(path: str, *, temporary: bool) -> sqlite3.Connection:
    """Open a database with all tables. Raises ConfigError for a newer version, and sqlite3.DatabaseError."""
    connection = sqlite3.connect(path, isolation_level=None)
    execute = connection.execute
    try:
        execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        execute(f"PRAGMA temp_store = {'MEMORY' if path == ':memory:' else 'FILE'}")
        if temporary:
            execute("PRAGMA journal_mode = OFF")
        execute("PRAGMA synchronous = NORMAL")
        _check_version(path, execute("PRAGMA user_version").fetchone()[0])
        connection.executescript(_SCHEMA)
        execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(path: str, version: int) -> None:
    if version not in {0, _VERSION}:
        msg = f"{path} is of a newer version; update this package"
        raise ConfigError(msg)


class ImportLock:
    """Lets one import at a time write to a log.

    Args:
        path: the path of the lock file.
        log: the path of the log, whose mode the file has.
    """

    def __init__(self, path: str, log: str = "") -> None:
        self._path = path
        self._log = log
        self._fd = -1

    def acquire(self, on_wait: Callable[[str], None]) -> None:
        """Wait until no other import holds it; ``on_wait`` is told once for whom. Raises OSError."""
        fs = FS()
        self._fd = open_side_file(fs, self._path, os.O_RDWR | os.O_CREAT, mode_of(fs, self._log, MODE))
        waiting = False
        while not self._try():
            if not waiting:
                waiting = True
                on_wait(os.pread(self._fd, 200, 0).decode("utf-8", "replace").strip() or "another import")
            time.sleep(_PAUSE)
        with suppress(OSError):  # a full disk: then the next one waits for "another import"
            os.ftruncate(self._fd, 0)
            started = time.strftime("%Y-%m-%d %H:%M:%S")
            os.pwrite(self._fd, f"process {os.getpid()}, since {started}\n".encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let the next import begin."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
