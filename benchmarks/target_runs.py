"""The runs that the targets need."""

from __future__ import annotations

import shutil
from typing import Any

import click

from benchmarks import peers
from benchmarks.events import ERROR
from benchmarks.fresh import Answer
from benchmarks.jobs.caller import caller
from benchmarks.jobs.commands import imports, verify_and_jq
from benchmarks.jobs.memory import full_queue
from benchmarks.jobs.situations import situation
from benchmarks.jobs.throughput import throughput
from benchmarks.peers import HANDLER, QUEUE_HANDLER, REFERENCE, US
from benchmarks.rounds import LOSSLESS, Task, console, interleaved, task
from benchmarks.sizes import Sizes


def tasks(sizes: Sizes, *, error: bool) -> dict[str, Task]:
    """Return the runs that the rows need; ``error`` gives the events an error text."""
    load: dict[str, Any] = {"error": ERROR} if error else {}
    lossless = {**load, "options": LOSSLESS}
    count = sizes.count
    return {
        "us made": task(caller, peer=US, kind="made", count=count, load=load),
        "us emit": task(caller, peer=US, count=count, load=load),
        "ref emit": task(caller, peer=REFERENCE, count=count, load=load),
        "us compressing": task(situation, name="compression", count=count),
        "us through": task(throughput, peer=US, count=count, load=lossless),
        "ref through": task(throughput, peer=REFERENCE, count=count, load=load),
        "us plain": task(caller, peer=US, kind="plain", count=count),
        "ref plain": task(caller, peer=REFERENCE, kind="plain", count=count),
        "handler": task(throughput, peer=HANDLER, count=count, load=lossless),
        "queue handler": task(throughput, peer=QUEUE_HANDLER, count=count, load=load),
        "memory": task(full_queue, count=sizes.queue, trace=False),
        "memory traced": task(full_queue, count=sizes.queue, trace=True),
    }


def measure(sizes: Sizes, *, error: bool = False, title: str = "targets") -> dict[str, Answer]:
    """Return the answers of one run of all that the rows need."""
    _, left_out = peers.installed((US, HANDLER, REFERENCE, QUEUE_HANDLER))
    if left_out:
        raise click.ClickException("\n".join(left_out))
    answers = interleaved(title, tasks(sizes, error=error), sizes.rounds)
    commands = {"import": task(imports, rounds=sizes.imports)}
    if shutil.which("jq"):
        commands["verify"] = task(verify_and_jq, lines=sizes.lines, rounds=sizes.rounds)
    else:
        console.print("jq is not installed: verify is left out")
    return {**answers, **interleaved(title, commands, 1)}
