"""Which machine this is, and which versions run on it."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import subprocess

from benchmarks import peers
from benchmarks.report import Table


def cpu_model() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def measured_today() -> str:
    """Return the sentence of a section of the page that says when it was measured."""
    return f"Measured on {_today()}."


def _today() -> str:
    return dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d")


def table() -> Table:
    """Return the machine and the versions."""
    rows = [
        ["processor", cpu_model()],
        ["cores", str(os.cpu_count())],
        ["system", f"{platform.system()} {platform.release()}"],
        ["Python", f"{platform.python_implementation()} {platform.python_version()}"],
        ["date of these versions", _today()],
        *[[package, version] for package, version in peers.versions().items()],
    ]
    if shutil.which("jq"):
        done = subprocess.run(["jq", "--version"], capture_output=True, text=True, check=False)
        rows.append(["jq", done.stdout.strip()])
    return Table("Machine and versions", ("what", "which"), rows, texts=2)
