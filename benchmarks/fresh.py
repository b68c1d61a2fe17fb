"""One measurement in one fresh process: nothing of the one before is left in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Answer = dict[str, Any]

MAIN = Path(__file__).resolve().with_name("__main__.py")
TIMEOUT = 1800.0  # seconds


class JobError(Exception):
    """A measurement did not come to its end."""


def environment() -> dict[str, str]:
    """Return the environment of a fresh process: only what is installed is found, and no option of a log is set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BAMBOO_LOGMETRICS_")}
    kept.pop("PYTHONPATH", None)
    return {**kept, "PYTHONSAFEPATH": "1"}


def run(job: Callable[..., Answer], **arguments: Any) -> Answer:
    """Call ``job(folder, **arguments)`` in a fresh process, in a folder of its own, and return its answer.

    The arguments and the answer pass as JSON. Raises JobError with what the process said when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as folder:
        command = prepare(job, Path(folder), arguments)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment(),
                cwd=folder,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            msg = f"{job.__name__} {arguments} took longer than {TIMEOUT:g} s"
            raise JobError(msg) from None
        if done.returncode:
            msg = f"{job.__name__} {arguments} failed:\n{done.stderr.strip()[-2000:]}"
            raise JobError(msg)
        return read_answer(Path(folder))


def prepare(job: Callable[..., Answer], folder: Path, arguments: dict[str, Any]) -> list[str]:
    """Write down what a fresh process has to do in ``folder``, and return the command that does it."""
    order = {"module": job.__module__, "name": job.__name__, "arguments": arguments}
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    (folder / "log").mkdir()
    return [sys.executable, str(MAIN), "--job", str(folder)]


def read_answer(folder: Path) -> Answer:
    """Return the answer of a fresh process."""
    answer: Answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    return answer


def answer(folder: str) -> None:
    """Do what was prepared in ``folder``; this is the fresh process."""
    here = Path(folder)
    order = json.loads((here / "order.json").read_text(encoding="utf-8"))
    job = getattr(import_module(order["module"]), order["name"])
    answer = job(here / "log", **order["arguments"])
    (here / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
