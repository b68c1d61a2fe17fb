"""Connections to DuckDB that read what they are given, and nothing else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bamboo_logmetrics.errors import ConfigError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY = "400MB"  # what goes beyond is kept in the temporary directory
_MOST_THREADS = 4  # each has buffers of its own


@contextmanager
def open_connection() -> Iterator[tuple[DuckDBPyConnection, str]]:
    """Open an empty database; give it and the temporary directory that holds it, which is removed at the end.

    A file needs a tenth of the memory: only on a disk does DuckDB compress tables.

    Raises ConfigError if the package duckdb is not installed.
    """
    try:
        import duckdb
    except ImportError:
        msg = "this needs the package duckdb: pip install 'bamboo_logmetrics[cli]'"
        raise ConfigError(msg) from None
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
        connection = duckdb.connect(os.path.join(folder, "lines.duckdb"), config=config)
        try:
            yield connection, folder
        except RuntimeError as error:
            if "interrupted" in str(error).lower():  # DuckDB's word for Ctrl-C
                raise KeyboardInterrupt from None
            raise
        finally:
            connection.close()


def close_outside(connection: DuckDBPyConnection) -> None:
    """Take all access to files and the network from a connection, for good."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
