"""loguru: ``serialize=True, enqueue=True``, written by a thread.

Set up as the README's "Asynchronous, Thread-safe, Multiprocess-safe".
"""

from __future__ import annotations

from benchmarks.events import Load
from benchmarks.peers import loguru_serialize
from benchmarks.peers.base import Peer

TITLE = "loguru, serialize + enqueue"
NEEDS = ("loguru",)
PACKAGES = ("loguru",)


def open_peer(path: str, load: Load) -> Peer:
    """Add the file to loguru's logger."""
    return loguru_serialize.open_with(path, load, enqueue=True)
