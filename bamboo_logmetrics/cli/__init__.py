"""The command line. It needs click and rich: the extra ``cli``."""

from __future__ import annotations

import sys

PROGRAM = "bamboo-logmetrics"
_EXTRA = {"click", "rich"}


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit."""
    try:
        from bamboo_logmetrics.cli.commands import cli
    except KeyboardInterrupt:
        sys.exit(130)
    except ImportError as error:
        package = str(error.name).partition(".")[0]
        if package not in _EXTRA:
            raise
        sys.stderr.write(f"{PROGRAM} needs the package {package}: pip install 'bamboo_logmetrics[cli]'\n")
        sys.exit(2)
    cli(prog_name=PROGRAM)
