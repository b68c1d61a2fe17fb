"""The file that a command writes instead of printing."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import click

from bamboo_logmetrics.cli.terminal import check_stdout


@contextmanager
def open_output(output: str | None) -> Iterator[IO[bytes]]:
    """Open a new file, or standard output.

    The file has its name once it is whole; after an exception, such as an interrupt, nothing is there.

    Raises UsageError for a file that exists, FileNotFoundError for a directory that does not, and ConfigError if
    standard output is closed.
    """
    if output is None:
        check_stdout()
        stream = sys.stdout.buffer
        yield stream
        stream.flush()
        return
    _check_new(output)
    if not os.path.basename(output):
        msg = f"{output!r} is not the name of a file; give one with -o"
        raise click.UsageError(msg)
    folder = os.path.dirname(output)
    temporary = os.path.join(folder, f".{secrets.token_hex(8)}.tmp")
    try:
        file: IO[bytes] = open(temporary, "xb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        msg = f"no such directory: {folder}; make it first"
        raise FileNotFoundError(errno.ENOENT, msg) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, output) from None
    try:
        with file:
            yield file
        _check_new(output)
        os.rename(temporary, output)
    except BaseException:
        with suppress(FileNotFoundError):  # it has its name already
            os.unlink(temporary)
        raise


def _check_new(output: str) -> None:
    if os.path.lexists(output):
        msg = f"{output} exists; remove it, or use another name"
        raise click.UsageError(msg)
