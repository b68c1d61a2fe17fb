"""What a shipper knows of one log: the contents of its checkpoint."""

from __future__ import annotations

from typing import Any

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.position import Position
from bamboo_logmetrics.system import FS


class State(msgspec.Struct, kw_only=True):
    """How far a shipper is in a log, and what came of the lines before that place.

    Args:
        to: the kind of destination.
        url: where it is, without secrets.
        place: all before it is delivered, refused or lost.
        writers: the highest number before the place, by writer.
        proven: True once this URL has taken a line.
        shipped: lines that were delivered.
        refused: lines that the destination will never take, or that are no lines of a log; see the dead-letter file.
        lost: numbers of writers that the files did not hold any more.
        repeated: lines that stood in the files again, and were delivered once.
        error: what is wrong just now; empty for nothing.
        error_since: since when, UTC.
        saved_at: when this was saved, UTC.
    """

    to: str
    url: str
    place: Position = Position()
    writers: dict[str, int] = {}
    proven: bool = False
    shipped: int = 0
    refused: int = 0
    lost: int = 0
    repeated: int = 0
    error: str = ""
    error_since: str = ""
    saved_at: str = ""


def load_state(fs: FS, path: str) -> State | None:
    """Return what a checkpoint says; None where none is valid. Raises ConfigError for one of a newer version."""
    found = checkpoint.load(fs, path)
    if found is None:
        return None
    try:
        return msgspec.convert(found, State)
    except msgspec.ValidationError as error:
        msg = f"{path} is not a checkpoint of this version: {error}; update this package, or remove the file"
        raise ConfigError(msg) from None


def save_state(fs: FS, path: str, state: State) -> None:
    """Save a state as the checkpoint. Raises OSError."""
    data: dict[str, Any] = msgspec.to_builtins(state)
    checkpoint.save(fs, path, data)
