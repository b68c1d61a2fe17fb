"""Row 41: what verify says of writers whose process lives in a container, or has died in one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

import bamboo_logmetrics as blm
from bamboo_logmetrics.logfiles.names import lock_path

ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

LOG_UNTIL_TOLD = """
import os, sys, bamboo_logmetrics as blm
log = blm.open_log(sys.argv[1])
log.info("x")
log.flush()
print(os.getpid(), flush=True)
sys.stdin.readline()
os.kill(os.getpid(), 9) if os.getpid() != 1 else os._exit(9)
"""
VERIFY = """
import os, sys, bamboo_logmetrics as blm
report = blm.verify(sys.argv[1])
print(os.getpid(), *(writer.end for writer in report.writers), sep=", ")
"""


def ends(path):
    """Return how each writer ended, in the order of their first lines."""
    return [writer.end for writer in blm.verify(path).writers]


def _can_unshare():
    if not shutil.which("unshare"):
        return False
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


needs_unshare = pytest.mark.skipif(not _can_unshare(), reason="needs unshare and its permissions")
CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]


@contextmanager
def container(path, *, command=CONTAINER):
    """Run a process that has the log open, as pid 1 of a pid namespace of its own; it is killed at the end."""
    with subprocess.Popen(
        [*command, sys.executable, "-c", LOG_UNTIL_TOLD, path], env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout.readline() == b"1\n"
            yield
        finally:
            process.communicate(b"\n")


def verified_in_a_container(path):
    """Verify in another pid namespace; return the process id there, 1, and how each writer ended."""
    done = subprocess.run([*CONTAINER, sys.executable, "-c", VERIFY, path], env=ENV, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


@needs_unshare
def test_row_41_a_dead_first_process_of_a_container(path):
    """Pid 1 of a container that has ended is neither this machine's pid 1 nor that of another container."""
    with container(path):
        pass
    assert ends(path) == ["unclean end"]
    assert verified_in_a_container(path) == "1, unclean end"


@needs_unshare
def test_row_41_a_living_container(path):
    """A process in a container is seen from its host, and is not taken for another container's pid 1."""
    with container(path):
        assert ends(path) == ["running"]
        assert verified_in_a_container(path) == "1, unclean end"
    assert ends(path) == ["unclean end"]


@needs_unshare
def test_row_41_a_container_with_the_proc_of_its_host(path):
    """A process whose /proc is that of its host writes its own start time, and is found from the host."""
    with container(path, command=["unshare", "--pid", "--fork"]):
        os.unlink(lock_path(str(path)))  # now the start time decides
        assert ends(path) == ["running"]
