"""Plots as SVG that read well on a light and on a dark page: no background, grey text, colours between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.fresh import Answer
from benchmarks.latency import CURVE, REFERENCE_TITLE
from benchmarks.scaling import AXES, Curve

GREY = "#808080"
COLOURS = ("#3987e5", "#d95926", "#199e70", "#c98500", "#9085e9", "#d55181", "#008300")  # seven situations
LOGARITHMIC = {"queue", "line", "threads", "processes"}
STYLE: dict[str, Any] = {
    "svg.hashsalt": "bamboo_logmetrics",  # ids in the file stay the same
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


def latency(answers: dict[str, Answer], path: Path) -> None:
    """Draw latency by percentile, a line for each situation; the reference is dashed and grey."""
    pyplot = _pyplot()
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(8, 5))
        xs = range(len(CURVE))
        colours = iter(COLOURS)
        for title, answer in answers.items():
            look = {"color": GREY, "linestyle": "--"} if title == REFERENCE_TITLE else {"color": next(colours)}
            axes.plot(xs, [answer[key] for key in CURVE], marker="o", label=title, **look)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.set_xticks(xs, [key[1:] + " %" for key in CURVE])
        axes.set_xlabel("percentile of calls")
        axes.set_ylabel("time at the caller, us")
        axes.legend(loc="upper left", fontsize=9)
        _save(figure, path)


def scaling(axis: str, curves: Sequence[Curve], path: Path) -> None:
    """Draw throughput and p99 along one axis, a line for each peer."""
    pyplot = _pyplot()
    with pyplot.rc_context(STYLE):
        figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 6), sharex=True)
        for curve in [curve for curve in curves if curve.axis == axis]:
            ours = curve.peer == peers.US
            look = {"color": COLOURS[0]} if ours else {"color": GREY, "linestyle": "--"}
            above.plot(curve.xs, curve.events_per_s, marker="o", label=peers.title_of(curve.peer), **look)
            below.plot(curve.xs, curve.p99, marker="o", **look)
        ticks = sorted({x for curve in curves if curve.axis == axis and curve.peer == peers.US for x in curve.xs})
        if axis in LOGARITHMIC:
            below.set_xscale("log")
        below.set_xticks(ticks, [f"{x:,.0f}" for x in ticks])
        below.minorticks_off()
        above.set_ylim(bottom=0)
        below.set_yscale("log")
        below.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        above.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        above.set_ylabel("events/s to a closed file")
        below.set_ylabel("p99 at the caller, us")
        below.set_xlabel(AXES[axis])
        above.legend(fontsize=9)
        _save(figure, path)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    _pyplot().close(figure)
