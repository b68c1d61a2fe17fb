"""Errors inside the instrumentation: counted, reported once, never raised into the application."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from bamboo_logmetrics.pipeline.diagnostics import stderr

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Errors:
    """The number of errors of this process."""

    count = 0


def observation_errors() -> int:
    """Return the number of errors inside the instrumentation of this process; the first one was reported on stderr."""
    return _Errors.count


def count_error(error: Exception) -> None:
    """Count an error, and report it if it is the first."""
    _Errors.count += 1
    if _Errors.count == 1:
        text = (
            f"a model call could not be observed, and the call itself is not affected: {type(error).__name__}: {error}"
        )
        stderr.report(text, time.monotonic(), owed=True)


def shielded(function: Callable[_P, _T]) -> Callable[_P, _T | None]:
    """Let a function return None where it would raise an Exception, which is counted."""

    @functools.wraps(function)
    def calling(*args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the application goes on
            count_error(error)
            return None

    return calling
