"""All packages beside each other, logging the same event."""

from __future__ import annotations

from benchmarks import peers
from benchmarks.fresh import Answer
from benchmarks.jobs.caller import caller
from benchmarks.jobs.throughput import throughput
from benchmarks.report import Table, all_losses, number
from benchmarks.rounds import LOSSLESS, Task, console, interleaved, task
from benchmarks.sizes import Sizes

COLUMNS = ("", "caller p50, us", "p99, us", "p99.9, us", "CPU per event, us", "events/s to a closed file", "lost")


def measure(sizes: Sizes, names: tuple[str, ...] = peers.NAMES) -> dict[str, Answer]:
    """Return the answers of every peer that is installed, and name the others on stderr."""
    present, left_out = peers.installed(names)
    for sentence in left_out:
        console.print(sentence, markup=False, style="yellow")
    tasks: dict[str, Task] = {}
    for name in present:
        tasks[f"{name}, caller"] = task(caller, peer=name, count=sizes.count)
        tasks[f"{name}, throughput"] = task(throughput, peer=name, count=sizes.count, load={"options": LOSSLESS})
    return interleaved("peers", tasks, sizes.rounds)


def table(answers: dict[str, Answer]) -> Table:
    """Return a row for each peer."""
    rows = []
    for name in peers.NAMES:
        called, through = answers.get(f"{name}, caller"), answers.get(f"{name}, throughput")
        if called is None or through is None:
            continue
        lost = max(called["check"]["lost"], through["check"]["lost"])
        values = [called["p50"], called["p99"], called["p99.9"], through["cpu_us"], through["events_per_s"], lost]
        rows.append([peers.title_of(name), *[number(value) for value in values]])
    return Table("The same event by every package", COLUMNS, rows, all_losses(answers))
