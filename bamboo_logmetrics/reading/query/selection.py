"""The very lines of logs that filters choose, in the order of the files.

Lines are read in Python and tested by DuckDB some thousands at a time: so the first ones are there at once, memory is
bounded, and each line comes out as it is in its file.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bamboo_logmetrics.logfiles.discovery import AnyPath, find_logs, open_files, size_of
from bamboo_logmetrics.logfiles.log_file import STDIN, LogFile
from bamboo_logmetrics.reading.filters import Filters
from bamboo_logmetrics.reading.query.columns import ALWAYS, CHECKED, COLUMNS, LINE, VALID, types_of, value_of
from bamboo_logmetrics.reading.query.conditions import condition_of, sql_error
from bamboo_logmetrics.reading.query.connection import close_outside
from bamboo_logmetrics.reading.query.loading import Progress
from bamboo_logmetrics.reading.query.native_lines import Skipped, as_native
from bamboo_logmetrics.system import FS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WHERE = "--where"
_LINES, _BYTES = 10_000, 16 * 1024 * 1024  # that are tested together


def select_lines(
    connection: DuckDBPyConnection,
    paths: AnyPath | Iterable[AnyPath],
    filters: Filters,
    skipped: Counter[Skipped],
    on_progress: Progress | None = None,
) -> Iterator[bytes]:
    """Yield the lines of logs that the filters choose, each as in its file, with its newline.

    Args:
        connection: an empty database; it loses all access to files.
        paths: logs, rotated files or patterns, as for ``verify``; ``"-"`` is standard input.
        filters: the filters.
        skipped: is added to: lines that are left out, by reason; ``damaged`` counts files.
        on_progress: is called with the bytes read so far and in all, of compressed files in compressed form.

    Raises FileNotFoundError for a path or pattern that names nothing, ConfigError for one that is not a regular file
    or a condition that is not valid.
    """
    logs = find_logs(paths)
    test = _Test(connection, filters, skipped)
    test.choose([])  # a condition that is not valid is told before anything is read
    done, total = 0, sum(size_of(FS(), log) for log in logs)
    for log in logs:
        for file in open_files(FS(), log, skip_removed=True):
            for batch in _batches(file, skipped):
                yield from test.choose(batch)
                if on_progress and not file.compressed:
                    on_progress(done + file.offset, max(total, done + file.offset))
            done += 0 if file.path == STDIN else os.fstat(file.fileno()).st_size
            if on_progress:
                on_progress(done, max(total, done))


_Pair = tuple[bytes, bytes]  # a line and its native form, without newlines


def _batches(file: LogFile, skipped: Counter[Skipped]) -> Iterator[list[_Pair]]:
    batch: list[_Pair] = []
    size = 0
    for pair in _pairs(file, skipped):
        batch.append(pair)
        size += len(pair[1])
        if len(batch) >= _LINES or size >= _BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _pairs(file: LogFile, skipped: Counter[Skipped]) -> Iterator[_Pair]:
    try:
        for block in file.blocks():
            *lines, tail = block.split(b"\n")
            for line in lines:
                if (native := as_native(line, skipped)) is not None:
                    yield line, native
            if tail and not file.active:
                skipped["broken"] += 1
    except OSError:
        skipped["damaged"] += 1


class _Test:
    """Tests lines in DuckDB, in a table ``batch`` that holds those of one batch."""

    def __init__(self, connection: DuckDBPyConnection, filters: Filters, skipped: Counter[Skipped]) -> None:
        self._connection = connection
        self._where = filters.where
        self._skipped = skipped
        condition = condition_of(filters)
        names = [*COLUMNS] if filters.where is not None else [*dict.fromkeys((*ALWAYS, *CHECKED, *condition.columns))]
        self._values = {**condition.values, "types": json.dumps(types_of(names))}
        close_outside(connection)
        values = ", ".join(map(value_of, names))
        # the first two are no names that a condition could mean by chance
        self._statement = f"""
            CREATE OR REPLACE TEMP TABLE batch AS
            FROM (
                SELECT "number of the line", coalesce({VALID}, false) AS "is valid", {values}, {LINE} FROM (
                    SELECT "number of the line", {LINE}, unnest(json_transform({LINE}, $types)) FROM (
                        SELECT unnest(range(len($lines))) AS "number of the line", unnest(
                            [CASE WHEN json_valid(text) THEN text::JSON END FOR text IN $lines::VARCHAR[]]
                        ) AS {LINE}
                    )
                )
            ) WHERE NOT "is valid" OR ({condition.sql})
        """

    def choose(self, batch: list[_Pair]) -> list[bytes]:
        """Return the lines that are chosen, with their newlines."""
        lines = [native.decode() for _, native in batch]
        self._connection.execute(self._statement, {**self._values, "lines": lines})
        broken = self._connection.execute('DELETE FROM batch WHERE NOT "is valid"').fetchone()
        if broken and broken[0]:
            self._skipped["broken"] += broken[0]
        return [batch[number][0] + b"\n" for (number,) in sorted(self._numbers())]

    def _numbers(self) -> list[tuple[int]]:
        import duckdb

        try:
            chosen = self._connection.table("batch")
            if self._where is not None:
                chosen = chosen.filter(self._where)
            return chosen.project('"number of the line"').fetchall()
        except duckdb.InterruptException:
            raise
        except (duckdb.Error, ValueError) as error:
            raise sql_error(_WHERE, error, COLUMNS) from None
