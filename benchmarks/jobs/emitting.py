"""Events and nothing else, for programs that watch the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.jobs import running


def emitting(
    folder: Path, *, peer: str, count: int, kind: str = "emit", load: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Log ``count`` events and close; for the arguments see ``caller``. What is made before is made once."""
    opened = running.open_peer(folder, peer, running.load_of(load, count))
    call = opened.call(kind)
    arguments = [opened.make(0)] * count if kind == "made" else range(count)
    for argument in arguments:
        call(argument)
    opened.close()
    return {}
