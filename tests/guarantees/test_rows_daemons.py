"""Row 52: a program closes all descriptors, and its own files get the numbers of the log's."""

from __future__ import annotations

import pytest
from support.tools import of_kind

import bamboo_logmetrics as blm

PROGRAM = """
import fcntl, os, signal, sys, warnings
import bamboo_logmetrics as blm

warnings.simplefilter("ignore", DeprecationWarning)  # Python itself warns of a fork beside threads
path, durability, way = sys.argv[1:]
signal.alarm(50)
MINE = "data of the application\\n"

def emit(log, count):
    for number in range(count):
        assert log.emit(blm.SessionStarted(session_id=str(number), model="m"))

def close_all():
    os.closerange(3, 256)
    files = [open(f"mine{number}", "a+") for number in range(30)]
    for file in files:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(MINE)
        file.flush()
    return files

def check(files):
    for file in files:
        file.write(MINE)
        file.close()  # raises if the log has closed it
        with open(file.name) as again:
            assert again.read() == 2 * MINE, file.name

log = blm.open_log(path, durability=durability, max_bytes=3_000, backup_count=None)  # no thread tidies
emit(log, 20)
assert log.flush()
if way == "daemon":
    if os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    os.setsid()
    if os.fork():
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    emit(log, 5)
    assert log.flush()
files = close_all()
if way == "close":
    assert log.close()
else:
    for _ in range(3):
        emit(log, 20)
        assert log.flush()
    for file in files:  # each is still locked by this process
        other = os.open(file.name, os.O_RDWR)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(other)
        else:
            raise SystemExit(f"{file.name} is not locked any more")
    assert log.close()
check(files)
stats = log.stats()
assert (stats.emitted, stats.queued, stats.dropped_total) == (stats.written, 0, 0), stats
"""

WRITTEN = {"close": 20, "go on": 80, "daemon": 85}


@pytest.mark.parametrize("durability", ["queue", "write", "fsync"])
@pytest.mark.parametrize("way", ["close", "go on", "daemon"])
def test_row_52_all_descriptors_are_closed(run_python, path, durability, way):
    """The files of the application have their bytes, locks and numbers; the log has all lines and no other."""
    done = run_python(PROGRAM, path, durability, way)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(of_kind(path, "chat.session_started")) == WRITTEN[way]
    report = blm.verify(path)
    assert report.ok, report


STREAM = """
import os, sys
import bamboo_logmetrics as blm
log = blm.open_log("/dev/stdout")
log.info("before")
assert log.flush()
os.closerange(3, 256)
files = [open(f"mine{number}", "a") for number in range(10)]
if sys.argv[1] == "stays":
    log.info("after")
    assert log.flush()
else:
    os.dup2(files[0].fileno(), 1)
    log.info("after")
    assert not log.flush(timeout=0.1)
    assert not log.close(timeout=0.1)
for file in files:
    file.write("mine")
    file.close()
    with open(file.name) as again:
        assert again.read() == "mine"
log.close()
stats = log.stats()
print(f"written {stats.written}, dropped {stats.dropped_total}, in hand {stats.queued}", file=sys.stderr)
"""


@pytest.mark.parametrize("stdout", ["stays", "is another file"])
def test_row_52_a_stream(run_python, stdout):
    """A log on stdout goes on with stdout; if that is another file by now, nothing is written there, and all counted."""
    done = run_python(STREAM, stdout)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if '"plain":true' in line]
    if stdout == "stays":
        assert len(lines) == 2
        assert done.stderr == "written 2, dropped 0, in hand 0\n"
    else:
        assert len(lines) == 1
        assert "open the log after that" in done.stderr
        assert "written 1, dropped 1, in hand 0\n" in done.stderr
