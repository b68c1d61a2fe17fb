"""The output of ``tail``: lines on stdout, problems and counts on stderr."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

import click

from bamboo_logmetrics.cli.formatting import plural, printable
from bamboo_logmetrics.cli.tail_text import LineText
from bamboo_logmetrics.cli.terminal import MORE, RESET, terminal_width, use_colour
from bamboo_logmetrics.logfiles.log_file import STDIN
from bamboo_logmetrics.logfiles.position import Chunk
from bamboo_logmetrics.reading.gaps import GapCounter
from bamboo_logmetrics.reading.lines import flat_line
from bamboo_logmetrics.reading.matching import Matches

_LONGEST_NAME = 16  # columns of a log's name
_REASONS = {
    "broken": "broken line",
    "missing": "missing line",
    "text": "line that is not JSON",
    "foreign": "line of another program",
    "newer": "line of a newer version (update this package)",
}


class Screen:
    """Writes lines to stdout, and counts what it leaves out.

    Args:
        matches: chooses the lines that are wanted; None for all.
        text: makes the text of lines; None to write them as they are.
        of_stdin: how many of the last lines of standard input are shown; None for all, as they come.

    Attributes:
        on_write: called before something is written.
    """

    def __init__(self, matches: Matches | None, text: LineText | None, *, of_stdin: int | None = None) -> None:
        self._matches = matches
        self._text = text
        self._colour = use_colour()
        self._kept: deque[bytes] | None = None if of_stdin is None else deque(maxlen=of_stdin)
        self._left_out: Counter[str] = Counter()
        self._gaps = GapCounter()
        self._missing: Counter[str] = Counter()  # lines by log; still to be reported
        self._problems: dict[str, str] = {}
        self._logs: list[str] = []
        self._writing = False
        self.on_write: Callable[[], None] = lambda: None
        if text is not None:
            text.colour = self._colour

    def name(self, logs: list[str]) -> None:
        """Take the paths of all logs, each of which has a name in a column if there are several."""
        if logs != self._logs and self._text is not None and len(logs) > 1:
            self._text.names = _short_names(logs)
        self._logs = logs

    def note_problem(self, subject: str, problem: str) -> None:
        """Print the problem of a path, once."""
        if self._problems.get(subject) != problem:
            self._problems[subject] = problem
            self._report(problem)

    # -- lines ---------------------------------------------------------------------------

    def accepts(self, line: bytes) -> bool:
        """Return True if a line is shown."""
        flat = flat_line(line)
        if isinstance(flat, dict):
            return self._matches is None or self._matches(flat)
        return self._shows_others(flat)

    def show(self, log: str, chunk: Chunk) -> None:
        """Write the lines that are wanted; those of standard input may be kept until :meth:`end`."""
        if self._text is not None:
            self._text.width = terminal_width()
        if chunk.lines:
            self._problems.pop(log, None)
        if log != STDIN:  # a stream may be what another program chose
            self._count_missing(log, chunk)
        shown = [data for line in chunk.lines if (data := self._shown(line, log)) is not None]
        if chunk.reason:
            self._left_out.update(["broken"] * bool(chunk.broken))
            self._report(f"{log}: {chunk.reason}")
        if log == STDIN and self._kept is not None:
            self._kept.extend(shown)
        elif shown:
            self._write(b"".join(shown))

    def _count_missing(self, log: str, chunk: Chunk) -> None:
        """Note the lines that were removed from a log before they were read."""
        lines = [*chunk.lines, chunk.broken] if chunk.broken else chunk.lines
        missing = sum(self._gaps.count(log, line, flat_line(line)) for line in lines)
        if missing:
            self._missing[log] += missing
            self._left_out["missing"] += missing

    def _shown(self, line: bytes, log: str) -> bytes | None:
        """Return the bytes to write for a line, with a newline; None if it is not shown."""
        flat = flat_line(line)
        if isinstance(flat, dict):
            if self._matches is not None and not self._matches(flat):
                return None
            return _raw(line) if self._text is None else _encoded(self._text.line(flat, log))
        if flat != "blank" and not self._shows_others(flat):
            self._left_out[flat] += 1
        return _encoded(self._text.other(line, log)) if self._text is not None and self._shows_others(flat) else None

    def _shows_others(self, kind: str) -> bool:
        return kind in {"text", "foreign"} and self._text is not None and self._matches is None

    def _write(self, data: bytes) -> None:
        self.on_write()
        self._writing = True
        sys.stdout.buffer.write(data)
        self._writing = False

    def flush(self) -> None:
        """Bring what was written to the reader of stdout. Raises BrokenPipeError if it is gone."""
        self._writing = True
        sys.stdout.flush()
        self._writing = False

    def end_round(self) -> None:
        """Report what is missing in the lines that came, and flush. Raises BrokenPipeError as :meth:`flush` does."""
        self._report_missing()
        self.flush()

    def _report_missing(self) -> None:
        for log, count in self._missing.items():
            verb = "is" if count == 1 else "are"
            self._report(
                f"{log}: {plural(count, 'line')} {verb} missing, perhaps removed by retention before being read"
            )
        self._missing.clear()

    # -- the end ---------------------------------------------------------------------------

    def end(self) -> None:
        """Write what was kept, and print what was left out."""
        if self._kept:
            self._write(b"".join(self._kept))
        self.end_round()
        self._show_counts()

    def end_early(self) -> None:
        """Leave the terminal in order after a signal, which may have come within a line; print what was left out."""
        with suppress(OSError, RuntimeError):  # RuntimeError: the signal came within a call of the stream
            if self._writing and self._colour and self._text is not None:
                self._write(f"{RESET}\n".encode())
            self.end_round()
        self._show_counts()

    def _show_counts(self) -> None:
        if self._left_out:
            counts = (_counted(count, kind) for kind, count in self._left_out.items())
            self._report(f"not shown: {', '.join(counts)}")

    def _report(self, text: str) -> None:
        self.on_write()
        self.flush()
        with suppress(OSError):  # stderr is closed, which is no reason to stop
            click.echo(printable(text), err=True)


def _short_names(logs: list[str]) -> dict[str, str]:
    """Return the end of each path that differs from the others, of a long one the end."""
    folder = os.path.commonpath([os.path.dirname(log) for log in logs if log != STDIN] or [""])
    names = {log: "stdin" if log == STDIN else os.path.relpath(log, folder).removesuffix(".jsonl") for log in logs}
    return {
        log: name if len(name) <= _LONGEST_NAME else MORE + name[1 - _LONGEST_NAME :] for log, name in names.items()
    }


def _counted(count: int, kind: str) -> str:
    noun, _, more = _REASONS[kind].partition("line")
    return f"{plural(count, f'{noun}line')}{more}"


def _encoded(text: str) -> bytes:
    return f"{text}\n".encode(sys.stdout.encoding or "utf-8", "backslashreplace")


def _raw(line: bytes) -> bytes:
    """Return a line as it is; on a terminal, with JSON's own escapes in place of what could control it."""
    if sys.stdout.isatty() and not (text := line.decode()).isprintable():
        line = "".join(char if char.isprintable() else _escaped(char) for char in text).encode()
    return line + b"\n"


def _escaped(char: str) -> str:
    return "".join(f"\\u{int.from_bytes(pair, 'big'):04x}" for pair in _pairs(char.encode("utf-16-be")))


def _pairs(data: bytes) -> list[bytes]:
    return [data[start : start + 2] for start in range(0, len(data), 2)]
