"""How long commands take: verify beside jq, and importing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bamboo_logmetrics as blm
from benchmarks import fresh
from benchmarks.jobs import running

# rich is hidden: structlog imports it wherever it is installed, which an application's environment need not have
IMPORT = "import sys; sys.modules['rich'] = None; "
PROGRAMS = {
    "bare": "pass",
    "us": "import bamboo_logmetrics",
    "peers": "import structlog, msgspec",
    "opened": "import bamboo_logmetrics; bamboo_logmetrics.open_log",  # imports structlog too
}
COUNT = "; import sys; print(len([name for name, module in sys.modules.items() if module]))"


def verify_and_jq(folder: Path, *, lines: int, rounds: int) -> dict[str, Any]:
    """Return the seconds that ``bamboo-logmetrics verify`` and ``jq -c .event`` take on one file, both in each round.

    The file is written first and read once, so that it is in the page cache, and each command runs once before.
    """
    path = folder / running.NAME
    size = write_lines(path, lines)
    commands = {
        "verify": [sys.executable, "-m", "bamboo_logmetrics", "verify", str(path)],
        "jq": ["jq", "-c", ".event", str(path)],
    }
    seconds = _interleaved(commands, rounds)
    return {"seconds": seconds, "lines": lines, "size": size}


def write_lines(path: Path, lines: int) -> int:
    """Write a log of ``lines`` tool calls, of about 300 bytes each, into one file; return its bytes."""
    log = blm.open_log(path, max_bytes=10**12, on_full="block", block_timeout=60)
    for number in range(lines):
        log.emit(
            blm.ToolCalled(
                tool_call_id=f"c-{number}",
                round_id="r-1",
                session_id="s-1",
                tool_name="read_file",
                latency_ms=number % 1000,
                success=True,
            )
        )
    log.close(60)
    return path.stat().st_size


def imports(_: Path, *, rounds: int) -> dict[str, Any]:
    """Return the seconds that a fresh Python takes for no import, for ours and for the peers', and their modules.

    "modules" are those beyond a bare Python's.
    """
    commands = {name: [sys.executable, "-c", IMPORT + program] for name, program in PROGRAMS.items()}
    modules = {name: _modules(program) for name, program in PROGRAMS.items()}
    return {
        "seconds": _interleaved(commands, rounds),
        "modules": {name: count - modules["bare"] for name, count in modules.items()},
    }


def _modules(program: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT + program + COUNT],
        capture_output=True,
        text=True,
        env=fresh.environment(),
        check=True,
    )
    return int(done.stdout)


def _interleaved(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each command over rounds in which each runs once, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, env=fresh.environment(), check=True)
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}
