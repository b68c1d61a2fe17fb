"""How cost grows: with threads, processes, the queue's size, bound values and the line's length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import peers
from benchmarks.fresh import Answer
from benchmarks.jobs.caller import BURST, caller
from benchmarks.jobs.processes import processes
from benchmarks.jobs.throughput import throughput
from benchmarks.peers import REFERENCE, US
from benchmarks.report import Table, all_losses, number
from benchmarks.rounds import LOSSLESS, Task, console, interleaved, task
from benchmarks.sizes import Sizes

WORKERS = (1, 2, 4, 8)
QUEUES = (100, 1_000, 10_000, 100_000)
BOUND = (0, 5, 20)
PADS = (0, 250, 1_000, 4_000, 16_000, 32_500)  # bytes of text beside a plain line of about 230
MOST_BYTES = 200_000_000  # written by one measurement
WORDS = "the cache was warmed again "
MAX_LINE = 40_000  # bytes: the default would cut the longest


@dataclass(frozen=True, slots=True)
class Point:
    """One point of one axis, of one peer.

    Args:
        axis: a key of AXES.
        peer: its name.
        x: where on the axis.
        through: the run that gives events per second.
        called: the run that gives p99; None when the first gives both.
    """

    axis: str
    peer: str
    x: int
    through: Task
    called: Task | None = None

    @property
    def name(self) -> str:
        """The name of its runs."""
        return f"{self.axis} {self.x} {self.peer}"


# what each axis is called in tables and plots
AXES = {
    "threads": "threads",
    "processes": "processes that write one file",
    "queue": "queue size, events",
    "bound": "bound values",
    "line": "bytes in a line",
}


def points(sizes: Sizes, names: tuple[str, ...]) -> list[Point]:
    """Return every point of every axis for the peers."""
    count = max(sizes.count // 4, 1)
    return [point for name in names for point in _of_peer(name, count)]


def _of_peer(name: str, count: int) -> Iterator[Point]:
    for number_of in WORKERS:
        yield _point("threads", name, number_of, count, {}, threads=number_of)
    for number_of in WORKERS:
        # a process in its burst waits for nobody, also where eight share two cores
        yield Point(
            "processes", name, number_of, task(processes, peer=name, count=count, number=number_of, burst=BURST)
        )
    for size in QUEUES if name == US else ():
        yield _point("queue", name, size, count, {"options": {**LOSSLESS, "queue_size": size}})
    for values in BOUND:
        yield _point(
            "bound", name, values, count, {"bound": {f"key_{index}": f"value {index}" for index in range(values)}}
        )
    for pad in PADS:
        fits = min(count, MOST_BYTES // (pad + 230))
        text = (WORDS * (pad // len(WORDS) + 1))[:pad]
        load = {"bound": {"text": text}, "options": {"max_line_bytes": MAX_LINE}}
        yield _point("line", name, pad, fits, load, kind="plain")


def _point(axis: str, name: str, x: int, count: int, load: dict[str, Any], **arguments: Any) -> Point:
    lossless = {**load, "options": {**LOSSLESS, **load.get("options", {})}}
    return Point(
        axis,
        name,
        x,
        task(throughput, peer=name, count=count, load=lossless, **arguments),
        task(caller, peer=name, count=count, load=load, **arguments),
    )


@dataclass(frozen=True, slots=True)
class Curve:
    """The measured values along one axis for one peer.

    Args:
        axis: a key of AXES.
        peer: its name.
        xs: where on the axis.
        events_per_s: at each.
        p99: microseconds at each.
    """

    axis: str
    peer: str
    xs: list[float]
    events_per_s: list[float]
    p99: list[float]


def measure(sizes: Sizes) -> tuple[list[Curve], dict[str, Answer]]:
    """Return the curves, and the answers that they are made of."""
    names, left_out = peers.installed((US, REFERENCE))
    for sentence in left_out:
        console.print(sentence, markup=False, style="yellow")
    wanted = points(sizes, tuple(names))
    tasks = {point.name: point.through for point in wanted}
    tasks.update({f"{point.name}, caller": point.called for point in wanted if point.called})
    answers = interleaved("scaling", tasks, sizes.rounds)
    return curves(wanted, answers), answers


def curves(wanted: list[Point], answers: dict[str, Answer]) -> list[Curve]:
    """Return a curve for each axis and peer from the points that were measured."""
    by_name: dict[tuple[str, str], Curve] = {}
    for point in wanted:
        through = answers.get(point.name)
        called = answers.get(f"{point.name}, caller") if point.called else through
        if through is None or called is None:
            continue
        curve = by_name.setdefault((point.axis, point.peer), Curve(point.axis, point.peer, [], [], []))
        curve.xs.append(_line_bytes(through) if point.axis == "line" else point.x)
        curve.events_per_s.append(through["events_per_s"])
        curve.p99.append(called["p99"])
    return list(by_name.values())


def _line_bytes(answer: Answer) -> float:
    """Return the bytes of a line as it was written; a log's few lines of its own do not count much."""
    check = answer["check"]
    return float(round(check["size"] / max(check["lines"], 1)))


def table(axis: str, curves: list[Curve]) -> Table:
    """Return the table of one axis."""
    rows = [
        [f"{x:,.0f}", peers.title_of(curve.peer), number(rate), number(p99)]
        for curve in curves
        if curve.axis == axis
        for x, rate, p99 in zip(curve.xs, curve.events_per_s, curve.p99, strict=True)
    ]
    columns = (AXES[axis], "", "events/s to a closed file", "p99 at the caller, us")
    return Table(f"Growth: {AXES[axis]}", columns, rows, texts=2)


def losses(answers: dict[str, Answer]) -> list[str]:
    """Return the results of the checks."""
    return all_losses(answers)
