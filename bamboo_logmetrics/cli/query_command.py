"""``bamboo-logmetrics query``."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import IO, TYPE_CHECKING

import click

from bamboo_logmetrics.cli.exit_codes import FAILED, OK
from bamboo_logmetrics.cli.filter_options import files_argument, filter_options, where_option
from bamboo_logmetrics.cli.formatting import ReadingProgress, plural, printable, reading_progress, tolerate_broken_pipe
from bamboo_logmetrics.cli.output_file import open_output
from bamboo_logmetrics.cli.query_output import ResultRow, csv_lines, json_lines, table_text
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.reading.filters import Filters
from bamboo_logmetrics.reading.query.connection import with_connection
from bamboo_logmetrics.reading.query.native_lines import Skipped
from bamboo_logmetrics.reading.query.selection import select_lines
from bamboo_logmetrics.reading.query.statements import ALL_LINES, check_statement, run_statement, write_parquet

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FORMATS = ("json", "table", "csv", "parquet")
_NOUNS: Mapping[Skipped, str] = {"broken": "broken line", "damaged": "damaged file"}
_SKIPPED: Mapping[Skipped, str] = {
    "broken": "{} left out; see bamboo-logmetrics verify",
    "damaged": "{} read up to the damage only; see bamboo-logmetrics verify",
    "newer": "{} of a newer version left out: update this package",
    "foreign": "{} of other programs left out",
}
_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet"}


@click.command()
@files_argument
@filter_options
@where_option
@click.option("--sql", metavar="SELECT", help="Run this statement over the views that the lines give.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Give at most so many lines or rows.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="The form of the output.  [default: table on a terminal, else json; with -o by the name's suffix]",
)
@click.option("-o", "--output", metavar="FILE", type=click.Path(), help="Write to this new file instead of printing.")
@click.pass_context
def query(
    ctx: click.Context,
    /,
    *,
    files: tuple[str, ...],
    filters: Filters,
    tz: str,  # noqa: ARG001 - the filters have it
    sql: str | None,
    limit: int | None,
    form: str | None,
    output: str | None,
) -> None:
    """Find lines in logs, or run SQL over them.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found automatically. A dash is standard
    input. All filters that are given must hold. As JSON, lines are exactly those of the files, in their order. --where
    takes a condition in SQL over the columns of a line; any other key is line ->> 'key'. --sql takes one SELECT over
    the views events, sessions, rounds, tools and requests; it reads nothing else.

    \b
    Exit code: 0 something is found, 1 nothing is, 2 bad usage, 130 interrupted.

    \b
    bamboo-logmetrics query logs/agent.jsonl --event 'chat.*' --since 2h
    bamboo-logmetrics query logs/agent.jsonl --level error --format json | jq .error
    bamboo-logmetrics query logs/agent.jsonl --where 'latency_ms > 1000' --limit 20
    bamboo-logmetrics query logs/agent.jsonl --where "line ->> 'user' = 'ada'"
    bamboo-logmetrics query logs/agent.jsonl --sql 'SELECT model, count(*) FROM rounds GROUP BY model'
    bamboo-logmetrics query 'logs/*.jsonl' -o events.parquet
    """  # noqa: D301 - click wants the character \b itself
    if output is None:
        check_stdout()
    form = form or _default_form(output)
    if form == "parquet" and output is None:
        msg = "Parquet needs a file: give -o FILE"
        raise click.UsageError(msg)
    if sql is not None:
        check_statement(sql)
    query = _Query(files, filters, sql=sql, limit=limit, form=form, output=output)
    with tolerate_broken_pipe():
        lines_on_terminal = form == "json" and output is None and sys.stdout.isatty()
        with reading_progress(enabled=not lines_on_terminal) as progress:
            query.run(progress)
        for text in query.notes():
            click.echo(printable(text), err=True)
    ctx.exit(OK if query.count else FAILED)


def _default_form(output: str | None) -> str:
    if output is not None:
        return _BY_SUFFIX.get(os.path.splitext(output)[1].lower(), "json")
    return "table" if sys.stdout.isatty() else "json"


class _Query:
    """A query and the account of it.

    Attributes:
        count: how many lines or rows are written.
    """

    def __init__(
        self,
        files: tuple[str, ...],
        filters: Filters,
        *,
        sql: str | None,
        limit: int | None,
        form: str,
        output: str | None,
    ) -> None:
        self.count = 0
        self._files = files
        self._filters = filters
        self._sql = sql
        self._statement = ALL_LINES if sql is None else sql
        self._limit = limit
        self._form = form
        self._output = output
        self._skipped: Counter[Skipped] = Counter()
        self._notes: list[str] = []

    def run(self, progress: ReadingProgress) -> None:
        """Write what is found. Raises BrokenPipeError where the reader has gone."""
        with open_output(self._output) as file:
            if self._form == "json" and self._sql is None:
                with_connection(lambda connection, _: self._write(file, self._lines(connection, progress)))
            elif self._form == "parquet":
                with_connection(lambda connection, folder: self._write_parquet(file, connection, folder, progress))
            else:
                with_connection(lambda connection, folder: self._write_rows(file, connection, folder, progress))

    def notes(self) -> list[str]:
        """Return messages on what the result leaves out."""
        return [
            *self._notes,
            *(_SKIPPED[kind].format(plural(count, _NOUNS.get(kind, "line"))) for kind, count in self._skipped.items()),
        ]

    def _lines(self, connection: DuckDBPyConnection, progress: ReadingProgress) -> Iterator[bytes]:
        return select_lines(connection, self._files, self._filters, self._skipped, progress)

    def _write(self, file: IO[bytes], lines: Iterator[bytes]) -> None:
        """Write lines as they come, up to the limit."""
        for line in islice(lines, self._limit):
            file.write(line)
            self.count += 1
        file.flush()

    def _write_rows(
        self, file: IO[bytes], connection: DuckDBPyConnection, folder: str, progress: ReadingProgress
    ) -> None:
        result = run_statement(
            connection, folder, self._files, statement=self._statement, filters=self._filters, on_progress=progress
        )
        progress.stop()
        self._skipped = result.loaded.skipped
        rows = self._counted(islice(result.rows, self._limit))
        if self._form == "table":
            limited, of_lines = self._limit is not None, self._sql is None
            text, self._notes = table_text(result.columns, result.types, rows, limited=limited, of_lines=of_lines)
            file.write(text.encode("utf-8", "replace"))
        elif self._form == "csv":
            file.writelines(csv_lines(result.columns, rows))
        else:
            file.writelines(json_lines(result.columns, result.types, rows))
        file.flush()

    def _counted(self, rows: Iterator[ResultRow]) -> Iterator[ResultRow]:
        for row in rows:
            self.count += 1
            yield row

    def _write_parquet(
        self, file: IO[bytes], connection: DuckDBPyConnection, folder: str, progress: ReadingProgress
    ) -> None:
        path, self.count, loaded = write_parquet(
            connection,
            folder,
            self._files,
            statement=self._statement,
            filters=self._filters,
            limit=self._limit,
            on_progress=progress,
        )
        self._skipped = loaded.skipped
        with open(path, "rb") as result:
            shutil.copyfileobj(result, file)
