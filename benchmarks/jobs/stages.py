"""Where the time goes: each stage of a record's way alone, while nothing else works."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from uuid_utils import uuid4

import bamboo_logmetrics as blm
from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.logfiles import RotatingFile
from bamboo_logmetrics.pipeline.taps import watched
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import FS, Clock
from bamboo_logmetrics.testing import GateSink, open_log_on
from benchmarks.events import Load
from benchmarks.jobs import running
from benchmarks.peers import bamboo, logging_calls

CHUNK = 500  # calls that are timed together
BATCH = 4096  # lines in one write
US = 1e6

Call = Callable[[Any], object]


class Nothing(logging.Handler):
    """A handler that does nothing: what it takes is the application's and the stdlib's part."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Do nothing, without a lock."""
        return bool(record)


def stages(folder: Path, *, count: int) -> dict[str, float]:
    """Return the microseconds of each stage, by its name: medians over chunks of ``count`` calls of each."""
    numbers, load, gate = range(count), Load(), GateSink()
    log = open_log_on(gate, folder / running.NAME, queue_size=8 * count)
    gate.wait_for_writer()  # it is held, so the worker is out of the way
    ours = bamboo.peer_of(log, load)
    events = [ours.make(number) for number in numbers]
    times = {
        "id": _each(lambda _: str(uuid4()), numbers),
        "time": _each(lambda _: datetime.now(timezone.utc), numbers),
        "make": _each(ours.make, numbers),
        "emit": _each(log.bind(**load.bound).emit, events),
        "info": _each(ours.plain, numbers),
        "stdlib": _each(_through(Nothing(), load), numbers),
        "handled": _each(_through(blm.MetricsHandler(log), load), numbers),
    }
    calls: dict[str, Call] = {"event": ours.emit, "text": ours.plain, "record": _through(blm.MetricsHandler(log), load)}
    for name, call in calls.items():
        times[f"{name}'s line"], times[f"{name}'s write"] = _written(folder / f"{name}.jsonl", _records(call, numbers))
    gate.open_gate()
    log.close(60)
    return times


def _through(handler: logging.Handler, load: Load) -> Call:
    """Return the call of a stdlib logger that has this handler and no other."""
    logging.getLogger(logging_calls.LOGGER).handlers.clear()
    return logging_calls.peer_of(handler, load, flush=int, close=int).emit


def _records(call: Call, numbers: range) -> list[QueuedRecord]:
    """Return the record that a call puts into the channel."""
    taken: list[QueuedRecord] = []
    with watched(taken.append):
        for number in numbers:
            call(number)
    return taken


def _written(path: Path, records: list[QueuedRecord]) -> tuple[float, float]:
    """Return the time of encoding a line, and of its share of a write."""
    maker = LineEncoder(layout="native", max_line_bytes=32_000, fs=FS(), clock=Clock())
    lines: list[bytes] = []
    making = _each(lambda record: lines.append(maker.encode(record) or b""), records)
    file = RotatingFile(
        str(path), max_bytes=10**12, backup_count=None, rotate_every=None, compress=None, mode=0o640,
        writer=lambda: maker.writer, fs=FS(), clock=Clock(),
    )  # fmt: skip
    file.open()
    batches = [lines[first : first + BATCH] for first in range(0, len(lines), BATCH)]
    writing = statistics.median(_seconds(file.write, [batch]) / len(batch) for batch in batches)
    file.close()
    return making, writing * US


def _each(call: Call, arguments: Sequence[Any]) -> float:
    """Return the median microseconds of a call, over chunks."""
    remaining = iter(arguments)
    chunks = iter(lambda: list(islice(remaining, CHUNK)), [])
    return statistics.median(_seconds(call, chunk) / len(chunk) for chunk in chunks) * US


def _seconds(call: Call, arguments: Iterable[Any]) -> float:
    begin = time.perf_counter()
    for argument in arguments:
        call(argument)
    return time.perf_counter() - begin
