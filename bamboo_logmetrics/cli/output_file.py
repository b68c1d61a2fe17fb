"""The file that a command writes instead of printing."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import click

from bamboo_logmetrics.cli.terminal import check_stdout


@contextmanager
def open_output(output: str | None) -> Iterator[IO[bytes]]:
    """Open a new file, or standard output. After an exception, such as an interrupt, the file is not there.

    Raises UsageError for a file that exists, FileNotFoundError for a directory that does not, and ConfigError if
    standard output is closed.
    """
    if output is None:
        check_stdout()
        stream = sys.stdout.buffer
        yield stream
        stream.flush()
        return
    try:
        file: IO[bytes] = open(output, "xb")  # noqa: SIM115 - closed below
    except FileExistsError:
        msg = f"{output} exists; remove it, or use another name"
        raise click.UsageError(msg) from None
    except FileNotFoundError:
        msg = f"no such directory: {os.path.dirname(output)}; make it first"
        raise FileNotFoundError(errno.ENOENT, msg) from None
    try:
        with file:
            yield file
    except BaseException:
        os.unlink(output)
        raise
