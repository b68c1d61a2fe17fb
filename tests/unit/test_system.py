from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from _thread import allocate_lock
from datetime import datetime, timedelta, timezone
from itertools import islice

import pytest

from bamboo_logmetrics import system
from bamboo_logmetrics.system import FS, Clock, backoff, process_started_at


def test_descriptors_are_closed_on_exec(tmp_path):
    """A program that the application starts does not inherit the log's descriptors."""
    fs = FS()
    fd = fs.open(str(tmp_path / "a"), os.O_CREAT | os.O_RDWR)
    try:
        assert not os.get_inheritable(fd)
    finally:
        fs.close(fd)


def test_a_lock_is_not_taken_twice(tmp_path):
    """Two openings of one lock file exclude each other until one lets go."""
    fs = FS()
    first, second = (fs.open(str(tmp_path / "lock"), os.O_CREAT | os.O_RDWR) for _ in range(2))
    try:
        assert fs.lock(first)
        assert not fs.lock(second)
        fs.unlock(first)
        assert fs.lock(second)
    finally:
        fs.close(first)
        fs.close(second)


def test_a_lock_on_nothing_is_an_error():
    """An error that is not a lock conflict is raised."""
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        FS().lock(9999)
    assert caught.value.errno == errno.EBADF


def test_the_clock_waits_for_a_lock():
    """A wait ends with True when the lock is free and with False when time is up."""
    clock, lock = Clock(), allocate_lock()
    assert clock.wait(lock, None)
    assert not clock.wait(lock, 0)
    assert not clock.wait(lock, -5)
    lock.release()
    assert clock.wait(lock, 1)


def test_pauses_grow_to_a_limit():
    """Pauses double up to the longest."""
    assert list(islice(backoff(1, 5), 5)) == [1, 2, 4, 5, 5]


def test_this_process_has_a_start_time():
    """The start of a living process is told, in UTC, and lies in the past."""
    started = process_started_at(os.getpid())
    assert started is not None
    assert timedelta(0) <= datetime.now(timezone.utc) - started + timedelta(seconds=2) < timedelta(days=2)


def test_a_process_does_not_start_before_it_was_started():
    """A start time is between the moments before and after the start; the system counts it in hundredths of a second."""
    tick = timedelta(milliseconds=20)
    before = datetime.now(timezone.utc)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        after = datetime.now(timezone.utc)
        started = process_started_at(child.pid)
    assert before - tick <= started <= after + tick


def test_a_finished_process_has_none():
    """A process that is gone has no start time."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_started_at(child.pid) is None


def test_a_zombie_has_none():
    """A process that has ended but was not waited for does not count as living."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert process_started_at(pid) is None
    finally:
        os.waitpid(pid, 0)


def test_an_unreadable_process_has_none(monkeypatch):
    """If the system refuses the information, the answer is None."""

    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(system, "_started_by_proc", refuse)
    assert process_started_at(os.getpid()) is None


def test_windows_is_refused_with_the_remedy(run_python):
    """Where there is no fcntl, importing the package is one PlatformError that says what to use."""
    code = "import sys; sys.modules['fcntl'] = None; import bamboo_logmetrics"
    done = run_python(code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "bamboo_logmetrics.errors.PlatformError: bamboo_logmetrics needs fcntl.flock, which Windows lacks: "
        "use Linux, macOS, or WSL 2 on Windows"
    )


def test_the_standard_descriptors_are_left_alone(run_python, tmp_path):
    """If stdout and stderr are closed, the log's files do not get their numbers, so no print goes into them."""
    done = run_python(
        "import os, sys\nos.close(1); os.close(2)\nimport bamboo_logmetrics as blm\nfrom bamboo_logmetrics.system import FS\n"
        "log = blm.open_log(sys.argv[1])\nlog.info('a')\nassert log.flush()\nassert FS().open(sys.argv[1], os.O_RDONLY) > 2\n"
        "try: os.fstat(1)\nexcept OSError: pass\nelse: sys.exit(5)\nassert log.close()\n",
        tmp_path / "a.jsonl",
    )
    assert done.returncode == 0


def test_waiting_without_an_end():
    """A wait longer than the system can count is one without an end, not an error."""
    lock = threading.Lock()
    assert Clock().wait(lock, float("inf"))


def test_a_low_descriptor_is_moved(tmp_path, monkeypatch):
    """A descriptor that others could take for theirs is replaced by a higher one, closed on exec too."""
    monkeypatch.setattr(system, "_STANDARD", 60)
    fd = FS().open(str(tmp_path / "a"), os.O_CREAT | os.O_WRONLY)
    assert fd > 60
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_thread_of_the_system(monkeypatch):
    """A SystemThread runs its target, can be waited for, again too, and is free to start again when a start fails."""
    go, ran = threading.Event(), []
    thread = system.SystemThread(target=lambda: (go.wait(10), ran.append(1)), name="t", daemon=True)
    thread.join(0)
    thread.start()
    thread.join(0)
    assert ran == []
    go.set()
    thread.join()
    thread.join(10)
    assert ran == [1]

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(system, "_start_new_thread", refuse)
    with pytest.raises(RuntimeError):
        thread.start()
    thread.join()
    assert ran == [1]


def test_threads_that_were_replaced(monkeypatch):
    """Threads count as replaced once another function starts them, as gevent's does after its patch."""
    assert not system.threads_are_replaced()
    monkeypatch.setattr("_thread.start_new_thread", lambda *_: None)
    assert system.threads_are_replaced()


def test_a_machine_without_a_boot_id(monkeypatch):
    """Where /proc does not have the id of the boot, there is none."""

    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert system.boot_id() is None
