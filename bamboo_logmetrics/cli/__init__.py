"""The command line. Needs the extra ``cli``: click and rich."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from bamboo_logmetrics.cli.exit_codes import INTERRUPTED, UNUSABLE

PROGRAM = "bamboo-logmetrics"
_PACKAGES = {"click", "rich"}


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit."""
    try:
        from bamboo_logmetrics.cli.commands import cli
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ImportError as error:
        package = str(error.name).partition(".")[0]
        if package not in _PACKAGES:
            raise
        sys.stderr.write(f"{PROGRAM} needs the package {package}: pip install 'bamboo_logmetrics[cli]'\n")
        sys.exit(UNUSABLE)
    try:
        try:
            cli(prog_name=PROGRAM)
        finally:
            _flush()
    except OSError as error:  # such as of --help to a full disk, which no command handles
        from bamboo_logmetrics.cli.error_text import error_text

        _discard_stdout()
        sys.stderr.write(f"Error: {error_text(error)}\n")
        sys.exit(UNUSABLE)


def _flush() -> None:
    """Write what is left for stdout. Raises OSError; not if its reader has gone, as behind ``| head``."""
    if getattr(sys, "stdout", None) is not None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _discard_stdout()


def _discard_stdout() -> None:
    """Send what is left for stdout nowhere; else Python tries it again at its exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
