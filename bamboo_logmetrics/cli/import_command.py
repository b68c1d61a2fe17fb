"""``bamboo-logmetrics import``: one command for each importer."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.progress import Progress
from rich.text import Text

from bamboo_logmetrics.cli.exit_codes import FAILED, INTERRUPTED, OK
from bamboo_logmetrics.cli.formatting import plural, printable, progress_bar, tolerate_broken_pipe
from bamboo_logmetrics.cli.import_summary import show_summary
from bamboo_logmetrics.importers import AUTO, IMPORTERS, Importer, ImportReport, Problem
from bamboo_logmetrics.importers.run import EventClock, ImportRun, lock_path, open_store, store_path
from bamboo_logmetrics.importers.store import ImportLock
from bamboo_logmetrics.logfiles.compression import SUFFIXES
from bamboo_logmetrics.logfiles.discovery import find_log
from bamboo_logmetrics.logger.opening import open_log

GIVE_UP_AFTER = 10.0  # seconds in which the disk takes nothing
FOLLOW_EVERY = 2.0  # seconds

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")

_HELP = """{help}

PATH is a file, or a directory that is searched for {patterns}; by default
{usual_path}. A line that cannot be used is reported and skipped. What a file
or a session repeats is written once, however often it is imported: the known
ids are kept beside the log. A session that may go on is written when its file
has not changed for --settle.

\b
Exit code: 0 everything is written (skipped lines or not), 1 something could
not be read or written, 2 bad usage, 130 interrupted.

\b
bamboo-logmetrics import {name} {usual_path} -o history.jsonl
"""


class _ImportGroup(click.Group):
    """Makes the command of an importer when it is called, so that importers can be registered until then."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(IMPORTERS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        importer = IMPORTERS.get(name)
        return None if importer is None else _import_command(importer)


@click.group("import", cls=_ImportGroup)
def import_group() -> None:
    """Import the history of another tool into a log."""


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A number of seconds, or one with a unit such as ``10m``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a duration; use one such as 10m, 90s or 0", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class _Choices(NamedTuple):
    """The options of one call."""

    paths: tuple[Path, ...]
    output: str
    append: bool
    settle_seconds: float
    all_: bool
    follow: bool


def _plain_patterns(importer: Importer) -> list[str]:
    """Return the patterns of an importer's files, without those of the compressed ones."""
    return [pattern for pattern in importer.patterns if not pattern.endswith(SUFFIXES)]


def _import_command(importer: Importer) -> click.Command:
    @click.command(
        importer.name,
        help=_HELP.format(
            help=importer.help,
            patterns=" and ".join(_plain_patterns(importer)),
            name=importer.name,
            usual_path=importer.usual_path,
        ),
    )
    @click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, path_type=Path))
    @click.option("-o", "--output", required=True, metavar="FILE", type=click.Path(), help="The log to write to.")
    @click.option("--append", is_flag=True, help="Add to an existing log; events that it already holds are skipped.")
    @click.option(
        "--settle",
        "settle_seconds",
        type=_Duration(),
        default="10m",
        show_default=True,
        metavar="TIME",
        help="How long a file must be unchanged before its last round and the end of its session are written.",
    )
    @click.option("--all", "all_", is_flag=True, help="Write everything now, also what may still go on; it is final.")
    @click.option("--follow", is_flag=True, help="Keep the log up to date until it is stopped; implies --append.")
    @click.pass_context
    def command(ctx: click.Context, /, **choices: Any) -> None:
        ctx.exit(_import(importer, _Choices(**choices)))

    return command


def _import(importer: Importer, choices: _Choices) -> int:
    """Import the files below the paths into the log, print the summary and return the exit code."""
    _check_output(choices)
    log_path = os.path.realpath(choices.output)
    files = _files(importer, choices, log_path)
    os.makedirs(os.path.dirname(log_path), exist_ok=True)  # now, so that an error is one of usage
    lock = ImportLock(lock_path(log_path), log_path)
    with _sigterm_as_ctrl_c():
        lock.acquire(lambda holder: click.echo(f"waiting for another import into this log: {holder}", err=True))
        try:
            return _import_locked(importer, choices, log_path, files, exists=_check_output(choices))
        finally:
            lock.release()


def _import_locked(importer: Importer, choices: _Choices, log_path: str, files: list[Path], *, exists: bool) -> int:
    store = open_store(log_path, exists=exists)
    clock = EventClock()
    try:
        # level and retention are those of an import, whatever the environment says: nothing is left out or deleted
        with open_log(
            log_path, on_full="block", block_timeout=GIVE_UP_AFTER, clock=clock, level="debug", backup_count=None
        ) as log:
            run = ImportRun(
                importer, log, clock, store,
                settle_seconds=None if choices.all_ else choices.settle_seconds, give_up_after=GIVE_UP_AFTER,
            )  # fmt: skip
            with progress_bar() as progress:
                report = _report(progress)
                _cycle(run, files, report, progress)
                if choices.follow:
                    _follow(importer, choices, log_path, run, report)
            log.close(GIVE_UP_AFTER)
    finally:
        store.close()
    with tolerate_broken_pipe():
        show_summary(run, report, log, stopped=choices.follow)
    if run.interrupted and not choices.follow:
        return INTERRUPTED
    return OK if run.complete(report) else FAILED


def _check_output(choices: _Choices) -> bool:
    """Return True if the output exists. Raises UsageError if it does and nothing may be added."""
    try:
        find_log(choices.output)
    except FileNotFoundError:
        return False
    if not (choices.append or choices.follow):
        msg = f"{choices.output} exists, or has rotated files; add to it with --append, or use another name"
        raise click.UsageError(msg)
    return True


def _files(importer: Importer, choices: _Choices, log_path: str) -> list[Path]:
    """Return the files to import. Raises UsageError if there are none, or none that the tool wrote."""
    paths = choices.paths or importer.usual_paths()
    files = _find(importer, paths, log_path)
    names = ", ".join(map(str, paths))
    if not files and not choices.follow:
        msg = f"no {' and no '.join(_plain_patterns(importer))} in {names}"
        raise click.UsageError(msg)
    if files and not any(importer.recognises(path) for path in files):
        others = {source.name for path in files if (source := AUTO.source_of(path)) is not None}
        remedy = f"; 'import {min(others)}' reads them" if others else ""
        msg = (
            f"none of the {plural(len(files), 'file')} in {names} is of {importer.name}; "
            f"give the files of that tool, such as {importer.usual_path}{remedy}"
        )
        raise click.UsageError(msg)
    return files


def _find(importer: Importer, paths: tuple[Path, ...], log_path: str) -> list[Path]:
    own = {log_path, store_path(log_path), lock_path(log_path)}
    return [path for path in importer.find(paths) if find_log(path) not in own]


def _report(progress: Progress) -> ImportReport:
    task = progress.add_task("importing", total=0)
    writing = progress.add_task("writing", total=0, unit="events", visible=False)

    def show(problem: Problem) -> None:
        progress.console.print(Text(printable(str(problem))), soft_wrap=True)

    def written(number: int, total: int) -> None:
        progress.update(writing, completed=number, total=total, visible=total > 0)

    return ImportReport(show, lambda size: progress.advance(task, size), written)


def _cycle(run: ImportRun, files: list[Path], report: ImportReport, progress: Progress | None = None) -> None:
    """Read what changed and write what is due."""
    changed = run.changed(files, report)
    run.unchanged = len(files) - len(changed)
    if progress is not None and progress.task_ids:
        total = sum(state.size if state else path.stat().st_size for path, state in changed)
        progress.update(progress.task_ids[0], total=total)
    run.run(changed, report)
    run.finish()


def _follow(importer: Importer, choices: _Choices, log_path: str, run: ImportRun, report: ImportReport) -> None:
    """Import again and again until Ctrl-C, SIGTERM, or a log that takes no more."""
    paths = choices.paths or importer.usual_paths()
    try:
        while not (run.interrupted or run.refused):
            time.sleep(FOLLOW_EVERY)
            _cycle(run, _find(importer, paths, log_path), report)
    except KeyboardInterrupt:
        run.interrupted = True


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the import as Ctrl-C does: what is written is noted, and the log is closed."""

    def interrupt(_signal: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
