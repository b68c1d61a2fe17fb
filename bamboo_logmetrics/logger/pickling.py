"""Pickles and copies of loggers.

A pickled logger says "this log, with these values bound". Where it is unpickled, it writes to the same file: in the
process that has the log, or a forked child of it, to that log; in any other process to a pipeline that all loggers
unpickled from this log share. Unpickling never raises because of the log: a pool of processes would hang.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from bamboo_logmetrics.options import options_table
from bamboo_logmetrics.record.snapshot import all_scalar, freeze_mapping

if TYPE_CHECKING:
    from structlog.typing import Processor

    from bamboo_logmetrics.logger.bound_log import BoundLog
    from bamboo_logmetrics.logger.target import LogTarget
    from bamboo_logmetrics.pipeline.pipeline import Pipeline


class _Restore(Protocol):
    """Returns the target of a pickled log; its arguments are those of :func:`reference_of`."""

    def __call__(self, origin: str, path: str, options: dict[str, Any], own: bool, /) -> LogTarget: ...  # noqa: FBT001


_NOT_PICKLED = frozenset({"clock", "fs"})  # doubles of tests
_KEPT = 8

restore: _Restore  # opening.py sets this

_targets: dict[str, weakref.ref[LogTarget]] = {}  # by origin: the opening of the log, perhaps in another process
_recent: list[LogTarget] = []  # restored last: a worker of a pool drops its logger after each task


def register(target: LogTarget, origin: str) -> None:
    """Have loggers that are unpickled in this process, or in a forked child, find ``target``."""
    _targets[origin] = _ref(target, origin)


def find(origin: str, make: Callable[[], LogTarget]) -> LogTarget:
    """Return the target of a log that was opened or restored in this process before; else the one ``make`` returns."""
    target = _usable(_targets.get(origin), origin)
    if target is None:
        new = make()
        new.origin = origin
        ref = _ref(new, origin)
        target = _usable(_targets.setdefault(origin, ref), origin)
        if target is None:
            _targets[origin], target = ref, new
        # else another thread may have been faster: the log that was opened here closes again, unreferenced
        _recent[:] = [target, *_recent][:_KEPT]
    return target


def _ref(target: LogTarget, origin: str) -> weakref.ref[LogTarget]:
    def remove(ref: weakref.ref[LogTarget]) -> None:
        if _targets.get(origin) is ref:
            del _targets[origin]

    return weakref.ref(target, remove)


def _usable(ref: weakref.ref[LogTarget] | None, origin: str) -> LogTarget | None:
    """Return the target unless it was restored here and its log could not be opened, or was closed since."""
    target = None if ref is None else ref()
    if target is None or target.pipeline is None or (target.pipeline.opening != origin and target.pipeline.closed):
        return None
    return target


def reference_of(target: LogTarget) -> tuple[str, str, dict[str, Any], bool]:
    """Return the description of a log in a pickle: origin, path, options, and False for the application's log."""
    pipeline: Pipeline | None = target.pipeline
    if pipeline is None:
        return target.origin, "", {}, False
    options = pipeline.options
    names = [item.name for item in options_table(type(options)) if item.name not in _NOT_PICKLED]
    values = {name: getattr(options, name) for name in names}
    return target.origin or pipeline.opening, pipeline.path, values, bool(target.origin)


def picklable(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return bound values for a pickle: scalars as they are, others in the form that a line has."""
    return dict(context) if all_scalar(context) else freeze_mapping(context)


def rebuild(
    cls: type[BoundLog], target: LogTarget, context: dict[str, Any], processors: list[Processor] | None
) -> BoundLog:
    """Return the logger that a pickle describes; ``processors`` are None for those of the log."""
    return cls(target, target.processors if processors is None else processors, context)


def named(parent: LogTarget, name: str) -> LogTarget:
    """Return the target of the loggers of one name that a pickle describes."""
    return parent.named(name)
