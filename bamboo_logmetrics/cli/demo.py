"""``bamboo-logmetrics demo``: the main job, visibly."""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections.abc import Iterator

import click

from bamboo_logmetrics import reading
from bamboo_logmetrics.cli.formatting import counts, printable, show_report, unheard
from bamboo_logmetrics.events import (
    MessageCountUpdated,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.logfiles.discovery import open_files
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import open_log
from bamboo_logmetrics.pipeline.statistics import Stats
from bamboo_logmetrics.system import FS

_AGENTS = 4
_ROUNDS = 25  # of each agent, at an ordinary pace
_BURST = 2_000  # tool calls of each agent, as fast as it can
_QUEUE = 256  # far too small for the burst: that is the point
_MAX_BYTES = 64 * 1024
_PAUSE = 0.02  # seconds of "thinking"
_FAILURE = "429 rate_limit_error: retry after 2 s"


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, writable=True),
    help="Where to log; by default a new directory.",
)
@click.pass_context
def demo(ctx: click.Context, directory: str | None) -> None:
    """Let four small simulated agents log into one rotating file, and account for every event.

    Its queue is far too small for what they do, so that events are lost, and the log says so. The files stay, to be
    looked at.
    """
    directory = directory or tempfile.mkdtemp(prefix="bamboo-demo-")
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(os.path.realpath(directory), "agent.jsonl")
    with unheard():
        click.echo(f"{_AGENTS} agents log into one file, with a queue of {_QUEUE} ...")
        stats = _simulate(path)
        report = reading.verify(path)
        _show_files(report.files)
        _show_lines(path)
        _show_counts(stats)
        click.echo("\nbamboo-logmetrics verify says:")
        show_report(report)
        _show_commands(path)
    ctx.exit(0 if report.ok else 1)


# -- the agents --------------------------------------------------------------------------


def _simulate(path: str) -> Stats:
    """Run the agents, and return the log's final counters."""
    with open_log(path, queue_size=_QUEUE, max_bytes=_MAX_BYTES, compress="gzip", on_full="drop_newest") as log:
        log.info("demo started", agents=_AGENTS, api_key="sk-demo-0123456789abcdefghij")  # masked in the file
        for phase in (_work, _burst, _end):
            threads = [threading.Thread(target=phase, args=(log, number)) for number in range(_AGENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            log.flush()
        log.close()
        return log.stats()


def _session(log: BoundLog, number: int) -> tuple[BoundLog, str]:
    session_id = f"demo-{number + 1}"
    return log.bind(session_id=session_id, agent=f"agent-{number + 1}"), session_id


def _work(log: BoundLog, number: int) -> None:
    """Talk to a model, at an ordinary pace."""
    chance = random.Random(number)  # noqa: S311 - the same numbers each time
    pause = threading.Event()
    log, session_id = _session(log, number)
    log.emit(SessionStarted(session_id=session_id, model="gpt-5-mini"))
    for count in range(_ROUNDS):
        round_id = f"{session_id}-r{count + 1}"
        log.emit(RoundStarted(round_id=round_id, session_id=session_id, model="gpt-5-mini"))
        pause.wait(_PAUSE)
        log.emit(_round(chance, session_id, round_id))
        for call in range(chance.randrange(3)):
            log.emit(_call(chance, session_id, round_id, call))
        if count % 10 == 0:
            log.info("cache warmed", entries=chance.randrange(100, 500))


def _burst(log: BoundLog, number: int) -> None:
    """Call tools in a loop that has run wild."""
    chance = random.Random(_AGENTS + number)  # noqa: S311
    log, session_id = _session(log, number)
    round_id = f"{session_id}-r{_ROUNDS}"
    for call in range(_BURST):
        log.emit(_call(chance, session_id, round_id, 10 + call), burst=True)


def _end(log: BoundLog, number: int) -> None:
    log, session_id = _session(log, number)
    log.emit(MessageCountUpdated(session_id=session_id, message_count=2 * _ROUNDS))
    log.emit(SessionCompleted(session_id=session_id, status="error" if number == _AGENTS - 1 else "completed"))


def _round(chance: random.Random, session_id: str, round_id: str) -> RoundCompleted:
    failed = chance.random() < 0.1  # noqa: PLR2004
    prompt, completion = chance.randrange(500, 9_000), 0 if failed else chance.randrange(20, 900)
    usage = TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        cache_read_tokens=prompt // 2,
    )
    return RoundCompleted(
        round_id=round_id,
        session_id=session_id,
        status="error" if failed else "success",
        usage=usage,
        latency_ms=chance.randrange(300, 9_000),
        error=_FAILURE if failed else None,
    )


def _call(chance: random.Random, session_id: str, round_id: str, number: int) -> ToolCalled:
    return ToolCalled(
        tool_call_id=f"{round_id}-c{number}",
        round_id=round_id,
        session_id=session_id,
        tool_name=chance.choice(("read_file", "grep", "run_tests", "web_search")),
        latency_ms=chance.randrange(5, 2_000),
        success=chance.random() < 0.95,  # noqa: PLR2004
    )


# -- what is shown -----------------------------------------------------------------------


def _show_files(files: tuple[str, ...]) -> None:
    click.echo("\nThe files, which stay there, the oldest first:")
    for file in files:
        click.echo(f"  {printable(file)}  {os.path.getsize(file):,} bytes")


def _show_lines(path: str) -> None:
    """Show the first line of each of some kinds, as they stand in the files."""
    click.echo("\nSome of the lines:")
    wanted = ["system.worker_started", "demo started", "chat.round_completed", "system.metrics_dropped"]
    for line in _first_lines(path, wanted):
        click.echo(f"  {printable(line)}")


def _first_lines(path: str, wanted: list[str]) -> Iterator[str]:
    marks = [f'"event":"{kind}"'.encode() for kind in (*wanted, "system.worker_stopped")]
    for file in open_files(FS(), path, skip_removed=True):
        for block in file.blocks():
            for line in block.splitlines():
                for mark in marks:
                    if mark in line:
                        marks.remove(mark)
                        yield line.decode()
                        break


def _show_counts(stats: Stats) -> None:
    click.echo("\nWhat the application was told, emitted = written + dropped:")
    click.echo(f"  emitted {stats.emitted:,}")
    click.echo(f"  written {stats.written:,}, and {stats.own:,} lines of the log itself")
    click.echo(f"  dropped {counts(stats.dropped)}")


def _show_commands(path: str) -> None:
    where = printable(path)
    click.echo(f"\nTry yourself:\n  bamboo-logmetrics verify {where}")
    click.echo(f"  zgrep -h metrics_dropped {where}*")
    click.echo(f"  jq -c 'select(.event == \"chat.session_completed\")' {where}")
