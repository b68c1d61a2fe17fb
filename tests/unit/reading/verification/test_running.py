"""Which writers without an end are still running: by the facts in worker_started, and by open files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.logs import change, kinds, put, write_log
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logfiles.names import lock_path
from bamboo_logmetrics.reading.verification import processes
from bamboo_logmetrics.reading.verification.running import find_running

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/ns/pid"), reason="needs /proc")


def ends(path):
    """Return how each writer ended, in the order of their first lines."""
    return [writer.end for writer in blm.verify(path).writers]


def as_old(path):
    """Remove from a log what only newer versions write."""
    lines = path.read_bytes().splitlines()
    put(path, [change(line, boot_id=None, pid_namespace=None) if b"worker_started" in line else line for line in lines])


def test_nobody_is_running():
    """Without open ends nobody is looked for."""
    assert find_running([]) == set()


# -- one machine -------------------------------------------------------------------------


@needs_proc
@pytest.mark.parametrize(
    "facts",
    [{"boot_id": "6c2a7a34-4f0e-4d3c-9d0b-6f6f0c1b2a3d"}, {"pid_namespace": "1"}, {"pid_namespace": None}],
    ids=["another boot", "another container", "a container that is not known"],
)
def test_the_same_pid_elsewhere(path, facts):
    """A living process with the writer's pid, host and start time proves nothing in another boot or namespace."""
    with blm.open_log(path) as log:
        log.flush()
        lines = path.read_bytes().splitlines()
        put(path, [change(lines[0], **facts)])
        report = blm.verify(path)
    assert kinds(report.problems) == ["unclean_end"]
    assert "another machine or in another container" in report.problems[0].text


@needs_proc
def test_a_process_that_outlives_its_log(path):
    """A process that has closed the log without a last line does not make its writer run."""
    put(path, write_log(path)[:-1])
    report = blm.verify(path)
    assert kinds(report.problems) == ["unclean_end"]
    assert "does not run any more" in report.problems[0].text


@needs_proc
def test_one_of_two_openings_of_a_process(path):
    """Of two writers of one process that has the log open once, the one that wrote last is running."""
    lines = write_log(path)[:-1]
    path.unlink()
    with blm.open_log(path) as log:
        log.flush()
        put(path, [*lines, *path.read_bytes().splitlines()])
        assert ends(path) == ["unclean end", "running"]


@needs_proc
def test_the_clock_was_set(path):
    """The process that has the log open runs, whatever a clock that was set makes of its start time."""
    with blm.open_log(path) as log:
        log.flush()
        lines = path.read_bytes().splitlines()
        put(path, [change(lines[0], started_at="2001-01-01T00:00:00.000000Z")])
        assert ends(path) == ["running"]


@needs_proc
@pytest.mark.parametrize("started_at", [None, "2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "soon"])
def test_open_files_are_not_known(path, started_at):
    """Where a log's lock file is gone, the exact start time decides, because process ids are used again."""
    lines = write_log(path)[:-1]
    os.unlink(lock_path(str(path)))
    put(path, lines if started_at is None else [change(lines[0], started_at=started_at), *lines[1:]])
    assert ends(path) == ["running" if started_at is None else "unclean end"]


@needs_proc
def test_the_lock_file_was_removed_and_made_again(path):
    """A process that has the removed lock file open still runs."""
    with blm.open_log(path) as log:
        log.flush()
        os.unlink(lock_path(str(path)))
        with open(lock_path(str(path)), "wb"):
            assert ends(path) == ["running"]


@needs_proc
def test_writers_without_a_beginning(path):
    """Of three writers whose worker_started is gone, as many run as have the log open: those that wrote last."""
    lines = []
    for _ in range(3):
        lines += write_log(path)[1:-1]
        path.unlink()
    put(path, lines)
    with blm.open_log(path) as log:
        for _ in range(2):
            log.emit(tool())
            log.flush()
        put(path, [line for line in path.read_bytes().splitlines() if b"worker_started" not in line])
        assert ends(path) == ["unclean end"] * 3 + ["running"]


@needs_proc
def test_an_old_log_keeps_its_rule(path):
    """Without a boot id, host, process id and start time decide, and the report says that this is no proof."""
    with blm.open_log(path) as log:
        log.flush()
        as_old(path)
        report = blm.verify(path)
    assert report.writers[0].end == "running"
    assert "has no boot id, which would prove it" in report.notes[0].text


def test_an_old_log_of_another_host(path):
    """Without a boot id, a writer of another host does not run here."""
    lines = write_log(path)
    put(path, [change(lines[0], host="another", boot_id=None), *lines[1:-1]])
    report = blm.verify(path)
    assert "does not run here" in report.problems[0].text


def test_a_machine_without_proc(monkeypatch):
    """Where there is no /proc, or it shows nothing of a process, no process is found and nothing is raised."""

    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(processes.os, "listdir", missing)
    monkeypatch.setattr(processes.os, "readlink", missing)
    assert processes.Processes()._names == []
    assert processes._shown_namespace() is None
    assert processes._open_locks_of("/proc/1/fd") is None
    monkeypatch.setattr("builtins.open", missing)
    assert processes._own_ids("1") == []


@needs_proc
def test_a_zombie_has_no_ids():
    """A process that has ended and was not waited for does not run."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes._own_ids(str(child.pid)) == []
    finally:
        child.wait()
