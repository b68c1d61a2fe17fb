"""Where the time goes: microseconds of each stage, and instructions per event.

Instructions do not depend on what else the machine does. The same job runs with N and with 3 N events; the difference,
divided by 2 N, leaves out starting and importing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks import fresh, peers
from benchmarks.jobs.emitting import emitting
from benchmarks.jobs.stages import stages
from benchmarks.peers import HANDLER, QUEUE_HANDLER, REFERENCE, US
from benchmarks.report import Table, number
from benchmarks.rounds import LOSSLESS, console

RUNS = (
    (US, "made"),
    (US, "emit"),
    (US, "plain"),
    (REFERENCE, "emit"),
    (REFERENCE, "plain"),
    (HANDLER, "emit"),
    (QUEUE_HANDLER, "emit"),
)
HINT = (
    "Which functions they are: `valgrind --tool=callgrind` writes a file for callgrind_annotate, and a sampler "
    "(py-spy, or perf with `python -X perf` from 3.12 on) shows Python's; cProfile would charge each Python call extra."
)

Counter = Callable[[list[str], Path], int]


def by_perf(command: list[str], folder: Path) -> int:
    """Return the instructions in user space that a command takes, by ``perf stat``; 0 where perf cannot count."""
    said = _run(["perf", "stat", "-x,", "-e", "instructions:u", "--", *command], folder)
    match = re.search(r"^(\d+),[^,]*,instructions", said, re.MULTILINE)
    return int(match[1]) if match else 0


def by_callgrind(command: list[str], folder: Path) -> int:
    """Return the instructions that a command takes, by ``valgrind --tool=callgrind``, some 50 times slower."""
    out = f"--callgrind-out-file={folder / 'callgrind.out'}"
    said = _run(["valgrind", "--tool=callgrind", out, *command], folder)
    match = re.search(r"Collected : (\d+)", said)
    return int(match[1]) if match else 0


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=fresh.environment(), cwd=folder, check=False
    )
    return done.stderr


def counter() -> tuple[str, Counter] | None:
    """Return the name of the tool that counts here and the function that asks it; None when there is none."""
    if shutil.which("perf"):
        if by_perf(["true"], Path.cwd()):
            return "perf stat", by_perf
        console.print("perf is installed, but this machine does not let it count instructions")
    else:
        console.print("perf is not installed")
    if shutil.which("valgrind"):
        return "callgrind", by_callgrind
    console.print("valgrind is not installed")
    return None


def instructions(ask: Counter, peer: str, kind: str, count: int) -> float:
    """Return the instructions of one event."""

    def of(number_of: int) -> int:
        with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
            arguments = {"peer": peer, "kind": kind, "count": number_of, "load": {"options": LOSSLESS}}
            total = ask(fresh.prepare(emitting, Path(folder), arguments), Path(folder))
            if not total or not (Path(folder) / "answer.json").exists():
                msg = f"counting the instructions of {peer}, {kind} failed"
                raise click.ClickException(msg)
            return total

    return (of(3 * count) - of(count)) / (2 * count)


def stages_table(count: int) -> Table:
    """Return a row for each stage of a record's way."""
    times = fresh.run(stages, count=count)
    rows = [
        ["event", "caller", "makes a RoundCompleted", times["make"]],
        ["", "", "of that, its id", times["id"]],
        ["", "", "and its time", times["time"]],
        ["", "caller", "emits it", times["emit"]],
        ["", "worker", "makes its line", times["event's line"]],
        ["", "worker", "writes it, 4,096 at a time", times["event's write"]],
        ["plain line", "caller", "log.info, five scalars", times["info"]],
        ["", "worker", "makes its line", times["text's line"]],
        ["", "worker", "writes it", times["text's write"]],
        ["stdlib", "application", "logging.info, 14 keys in extra=, to a handler that does nothing", times["stdlib"]],
        ["", "caller", "MetricsHandler", times["handled"] - times["stdlib"]],
        ["", "worker", "makes its line", times["record's line"]],
        ["", "worker", "writes it", times["record's write"]],
    ]
    notes = ["Each stage alone, in one thread; medians. What it costs more when two cores share the work is not in it."]
    shown = [[*texts, number(value)] for *texts, value in rows]
    return Table("Where the time goes", ("what", "who", "does", "us"), shown, notes, texts=3)


def table(count: int) -> Table:
    """Return a row for each peer and kind of call that can be counted."""
    tool_and_ask = counter()
    if tool_and_ask is None:
        return Table(
            "Instructions per event", ("call", "instructions"), [], ["No tool that counts is installed.", HINT]
        )
    tool, ask = tool_and_ask
    rows = []
    for peer, kind in RUNS:
        if not peers.missing(peer):
            console.print(f"{tool}: {peers.title_of(peer)}, {kind}", markup=False)
            rows.append([f"{peers.title_of(peer)}, {kind}", number(instructions(ask, peer, kind, count))])
    title = f"Instructions per event, all threads, by {tool}"
    return Table(title, ("call", "instructions"), rows, [HINT])
