# ruff: noqa: INP001 - Python finds the file by its name on the path
"""Instruments every Python that finds this folder on its path; ``bamboo-logmetrics run`` puts it there.

Python imports ``sitecustomize`` at its start. Only one is imported, so this one runs the one that it hides.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path


def _run_hidden() -> None:
    """Import the ``sitecustomize`` that Python would have imported without this folder."""
    here = str(Path(__file__).parent)
    others = [entry for entry in sys.path if entry != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _start() -> None:
    """Open the log and instrument; a program runs as it would without this, whatever fails."""
    try:
        from bamboo_logmetrics.instrument.autostart import start
    except ImportError as error:
        reason = f"this Python has no bamboo_logmetrics ({error}): pip install bamboo_logmetrics"
        print(f"bamboo-logmetrics run: {sys.executable}: {reason}", file=sys.stderr)  # noqa: T201
        return
    start()


try:
    _run_hidden()
finally:
    _start()
