"""The commands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks import (
    calls,
    comparison,
    latency,
    machine,
    page,
    peers,
    plots,
    profiling,
    proxying,
    reading,
    scaling,
    sizes,
    target_runs,
    targets,
)
from benchmarks.fresh import Answer
from benchmarks.report import Table
from benchmarks.rounds import console
from benchmarks.sizes import QUICK, Sizes

Command = Callable[..., Any]
RUNS = 3
PROFILED = 500  # events: callgrind is some 50 times slower, and its counts hardly vary


def _sized(usual: Sizes) -> Callable[[Command], Command]:
    """Give a command the options that say how much is measured."""

    def sized(command: Command) -> Command:
        rounds, count = f"[default: {usual.rounds}]", f"[default: {usual.count}]"
        for option in (
            click.option("--rounds", type=click.IntRange(1), help=f"Interleaved rounds; medians count.  {rounds}"),
            click.option("--count", type=click.IntRange(10), help=f"Events in one measurement.  {count}"),
            click.option("--quick", is_flag=True, help="Small sizes, to see that things work; no number counts."),
        ):
            command = option(command)
        return command

    return sized


def _sizes(usual: Sizes, *, quick: bool = False, **values: int | None) -> Sizes:
    chosen = {name: value for name, value in values.items() if value is not None}
    return dataclasses.replace(QUICK if quick else usual, **chosen)


def _with_sizes(table: Table, sizes: Sizes) -> Table:
    return dataclasses.replace(table, notes=[sizes.said(), *table.notes])


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
@_sized(sizes.TARGETS)
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
    chosen = _sizes(sizes.TARGETS, quick=quick, rounds=rounds, count=count, lines=lines)
    measured = _target_runs(chosen, runs, error=error)
    if json_path:
        Path(json_path).write_text(json.dumps(measured, indent=1), encoding="utf-8")
    _with_sizes(targets.table(measured), chosen).show()


@main.command("calls")
@_sized(sizes.CALLS)
@click.option("--runs", type=click.IntRange(1), default=1, show_default=True, help="Separate runs, a column each.")
def calls_command(*, quick: bool, rounds: int | None, count: int | None, runs: int) -> None:
    """Show calls as applications make them, beside structlog's fastest set-up."""
    chosen = _sizes(sizes.CALLS, quick=quick, rounds=rounds, count=count)
    _with_sizes(calls.table(_call_runs(chosen, runs)), chosen).show()


@main.command("peers")
@_sized(sizes.PEERS)
@click.argument("names", nargs=-1, type=click.Choice(peers.NAMES), metavar="[PEER]...")
def peers_command(*, quick: bool, rounds: int | None, count: int | None, names: tuple[str, ...]) -> None:
    """Show every package beside the others, or only those named."""
    chosen = _sizes(sizes.PEERS, quick=quick, rounds=rounds, count=count)
    _with_sizes(comparison.table(comparison.measure(chosen, names or peers.NAMES)), chosen).show()


@main.command("latency")
@_sized(sizes.LATENCY)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this SVG file.")
def latency_command(*, quick: bool, rounds: int | None, count: int | None, plot: Path | None) -> None:
    """Show how long a call takes in seven situations."""
    chosen = _sizes(sizes.LATENCY, quick=quick, rounds=rounds, count=count)
    answers = latency.measure(chosen)
    _with_sizes(latency.table(answers), chosen).show()
    if plot:
        plots.latency(answers, plot)


@main.command("scaling")
@_sized(sizes.SCALING)
@click.option("--plots", "folder", type=click.Path(file_okay=False, path_type=Path), help="Draw SVG files into here.")
def scaling_command(*, quick: bool, rounds: int | None, count: int | None, folder: Path | None) -> None:
    """Show how cost grows with threads, processes, queue size, bound values and line length."""
    chosen = _sizes(sizes.SCALING, quick=quick, rounds=rounds, count=count)
    curves, answers = scaling.measure(chosen)
    console.print(_scaling_sizes(chosen), markup=False)
    for axis in scaling.AXES:
        scaling.table(axis, curves).show()
        if folder:
            plots.scaling(axis, curves, folder / f"{axis}.svg")
    for sentence in scaling.losses(answers):
        console.print(sentence, markup=False)


@main.command("reading")
@_sized(sizes.READING)
@click.option("--lines", type=click.IntRange(10), help="Events of the log.  [default: 1000000]")
def reading_command(*, quick: bool, rounds: int | None, count: int | None, lines: int | None) -> None:
    """Show summary beside bare DuckDB and jq, which take minutes."""
    chosen = _sizes(sizes.READING, quick=quick, rounds=rounds, count=count, lines=lines)
    reading.table(reading.measure(chosen)).show()


@main.command("proxying")
@_sized(sizes.PROXYING)
def proxying_command(*, quick: bool, rounds: int | None, count: int | None) -> None:
    """Show the proxy beside nginx and LiteLLM's, as far as they are installed."""
    chosen = _sizes(sizes.PROXYING, quick=quick, rounds=rounds, count=count)
    proxying.table(proxying.measure(chosen)).show()


@main.command("profile")
@click.option(
    "--count", type=click.IntRange(10), default=PROFILED, show_default=True, help="Events in one measurement."
)
def profile_command(*, count: int) -> None:
    """Time each stage of an event's way, and count instructions per event, by perf stat or callgrind."""
    profiling.stages_table(sizes.STAGES).show()
    profiling.table(count).show()


Section = Callable[[Sizes, int], str]  # from how much is measured, and the number of runs
SECTIONS: dict[str, tuple[Sizes, Section]] = {
    "targets": (sizes.TARGETS, lambda chosen, runs: _section(targets.table(_target_runs(chosen, runs)), chosen)),
    "calls": (sizes.CALLS, lambda chosen, runs: _section(calls.table(_call_runs(chosen, runs)), chosen)),
    "peers": (sizes.PEERS, lambda chosen, _: _section(comparison.table(comparison.measure(chosen)), chosen)),
    "latency": (sizes.LATENCY, lambda chosen, _: _latency_section(chosen)),
    "scaling": (sizes.SCALING, lambda chosen, _: _scaling_section(chosen)),
    "reading": (sizes.READING, lambda chosen, _: _reading_section(chosen)),
    "proxying": (sizes.PROXYING, lambda chosen, _: _proxying_section(chosen)),
    "profile": (sizes.TARGETS, lambda chosen, _: _profile_section(chosen)),
    "machine": (sizes.TARGETS, lambda *_: machine.table().markdown()),
}


@main.command("page")
@click.argument("names", nargs=-1, type=click.Choice(list(SECTIONS)), metavar="[SECTION]...")
@click.option("--quick", is_flag=True, help="Small sizes, to see that things work; no number counts.")
@click.option("--runs", type=click.IntRange(1), default=RUNS, show_default=True, help="Runs of targets and calls.")
def page_command(*, quick: bool, runs: int, names: tuple[str, ...]) -> None:
    """Measure, and write docs/reference/performance.md with its plots.

    SECTION is one of targets, calls, peers, latency, scaling, reading, proxying, profile and machine; without one all
    are written, which takes an hour.
    """
    for name in names or SECTIONS:
        usual, section = SECTIONS[name]
        page.write({name: section(QUICK if quick else usual, runs)})  # at once: what is interrupted keeps what it has
        console.print(f"{name}: written to {page.PAGE}", markup=False)


def _target_runs(chosen: Sizes, runs: int, *, error: bool = False) -> list[dict[str, Answer]]:
    return [
        target_runs.measure(chosen, error=error, title=f"targets, run {run} of {runs}") for run in range(1, runs + 1)
    ]


def _call_runs(chosen: Sizes, runs: int) -> list[dict[str, Answer]]:
    return [calls.measure(chosen, title=f"calls, run {run} of {runs}") for run in range(1, runs + 1)]


def _section(table: Table, chosen: Sizes) -> str:
    return f"{_with_sizes(table, chosen).markdown()}\n{machine.measured_today()}\n"


def _latency_section(chosen: Sizes) -> str:
    answers = latency.measure(chosen)
    plots.latency(answers, page.PLOTS / "latency.svg")
    return f"{_section(latency.table(answers), chosen)}\n{page.image('Latency by percentile', 'latency')}"


def _reading_section(chosen: Sizes) -> str:
    rounds = f"Medians of {chosen.rounds} interleaved rounds, after one that is not counted."
    return f"{reading.table(reading.measure(chosen)).markdown()}\n{rounds} {machine.measured_today()}\n"


def _proxying_section(chosen: Sizes) -> str:
    rounds = f"Medians of {chosen.rounds} interleaved rounds of {chosen.count:,} requests."
    return f"{proxying.table(proxying.measure(chosen)).markdown()}\n{rounds} {machine.measured_today()}\n"


def _profile_section(chosen: Sizes) -> str:
    parts = [
        profiling.stages_table(min(chosen.count, sizes.STAGES)),
        profiling.table(min(chosen.count // 10, PROFILED)),
    ]
    return "\n".join([*[f"### {part.title}\n\n{part.markdown()}" for part in parts], machine.measured_today()])


def _scaling_sizes(chosen: Sizes) -> str:
    each = dataclasses.replace(chosen, count=max(chosen.count // 4, 1))
    return f"{each.said()} Of long lines fewer, at most 200 MB in a measurement."


def _scaling_section(chosen: Sizes) -> str:
    curves, answers = scaling.measure(chosen)
    parts = [_scaling_sizes(chosen)]
    for axis, title in scaling.AXES.items():
        plots.scaling(axis, curves, page.PLOTS / f"{axis}.svg")
        parts += [f"### {title[0].upper()}{title[1:]}", page.image(f"Growth with {title}", axis)]
        parts.append(scaling.table(axis, curves).markdown().strip())
    return "\n\n".join([*parts, *scaling.losses(answers), machine.measured_today()])
