"""Exit, SIGTERM and fork of the process: each open pipeline is closed, flushed or reset."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
import weakref
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.pipeline.diagnostics import stderr


class _OpenLog(Protocol):
    """The part of a pipeline that the process calls."""

    def start_closing(self, timeout: float) -> None: ...
    def close(self, timeout: float = ...) -> bool: ...
    def write_through(self) -> None: ...
    def flush_and_mark_stopped(self, timeout: float = ...) -> bool: ...
    def queued(self) -> int: ...
    def after_fork(self) -> None: ...


_EXIT_TIMEOUT = 5.0  # seconds, for all logs together
_REPEAT_EVERY = 0.05  # seconds until a repeated SIGTERM that did not arrive is sent again

_open: dict[int, weakref.ref[_OpenLog]] = {}  # a dict: list() of its values is one step, while other threads change it
_unreferenced: dict[int, _OpenLog] = {}  # those that end because no logger refers to them any more
_finalized_in = 0  # pid of the process whose multiprocessing exit closes the logs
_ending = False  # SIGTERM came, and the application's handler is ending this process
_pid = os.getpid()  # the process that the state of the logs belongs to
_fork_locks: dict[int, threading.RLock] = {}  # by pid, so that no lock is inherited in an unknown state


def register(pipeline: _OpenLog) -> None:
    """Have ``pipeline`` closed at exit and reset after forks."""
    key = id(pipeline)
    _open[key] = weakref.ref(pipeline, lambda _: _open.pop(key, None))
    if _ending or _is_uwsgi_master():
        pipeline.write_through()


def unregister(pipeline: _OpenLog) -> None:
    """Leave out ``pipeline``, which has ended, from now on."""
    _open.pop(id(pipeline), None)
    _unreferenced.pop(id(pipeline), None)


def keep(pipeline: _OpenLog) -> None:
    """Refer to ``pipeline`` until it has ended: only its worker thread does otherwise, if there is one."""
    _unreferenced[id(pipeline)] = pipeline


def pipelines() -> list[_OpenLog]:
    """Return the open pipelines."""
    return [pipeline for ref in list(_open.values()) if (pipeline := ref()) is not None]


def close_all() -> None:
    """Close every open pipeline, all at the same time, within 5 s."""
    notice_fork()
    for pipeline in pipelines():
        _shielded(pipeline.start_closing, _EXIT_TIMEOUT)
    for pipeline, left in _each_in_time():
        _shielded(pipeline.close, left)
    stderr.report_owed()


def _flush_all() -> bool:
    """Flush every open pipeline and mark it as stopped, within 5 s; return False if this thread is within a step."""
    answers = [_shielded(pipeline.flush_and_mark_stopped, left) for pipeline, left in _each_in_time()]
    return False not in answers


def _write_through() -> None:
    """Store every further record of all logs, also of those opened later, before its call returns."""
    global _ending  # noqa: PLW0603
    _ending = True
    for pipeline in pipelines():
        pipeline.write_through()


def _each_in_time() -> Iterator[tuple[_OpenLog, float]]:
    until = time.monotonic() + _EXIT_TIMEOUT
    for pipeline in pipelines():
        yield pipeline, max(0.0, until - time.monotonic())


def _shielded(do: Callable[[float], object], left: float) -> object:
    """Call ``do`` for one log. If it raises, report that, so that the other logs have their turn."""
    try:
        return do(left)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        stderr.report(f"closing a log failed: {type(error).__name__}: {error}", time.monotonic(), owed=True)
        return None


class _OnSigterm:
    """The handler of SIGTERM that ``close_on_sigterm`` puts before the previous one.

    If the previous action is to kill, the logs are closed first. If the application has a handler, the logs are flushed
    and the handler is called. They stay open, and write each event of the application's shutdown at once: it may end by
    any means. uvicorn, for instance, restores the handlers that it found and raises the signal again.

    The signal may interrupt the main thread in the middle of a durable emit, which must return first. So another thread
    does the work then, and sends the signal again.
    """

    def __init__(self, previous: Any) -> None:
        self._previous = previous
        self._done = False
        self._arrived = allocate_lock()  # released when the repeated signal has arrived
        self._pid = 0  # the process that is ending

    def __call__(self, signum: int, frame: Any) -> None:
        if not callable(self._previous):
            self._done, self._pid = False, os.getpid()
            signal.signal(signum, self._die)  # also in place of a handler that was set later and calls this one
            self._repeat_after(close_all, signum)
            return
        _write_through()
        if self._done or _flush_all():
            self._done = False
            self._mark_arrived()
            self._previous(signum, frame)
        else:
            self._repeat_after(_flush_all, signum)

    def _repeat_after(self, work: Callable[[], object], signum: int) -> None:
        arrived = self._arrived = allocate_lock()
        arrived.acquire()

        def working() -> None:
            work()
            self._done = True
            while True:  # a signal just before the main thread enters a system call does not interrupt that
                os.kill(os.getpid(), signum)
                if arrived.acquire(timeout=_REPEAT_EVERY):
                    return

        try:
            start_new_thread(working, ())
        except (RuntimeError, MemoryError):  # the interpreter is ending
            working()

    def _mark_arrived(self) -> None:
        if self._arrived.locked():
            self._arrived.release()

    def _die(self, signum: int, frame: Any) -> None:
        if self._pid != os.getpid():  # a child that was forked meanwhile: its logs are not being closed
            self(signum, frame)
        elif self._done:
            self._mark_arrived()
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)


def catch_sigterm() -> None:
    """Have SIGTERM write what is queued before its previous action. An ignored SIGTERM stays ignored.

    Raises ConfigError outside the main thread, where Python cannot set handlers, and if the handler is not Python's.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None:
        msg = "option close_on_sigterm=True cannot call a handler that is not Python's: leave it out, and call close()"
        raise ConfigError(msg)
    if previous is signal.SIG_IGN or isinstance(previous, _OnSigterm):
        return
    try:
        signal.signal(signal.SIGTERM, _OnSigterm(previous))
    except ValueError:
        msg = "option close_on_sigterm=True needs the main thread: open the log there"
        raise ConfigError(msg) from None


def enter_process() -> None:
    """Close the logs at the exit of a child of multiprocessing or billiard, which never runs atexit.

    concurrent.futures and Celery use such children. Called when a worker starts: in a forked child at its first emit.
    Raises RuntimeError where no worker may be started.
    """
    global _finalized_in  # noqa: PLW0603 - one flag for the process
    if _is_uwsgi_master():
        msg = "uWSGI's master forks and ends in C: a thread that waits for the GIL then would stop the children"
        raise RuntimeError(msg)
    # While another thread imports the module, it may lack its functions: this process is not a child then.
    current_process = getattr(sys.modules.get("multiprocessing"), "current_process", None)
    if current_process is None or _finalized_in == os.getpid():
        return
    process = current_process()  # not parent_process(), which does not know the children of billiard
    if getattr(process, "_parent_pid", None) is None:
        return
    _finalized_in = os.getpid()
    from multiprocessing import util

    util.Finalize(None, _close_child, exitpriority=-100)
    _close_with(getattr(process, "_target", None))


def _close_child() -> None:
    """Close the logs after the threads that the child waits for anyway; some Python versions wait only after this."""
    for thread in threading.enumerate():
        if not thread.daemon and thread not in (threading.current_thread(), threading.main_thread()):
            thread.join()
    close_all()


def _enter_child(_: object) -> None:
    global _finalized_in  # noqa: PLW0603
    _finalized_in = 0
    enter_process()


def _close_with(pool_worker: Any) -> None:
    """Close the logs after the ``on_exit`` of a worker of billiard's pool, which then ends by os._exit."""
    worker_class = getattr(sys.modules.get("billiard.pool"), "Worker", None)
    if worker_class is None or not isinstance(pool_worker, worker_class):
        return
    before = getattr(pool_worker, "on_exit", None)

    def on_exit(*args: Any) -> None:
        try:
            if before is not None:
                before(*args)
        finally:
            close_all()

    pool_worker.on_exit = on_exit


def _is_uwsgi_master() -> bool:
    """Return True if this is uWSGI's master, which loads the application, forks in C and never calls atexit."""
    try:
        return bool(sys.modules["uwsgi"].worker_id() == 0)
    except (KeyError, AttributeError):  # no uWSGI, or another module of that name
        return False


def notice_fork() -> None:
    """Reset the logs in a child that was forked without Python's hooks, as by uWSGI; elsewhere do nothing.

    Every call that does more than append to the queue calls this first. While the worker is awake, a child's first
    events may be in the queue by then, and nothing tells them from the parent's: that is reported on stderr.
    """
    if os.getpid() == _pid:
        return
    with _fork_locks.setdefault(os.getpid(), threading.RLock()):
        if os.getpid() != _pid:
            queued = sum(pipeline.queued() for pipeline in pipelines())
            _after_fork_in_child()
            if queued:
                text = f"forked without Python's hooks while {queued} events were queued: left to the parent"
                stderr.report(f"{text}; open the log in the child instead", time.monotonic(), owed=True)


def _on_fork() -> None:
    """Reset the logs in a forked child, unless a hook that ran before has emitted."""
    if os.getpid() != _pid:
        _after_fork_in_child()


def _after_fork_in_child() -> None:
    global _ending, _pid  # noqa: PLW0603
    _ending = False
    register_after_fork = getattr(sys.modules.get("multiprocessing.util"), "register_after_fork", None)
    if register_after_fork is not None:
        # A child of multiprocessing drops all finalizers, then calls this. An at-fork hook may have emitted before.
        register_after_fork(stderr, _enter_child)
    stderr.after_fork()
    for pipeline in pipelines():
        pipeline.after_fork()
    _unreferenced.clear()  # the parent ends these
    _pid = os.getpid()  # last: until then, other threads of a child that has noticed the fork late wait


atexit.register(close_all)
os.register_at_fork(after_in_child=_on_fork)
