"""Standard output that cannot be written: its reader has gone, or its disk is full."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def flush_stdout() -> None:
    """Write what is left for stdout. Raises OSError; not if its reader has gone, as behind ``| head``."""
    if getattr(sys, "stdout", None) is not None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            discard_stdout()


def discard_stdout() -> None:
    """Send what is left for stdout nowhere; else Python tries it again at its exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def discard_unwritable() -> None:
    """Send what is left for stdout nowhere if it cannot be written, once that was told."""
    try:
        flush_stdout()
    except OSError:
        discard_stdout()
