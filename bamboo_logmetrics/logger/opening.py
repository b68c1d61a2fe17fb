"""Opening a log: one for its holder, or one for the whole application."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import structlog

from bamboo_logmetrics.errors import ConfigError, PlatformError
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.target import LogTarget
from bamboo_logmetrics.options import make_options
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from bamboo_logmetrics.logfiles import Sink
    from bamboo_logmetrics.pipeline.statistics import Stats

_configured = LogTarget()


def open_log(path: str | os.PathLike[str], **options: Any) -> BoundLog:
    """Open the log at ``path`` and return a logger with a pipeline of its own; also a context manager.

    Args:
        path: the file; it and its directory are made if need be. Resolved now, so that a later chdir has no effect.
        options: see :class:`bamboo_logmetrics.Options`.

    Raises ConfigError for an option without meaning, or a path where something else than a regular file is. A file
    that cannot be opened now (permissions, a full disk) is tried again, and said on stderr.
    """
    return logger_of(open_pipeline(path, options))


def open_pipeline(
    path: str | os.PathLike[str], options: dict[str, Any], around: Callable[[Sink], Sink] | None = None
) -> Pipeline:
    """Open a pipeline; arguments as for :func:`open_log` and :class:`Pipeline`."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        msg = "bamboo_logmetrics counts exactly only under the GIL: use the ordinary build of Python"
        raise PlatformError(msg)
    try:
        resolved = os.path.realpath(os.fsdecode(path))  # a link is followed now: rotation renames files, not links
    except (TypeError, ValueError):  # ValueError: a NUL in it
        msg = f"path must be a file's path, as str or pathlib.Path; got {path!r}"
        raise ConfigError(msg) from None
    except OSError as error:  # the current directory is gone
        msg = f"path {path!r} cannot be resolved ({error}); give an absolute path"
        raise ConfigError(msg) from None
    if not os.path.basename(os.fsdecode(path)):
        msg = f"path must name a file; got {os.fsdecode(path)!r}"
        raise ConfigError(msg)
    made = make_options(options)
    if made.close_on_sigterm:
        process.catch_sigterm()
    return Pipeline(resolved, made, around)


def logger_of(pipeline: Pipeline) -> BoundLog:
    """Return a logger that writes to ``pipeline``."""
    outlet = LogTarget()
    outlet.set_pipeline(pipeline)
    return BoundLog(outlet, outlet.processors, {})


def configure(path: str | os.PathLike[str], **options: Any) -> None:
    """Open the application's log: ``structlog.get_logger()`` and ``get_logger()`` write to it from now on.

    Arguments and errors as for :func:`open_log`. It is closed at exit. Called again, it opens
    the new log, moves every logger there, cached ones too, and closes the old one.
    """
    pipeline = open_pipeline(path, options)
    previous = _configured.pipeline
    _configured.set_pipeline(pipeline)
    structlog.configure(
        processors=_configured.processors,
        wrapper_class=BoundLog,
        logger_factory=lambda *_: _configured,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    if previous is not None:
        previous.close()


def get_logger(**initial_values: Any) -> BoundLog:
    """Return a logger of the application's log, also before :func:`configure` is called."""
    return BoundLog(_configured, _configured.processors, initial_values)


def stats() -> Stats:
    """Return one snapshot of the configured log's counters. Raises ConfigError if none is configured."""
    return get_logger().stats()


def flush(timeout: float = 5.0) -> bool:
    """Flush the configured log, as :meth:`BoundLog.flush`. Raises ConfigError if none is configured."""
    return get_logger().flush(timeout)


def close(timeout: float = 5.0) -> bool:
    """Close the configured log, as :meth:`BoundLog.close`. Raises ConfigError if none is configured."""
    return get_logger().close(timeout)
