"""A target: one number of ours, beside what it is compared with in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from benchmarks.fresh import Answer
from benchmarks.report import Table, number

Answers = Mapping[str, Answer]

FACTORS = "Ours and theirs are medians over all runs. A run's factor is of its own medians: how many times less ours is"


class Compared(Enum):
    """How ours and theirs become one factor, and what the target asks of it."""

    LESS = 1  # theirs / ours, at least the target
    MORE = 2  # ours / theirs, at least the target
    WITHIN = 3  # ours / theirs, under the target
    ALONE = 4  # ours, under the target


@dataclass(frozen=True, slots=True)
class Target:
    """One row.

    Args:
        subject: the measured quantity.
        target: what was asked for, in words.
        limit: the same as a number, for the factor that ``compared`` says; None where nothing was asked for.
        compared: how.
        unit: of both values.
        ours: our value in the answers.
        theirs: the other value; None when there is none.
    """

    subject: str
    target: str
    limit: float | None
    compared: Compared
    unit: str
    ours: Callable[[Answers], float]
    theirs: Callable[[Answers], float] | None = None

    def factor(self, answers: Answers) -> float:
        """Return the factor that was measured."""
        ours, theirs = self.ours(answers), self.theirs(answers) if self.theirs else 1.0
        return theirs / ours if self.compared is Compared.LESS else ours / theirs

    def met(self, factors: list[float]) -> str:
        """Return in how many runs the factor reached its target, in words; "" where nothing was asked for."""
        limit = self.limit
        if limit is None:
            return ""
        at_least = self.compared in {Compared.LESS, Compared.MORE}
        met = sum(factor >= limit if at_least else factor < limit for factor in factors)
        return {len(factors): "met", 0: "missed"}.get(met, f"met in {met} of {len(factors)}")


def value(run: str, key: str) -> Callable[[Answers], float]:
    """Return the function that takes a value out of the answers."""
    return lambda answers: float(answers[run][key])


def table(title: str, targets: Sequence[Target], runs: Sequence[Answers], notes: list[str]) -> Table:
    """Return the targets beside what was measured in each of several runs."""
    columns = ["what", "target", "ours", "theirs", *[f"run {index}" for index in range(1, len(runs) + 1)], "met"]
    return Table(title, columns, [_row(target, runs) for target in targets], notes, texts=2)


def all_runs(runs: Sequence[Answers]) -> dict[str, Answer]:
    """Return the answers of several runs in one dictionary, each with the number of its run in its name."""
    return {f"run {index}, {name}": answer for index, run in enumerate(runs, 1) for name, answer in run.items()}


def _row(target: Target, runs: Sequence[Answers]) -> list[str]:
    try:
        factors = [target.factor(run) for run in runs]
    except KeyError as missing:
        return [target.subject, target.target, f"{missing.args[0]} was not measured", "", *[""] * len(runs), ""]
    ours = statistics.median(target.ours(run) for run in runs)
    theirs = statistics.median(target.theirs(run) for run in runs) if target.theirs else None
    return [
        target.subject,
        target.target,
        f"{number(ours)} {target.unit}",
        "" if theirs is None else f"{number(theirs)} {target.unit}",
        *[f"{number(factor)}{' MB' if target.compared is Compared.ALONE else 'x'}" for factor in factors],
        target.met(factors),
    ]
