"""The proxy beside nginx and LiteLLM's proxy."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.fresh import Answer
from benchmarks.jobs.proxying import proxying
from benchmarks.report import Table, number
from benchmarks.rounds import interleaved, task
from benchmarks.sizes import Sizes

SERVERS = {
    "none": "the provider alone",
    "nginx": "nginx",
    "bamboo": "bamboo-logmetrics proxy",
    "litellm": "LiteLLM's proxy",
}
COLUMNS = ("", "p50, ms", "added, ms", "p99, ms", "requests/s", "requests for each s of CPU")
_CONNECTIONS = 32
_SHARE = 10  # of the requests, for LiteLLM's proxy


def measure(sizes: Sizes) -> dict[str, Answer]:
    """Return the answers for each server that is installed."""
    there = ["none", "bamboo"]
    if shutil.which("nginx") or Path("/usr/sbin/nginx").exists():
        there.insert(1, "nginx")
    if shutil.which("litellm"):
        there.append("litellm")
    tasks = {
        name: task(
            proxying, server=name, count=sizes.count // (_SHARE if name == "litellm" else 1), connections=_CONNECTIONS
        )
        for name in there
    }
    return interleaved("proxying", tasks, sizes.rounds)


def table(answers: dict[str, Answer]) -> Table:
    """Return a row for each server."""
    rows = [_row(name, answers) for name in SERVERS if name in answers]
    how = (
        "Requests and answers of one kilobyte on loopback. Latency on one connection, one request after the other; "
        f"requests a second on {_CONNECTIONS} connections, where client, provider and server share the machine."
    )
    notes = [how, "bamboo-logmetrics writes both events of each request; nginx writes its access log."]
    return Table("Forwarding", COLUMNS, rows, notes)


def _row(name: str, answers: dict[str, Answer]) -> list[str]:
    answer, alone = answers[name], answers.get("none")
    added = number(answer["p50"] - alone["p50"]) if alone and name != "none" else ""
    core = number(answer["a_core"]) if answer["a_core"] else ""
    return [SERVERS[name], number(answer["p50"]), added, number(answer["p99"]), number(answer["rate"]), core]
