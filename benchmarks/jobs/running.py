"""The steps of every measurement: open a peer, call it in bursts from threads, check the files."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import check, measure, peers
from benchmarks.events import Load
from benchmarks.peers.base import Peer

NAME = "log.jsonl"


def open_peer(folder: Path, name: str, load: Load) -> Peer:
    """Open a peer's log in ``folder``."""
    opened: Peer = peers.module_of(name).open_peer(str(folder / NAME), load)
    return opened


def load_of(values: dict[str, Any] | None, burst: int) -> Load:
    """Return the load that was passed as JSON."""
    return Load(**{"burst": burst, **(values or {})})


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Call ``work(0)`` to ``work(count - 1)``, each in a thread of its own; in this one when there is one only."""
    if count == 1:
        work(0)
        return
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def timed_bursts(peer: Peer, *, kind: str, count: int, burst: int, threads: int = 1) -> array[int]:
    """Return the nanoseconds of each of ``count`` calls.

    The calls come back to back in bursts of ``burst``, shared among the threads, and the log is flushed between two
    bursts. So no queue that holds a burst is ever full, while the log's own thread works beside the callers, as it does
    in an application. Events that are made beforehand are made before their burst.
    """
    call, times = peer.call(kind), array("q", bytes(8 * count))
    for first in range(0, count, burst):
        shares = [share for share in split(range(first, min(first + burst, count)), threads) if share]
        arguments = [peer.arguments(kind, share) for share in shares]

        def work(number: int, shares: list[range] = shares, arguments: Sequence[Iterable[Any]] = arguments) -> None:
            measure.time_calls(call, arguments[number], times, shares[number].start)

        in_threads(len(shares), work)
        peer.flush()
    return times


def split(numbers: range, parts: int) -> list[range]:
    """Return a range in ``parts`` ranges of about one length."""
    ends = [numbers.start + len(numbers) * part // parts for part in range(parts + 1)]
    return [range(ends[part], ends[part + 1]) for part in range(parts)]


def checked(folder: Path, expected: int) -> dict[str, Any]:
    """Return the counts of the lines in the files and of those that are lost."""
    counts = check.check(folder)
    return {**asdict(counts), "expected": expected, "lost": expected - counts.lines}
