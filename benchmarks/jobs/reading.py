"""How long ``summary`` takes, beside bare DuckDB and jq over the same files."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal, TypedDict

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.query.columns import ALWAYS, CHECKED, COLUMNS, TOKENS
from bamboo_logmetrics.reading.summary.measures import NEEDED
from benchmarks import fresh
from benchmarks.jobs import running

FILES = 12
_LINE_BYTES = 340  # about; of one line
_FAILED = 0.03  # of all calls
_MODELS = ("gpt-5", "gpt-5-mini", "gpt-4.1", "claude-sonnet-4-5", "claude-opus-4-5", "gemini-2.5-pro")

# Its own measures and groups; what summary does besides is to count each call once, to price it, and to say what is not
# whole.
_MEASURES = (
    "count(DISTINCT session_id)",
    "count(*) FILTER (event = 'chat.round_completed')",
    "count(*) FILTER (event = 'forward.request_completed')",
    "count(*) FILTER (event = 'chat.tool_called')",
    "count(*) FILTER (NOT success)",
    "count(*) FILTER (status != 'success')",
    *(f"sum({name})" for name in (*TOKENS, "cost_usd", "web_searches", '"count"')),
    "quantile_disc(latency_ms, [0.5, 0.95, 0.99]) FILTER (event != 'chat.tool_called')",
    "quantile_disc(latency_ms, [0.5, 0.95, 0.99]) FILTER (event = 'chat.tool_called')",
    "quantile_disc(time_to_first_token_ms, [0.5, 0.95])",
    "min(timestamp)",
)
_PROGRAM = """
import duckdb, os, sys
connection = duckdb.connect(config={"threads": min(4, os.cpu_count() or 1)})
for row in connection.execute(sys.argv[1]).fetchall():
    print(row)
"""


def summary_beside(folder: Path, *, events: int, compress: Literal["gzip"] | None, rounds: int) -> dict[str, Any]:
    """Return the time and memory of ``summary --by model``, bare DuckDB and jq on one log, each in every round.

    "seconds", "cpu" (seconds of all threads) and "mb" (the most resident memory) are by command; "size" is in bytes,
    of all "files" as they are. The files are in the page cache.
    """
    path = folder / running.NAME
    write_log(path, events, compress)
    files = sorted(str(file) for file in folder.iterdir() if not file.name.startswith("."))
    commands = {
        "summary": [sys.executable, "-m", "bamboo_logmetrics", "summary", str(path), "--by", "model"],
        "duckdb": [sys.executable, "-c", _PROGRAM, statement(files)],
    }
    if shutil.which("jq"):
        commands["jq"] = ["sh", "-c", 'gzip -cdf "$@" | jq -c "$0"', _jq_filter(), *files]
    return {
        **_measured(commands, rounds),
        "files": len(files),
        "events": events,
        "size": sum(os.path.getsize(file) for file in files),
    }


def _columns() -> list[str]:
    return sorted({*NEEDED, *ALWAYS, *CHECKED})


def statement(files: list[str]) -> str:
    """Return the statement of bare DuckDB: the columns that ``summary --by model`` reads, and its groups."""
    types = {name: COLUMNS[name] for name in _columns()}
    rest = [f'max("{name}")' for name in _columns()]  # so that each is read
    return f"""
        SELECT model, {", ".join([*_MEASURES, *rest])}
        FROM read_json({files}, format = 'newline_delimited', columns = {types})
        GROUP BY GROUPING SETS ((model), ())
    """  # noqa: S608 - all names are our own


def _jq_filter() -> str:
    return "[" + ", ".join(f".{name}" for name in _columns()) + "]"


def _measured(commands: dict[str, list[str]], rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians over rounds in which each command runs once, after one that is not counted."""
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            taken[name].append(_take(command))
    medians = {
        name: [statistics.median(values) for values in zip(*runs[1:], strict=True)] for name, runs in taken.items()
    }
    return {
        kind: {name: values[index] for name, values in medians.items()}
        for index, kind in enumerate(("seconds", "cpu", "mb"))
    }


def _take(command: list[str]) -> tuple[float, float, float]:
    """Return the seconds, the seconds of CPU and the most memory in MB of a command and its children."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=fresh.environment()) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes on macOS, KiB elsewhere
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def write_log(path: Path, events: int, compress: Literal["gzip"] | None = None) -> None:
    """Write the events of an agent's sessions as a log of about ``FILES`` files."""
    log = blm.open_log(
        path,
        max_bytes=max(events * _LINE_BYTES // FILES, 20_000),
        backup_count=10 * FILES,
        compress=compress,
        on_full="block",
        block_timeout=60,
    )
    source = random.Random(1)  # noqa: S311 - not for a secret
    for event, bound in islice(_events(source), events):
        log.emit(event, **bound)
    log.close(60)


class _Ids(TypedDict):
    session_id: str
    round_id: str


_Emitted = tuple[blm.MetricsEvent, Mapping[str, Any]]  # with what is bound to it


def _events(source: random.Random) -> Iterator[_Emitted]:
    """Give the events of an agent's sessions, without an end."""
    for number in count(1):
        session, model = f"s-{number:06}", source.choice(_MODELS)
        yield blm.SessionStarted(session_id=session, model=model), {}
        for index in range(source.randint(1, 40)):
            yield from _round(_Ids(session_id=session, round_id=f"{session}-{index}"), model, source)
        yield blm.SessionCompleted(session_id=session, status=blm.SessionStatus.COMPLETED), {}


def _round(ids: _Ids, model: str, source: random.Random) -> Iterator[_Emitted]:
    """Give the events of one round: its begin, a request, tool calls, its end."""
    prompt, completion = source.randint(500, 150_000), source.randint(20, 4_000)
    usage = blm.TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cache_read_tokens=prompt // 2,
    )
    latency = source.randint(300, 60_000)
    yield blm.RoundStarted(**ids, model=model), {}
    request = f"q-{ids['round_id']}"
    yield blm.RequestStarted(request_id=request, endpoint="/v1/chat", model=model, is_stream=True), ids
    failed = source.random() < _FAILED
    yield (
        blm.RequestCompleted(
            request_id=request,
            status_code=500 if failed else 200,
            status=blm.ForwardStatus.ERROR if failed else blm.ForwardStatus.SUCCESS,
            usage=None if failed else usage,
            latency_ms=latency,
        ),
        ids,
    )
    for call in range(source.randint(0, 4)):
        yield (
            blm.ToolCalled(
                **ids,
                tool_call_id=f"t-{ids['round_id']}-{call}",
                tool_name=source.choice(("read_file", "edit_file", "shell", "search")),
                latency_ms=source.randint(1, 5_000),
                success=source.random() > _FAILED,
            ),
            {},
        )
    status = blm.RoundStatus.ERROR if failed else blm.RoundStatus.SUCCESS
    yield blm.RoundCompleted(**ids, status=status, usage=usage, latency_ms=latency + 5), {}
