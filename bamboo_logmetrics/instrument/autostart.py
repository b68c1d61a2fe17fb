"""Programs that are instrumented from outside: the environment that tells them, and what they do at their start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bamboo_logmetrics.pipeline.diagnostics import stderr
from bamboo_logmetrics.system import Clock

FOLDER = str(Path(__file__).parent / "startup")  # on the path of a Python that is to be instrumented

_LOG, _HOSTS = "BAMBOO_LOGMETRICS_RUN_LOG", "BAMBOO_LOGMETRICS_RUN_HOSTS"


def environment(log: str, hosts: Sequence[str], outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that is instrumented, and whose children are.

    Args:
        log: the path of the log.
        hosts: hosts to observe besides those of known providers.
        outer: the environment to start from.
    """
    before = outer.get("PYTHONPATH", "")
    # an empty entry stays: it means the current directory
    paths = [FOLDER, *(path for path in before.split(os.pathsep) if path != FOLDER)] if before else [FOLDER]
    return {**outer, "PYTHONPATH": os.pathsep.join(paths), _LOG: os.path.abspath(log), _HOSTS: ",".join(hosts)}


def start() -> None:
    """Open the log that the environment names, and instrument; report on stderr if that fails."""
    log = os.environ.get(_LOG)
    if not log:
        return
    try:
        from bamboo_logmetrics.instrument import instrument
        from bamboo_logmetrics.logger.opening import configure

        configure(log, close_on_sigterm=True)
        instrument(hosts=[host for host in os.environ.get(_HOSTS, "").split(",") if host])
    except Exception as error:  # noqa: BLE001 - the program must run all the same
        text = f"{sys.executable}: the calls of this process are not logged: {type(error).__name__}: {error}"
        stderr.report(f"bamboo-logmetrics run: {text}", Clock().monotonic(), owed=True)
