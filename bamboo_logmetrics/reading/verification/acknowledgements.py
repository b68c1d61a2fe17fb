"""Losses that somebody knows of and has acknowledged, kept in a file beside the log.

An acknowledgement covers the loss of one writer as it was known then. Whatever is lost later is not covered.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.logfiles.log_file import STDIN
from bamboo_logmetrics.logfiles.names import acknowledged_path
from bamboo_logmetrics.logfiles.side_files import MODE, create_side_file, mode_of, read_side_file
from bamboo_logmetrics.reading.verification.report import WriterReport
from bamboo_logmetrics.system import FS, Clock, write_all

_MOST_BYTES = 4 * 1024 * 1024


class Acknowledgement(msgspec.Struct, frozen=True, gc=False):
    """The loss of one writer as it was acknowledged.

    Args:
        at: the time, UTC.
        gaps: the missing numbers, as (first, last) of each gap.
        unclean_at: the last number, if the writer had an unclean end; else None.
        contradictions: how its worker_stopped line contradicted the other lines.
    """

    at: str
    gaps: tuple[tuple[int, int], ...] = ()
    unclean_at: int | None = None
    contradictions: tuple[str, ...] = ()

    def covers(self, loss: Acknowledgement) -> bool:
        """Return True if a loss is no greater than this one."""
        return (
            _within(loss.gaps, self.gaps)
            and loss.unclean_at in {None, self.unclean_at}
            and set(loss.contradictions) <= set(self.contradictions)
        )


class _File(msgspec.Struct):
    v: int = 1
    writers: dict[str, Acknowledgement] = {}


class Acknowledgements:
    """The acknowledged losses of some logs, while these are verified.

    Args:
        add: the ids of the writers whose loss is acknowledged now.
        withdraw: the ids of the writers whose loss is acknowledged no more.

    Attributes:
        problems: the files that cannot be used, each as its path and the reason; nothing of them is acknowledged.

    Raises ConfigError for a writer in both.
    """

    def __init__(self, add: Collection[str], withdraw: Collection[str]) -> None:
        self._fs = FS()
        self._add, self._withdraw = set(add), set(withdraw)
        if both := self._add & self._withdraw:
            msg = f"acknowledge or withdraw the loss of writer {', '.join(sorted(both))}: both at once contradict"
            raise ConfigError(msg)
        self.problems: list[tuple[str, str]] = []
        self._done: set[str] = set()
        self._by_log: dict[str, dict[str, Acknowledgement]] = {}
        self._changed: set[str] = set()
        self._now = format_ns(Clock().time_ns())

    def apply(self, writer: WriterReport, contradictions: tuple[str, ...]) -> str | None:
        """Acknowledge or withdraw a writer's loss if that was asked for, and return when it was acknowledged.

        Return None if it is not acknowledged, if there is no loss, or if more is lost than was acknowledged.

        Raises ConfigError for a writer to acknowledge that has lost nothing, and for one to withdraw that has no
        acknowledgement.
        """
        if writer.log not in self._by_log:
            self._by_log[writer.log] = self._load(writer.log)
        acknowledged, name = self._by_log[writer.log], writer.writer
        unclean = writer.last_seq if writer.end == "unclean end" else None
        loss = Acknowledgement(self._now, writer.gaps, unclean, contradictions)
        lost = bool(loss.gaps or unclean or contradictions)
        if name in self._add:
            if not lost:
                msg = f"writer {name} has lost nothing that could be acknowledged"
                raise ConfigError(msg)
            acknowledged[name] = loss
            self._note(writer)
        elif name in self._withdraw:
            if acknowledged.pop(name, None) is None:
                msg = f"no loss of writer {name} is acknowledged"
                raise ConfigError(msg)
            self._note(writer)
        known = acknowledged.get(name)
        return known.at if lost and known is not None and known.covers(loss) else None

    def _load(self, log: str) -> dict[str, Acknowledgement]:
        """Return the acknowledged losses of a log. Raises ConfigError for a bad file that would be replaced."""
        if log == STDIN:  # it has no place for a file
            return {}
        try:
            return load(self._fs, log)
        except ConfigError as error:
            if self._add or self._withdraw:
                raise
            path = acknowledged_path(log)
            self.problems.append((path, str(error).removeprefix(f"{path} ")))
            return {}

    def _note(self, writer: WriterReport) -> None:
        self._done.add(writer.writer)
        self._changed.add(writer.log)

    def save(self) -> None:
        """Write what has changed. Raises ConfigError for writers that the logs do not have, and OSError."""
        if missing := (self._add | self._withdraw) - self._done:
            msg = f"no such writer in these files: {', '.join(sorted(missing))}; give an id as the report shows it"
            raise ConfigError(msg)
        for log in sorted(self._changed):
            save(self._fs, log, self._by_log[log])


def load(fs: FS, log: str) -> dict[str, Acknowledgement]:
    """Return the acknowledged losses of a log, by writer. Raises ConfigError for a file that holds something else."""
    path = acknowledged_path(log)
    try:
        data = read_side_file(fs, path, _MOST_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    try:
        file = msgspec.json.decode(data, type=_File)
    except (ValueError, RecursionError) as error:
        raise _unusable(path, str(error)) from None
    if file.v != 1:
        raise _unusable(path, f"version {file.v}; this package reads version 1")
    return file.writers


def save(fs: FS, log: str, acknowledged: dict[str, Acknowledgement]) -> None:
    """Replace the acknowledged losses of a log; without any, remove the file. Raises OSError and ConfigError."""
    path = acknowledged_path(log)
    if not acknowledged:
        with suppress(FileNotFoundError):
            fs.unlink(path)
        return
    data = msgspec.json.format(msgspec.json.encode(_File(writers=acknowledged)), indent=1) + b"\n"
    if len(data) > _MOST_BYTES:
        msg = f"the loss is too large to be acknowledged: {path} would have more than {_MOST_BYTES:,} bytes"
        raise ConfigError(msg)
    partial = path + ".tmp"
    fd = create_side_file(fs, partial, mode_of(fs, log, MODE))
    try:
        try:
            write_all(fs, fd, data)
            fs.fsync(fd)
        finally:
            fs.close(fd)
        fs.rename(partial, path)
    except OSError:
        with suppress(OSError):
            fs.unlink(partial)
        raise


def _within(inner: tuple[tuple[int, int], ...], outer: tuple[tuple[int, int], ...]) -> bool:
    """Return True if each of the inner ranges lies in one of the outer ones; both are in ascending order."""
    ranges = iter(outer)
    first, last = next(ranges, (0, 0))
    for low, high in inner:
        while last < high:
            following = next(ranges, None)
            if following is None:
                return False
            first, last = following
        if low < first:
            return False
    return True


def _unusable(path: str, reason: str) -> ConfigError:
    return ConfigError(f"{path} is not a file of acknowledged losses: {reason}; remove it, and acknowledge again")
