"""``bamboo-logmetrics tail``."""

from __future__ import annotations

import io
import math
import select
import sys
import time
from contextlib import closing, suppress
from typing import Any

import click
from rich.console import Console
from rich.status import Status

from bamboo_logmetrics.cli.filter_options import files_argument, filter_options, hidden_where_option
from bamboo_logmetrics.cli.formatting import tolerate_broken_pipe
from bamboo_logmetrics.cli.tail_screen import Screen
from bamboo_logmetrics.cli.tail_text import LineText
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.reading.filters import Filters
from bamboo_logmetrics.reading.following import LogTail, find_start
from bamboo_logmetrics.reading.matching import make_matcher
from bamboo_logmetrics.reading.summary.periods import find_zone
from bamboo_logmetrics.system import FS, backoff

_LINES = 10
_MOST_DIGITS = 18  # of a number of lines; no log has more lines
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5  # seconds between two looks at files that did not grow
_LONG = 2.0  # seconds of looking for lines, after which it is shown how far it is
_STEP = 10_000  # lines between two looks at the clock


class _Count(click.ParamType[Any, str]):
    """A number of lines; None for all."""

    name = "lines"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in {"+1", "all"}:
            return "all"
        text = value.removeprefix("-")
        if not (text.isascii() and text.isdecimal()):
            self.fail(f"{value!r:.80} is not a number of lines; use one such as 100, or +1 for all", param, ctx)
        return int(text) if len(text.lstrip("0")) <= _MOST_DIGITS else "all"


@click.command()
@files_argument
@click.option("-f", "-F", "--follow", is_flag=True, help="Go on with the lines that are appended, through rotation.")
@click.option("-n", "--lines", type=_Count(), metavar="LINES", help="Begin with the last LINES lines: 10; +1 for all.")
@click.option("--all", "whole", is_flag=True, help="Begin with the first line.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "table", "json"]),
    default="text",
    show_default=True,
    help="text and table are columns for people; json is the lines as they are in the files.",
)
@filter_options
@hidden_where_option
def tail(
    *, files: tuple[str, ...], follow: bool, lines: Any, whole: bool, form: str, tz: str, filters: Filters
) -> None:
    """Show the last lines of logs for people, and follow them.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found automatically. A dash is standard
    input: a stream, such as of a container, which is shown as it comes. Of several logs each line has the name.

    With filters, LINES counts the lines that are wanted. Without -n, --since shows all lines from that time on. Lines
    of other programs are dimmed. What is not shown although it may be a line is counted at the end, on standard error.

    \b
    Exit code: 0 done, 2 bad usage, 130 interrupted, 143 ended by SIGTERM, 129 by SIGHUP.

    \b
    bamboo-logmetrics tail -f logs/agent.jsonl
    bamboo-logmetrics tail -n 100 'logs/*.jsonl' --event 'chat.*' --level warning
    bamboo-logmetrics tail -f logs/agent.jsonl --format json | jq .event
    docker logs -f app | bamboo-logmetrics tail -
    """  # noqa: D301 - click wants the character \b itself
    if filters.where is not None:
        msg = "tail has no --where; use: bamboo-logmetrics query FILE --where ..."
        raise click.UsageError(msg)
    if whole and lines not in {None, "all"}:
        msg = "--all shows every line, -n only the last ones: give one of them"
        raise click.UsageError(msg)
    check_stdout()
    zone = find_zone(tz)
    count = None if whole or lines == "all" else lines
    if not whole and lines is None and filters.since is None:
        count = _LINES
    of_stdin = None if follow or not isinstance(lines, int) else lines
    screen = Screen(make_matcher(filters), None if form == "json" else LineText(zone=zone), of_stdin=of_stdin)
    with tolerate_broken_pipe():
        try:
            _show(files, screen, count, follow=follow)
        except KeyboardInterrupt:
            screen.end_early()
            raise


def _show(files: tuple[str, ...], screen: Screen, count: int | None, *, follow: bool) -> None:
    with closing(_Search()) as search:

        def accepts(line: bytes) -> bool:
            search.look(1)
            return screen.accepts(line)

        screen.on_write = search.stop
        log_tail = LogTail(
            files,
            follow=follow,
            start=lambda log: find_start(FS(), log, count, accepts),
            on_problem=screen.note_problem,
        )
        with closing(log_tail):
            screen.name(log_tail.logs)
            for arrival in log_tail.history():
                search.look(len(arrival.chunk.lines))
                screen.show(*arrival)
            search.stop()
            _go_on(log_tail, screen, follow=follow)
            screen.end()


def _go_on(log_tail: LogTail, screen: Screen, *, follow: bool) -> None:
    """Show what arrives: with ``follow`` until nothing can arrive any more, else until the end of standard input."""
    pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
    screen.end_round()
    while True:
        idle = True
        for arrival in log_tail.arrivals():
            idle = False
            screen.name(log_tail.logs)
            screen.show(*arrival)
        screen.end_round()
        if log_tail.ended or not (follow or log_tail.waits_for_stdin):
            return
        if idle:
            _wait(next(pauses) if follow else None, stdin=log_tail.waits_for_stdin)
        else:
            pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)


def _wait(seconds: float | None, *, stdin: bool) -> None:
    """Wait, at most until standard input has something. Raises BrokenPipeError if the reader of stdout is gone."""
    poll = select.poll()
    if stdin:
        poll.register(0, select.POLLIN)
    with suppress(io.UnsupportedOperation):
        poll.register(sys.stdout.fileno(), 0)
    events = poll.poll(None if seconds is None else seconds * 1000)
    if any(fd and event & (select.POLLERR | select.POLLHUP) for fd, event in events):
        raise BrokenPipeError


class _Search:
    """Shows on a terminal how many lines were looked at, if that takes long and none of them was shown."""

    def __init__(self) -> None:
        self._lines, self._shown = 0, 0
        self._from = time.monotonic() + _LONG
        self._status: Status | None = None

    def look(self, lines: int) -> None:
        """Count lines that were looked at."""
        self._lines += lines
        if self._lines >= self._shown + _STEP:
            self._shown = self._lines
            if time.monotonic() > self._from:
                self._show()

    def _show(self) -> None:
        text = f"looking for lines: {self._lines:,} read"
        if self._status is None:
            console = Console(stderr=True)
            if not console.is_terminal:
                self.stop()
                return
            self._status = console.status(text)
            self._status.start()
        self._status.update(text)

    def stop(self) -> None:
        """Remove the text from the terminal; it does not come again."""
        self._from = math.inf
        if self._status is not None:
            self._status.stop()
            self._status = None

    close = stop
