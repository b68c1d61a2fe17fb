"""How far a log is shipped: the contents of a checkpoint, and the names of a shipper's files."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.names import shipper_file
from bamboo_logmetrics.logfiles.position import Count, Position
from bamboo_logmetrics.logfiles.side_files import MODE
from bamboo_logmetrics.system import FS

_Ranges = dict[str, list[tuple[Count, Count]]]


class LogState(msgspec.Struct, kw_only=True):
    """How far a log is shipped: the contents of a checkpoint.

    Args:
        to: the name of the destination.
        url: the server's URL, without secrets.
        position: every line before it is delivered, refused or lost.
        writers: the highest number before the position, by writer.
        verified: True once a server at this URL has taken a line.
        shipped: the number of delivered lines.
        refused: the number of lines in the dead-letter file that the server rejected, or that are invalid.
        lost: the number of lines that the files no longer held.
        repeated: the number of lines that were left out because they were delivered before.
        ahead: the numbers of lines after the position that are delivered, as first and last ones, by writer; only while
            a batch goes out in several requests.
        unkept: the number of refused lines, and of ranges of lost ones, that the full dead-letter file does not hold.
        resent: the numbers of lines in the dead-letter file that are delivered by now, by writer, as in ``ahead``.
        error: the current problem; empty for none.
        error_since: the time since which there has been a problem, UTC.
        saved_at: the time at which the checkpoint was saved, UTC.
    """

    to: str
    url: str
    position: Position = msgspec.field(name="place", default=Position())
    writers: dict[str, Count] = {}
    verified: bool = msgspec.field(name="proven", default=False)
    shipped: Count = 0
    refused: Count = 0
    lost: Count = 0
    repeated: Count = 0
    ahead: _Ranges = {}
    unkept: Count = 0
    resent: _Ranges = {}
    error: str = ""
    error_since: str = ""
    saved_at: str = ""


def load_state(fs: FS, path: str) -> LogState | None:
    """Return the contents of a checkpoint; None where none is valid. Raises ConfigError for one of a newer version."""
    values = checkpoint.load(fs, path)
    if values is None:
        return None
    try:
        state = msgspec.convert(values, LogState)
        _check_ranges(state.ahead)
        _check_ranges(state.resent)
    except ValueError as error:
        msg = f"{path} is not a checkpoint of this version: {error}; update this package, or remove the file"
        raise ConfigError(msg) from None
    return state


def _check_ranges(ranges: _Ranges) -> None:
    """Raise ValueError unless the ranges of each writer are in ascending order, and do not meet."""
    for writer, pairs in ranges.items():
        numbers = [number for pair in pairs for number in pair]
        if numbers != sorted(numbers) or any(end >= start for (_, end), (start, _) in pairwise(pairs)):
            msg = f"the numbers of writer {writer!r} are not in ascending order"
            raise ValueError(msg)


def save_state(fs: FS, path: str, state: LogState, mode: int = MODE) -> None:
    """Save a state as the checkpoint, with the log's mode. Raises OSError."""
    values: dict[str, Any] = msgspec.to_builtins(state)
    for name in ("ahead", "unkept", "resent"):
        if not values[name]:
            del values[name]  # so that a checkpoint mostly has the form of version 0.1.0
    checkpoint.save(fs, path, values, mode)


class ShipperIdentity(NamedTuple):
    """The name of a shipper and its server.

    Args:
        name: the name, a part of the names of its files.
        to: the name of the destination.
        url: the URL of its requests.
        directory: the directory of its files; None for the directory of each log.
    """

    name: str
    to: str
    url: str
    directory: str | None = None

    def path(self, log: str, kind: str) -> str:
        """Return the path of a file of the shipper: ``checkpoint``, ``dead-letter`` or ``shipper``."""
        return shipper_file(log, self.name, kind, self.directory)


class Shipped(NamedTuple):
    """The result of a run, over all logs.

    Args:
        shipped: the number of lines delivered in this run.
        refused: the number of lines that went to a dead-letter file, or stay in one.
        lost: the number of lines that the files no longer held.
    """

    shipped: int
    refused: int
    lost: int
