"""Connections to DuckDB that read what they are given, and nothing else."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from bamboo_logmetrics.errors import ConfigError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Result = TypeVar("Result")

_MEMORY = "400MB"  # what goes beyond is kept in the temporary directory
_AGAIN, _TIMES = 0.02, 100  # seconds until a statement that has begun since is interrupted too, and how often
_LOOK_EVERY = 0.2  # seconds between two looks for a signal that came before the wait began, and so did not end it
_MOST_THREADS = 4  # each has buffers of its own


def check_installed() -> None:
    """Raise ConfigError if the package duckdb is not installed."""
    try:
        import duckdb  # noqa: F401 - for the error
    except ImportError:
        msg = "this needs the package duckdb: pip install 'bamboo_logmetrics[cli]'"
        raise ConfigError(msg) from None


@contextmanager
def open_connection() -> Iterator[tuple[DuckDBPyConnection, str]]:
    """Open an empty database in memory; give it and its temporary directory, which is removed at the end.

    Raises ConfigError if the package duckdb is not installed.
    """
    check_installed()
    import duckdb

    with tempfile.TemporaryDirectory(prefix="bamboo-query-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "temp_directory": os.path.join(folder, "spilled"),
            "threads": min(_MOST_THREADS, os.cpu_count() or 1),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "enable_external_file_cache": False,  # paths are descriptors, which are used again for other files
            "python_enable_replacements": False,  # a name in a query is never a variable of this program
        }
        connection = duckdb.connect(config=config)
        try:
            yield connection, folder
        finally:
            connection.close()


def with_connection(work: Callable[[DuckDBPyConnection, str], Result]) -> Result:
    """Return the result of ``work`` on an empty database and its directory, as :func:`open_connection` gives them.

    All of it is done in another thread: within a statement, DuckDB does not look for signals.

    Raises ConfigError if the package duckdb is not installed, or if the memory of the database does not suffice.
    """
    check_installed()
    import duckdb

    future: Future[Result] = Future()
    opened: list[DuckDBPyConnection] = []

    def run() -> None:
        try:
            with open_connection() as (connection, folder):
                opened.append(connection)
                result = work(connection, folder)
            future.set_result(result)
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)

    worker = threading.Thread(target=run, name="bamboo-query", daemon=True)
    try:
        worker.start()
        while not future.done():
            wait([future], timeout=_LOOK_EVERY)
        return future.result()
    except duckdb.OutOfMemoryException as error:
        msg = f"out of memory at {_MEMORY}; read less at a time: fewer files, or fewer columns of a statement"
        raise ConfigError(msg) from error
    except KeyboardInterrupt:
        for _ in range(_TIMES):  # it ends at the statement that runs now, or at the next one
            if future.done():
                break
            for connection in opened:
                connection.interrupt()
            wait([future], timeout=_AGAIN)
        raise
    finally:
        if future.done():  # else it waits for standard input, and ends with the process, as its directory does
            worker.join()


def use_disk(connection: DuckDBPyConnection, folder: str) -> None:
    """Keep the tables that follow in a file in the temporary directory.

    That takes twice the time and a tenth of the memory: only on a disk does DuckDB compress tables.
    """
    path = os.path.join(folder, "lines.duckdb").replace("'", "''")
    connection.execute(f"ATTACH '{path}' AS stored; USE stored; PRAGMA disable_checkpoint_on_shutdown")


def close_outside(connection: DuckDBPyConnection) -> None:
    """Take all access to files and the network from a connection, for good."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
