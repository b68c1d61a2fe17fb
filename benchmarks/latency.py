"""How long our call takes at most, in seven situations."""

from __future__ import annotations

from benchmarks import peers
from benchmarks.fresh import Answer
from benchmarks.jobs.caller import caller
from benchmarks.jobs.situations import QUEUE, SITUATIONS, situation
from benchmarks.peers import REFERENCE
from benchmarks.report import Table, all_losses, number
from benchmarks.rounds import Task, console, interleaved, task
from benchmarks.sizes import Sizes

PERCENTILES = ("p50", "p99", "p99.9", "max")
CURVE = ("p50", "p90", "p99", "p99.9", "p99.99")
REFERENCE_TITLE = "structlog (the reference), idle disk"


def measure(sizes: Sizes) -> dict[str, Answer]:
    """Return the answers of every situation, by its title."""
    tasks: dict[str, Task] = {
        title: task(situation, name=name, count=min(sizes.count, QUEUE) if name == "filling" else sizes.count)
        for name, title in SITUATIONS.items()
    }
    if peers.missing(REFERENCE):
        console.print(*peers.installed((REFERENCE,))[1], markup=False, style="yellow")
    else:
        tasks[REFERENCE_TITLE] = task(caller, peer=REFERENCE, count=sizes.count)
    return interleaved("latency", tasks, sizes.rounds)


def table(answers: dict[str, Answer]) -> Table:
    """Return a row for each situation."""
    rows = [[title, *[number(answer[key]) for key in PERCENTILES]] for title, answer in answers.items()]
    notes = [
        "An event made in the call, microseconds. Percentiles are medians over the rounds, the maximum is that of all.",
        f"A queue is filled with {QUEUE:,} events at most.",
        *all_losses(answers),
    ]
    return Table("Latency at the caller", ("situation", *[f"{key}, us" for key in PERCENTILES]), rows, notes)
