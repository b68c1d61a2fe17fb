"""Interleaved rounds: whatever disturbs the machine for a while disturbs all that is compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import fresh
from benchmarks.fresh import Answer

# Back to back, events come faster than any file takes them: who must not lose one waits. The queue is the default's.
LOSSLESS: Mapping[str, Any] = {"on_full": "block", "block_timeout": 60}

console = Console(stderr=True)  # progress and what is left out; tables go to stdout


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement: a job and its arguments."""

    job: Callable[..., Answer]
    arguments: Mapping[str, Any]


def task(job: Callable[..., Answer], **arguments: Any) -> Task:
    """Return the task of calling ``job`` with these arguments."""
    return Task(job, arguments)


def interleaved(title: str, tasks: Mapping[str, Task], rounds: int) -> dict[str, Answer]:
    """Run each task once in every round, each time in a fresh process, and return the medians by the task's name.

    A task that fails is said aloud and left out.
    """
    answers: dict[str, list[Answer]] = {name: [] for name in tasks}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(title, total=rounds * len(tasks))
        for number in range(1, rounds + 1):
            if not console.is_terminal:
                console.print(f"{title}: round {number} of {rounds}", markup=False)
            for name in list(answers):
                progress.update(bar, description=f"{title}: {name}")
                try:
                    answers[name].append(fresh.run(tasks[name].job, **tasks[name].arguments))
                except fresh.JobError as error:
                    del answers[name]
                    console.print(f"{name} is left out: {error}", markup=False, style="red")
                progress.advance(bar)
    return {name: median(values) for name, values in answers.items() if values}


def median(answers: list[Answer]) -> Answer:
    """Return the median of each number; the greatest of a maximum and of the counts of a check; else the first."""
    first = answers[0]
    return {key: _of_all(key, [answer[key] for answer in answers]) for key in first}


def _of_all(key: str, values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        if key != "check":
            return median(values)
        return {each: max(value[each] for value in values) for each in values[0]}
    if not isinstance(values[0], (int, float)):
        return values[0]
    return max(values) if key == "max" else statistics.median(values)
