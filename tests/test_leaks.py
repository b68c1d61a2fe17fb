"""The check that no test leaves anything behind: what it finds, and that every test is under it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from support import TESTS
from support.leaks import LeakCheck

import bamboo_logmetrics as blm

LEAKS = """
import threading
import bamboo_logmetrics as blm
from support.leaks import LeakCheck

LeakCheck.JOIN_TIMEOUT = 0
kept = []

def test_log(tmp_path):
    kept.append(blm.open_log(tmp_path / "a.jsonl"))
    kept[-1].emit(blm.SessionStarted(session_id="s", model="m"))

def test_thread():
    threading.Thread(target=threading.Event().wait, name="bamboo-left", daemon=True).start()

def test_descriptor(tmp_path):
    kept.append(open(tmp_path / "left", "w"))

def test_nothing(open_log):
    assert open_log().emit(blm.SessionStarted(session_id="s", model="m"))
"""


def test_an_open_log_is_found_and_closed(tmp_path):
    """A log that is still open is named, and closed so that the tests after it are not blamed."""
    check = LeakCheck()
    log = blm.open_log(tmp_path / "a.jsonl")
    log.emit(blm.SessionStarted(session_id="s", model="m"))
    assert check.leaks() == [f"log left open: {tmp_path / 'a.jsonl'}"]
    assert check.leaks() == []


def test_a_running_thread_is_found(monkeypatch):
    """A thread of a log that does not end is named."""
    check, end = LeakCheck(), threading.Event()
    thread = threading.Thread(target=end.wait, name="bamboo-left")
    thread.start()
    monkeypatch.setattr(LeakCheck, "JOIN_TIMEOUT", 0)
    assert check.leaks() == ["thread left running: bamboo-left"]
    end.set()
    thread.join()
    assert check.leaks() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are listed in /proc")
def test_an_open_descriptor_is_found(tmp_path):
    """A file of a test that is still open is named; one that only garbage holds is closed without a word."""
    check = LeakCheck()
    descriptor = os.open(tmp_path / "left", os.O_CREAT | os.O_RDWR)
    assert check.leaks() == [f"descriptor left open: {descriptor} {tmp_path / 'left'}"]
    os.close(descriptor)
    assert check.leaks() == []

    class Holder:
        def __init__(self):
            self.itself = self
            self.descriptor = os.open(tmp_path / "left", os.O_RDWR)

        def __del__(self):
            os.close(self.descriptor)

    Holder()
    assert check.leaks() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are listed in /proc")
def test_a_test_that_leaves_something_behind_fails(tmp_path):
    """Every test is under the check: each leak fails the test that made it, and no other."""
    (tmp_path / "test_leaking.py").write_text(LEAKS, encoding="utf-8")
    options = [
        "-q",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--tb=no",
        f"--basetemp={tmp_path}/pytest-inner",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": TESTS},
    )  # fmt: skip
    failed = [each for each in done.stdout.splitlines() if each.startswith("ERROR")]
    assert [each.partition("::")[2].split()[0] for each in failed] == ["test_log", "test_thread", "test_descriptor"]
    assert "4 passed, 3 errors" in done.stdout, done.stdout
