"""Standard output that cannot be written."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from bamboo_logmetrics.cli.stdout import discard_unwritable, flush_stdout


class Output:
    """An output whose flush fails, over a descriptor of its own."""

    def __init__(self, fd, error):
        self.fd, self.error = fd, error

    def flush(self):
        raise OSError(self.error, os.strerror(self.error))

    def fileno(self):
        return self.fd


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def is_discarded(pipe):
    """Return True if what is written to the pipe no longer arrives."""
    os.write(pipe[1], b"more")
    os.set_blocking(pipe[0], False)
    try:
        return not os.read(pipe[0], 10)  # the end: nobody else writes
    except BlockingIOError:
        return False


def test_a_reader_that_has_gone(pipe, monkeypatch):
    """A flush for which nobody reads is no error, and the rest goes nowhere."""
    monkeypatch.setattr(sys, "stdout", Output(pipe[1], errno.EPIPE))
    flush_stdout()
    assert is_discarded(pipe)


def test_a_full_disk(pipe, monkeypatch):
    """A flush that fails otherwise is an error, unless it was told already: then the rest goes nowhere."""
    monkeypatch.setattr(sys, "stdout", Output(pipe[1], errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        flush_stdout()
    discard_unwritable()
    assert is_discarded(pipe)


def test_no_standard_output(monkeypatch):
    """Without standard output there is nothing to write."""
    monkeypatch.setattr(sys, "stdout", None)
    flush_stdout()
    discard_unwritable()
