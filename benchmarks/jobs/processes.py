"""Several processes that write one file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import fresh, measure
from benchmarks.jobs import running


def processes(
    folder: Path, *, peer: str, count: int, number: int, burst: int, load: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return events per second of ``number`` processes that share ``count`` events and one file, and the worst's p99.

    All have opened the log before the first event; the clock stops when the last has closed it.
    """
    each = {"path": str(folder), "peer": peer, "count": count // number, "burst": burst, "load": load}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as place:
        folders = [Path(place) / str(index) for index in range(number)]
        writers = [_start(here, each) for here in folders]
        try:
            begin = _let_go(writers)
            for process in writers:
                process.wait()
        finally:
            for process in writers:
                process.kill()
                process.communicate()
        answers = [fresh.read_answer(here) for here in folders]
    total = count // number * number
    return {
        "events_per_s": total / (max(answer["end"] for answer in answers) - begin),
        "p99": max(answer["p99"] for answer in answers),
        "check": running.checked(folder, total),
    }


def _let_go(writers: list[subprocess.Popen[bytes]]) -> float:
    """Wait until all are ready, tell all to begin, and return the monotonic seconds of that moment."""
    for process in writers:
        assert process.stdout is not None
        process.stdout.readline()
    begin = time.monotonic()
    for process in writers:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    return begin


def _start(folder: Path, arguments: dict[str, Any]) -> subprocess.Popen[bytes]:
    folder.mkdir()
    command = fresh.prepare(writer, folder, arguments)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=fresh.environment())


def writer(_: Path, *, path: str, peer: str, count: int, burst: int, load: dict[str, Any] | None) -> dict[str, Any]:
    """Be one of the processes: open, say so on stdout, wait for a line on stdin, log, close."""
    opened = running.open_peer(Path(path), peer, running.load_of(load, burst))
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    times = running.timed_bursts(opened, kind="emit", count=count, burst=burst)
    opened.close()
    return {"end": time.monotonic(), "p99": measure.latencies(times)["p99"]}
