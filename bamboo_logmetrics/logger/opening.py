"""Opening a log: one for its holder, or one for the whole application."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import structlog

from bamboo_logmetrics.errors import BambooLogError, ConfigError, PlatformError
from bamboo_logmetrics.logfiles.stream import PIPE_LINE, find_stream, is_pipe
from bamboo_logmetrics.logger import pickling
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.target import LogTarget
from bamboo_logmetrics.options import make_options
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.pipeline.pipeline import Pipeline
from bamboo_logmetrics.record.snapshot import freeze_text
from bamboo_logmetrics.system import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from bamboo_logmetrics.logfiles import Sink
    from bamboo_logmetrics.options import OptionValues
    from bamboo_logmetrics.pipeline.statistics import Stats

_configured = LogTarget()


def open_log(path: str | os.PathLike[str], **options: Unpack[OptionValues]) -> BoundLog:
    """Open a log, and return a logger with a pipeline of its own; also a context manager.

    ::

        with bamboo_logmetrics.open_log("metrics.jsonl", max_bytes=10_000_000) as log:
            log.emit(ToolCalled(...))

    A file that cannot be opened at the moment (a full disk, too many open files) is no error: it is reported on stderr
    and tried again.

    Args:
        path: the file; it and its directory are created if needed. A relative path is resolved now, so that a later
            ``chdir`` has no effect. ``"-"``, ``/dev/stdout``, ``/dev/stderr`` and ``/dev/fd/N`` are streams, as
            containers log to them: written to without rotation, with the same counts.
        options: see :class:`Options`.

    Raises:
        ConfigError: an option is unknown or its value is not allowed, a log at ``path`` could never be written
            (permissions, a name that is too long), or the file there is not a log.
        PlatformError: Python is a free-threaded build.
    """
    return logger_of(open_pipeline(path, options))


def open_pipeline(
    path: str | os.PathLike[str], options: Mapping[str, Any], around: Callable[[Sink], Sink] | None = None
) -> Pipeline:
    """Open a pipeline; arguments and errors as for :func:`open_log` and :class:`Pipeline`."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        msg = "bamboo_logmetrics counts exactly only under the GIL: use Python's ordinary build, or set PYTHON_GIL=1"
        raise PlatformError(msg)
    checked = make_options(options)
    resolved = _resolve(path)
    if is_pipe(resolved):
        checked = make_options(options, defaults={"max_line_bytes": PIPE_LINE})
    if checked.close_on_sigterm:
        process.catch_sigterm()
    return Pipeline(resolved, checked, around)


def _resolve(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a log's file or stream; raise ConfigError if ``path`` cannot be one."""
    try:
        if (stream := find_stream(os.fsdecode(path))) is not None:
            return stream
        resolved = os.path.realpath(os.fsdecode(path))  # a link is followed now: rotation renames files, not links
    except (TypeError, ValueError):  # ValueError: a NUL in the path
        msg = f"path must be a file's path, as str or pathlib.Path; got {path!r}"
        raise ConfigError(msg) from None
    except OSError as error:  # the current directory is gone
        msg = f"path {path!r} cannot be resolved ({error}); give an absolute path"
        raise ConfigError(msg) from None
    if not os.path.basename(os.fsdecode(path)):
        msg = f"path must name a file; got {os.fsdecode(path)!r}"
        raise ConfigError(msg)
    _check_links(os.path.abspath(os.fsdecode(path)))
    return resolved


def _check_links(path: str) -> None:
    """Raise ConfigError if a part of a path is a link to nothing: a log there would be created somewhere else."""
    while path != os.path.dirname(path):
        if os.path.islink(path) and not os.path.exists(path):
            target = os.path.realpath(path)
            msg = f"{path} is a symbolic link to nothing: create {target}, remove the link, or give another path"
            raise ConfigError(msg)
        path = os.path.dirname(path)


def logger_of(pipeline: Pipeline) -> BoundLog:
    """Return a logger that writes to ``pipeline``."""
    target = LogTarget()
    target.set_pipeline(pipeline)
    target.origin = pipeline.opening
    pickling.register(target, pipeline.opening)
    return BoundLog(target, target.processors, {})


def restored_target(origin: str, path: str, options: dict[str, Any], own: bool, /) -> LogTarget:  # noqa: FBT001
    """Return the target of a pickled logger's log; see :mod:`bamboo_logmetrics.logger.pickling`."""
    if not own and (_configured.pipeline is not None or not path):
        return _configured
    return pickling.find(origin, lambda: _reopened(path, options))


pickling.restore = restored_target


def _reopened(path: str, options: dict[str, Any]) -> LogTarget:
    """Open the log of an unpickled logger; if that is not possible, return a target that refuses every record."""
    if threading.current_thread() is not threading.main_thread():
        options = {**options, "close_on_sigterm": False}  # Python sets signal handlers in the main thread only
    try:
        if is_pipe(path) and options["max_line_bytes"] > PIPE_LINE:
            msg = f"max_line_bytes={options['max_line_bytes']} on a pipe is for one process: use at most {PIPE_LINE}"
            raise ConfigError(msg)
        pipeline = open_pipeline(path, options)
    except BambooLogError as error:
        Diagnostics(path, Clock()).report(f"the log of an unpickled logger cannot be opened: {error}", owed=True)
        return LogTarget()
    return logger_of(pipeline)._logger


def configure(path: str | os.PathLike[str], **options: Unpack[OptionValues]) -> None:
    """Open the application's log, to which ``structlog.get_logger()`` and :func:`get_logger` write from now on.

    ::

        bamboo_logmetrics.configure("metrics.jsonl", level="info")
        structlog.get_logger().info("ready")

    The log is closed at exit. A second call opens the new log, moves all loggers there, cached ones too, and closes the
    old log; if it fails, the old log stays in use.

    Args:
        path: as for :func:`open_log`.
        options: as for :func:`open_log`.

    Raises:
        ConfigError: as for :func:`open_log`.
        PlatformError: as for :func:`open_log`.
    """
    pipeline = open_pipeline(path, options)
    previous = _configured.pipeline
    _configured.set_pipeline(pipeline)
    pickling.register(_configured, pipeline.opening)
    structlog.configure(
        processors=_configured.processors,
        wrapper_class=BoundLog,
        logger_factory=_target_of,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    if previous is not None:
        previous.close()


def get_logger(name: str | None = None, /, **initial_values: Any) -> BoundLog:
    """Return a logger of the application's log; it may be called before :func:`configure`.

    Args:
        name: the logger's name, such as ``__name__``; its lines have it as ``logger``.
        initial_values: values to bind, as ``BoundLog.bind`` does.
    """
    target = _target_of(name)
    return BoundLog(target, target.processors, initial_values)


def _target_of(*args: Any) -> LogTarget:
    """Return the target of the loggers of one name; arguments as ``structlog.get_logger`` passes them."""
    name = args[0] if args else None
    return _configured if name is None or name == "" else _configured.named(freeze_text(name))


def stats() -> Stats:
    """Return one snapshot of the application's log in this process.

    Raises:
        ConfigError: no log is configured.
    """
    return get_logger().stats()


def flush(timeout: float = 5.0) -> bool:
    """Wait until all that was emitted before is in the application's log.

    Args:
        timeout: seconds to wait at most.

    Returns:
        True if all of it is in the file.

    Raises:
        ConfigError: no log is configured.
    """
    return get_logger().flush(timeout)


def close(timeout: float = 5.0) -> bool:
    """Write what is queued, and end the application's log.

    Args:
        timeout: seconds to wait at most; see :meth:`BoundLog.close`.

    Returns:
        True if everything was written.

    Raises:
        ConfigError: no log is configured.
    """
    return get_logger().close(timeout)
