"""``bamboo-logmetrics demo``: simulated agents, a queue that overflows, and an account of every event."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator

import click

from bamboo_logmetrics import reading
from bamboo_logmetrics.cli import PROGRAM
from bamboo_logmetrics.cli.exit_codes import FAILED, OK
from bamboo_logmetrics.cli.formatting import counts, printable, show_report, tolerate_broken_pipe
from bamboo_logmetrics.cli.summary_command import show_summary
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.events import (
    MessageCountUpdated,
    RequestCompleted,
    RequestStarted,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    StorageError,
    TokenUsage,
    ToolCalled,
)
from bamboo_logmetrics.logfiles.discovery import open_files
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import open_log
from bamboo_logmetrics.pipeline.statistics import Stats
from bamboo_logmetrics.reading.summary.summarizing import summarize
from bamboo_logmetrics.system import FS

_AGENT_COUNT = 4
_ROUNDS = 25  # of each agent, at a normal pace
_BURST = 2_000  # tool calls of each agent, as fast as possible
_QUEUE_SIZE = 256  # far too small for the burst: the demo shows how drops are recorded
_MAX_BYTES = 64 * 1024
_PAUSE = 0.02  # seconds that the simulated model takes to respond
_FAILURE = "429 rate_limit_error: retry after 2 s"
_MODELS = ("gpt-5-mini", "gpt-5")  # of the agents in turn
_DISK_FULL = "OSError: [Errno 28] No space left on device"


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, writable=True),
    help="The directory for the log.  [default: a new one]",
)
@click.pass_context
def demo(ctx: click.Context, directory: str | None) -> None:
    """Let four simulated agents log into one rotating file, and account for every event.

    The agents call their models through a proxy, which logs too. The queue of the log is far too small for them. So
    events are lost, and the log records how many and why. The files stay there for you to look at.
    """
    check_stdout()
    directory = directory or tempfile.mkdtemp(prefix="bamboo-demo-")
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(os.path.realpath(directory), "agent.jsonl")
    with tolerate_broken_pipe():
        click.echo(f"{_AGENT_COUNT} agents log into one file, with a queue of {_QUEUE_SIZE} ...")
        stats = _simulate(path)
        report = reading.verify(path)
        _show_files(report.files)
        _show_lines(path)
        _show_counts(stats)
        click.echo("\nThe report of bamboo-logmetrics verify:")
        show_report(report)
        _show_commands(path)
        click.echo("\nThe summary, by model:")
        show_summary(summarize(path, by="model"))
    ctx.exit(OK if report.ok else FAILED)


# -- the agents --------------------------------------------------------------------------


def _simulate(path: str) -> Stats:
    """Run the agents, and return the final counters of the log."""
    with open_log(path, queue_size=_QUEUE_SIZE, max_bytes=_MAX_BYTES, compress="gzip", on_full="drop_newest") as log:
        log.info("demo started", agents=_AGENT_COUNT, api_key="sk-demo-0123456789abcdefghij")  # masked in the file
        for phase in (_work, _burst, _end):
            threads = [threading.Thread(target=phase, args=(log, number)) for number in range(_AGENT_COUNT)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            log.flush()
        log.emit(StorageError(error=_DISK_FULL, event_type="chat.tool_called"))  # of the agents' own storage
        log.close()
        return log.stats()


def _session(log: BoundLog, number: int) -> tuple[BoundLog, str]:
    session_id = f"demo-{number + 1}"
    return log.bind(session_id=session_id, agent=f"agent-{number + 1}"), session_id


def _work(log: BoundLog, number: int) -> None:
    """Talk to a model, at a normal pace."""
    rng = random.Random(number)  # noqa: S311 - the same numbers each time
    pause = threading.Event()
    log, session_id = _session(log, number)
    model = _MODELS[number % len(_MODELS)]
    log.emit(SessionStarted(session_id=session_id, model=model))
    for count in range(_ROUNDS):
        round_id = f"{session_id}-r{count + 1}"
        log.emit(RoundStarted(round_id=round_id, session_id=session_id, model=model))
        log.emit(RequestStarted(request_id=round_id, endpoint="/v1/chat/completions", model=model, is_stream=True))
        pause.wait(_PAUSE)
        completed = _round(rng, session_id, round_id)
        log.emit(_request(completed), model=model, round_id=round_id)  # so that the call's tokens count once
        log.emit(completed, model=model)
        for call in range(rng.randrange(3)):
            log.emit(_call(rng, session_id, round_id, call))
        log.flush()  # the queue is small, and this phase is to lose nothing
        if count % 10 == 0:
            log.info("cache warmed", entries=rng.randrange(100, 500))


def _burst(log: BoundLog, number: int) -> None:
    """Call tools in a runaway loop."""
    rng = random.Random(_AGENT_COUNT + number)  # noqa: S311
    log, session_id = _session(log, number)
    round_id = f"{session_id}-r{_ROUNDS}"
    for call in range(_BURST):
        log.emit(_call(rng, session_id, round_id, 10 + call), burst=True)


def _end(log: BoundLog, number: int) -> None:
    log, session_id = _session(log, number)
    log.emit(MessageCountUpdated(session_id=session_id, message_count=2 * _ROUNDS))
    log.emit(SessionCompleted(session_id=session_id, status="error" if number == _AGENT_COUNT - 1 else "completed"))


def _round(rng: random.Random, session_id: str, round_id: str) -> RoundCompleted:
    failed = rng.random() < 0.1  # noqa: PLR2004
    prompt, completion = rng.randrange(500, 9_000), 0 if failed else rng.randrange(20, 900)
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
        latency_ms=rng.randrange(300, 9_000),
        error=_FAILURE if failed else None,
    )


def _request(completed: RoundCompleted) -> RequestCompleted:
    """Return the proxy's event of the request behind a round."""
    failed = completed.error is not None
    return RequestCompleted(
        request_id=completed.round_id,
        status_code=429 if failed else 200,
        status="error" if failed else "success",
        usage=None if failed else completed.usage,
        latency_ms=completed.latency_ms,
        error=completed.error,
    )


def _call(rng: random.Random, session_id: str, round_id: str, number: int) -> ToolCalled:
    return ToolCalled(
        tool_call_id=f"{round_id}-c{number}",
        round_id=round_id,
        session_id=session_id,
        tool_name=rng.choice(("read_file", "grep", "run_tests", "web_search")),
        latency_ms=rng.randrange(5, 2_000),
        success=rng.random() < 0.95,  # noqa: PLR2004
    )


# -- output ------------------------------------------------------------------------------


def _show_files(files: tuple[str, ...]) -> None:
    click.echo("\nThe files, which are kept, the oldest first:")
    for file in files:
        click.echo(f"  {printable(file)}  {os.path.getsize(file):,} bytes")


def _show_lines(path: str) -> None:
    """Print the first line of some kinds, unchanged."""
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
    click.echo("\nThe counters of the application, emitted = written + dropped:")
    click.echo(f"  emitted {stats.emitted:,}")
    click.echo(f"  written {stats.written:,}, and {stats.own:,} lines by the log itself")
    click.echo(f"  dropped {counts(stats.dropped)}")


def _show_commands(path: str) -> None:
    log, program = printable(shlex.quote(path)), _program()
    click.echo(f"\nTry these:\n  {program} summary {log} --by tool")
    click.echo(f"  {program} verify {log}")
    click.echo(f"  zgrep -h metrics_dropped {log}*")
    click.echo(f"  jq -c 'select(.event == \"chat.session_completed\")' {log}")


def _program() -> str:
    """Return how this program is started here: by its name if that finds it, by its path, or as a module."""
    started = sys.argv[0]
    if os.path.basename(started) != PROGRAM:
        return f"{shlex.quote(sys.executable)} -m bamboo_logmetrics"
    named = shutil.which(PROGRAM)
    return PROGRAM if named is not None and os.path.samefile(named, started) else shlex.quote(started)
