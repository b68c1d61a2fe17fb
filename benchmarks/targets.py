"""The targets: ten numbers, each beside what it is compared with in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from benchmarks.fresh import Answer
from benchmarks.report import Table, all_losses, number

Answers = Mapping[str, Answer]

_FACTORS = (
    "Ours and theirs are medians over all runs. A run's factor is of its own medians: how many times less (time) or "
    "more (events per second) ours is, for the import how many times as much."
)
JQ_PART = 4  # verify is compared with a quarter of jq's time


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
        limit: the same as a number, for the factor that ``compared`` says.
        compared: how.
        unit: of both values.
        ours: our value in the answers.
        theirs: the other value; None when there is none.
    """

    subject: str
    target: str
    limit: float
    compared: Compared
    unit: str
    ours: Callable[[Answers], float]
    theirs: Callable[[Answers], float] | None = None

    def factor(self, answers: Answers) -> float:
        """Return the factor that was measured."""
        ours, theirs = self.ours(answers), self.theirs(answers) if self.theirs else 1.0
        return theirs / ours if self.compared is Compared.LESS else ours / theirs

    def met(self, factor: float) -> bool:
        """Return True if a factor reaches its target."""
        if self.compared in {Compared.LESS, Compared.MORE}:
            return factor >= self.limit
        return factor < self.limit


def _value(run: str, key: str) -> Callable[[Answers], float]:
    return lambda answers: float(answers[run][key])


def _seconds(run: str, command: str, part: float = 1.0) -> Callable[[Answers], float]:
    return lambda answers: float(answers[run]["seconds"][command]) / part


def _import_ms(*names: str) -> Callable[[Answers], float]:
    def milliseconds(answers: Answers) -> float:
        seconds = answers["import"]["seconds"]
        return 1000 * sum(float(seconds[name]) - float(seconds["bare"]) for name in names)

    return milliseconds


LESS, MORE, WITHIN, ALONE = Compared
TARGETS = (
    Target(
        "caller, event already made, p50",
        "25 times less",
        25,
        LESS,
        "us",
        _value("us made", "p50"),
        _value("ref emit", "p50"),
    ),
    Target(
        "caller, event made in the call, p50",
        "4 times less",
        4,
        LESS,
        "us",
        _value("us emit", "p50"),
        _value("ref emit", "p50"),
    ),
    Target(
        "caller p99.9, made in the call, rotating and compressing",
        "no more than the reference without rotation",
        1,
        LESS,
        "us",
        _value("us compressing", "p99.9"),
        _value("ref emit", "p99.9"),
    ),
    Target(
        "CPU of all threads per event, made in the call",
        "2.5 times less",
        2.5,
        LESS,
        "us",
        _value("us through", "cpu_us"),
        _value("ref through", "cpu_us"),
    ),
    Target(
        "events per second to a closed file, made in the call",
        "2.5 times more",
        2.5,
        MORE,
        "1/s",
        _value("us through", "events_per_s"),
        _value("ref through", "events_per_s"),
    ),
    Target(
        'plain log.info("text", five scalars), p50',
        "6 times less",
        6,
        LESS,
        "us",
        _value("us plain", "p50"),
        _value("ref plain", "p50"),
    ),
    Target(
        "stdlib handler, CPU per record",
        "3 times less than QueueHandler + python-json-logger (msgspec)",
        3,
        LESS,
        "us",
        _value("handler", "cpu_us"),
        _value("queue handler", "cpu_us"),
    ),
    Target(
        "bamboo-logmetrics verify",
        "no slower than jq -c .event, divided by 4",
        1,
        LESS,
        "s",
        _seconds("verify", "verify"),
        _seconds("verify", "jq", JQ_PART),
    ),
    Target(
        "import bamboo_logmetrics",
        "under 2 times structlog + msgspec",
        2,
        WITHIN,
        "ms",
        _import_ms("us"),
        _import_ms("peers"),
    ),
    Target(
        "memory with a full queue of made events",
        "under 90 MB above an empty one",
        90,
        ALONE,
        "MB",
        _value("memory", "mb"),
    ),
)


def table(runs: list[dict[str, Answer]]) -> Table:
    """Return the targets beside what was measured in each of several runs."""
    columns = ["what", "target", "ours", "theirs", *[f"run {index}" for index in range(1, len(runs) + 1)], "met"]
    rows = [_row(target, runs) for target in TARGETS]
    named = {f"run {index}, {name}": answer for index, run in enumerate(runs, 1) for name, answer in run.items()}
    notes = [
        _FACTORS,
        f"The timer alone takes {number(runs[0]['us emit']['timer'])} us, which is in every caller's time.",
        *_second_looks(runs[0]),
        *all_losses(named),
    ]
    return Table("Targets", columns, rows, notes, texts=2)


def _row(target: Target, runs: list[dict[str, Answer]]) -> list[str]:
    try:
        factors = [target.factor(run) for run in runs]
    except KeyError as missing:
        return [target.subject, target.target, f"{missing.args[0]} was not measured", "", *[""] * len(runs), ""]
    ours = statistics.median(target.ours(run) for run in runs)
    theirs = statistics.median(target.theirs(run) for run in runs) if target.theirs else None
    met = [target.met(factor) for factor in factors]
    return [
        target.subject,
        target.target,
        f"{number(ours)} {target.unit}",
        "" if theirs is None else f"{number(theirs)} {target.unit}",
        *[f"{number(factor)}{' MB' if target.compared is ALONE else 'x'}" for factor in factors],
        "met" if all(met) else "missed" if not any(met) else f"met in {sum(met)} of {len(met)}",
    ]


def _second_looks(run: dict[str, Answer]) -> list[str]:
    notes = []
    if {"memory", "memory traced"} <= run.keys():
        resident, traced = run["memory"], run["memory traced"]
        notes.append(
            f"Memory is resident memory, {number(resident['bytes_per_event'])} bytes an event; by tracemalloc it is "
            f"{number(traced['mb'])} MB, {number(traced['bytes_per_event'])} bytes an event."
        )
    if "verify" in run:
        read = run["verify"]
        notes.append(
            f"verify and jq read {read['lines']:,} lines, {number(read['size'] / 1e6)} MB, from the page cache."
        )
    if "import" in run:
        modules = run["import"]["modules"]
        notes.append(
            f"Our import loads {modules['us']:g} modules in {number(_import_ms('us')(run))} ms, theirs "
            f"{modules['peers']:g}. structlog comes with `open_log`: then ours are {modules['opened']:g} modules in "
            f"{number(_import_ms('opened')(run))} ms. rich, which structlog imports where it is installed, is hidden "
            "from all."
        )
    return notes
