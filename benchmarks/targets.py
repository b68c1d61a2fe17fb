"""The targets: ten numbers, each beside what it is compared with in the same run."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.fresh import Answer
from benchmarks.report import Table, all_losses, number
from benchmarks.target import FACTORS, Answers, Compared, Target, all_runs, value
from benchmarks.target import table as table_of

JQ_PART = 4  # verify is compared with a quarter of jq's time


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
        value("us made", "p50"),
        value("ref emit", "p50"),
    ),
    Target(
        "caller, event made in the call, p50",
        "4 times less",
        4,
        LESS,
        "us",
        value("us emit", "p50"),
        value("ref emit", "p50"),
    ),
    Target(
        "caller p99.9, made in the call, rotating and compressing",
        "no more than the reference without rotation",
        1,
        LESS,
        "us",
        value("us compressing", "p99.9"),
        value("ref emit", "p99.9"),
    ),
    Target(
        "CPU of all threads per event, made in the call",
        "2.5 times less",
        2.5,
        LESS,
        "us",
        value("us through", "cpu_us"),
        value("ref through", "cpu_us"),
    ),
    Target(
        "events per second to a closed file, made in the call",
        "2.5 times more",
        2.5,
        MORE,
        "1/s",
        value("us through", "events_per_s"),
        value("ref through", "events_per_s"),
    ),
    Target(
        'plain log.info("text", five scalars), p50',
        "6 times less",
        6,
        LESS,
        "us",
        value("us plain", "p50"),
        value("ref plain", "p50"),
    ),
    Target(
        "stdlib handler, CPU per record",
        "3 times less than QueueHandler + python-json-logger (msgspec)",
        3,
        LESS,
        "us",
        value("handler", "cpu_us"),
        value("queue handler", "cpu_us"),
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
        value("memory", "mb"),
    ),
)


def table(runs: list[dict[str, Answer]]) -> Table:
    """Return the targets beside what was measured in each of several runs."""
    notes = [
        f"{FACTORS}; for events per second how many times more, for the import how many times as much.",
        f"The timer alone takes {number(runs[0]['us emit']['timer'])} us, which is in every caller's time.",
        *_second_looks(runs[0]),
        *all_losses(all_runs(runs)),
    ]
    return table_of("Targets", TARGETS, runs, notes)


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
