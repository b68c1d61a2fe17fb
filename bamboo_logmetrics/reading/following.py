"""Following logs: their last lines, and then the lines that are appended, of all of them as they arrive.

A log is read from a position that is found once; from then on a follower takes it through rotation, compression and
truncation. Standard input is read as it comes.
"""

from __future__ import annotations

import heapq
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from itertools import islice
from typing import NamedTuple, Protocol

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.logfiles.compression import kind_of
from bamboo_logmetrics.logfiles.descriptors import is_ready
from bamboo_logmetrics.logfiles.discovery import AnyPath, find_logs, open_newest_first
from bamboo_logmetrics.logfiles.follower import Follower
from bamboo_logmetrics.logfiles.log_file import LONGEST_LINE, STDIN, LogFile
from bamboo_logmetrics.logfiles.placed_lines import PlacedLine, lines_backward, lines_forward
from bamboo_logmetrics.logfiles.position import HEAD, Chunk, Position, fingerprint
from bamboo_logmetrics.reading.lines import flat_line
from bamboo_logmetrics.system import FS, Clock

_SIZE = 256 * 1024  # bytes of lines at a time
_LOOK_EVERY = 2.0  # seconds between two looks for logs that are new
_FIRST_TIME = datetime.min.replace(tzinfo=timezone.utc)
_MOST_OPEN = 100  # logs; of more, none keeps a file open while nothing is appended

Accept = Callable[[bytes], bool]


class Arrival(NamedTuple):
    """Lines of one log, in the order of the log: its path, or ``-`` for standard input."""

    log: str
    chunk: Chunk


# -- the last lines ----------------------------------------------------------------------


def find_start(fs: FS, log: str, count: int | None, accept: Accept) -> Position:
    """Return the position before the last ``count`` lines of a log that are accepted, or before all of its lines.

    Plain files are read from their ends, and no file is read that is not needed. Raises OSError, and ConfigError for a
    zstd file without a package that reads it.
    """
    if count is None:
        return Position()
    with closing(open_newest_first(fs, log)) as files:
        for file, before in files:
            if not count:
                return _end_of(file, before)
            starts = _last_accepted(file, count, accept)
            if len(starts) == count:
                return _position(file, starts[-1], before)
            count -= len(starts)
    return Position()


def _last_accepted(file: LogFile, count: int, accept: Accept) -> list[int]:
    """Return where the last lines begin that are accepted, up to ``count`` of them, the last one first."""
    if not file.compressed:
        accepted: Iterator[PlacedLine] = (placed for placed in lines_backward(file) if accept(placed.line))
        return [placed.start for placed in islice(accepted, count)]
    return [*reversed(deque((placed.start for placed in lines_forward(file) if accept(placed.line)), count))]


def _end_of(file: LogFile, before: str) -> Position:
    """Return the position behind the last line of the newest file."""
    if file.base:
        return Position(passed=file.base, in_oldest=False)
    lines = deque(lines_forward(file), 1) if file.compressed else lines_backward(file)
    last = next(iter(lines), None)
    return _position(file, last.end if last else 0, before)


def _position(file: LogFile, offset: int, before: str) -> Position:
    if not offset:
        return Position(passed=before, in_oldest=not before)
    with closing(file.duplicate()) as copy:
        head = copy.head(min(HEAD, offset))
    return Position(before, fingerprint(head), len(head), offset, in_oldest=not before)


# -- sources -----------------------------------------------------------------------------


class _Source(Protocol):
    """One log: :class:`Follower` or :class:`_Stream`."""

    ended: bool

    def read(self, size: int, /) -> Chunk | None: ...

    def close(self) -> None: ...


class _Stream:
    """Standard input: its whole lines as they arrive. A last line without newline comes at the end."""

    def __init__(self, fs: FS) -> None:
        self._fs = fs
        self._begun = b""
        self.ended = False

    def read(self, size: int) -> Chunk | None:
        """Return the lines that are there; None if there are none yet, or no more. Raises OSError."""
        while not self.ended and is_ready(0):
            data = self._fs.read(0, size)
            self.ended = not data
            *lines, self._begun = (self._begun + (data or b"\n" * bool(self._begun))).split(b"\n")
            if len(self._begun) > LONGEST_LINE:
                self._begun = b"\0"  # no JSON, whatever follows
            if lines:
                return Chunk(lines, Position())
        return None

    def close(self) -> None:
        """Leave standard input open."""


# -- all logs ----------------------------------------------------------------------------


class LogTail:
    """Reads logs by their paths and patterns, and what is appended to them.

    Args:
        paths: paths of logs, and patterns; ``-`` is standard input.
        follow: True to wait for logs that do not exist yet, and to go on when one cannot be read.
        start: returns the position at which a log is begun. One that appears later is read from its beginning.
        on_problem: called with a path and its problem, in each round in which it has one.
        fs, clock: the system.

    Raises FileNotFoundError for a path or pattern that names nothing unless it follows, and ConfigError for one that is
    not a regular file.
    """

    def __init__(
        self,
        paths: Iterable[AnyPath],
        *,
        follow: bool,
        start: Callable[[str], Position],
        on_problem: Callable[[str, str], None],
        fs: FS | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._paths = [os.fsdecode(path) for path in paths]
        self._follow = follow
        self._on_problem = on_problem
        self._fs, self._clock = fs or FS(), clock or Clock()
        self._sources: dict[str, _Source] = {}
        self._looked = float("-inf")
        try:
            self._look(start)
        except BaseException:
            self.close()
            raise

    @property
    def logs(self) -> list[str]:
        """The paths of the logs."""
        return list(self._sources)

    @property
    def waits_for_stdin(self) -> bool:
        """True while standard input is one of the logs and has not ended."""
        return any(not source.ended for source in self._sources.values() if isinstance(source, _Stream))

    @property
    def ended(self) -> bool:
        """True if nothing can arrive any more: each path is standard input or a compressed file, and was read."""
        whole = all(path == STDIN or (kind_of(path) and os.path.lexists(path)) for path in self._paths)
        return whole and all(source.ended for source in self._sources.values())

    def history(self) -> Iterator[Arrival]:
        """Yield the lines that are in the files, of several logs in order of time, each log in its own order."""
        logs = [log for log in self._sources if log != STDIN]
        if len(logs) == 1:
            yield from self._until_end(logs[0])
            return
        for _, log, chunk in heapq.merge(*map(self._timed, logs), key=lambda item: item[0]):
            yield Arrival(log, chunk)

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what each log has by now, a chunk of each; nothing if nothing was appended."""
        if self._follow and self._clock.monotonic() >= self._looked + _LOOK_EVERY:
            self._look(lambda _: Position())
        for log in list(self._sources):
            if (chunk := self._read(log)) is not None:
                yield Arrival(log, chunk)

    def close(self) -> None:
        """Close all files."""
        for source in self._sources.values():
            source.close()

    def _look(self, start: Callable[[str], Position]) -> None:
        """Open the logs that are new."""
        first, self._looked = not self._sources and self._looked < 0, self._clock.monotonic()
        for path in self._paths:
            try:
                for log in find_logs(path):
                    if log not in self._sources:
                        self._sources[log] = self._open(log, start)
            except FileNotFoundError:
                if not self._follow:
                    raise
                self._on_problem(path, f"{path} is not there yet: waiting for it")
            except (OSError, ConfigError) as error:
                if first or not self._follow:
                    raise
                self._on_problem(path, str(error))

    def _open(self, log: str, start: Callable[[str], Position]) -> _Source:
        if log == STDIN:
            return _Stream(self._fs)
        return Follower(log, start(log), repeats=False, fs=self._fs)

    def _read(self, log: str) -> Chunk | None:
        source = self._sources[log]
        try:
            chunk = source.read(_SIZE)
        except OSError as error:
            if not self._follow:
                raise
            self._on_problem(log, f"{log} cannot be read: {error}")
            return None
        if chunk is None and len(self._sources) > _MOST_OPEN:
            source.close()
        return chunk

    def _until_end(self, log: str) -> Iterator[Arrival]:
        while (chunk := self._read(log)) is not None:
            yield Arrival(log, chunk)

    def _timed(self, log: str) -> Iterator[tuple[datetime, str, Chunk]]:
        """Yield each line of a log with the latest time up to it."""
        time = _FIRST_TIME
        for _, chunk in self._until_end(log):
            for line in chunk.lines:
                flat = flat_line(line)
                if isinstance(flat, dict):
                    time = max(time, parse_utc(flat["timestamp"]))
                yield time, log, Chunk([line], chunk.position)
            if chunk.reason:
                yield time, log, chunk
