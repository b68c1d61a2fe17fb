"""Connections that read nothing but what was loaded."""

from __future__ import annotations

import os
import signal
import sys
import threading

import duckdb
import pytest
from support.log_lines import as_bytes, with_headers

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.query.connection import close_outside, open_connection, with_connection
from bamboo_logmetrics.reading.query.loading import load

OUTSIDE = [
    "SELECT * FROM read_text('{path}')",
    "SELECT * FROM '{path}'",
    "COPY (SELECT 1) TO '{path}.csv'",
    "ATTACH '{path}.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '1GB'",
    "EXPORT DATABASE '{path}.d'",
]


@pytest.mark.parametrize("statement", OUTSIDE)
def test_nothing_outside_can_be_reached(path, statement):
    """Once a connection is closed to the outside, no statement reads or writes a file, or opens it again."""
    path.write_bytes(as_bytes(with_headers([{"event": "x", "plain": True}])))
    before = os.listdir(path.parent)
    with open_connection() as (connection, folder):
        load(connection, folder, path, columns=[])
        close_outside(connection)
        with pytest.raises(duckdb.Error):
            connection.execute(statement.format(path=path))
        assert connection.execute("SELECT count(*) FROM lines").fetchone() == (1,)
    assert os.listdir(path.parent) == before


def test_variables_are_no_tables():
    """A name in a statement is never a variable of the program."""
    secrets = duckdb.sql("SELECT 1 AS secret")
    with open_connection() as (connection, _), pytest.raises(duckdb.CatalogException):
        connection.execute("SELECT * FROM secrets")
    assert secrets is not None


def test_nothing_is_left_behind():
    """The temporary directory is gone at the end, also after an error."""
    with open_connection() as (_, folder):
        assert os.path.isdir(folder)
    assert not os.path.exists(folder)
    with pytest.raises(KeyboardInterrupt), open_connection() as (_, folder):
        raise KeyboardInterrupt
    assert not os.path.exists(folder)


def test_an_interrupt_of_a_statement(run_python):
    """Ctrl-C while DuckDB works is a KeyboardInterrupt, and leaves no file behind."""
    result = run_python("""
import os, signal, threading
from bamboo_logmetrics.reading.query.connection import with_connection
folders = []
def work(connection, folder):
    folders.append(folder)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    connection.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")
try:
    with_connection(work)
except KeyboardInterrupt:
    print("interrupted", os.path.exists(folders[0]))
""")
    assert result.stdout == "interrupted False\n"


def test_an_interrupt_that_ends_no_wait(run_python):
    """Ctrl-C is noticed also if it came before the wait for the work began, as where another thread gets the signal."""
    result = run_python("""
import os, signal, threading
from bamboo_logmetrics.reading.query.connection import with_connection
def kill():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
def work(connection, folder):
    threading.Timer(0.3, kill).start()  # by then the result is waited for
    connection.execute("SELECT sum(a.range * b.range) FROM range(100000000) a, range(1000000) b")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
try:
    with_connection(work)
except KeyboardInterrupt:
    print("interrupted")
""")
    assert (result.stdout, result.stderr) == ("interrupted\n", "")


def test_too_little_memory():
    """Work that needs more memory than there is ends with one line that names the remedy."""
    with pytest.raises(blm.ConfigError, match="out of memory at 400MB; read less at a time"):
        with_connection(
            lambda connection, _: connection.execute("SELECT list(range) FROM range(1000000000)").fetchall()
        )


def test_an_interrupt_ends_the_work_before_the_database():
    """Ctrl-C in the main thread ends the statement of the other one, and only then is the database closed."""
    ended = []

    def work(connection, _folder):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        try:
            connection.execute("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b").fetchall()
        except duckdb.Error as error:
            ended.append(type(error))
            raise

    with pytest.raises(KeyboardInterrupt):
        with_connection(work)
    assert ended == [duckdb.InterruptException]


def test_errors_stay_as_they_are():
    """Any other error is passed on, and the directory is gone."""
    with pytest.raises(RuntimeError, match="another"), open_connection() as (_, folder):
        raise RuntimeError("another")
    assert not os.path.exists(folder)


def test_duckdb_is_not_installed(monkeypatch):
    """Without the package duckdb the error names what to install."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(blm.ConfigError, match=r"duckdb: pip install 'bamboo_logmetrics\[cli\]'"), open_connection():
        pass
