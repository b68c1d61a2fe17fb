"""Calls as applications make them, each beside structlog's fastest set-up for the same values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from benchmarks import peers
from benchmarks.events import CONTEXT, EXCEPTIONS, PROCESSOR
from benchmarks.fresh import Answer
from benchmarks.jobs.caller import caller
from benchmarks.jobs.throughput import throughput
from benchmarks.peers import ECS_REFERENCE, REFERENCE, US
from benchmarks.peers.kinds import LINES
from benchmarks.report import Table, all_losses
from benchmarks.rounds import LOSSLESS, Task, interleaved, task
from benchmarks.sizes import Sizes
from benchmarks.target import FACTORS, Compared, Target, all_runs, value
from benchmarks.target import table as table_of

BURST = 10_000  # lines between two flushes


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of call.

    Args:
        title: what a table calls it.
        kind: the kind of the peers' call.
        caller: how many times less our call is to take at least, by its p50; None where nothing was asked for.
        cpu: how many times less CPU all our threads are to take at least.
        needs: see ``events.Load``.
        options: options of ``bamboo_logmetrics.open_log``.
        reference: the peer that it is compared with.
    """

    title: str
    kind: str
    caller: float | None
    cpu: float | None
    needs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    reference: str = REFERENCE


CASES = {
    "scalars": Case("five scalars", "plain", 5, 1.4),
    "context": Case("three context variables bound, three scalars", "three", 3, 1.2, (CONTEXT,)),
    "event": Case("three context variables bound, an event made in the call", "emit", 3, 1.2, (CONTEXT,)),
    "nested": Case("a list, a dict and a float", "nested", 2, 1),
    "objects": Case("a UUID and a datetime", "objects", 2, 1),
    "exception": Case("log.exception", "exception", 1, 1, (EXCEPTIONS,)),
    "processor": Case("one processor of the user, five scalars", "plain", 1.5, 1, (PROCESSOR,)),
    "ecs": Case("layout ecs, five scalars", "plain", 5, 1.5, options={"layout": "ecs"}, reference=ECS_REFERENCE),
    "words": Case("a text of 2,400 characters, random words", "words", None, 0.5),
    "source": Case("a text of 2,400 characters, Python source", "source", None, None),
    "sentences": Case("a text of 2,400 characters, sentences with numbers and signs", "sentences", None, None),
    "request": Case("a request: three context variables, ten lines", "request", None, None, (CONTEXT, EXCEPTIONS)),
}


def tasks(sizes: Sizes) -> dict[str, Task]:
    """Return the runs: for each case the caller's time and the CPU, ours and theirs."""
    found: dict[str, Task] = {}
    for name, case in CASES.items():
        lines = LINES.get(case.kind, 1)
        count = max(sizes.count // lines, 1)
        load: dict[str, Any] = {"bound": {}, "needs": case.needs}
        for who, peer, options in (("us", US, case.options), ("ref", case.reference, {})):
            common: dict[str, Any] = {"peer": peer, "kind": case.kind, "count": count}
            burst = BURST // lines
            found[f"{who} {name}, caller"] = task(caller, **common, burst=burst, load={**load, "options": options})
            lossless = {**LOSSLESS, **options}
            found[f"{who} {name}, cpu"] = task(throughput, **common, load={**load, "options": lossless})
    return found


def measure(sizes: Sizes, title: str = "calls") -> dict[str, Answer]:
    """Return the answers of one run of all cases."""
    _, left_out = peers.installed((US, REFERENCE, ECS_REFERENCE))
    if left_out:
        raise click.ClickException("\n".join(left_out))
    return interleaved(title, tasks(sizes), sizes.rounds)


def table(runs: list[dict[str, Answer]]) -> Table:
    """Return two rows for each case, the caller's time and the CPU of all threads, beside each run's factor."""
    targets = [target for name, case in CASES.items() for target in _targets(name, case)]
    notes = [f"{FACTORS}.", *all_losses(all_runs(runs))]
    return table_of("Calls as applications make them", targets, runs, notes)


def _targets(name: str, case: Case) -> list[Target]:
    """Return the rows of one case."""
    rows = (("caller p50", "caller", "p50", case.caller), ("CPU of all threads", "cpu", "cpu_us", case.cpu))
    return [
        Target(
            f"{case.title}: {quantity}",
            _asked(limit),
            limit,
            Compared.LESS,
            "us",
            value(f"us {name}, {run}", key),
            value(f"ref {name}, {run}", key),
        )
        for quantity, run, key, limit in rows
    ]


def _asked(limit: float | None) -> str:
    if limit is None:
        return ""
    if limit < 1:
        return f"at most {1 / limit:g} times as much"
    return "no more" if limit == 1 else f"{limit:g} times less"
