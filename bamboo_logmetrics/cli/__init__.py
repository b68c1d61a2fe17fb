"""The command line. Needs the extra ``cli``: click and rich."""

from __future__ import annotations

import sys

from bamboo_logmetrics.cli.exit_codes import INTERRUPTED, UNUSABLE
from bamboo_logmetrics.cli.stdout import discard_stdout, flush_stdout

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
            flush_stdout()
    except OSError as error:  # such as of --help to a full disk, which no command handles
        from bamboo_logmetrics.cli.error_text import error_text

        discard_stdout()
        sys.stderr.write(f"Error: {error_text(error)}\n")
        sys.exit(UNUSABLE)
