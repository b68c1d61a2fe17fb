"""Clocks and percentiles. Times are integers in nanoseconds until a table shows them."""

from __future__ import annotations

import math
import resource
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# Where a latency is looked at, as parts of one.
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
US = 1000  # nanoseconds in a microsecond


def time_calls(call: Callable[[Any], object], arguments: Iterable[Any], out: array[int], start: int) -> None:
    """Call with each argument and put the nanoseconds of each call into ``out`` from index ``start`` on."""
    clock = time.perf_counter_ns
    index = start
    for argument in arguments:
        before = clock()
        call(argument)
        out[index] = clock() - before
        index += 1


def empty_timer(count: int = 20_000) -> int:
    """Return the median nanoseconds that the timer itself reports for no call at all."""
    clock = time.perf_counter_ns
    times = array("q", bytes(8 * count))
    for index in range(count):
        before = clock()
        times[index] = clock() - before
    return percentile(sorted(times), 0.5)


def percentile(ordered: Sequence[int], quantile: float) -> int:
    """Return the nearest-rank percentile of sorted values: the least that so large a part does not exceed."""
    if not ordered:
        msg = "a percentile of no values"
        raise ValueError(msg)
    # 0.99 * 100 is a little more than 99 in binary: the small number keeps that from being the next rank
    rank = math.ceil(quantile * len(ordered) - 1e-9)
    return ordered[max(rank, 1) - 1]


def latencies(times: Iterable[int]) -> dict[str, float]:
    """Return percentiles and maximum in microseconds: ``{"p50": ..., "p99.9": ..., "max": ...}``."""
    ordered = sorted(times)
    percentiles = {f"p{100 * quantile:g}": percentile(ordered, quantile) / US for quantile in QUANTILES}
    return {**percentiles, "max": ordered[-1] / US}


def cpu_seconds() -> float:
    """Return the CPU time of all threads of this process, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
