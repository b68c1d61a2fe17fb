"""The commands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks import comparison, latency, machine, page, peers, plots, profiling, scaling, target_runs, targets
from benchmarks.fresh import Answer
from benchmarks.rounds import console
from benchmarks.sizes import QUICK, Sizes

Command = Callable[..., Any]
RUNS = 3
PROFILED = 500  # events: callgrind is some 50 times slower, and its counts hardly vary


def _sized(command: Command) -> Command:
    """Give a command the options that say how much is measured."""
    for option in (
        click.option("--rounds", type=click.IntRange(1), help="Interleaved rounds; medians count.  [default: 7]"),
        click.option("--count", type=click.IntRange(10), help="Events in one measurement.  [default: 200000]"),
        click.option("--quick", is_flag=True, help="Small sizes, to see that things work; the numbers mean nothing."),
    ):
        command = option(command)
    return command


def _sizes(*, quick: bool, rounds: int | None, count: int | None, lines: int | None = None) -> Sizes:
    given = {"rounds": rounds, "count": count, "lines": lines}
    return dataclasses.replace(
        QUICK if quick else Sizes(), **{name: value for name, value in given.items() if value is not None}
    )


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Measure bamboo_logmetrics and the packages that do the same work.

    Each measurement runs in a fresh process, in interleaved rounds, with the garbage collector on; every file that is
    written is checked. Without a command: the table of targets.
    """
    if context.invoked_subcommand is None:
        context.invoke(targets_command)


@main.command("targets")
@_sized
@click.option("--lines", type=click.IntRange(1), help="Lines of the file that verify reads.  [default: 1000000]")
@click.option("--runs", type=click.IntRange(1), default=1, show_default=True, help="Separate runs, a column each.")
@click.option("--error", is_flag=True, help="Give the events an error text.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False), help="Write all that was measured here too.")
def targets_command(
    *,
    quick: bool = False,
    rounds: int | None = None,
    count: int | None = None,
    lines: int | None = None,
    runs: int = 1,
    error: bool = False,
    json_path: str | None = None,
) -> None:
    """Show the ten targets beside what is measured."""
    sizes = _sizes(quick=quick, rounds=rounds, count=count, lines=lines)
    measured = [
        target_runs.measure(sizes, error=error, title=f"targets, run {run} of {runs}") for run in range(1, runs + 1)
    ]
    if json_path:
        Path(json_path).write_text(json.dumps(measured, indent=1), encoding="utf-8")
    targets.table(measured).show()


@main.command("peers")
@_sized
@click.argument("names", nargs=-1, type=click.Choice(peers.NAMES), metavar="[PEER]...")
def peers_command(*, quick: bool, rounds: int | None, count: int | None, names: tuple[str, ...]) -> None:
    """Show every package beside the others, or only those named."""
    sizes = _sizes(quick=quick, rounds=rounds, count=count)
    comparison.table(comparison.measure(sizes, names or peers.NAMES)).show()


@main.command("latency")
@_sized
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this SVG file.")
def latency_command(*, quick: bool, rounds: int | None, count: int | None, plot: Path | None) -> None:
    """Show how long a call takes in seven situations."""
    answers = latency.measure(_sizes(quick=quick, rounds=rounds, count=count))
    latency.table(answers).show()
    if plot:
        plots.latency(answers, plot)


@main.command("scaling")
@_sized
@click.option("--plots", "folder", type=click.Path(file_okay=False, path_type=Path), help="Draw SVG files into here.")
def scaling_command(*, quick: bool, rounds: int | None, count: int | None, folder: Path | None) -> None:
    """Show how cost grows with threads, processes, queue size, bound values and line length."""
    curves, answers = scaling.measure(_sizes(quick=quick, rounds=rounds, count=count))
    for axis in scaling.AXES:
        scaling.table(axis, curves).show()
        if folder:
            plots.scaling(axis, curves, folder / f"{axis}.svg")
    for sentence in scaling.losses(answers):
        console.print(sentence, markup=False)


@main.command("profile")
@click.option(
    "--count", type=click.IntRange(10), default=PROFILED, show_default=True, help="Events in one measurement."
)
def profile_command(*, count: int) -> None:
    """Count instructions per event, by perf stat or callgrind."""
    profiling.table(count).show()


@main.command("all")
@_sized
@click.option("--lines", type=click.IntRange(1), help="Lines of the file that verify reads.  [default: 1000000]")
@click.option("--runs", type=click.IntRange(1), default=RUNS, show_default=True, help="Separate runs of the targets.")
def all_command(*, quick: bool, rounds: int | None, count: int | None, lines: int | None, runs: int) -> None:
    """Measure everything and write docs/performance.md with its plots; takes hours."""
    sizes = _sizes(quick=quick, rounds=rounds, count=count, lines=lines)
    steps: dict[str, Callable[[], str]] = {
        "targets": lambda: _targets_section(sizes, runs),
        "peers": lambda: comparison.table(comparison.measure(sizes)).markdown(),
        "latency": lambda: _latency_section(latency.measure(sizes)),
        "scaling": lambda: _scaling_section(*scaling.measure(sizes)),
        "profile": lambda: profiling.table(100 if quick else PROFILED).markdown(),
        "machine": lambda: machine.table().markdown(),
    }
    for name, section in steps.items():
        page.write({name: section()})  # at once: what is interrupted keeps what it has
        console.print(f"{name}: written to {page.PAGE}", markup=False)


def _targets_section(sizes: Sizes, runs: int) -> str:
    measured = [target_runs.measure(sizes, title=f"targets, run {run} of {runs}") for run in range(1, runs + 1)]
    return targets.table(measured).markdown()


def _latency_section(answers: dict[str, Answer]) -> str:
    plots.latency(answers, page.PLOTS / "latency.svg")
    return f"{latency.table(answers).markdown()}\n{page.image('Latency by percentile', 'latency')}\n"


def _scaling_section(curves: list[scaling.Curve], answers: dict[str, Answer]) -> str:
    parts = []
    for axis, title in scaling.AXES.items():
        plots.scaling(axis, curves, page.PLOTS / f"{axis}.svg")
        parts += [f"### {title[0].upper()}{title[1:]}", page.image(f"Growth with {title}", axis)]
        parts.append(scaling.table(axis, curves).markdown().strip())
    return "\n\n".join([*parts, *scaling.losses(answers)])
