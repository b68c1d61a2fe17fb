"""Loading the lines of logs into the table ``lines``.

DuckDB reads files of native lines itself, by their descriptors: so a log that is rotated or compressed meanwhile gives
the same lines. Where it meets a line that is not native, Python writes the file's lines as native ones into a
temporary file, and DuckDB reads that. So most files are read once, in C++, and every line is told apart with care.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bamboo_logmetrics.logfiles.compression import kind_of
from bamboo_logmetrics.logfiles.discovery import AnyPath, find_logs, open_files, paths_of, size_at, size_of
from bamboo_logmetrics.logfiles.log_file import LONGEST_LINE, STDIN, LogFile
from bamboo_logmetrics.reading.query.columns import (
    ALWAYS,
    CHECKED,
    COLUMNS,
    LINE,
    NUMBERED,
    VALID,
    struct_of,
    types_of,
    value_of,
)
from bamboo_logmetrics.reading.query.connection import use_disk
from bamboo_logmetrics.reading.query.native_lines import Skipped, is_native, write_native
from bamboo_logmetrics.system import FS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Progress = Callable[[int, int], None]

_DESCRIPTORS = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
_FIRST = 64 * 1024  # bytes in which the first line is looked for
_FILES, _BYTES = 32, 512 * 1024 * 1024  # that are read by one statement
_IN_MEMORY = 512 * 1024 * 1024  # bytes of lines; the tables of more are kept on a disk
_RATIO = 10  # of the bytes of lines to those of a compressed file, about
_PLAIN = "uncompressed"  # the word of both DuckDB 1 and 2
_WINDOW = LONGEST_LINE // 2  # bytes; a longer line covers at least one window of this size


@dataclass(slots=True)
class Loaded:
    """The account of a loading.

    Args:
        files: the paths of the files, the oldest of each log first.
        skipped: lines that were left out, by reason; ``damaged`` counts files.
        repeated: lines that were read more than once, and are there once.
    """

    files: list[str] = field(default_factory=list)
    skipped: Counter[Skipped] = field(default_factory=Counter)
    repeated: int = 0


def load(
    connection: DuckDBPyConnection,
    folder: str,
    paths: AnyPath | Iterable[AnyPath],
    *,
    columns: Collection[str],
    on_progress: Progress | None = None,
) -> Loaded:
    """Load all lines of logs, each once, into a new table ``lines``.

    The table ``broken_lines`` has the writers and numbers of lines that are left out, where they are known.

    Args:
        connection: as :func:`bamboo_logmetrics.reading.query.connection.open_connection` gives it.
        folder: a directory for temporary files.
        paths: logs, rotated files or patterns, as for ``verify``; ``"-"`` is standard input.
        columns: the columns to load besides those that always are.
        on_progress: is called with the bytes read so far and in all, of compressed files in compressed form.

    Raises FileNotFoundError for a path or pattern that names nothing, ConfigError for one that is not a regular file.
    """
    logs = find_logs(paths)
    if sum(_plain_size(log) for log in logs) > _IN_MEMORY:
        use_disk(connection, folder)
    loader = _Loader(connection, folder, list(dict.fromkeys([*ALWAYS, *columns])))
    total = sum(size_of(FS(), log) for log in logs)
    done = 0
    for batch in _batches(logs):
        with batch:
            done += batch.size
            loader.add(batch.files)
        if on_progress:
            on_progress(done, max(done, total))
    loader.remove_repeats()
    return loader.loaded


def _plain_size(log: str) -> int:
    """Return about how many bytes a log has, decompressed."""
    return sum(size_at(FS(), path) * (_RATIO if kind_of(path) else 1) for path in paths_of(FS(), log))


def create_lines(connection: DuckDBPyConnection, columns: Collection[str]) -> None:
    """Create the table ``lines`` with these columns, empty."""
    types = ", ".join(f'"{name}" {"JSON" if name == LINE else COLUMNS[name]}' for name in columns)
    connection.execute(f"CREATE TABLE lines ({types}, file UBIGINT, valid BOOLEAN)")


# -- the files ---------------------------------------------------------------------------


class _Batch(ExitStack):
    """Some open files, which are closed together."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[LogFile] = []
        self.size = 0

    def add(self, file: LogFile) -> None:
        """Add a file, with a descriptor of its own: ``open_files`` closes its."""
        own = file.duplicate()
        self.callback(own.close)
        self.files.append(own)
        self.size += 0 if file.path == STDIN else os.fstat(own.fileno()).st_size

    @property
    def full(self) -> bool:
        """True if it is time to read it."""
        return len(self.files) >= _FILES or self.size >= _BYTES


def _batches(logs: list[str]) -> Iterator[_Batch]:
    """Yield the files of all logs, in batches that are to be closed."""
    batch = _Batch()
    for log in logs:
        for file in open_files(FS(), log, skip_removed=True):
            batch.add(file)
            if batch.full:
                yield batch
                batch = _Batch()
    yield batch


class _Loader:
    """Loads batches of files."""

    def __init__(self, connection: DuckDBPyConnection, folder: str, columns: Collection[str]) -> None:
        self.loaded = Loaded()
        self._connection = connection
        self._folder = folder
        self._columns = columns
        self._batch = 0
        create_lines(connection, columns)
        connection.execute("CREATE TABLE broken_lines (writer VARCHAR, seq UBIGINT)")

    def add(self, files: list[LogFile]) -> None:
        """Load the lines of some files."""
        self.loaded.files += [file.path for file in files]
        self._batch += 1
        direct = [file for file in files if _looks_native(file)]
        others = [file for file in files if file not in direct]
        if self._read({kind: [file for file in direct if _kind(file) == kind] for kind in map(_kind, direct)}):
            numbers = self._take_invalid()
            others += [file for file in direct if file.fileno() in numbers]
        else:
            others = files
        for file in others:
            self._rewrite(file)

    def _read(self, files: Mapping[str, list[LogFile]]) -> bool:
        """Load the lines of files, by kind of compression; return False if one of them cannot be read."""
        import duckdb

        for kind, group in files.items():
            paths = ", ".join(f"'{_DESCRIPTORS}/{file.fileno()}'" for file in group)
            try:
                self._connection.execute(self._statement(paths, kind))
            except duckdb.InterruptException:
                raise
            except duckdb.Error:
                self._connection.execute("DELETE FROM lines WHERE file // 65536 = ?", [self._batch])
                return False
        return True

    def _statement(self, paths: str, kind: str, longest: int = LONGEST_LINE) -> str:
        names = ", ".join(name if name == LINE else value_of(name) for name in self._columns)
        number = f"{self._batch} * 65536 + CAST(substr(filename, {len(_DESCRIPTORS) + 2}) AS UBIGINT)"
        source = self._source(paths, kind, longest)
        return f"INSERT INTO lines SELECT {names}, {number}, coalesce({VALID}, false) FROM {source}"

    def _source(self, paths: str, kind: str, longest: int) -> str:
        columns = sorted({*self._columns, *CHECKED} - {LINE})
        options = (
            f"format = 'newline_delimited', ignore_errors = true, filename = true, compression = '{kind}', "
            f"maximum_object_size = {longest}"
        )
        if LINE not in self._columns:
            return f"read_json([{paths}], columns = {struct_of(columns)}, {options})"
        types = json.dumps(types_of(columns))
        return (
            f"(SELECT filename, {LINE}, unnest(json_transform({LINE}, '{types}')) "
            f"FROM read_json([{paths}], records = false, columns = {{'{LINE}': 'JSON'}}, {options}))"
        )

    def _take_invalid(self) -> set[int]:
        """Remove the lines of each file of this batch that has an invalid one; return the files' descriptors."""
        rows = self._connection.execute("SELECT DISTINCT file FROM lines WHERE NOT valid").fetchall()
        for (file,) in rows:
            self._connection.execute("DELETE FROM lines WHERE file = ?", [file])
        return {file % 65536 for (file,) in rows}

    def _rewrite(self, file: LogFile) -> None:
        """Load the lines of a file by way of a file of native lines."""
        self._batch += 1
        with tempfile.TemporaryFile(dir=self._folder) as native, closing(file.duplicate()) as copy:
            write_native(copy, native, self.loaded.skipped)
            native.flush()
            path = f"'{_DESCRIPTORS}/{native.fileno()}'"
            self._connection.execute(self._statement(path, _PLAIN, 2 * LONGEST_LINE))
        self._connection.execute(
            f"INSERT INTO broken_lines SELECT writer, seq FROM lines WHERE NOT valid AND {NUMBERED}"
        )
        removed = self._connection.execute("DELETE FROM lines WHERE NOT valid").fetchone()
        if removed and removed[0]:
            self.loaded.skipped["broken"] += removed[0]

    def remove_repeats(self) -> None:
        """Remove lines that are there more than once, as in a copy of a file."""
        suspicious = """
            SELECT writer FROM lines GROUP BY writer
            HAVING count(*) != max(seq) - min(seq) + 1
                OR sum(seq) * 2 != (min(seq)::HUGEINT + max(seq)) * count(*)
        """
        removed = self._connection.execute(f"""
            DELETE FROM lines WHERE rowid IN (
                SELECT rowid FROM lines WHERE writer IN ({suspicious})
                QUALIFY row_number() OVER (PARTITION BY writer, seq ORDER BY file, rowid) > 1
            )
        """).fetchone()
        self.loaded.repeated = removed[0] if removed else 0


def _kind(file: LogFile) -> str:
    return (kind_of(file.path) or _PLAIN) if file.compressed else _PLAIN


def _looks_native(file: LogFile) -> bool:
    """Return True if DuckDB may read a file: its first line is native, and it ends with a whole line."""
    if file.path == STDIN:
        return False
    if not file.compressed and (size := file.size_ahead()) and (not file.seek(size) or _has_long_line(file, size)):
        return False
    with closing(file.duplicate()) as copy:
        first, newline, _ = copy.peek(_FIRST).partition(b"\n")
    return not first or (bool(newline) and is_native(first))


def _has_long_line(file: LogFile, size: int) -> bool:
    """Return True if a line of a plain file may be longer than what the other commands read: DuckDB would read it."""
    for offset in range(0, size - _WINDOW, _WINDOW):
        if b"\n" not in os.pread(file.fileno(), _FIRST, offset) and b"\n" not in os.pread(
            file.fileno(), _WINDOW, offset
        ):
            return True
    return False
