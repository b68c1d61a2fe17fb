"""Rows 12 to 15: what a process leaves that is killed, or ends without closing its log."""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from itertools import chain
from types import MappingProxyType

import pytest
from support.crashpoints import (
    CrashFS,
    every_point,
    exit_code,
    flush_and_tidy,
    join_workers,
    leftovers,
    listen,
    numbers,
    program,
    quick_folder,
    rotated,
    send,
    torn,
    whole_lines,
)
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import GateSink, open_log_on

DURABILITIES = ("queue", "write", "fsync")

# -- row 12 --------------------------------------------------------------------------------

SMALL = {"max_bytes": 1_000, "compress": "gzip", "backup_count": 2}  # three lines in each file
BATCHES, PER_BATCH = 3, 3
HALF = b'{"timestamp":"2026-01-01T00:00:00.000000Z","level":"info","event":"chat.to'


def write_batches(path, durability, point, tell):
    """Write some batches, saying what is emitted and what is acknowledged, until the crash point."""
    fs = CrashFS(point, tell=tell)
    log = blm.open_log(path, durability=durability, fs=fs, **SMALL)
    flush_and_tidy(log)
    for number in range(1, BATCHES * PER_BATCH + 1):
        send(tell, "emitting", number)
        if log.emit(tool(number)) and durability != "queue":
            send(tell, "acknowledged", number)
        if number % PER_BATCH == 0 or durability != "queue":
            flush_and_tidy(log)
            send(tell, "acknowledged", number)
    log.close()
    send(tell, *fs.passed)
    send(tell, "done")


def problems(path):
    """Return the problems that verify reports, as kind and writer."""
    return [(finding.kind, finding.writer) for finding in blm.verify(path).problems]


def check_killed(path, told, old):
    """Check what a killed process left; return the writers that did not stop, and how much of a line is torn."""
    lines = whole_lines(path)
    left = numbers(lines)
    writers = left.keys() - old
    assert len(writers) <= 1, told
    killed = writers - {line["writer"] for line in lines if line["event"] == "system.worker_stopped"}
    mine = [number for writer in writers for number in left[writer]]
    if mine:
        # without a hole, a suffix at most is lost; a beginning is missing only where older files had to go
        assert mine == list(range(mine[0], mine[-1] + 1)), told
        assert mine[0] == 1 or len(rotated(path)) >= SMALL["backup_count"], told
    assert not (told.done and killed)
    assert told.acknowledged <= (mine[-1] if mine else 0) <= told.emitted, (told, left)
    tail = [("broken_line", None)] if torn(path) else []
    assert problems(path) == tail + [("unclean_end", writer) for writer in killed], (told, problems(path))
    return killed, torn(path)


def check_gone_on(path, killed, torn_bytes, durability):
    """Open the log in this process; check that it finishes what the killed one left undone and loses nothing."""
    before = numbers(whole_lines(path))
    log = blm.open_log(path, durability=durability, **SMALL)
    assert [log.emit(tool(1_000)), log.emit(tool(1_001)), log.close()] == [True, True, True]
    join_workers()
    assert log.stats().repaired_bytes == torn_bytes
    after = numbers(whole_lines(path))
    assert after.pop(log.stats().writer) == [1_000, 1_001]
    for each, left in after.items():
        assert left == before[each][len(before[each]) - len(left) :], "lost after the crash"
    assert (torn(path), leftovers(path)) == (0, [])
    assert [name.endswith(".gz") for name in rotated(path)] == [True, False][-len(rotated(path)) :]
    assert problems(path) == [("unclean_end", each) for each in killed if each in after]


def kill_at_every_step(folder, durability):
    """Kill a process at each step in turn that a first one has made; return at which points they died."""
    template = os.path.join(folder, "template.jsonl")
    with blm.open_log(template) as log:
        log.emit(tool(0))
    with open(template, "ab") as file:
        file.write(HALF)
    old = {line["writer"] for line in whole_lines(template)}
    join_workers()
    gc.freeze()  # forking is faster then
    path = os.path.join(folder, "log", "a.jsonl")
    died, points = [], [None]
    while points:
        os.mkdir(os.path.dirname(path))
        shutil.copy(template, path)
        point = points.pop()
        told = listen(write_batches, path, durability, point)
        assert told.done == (told.code == 0), told
        if not point:
            points = every_point(told.others[0].split())
        elif not told.done:
            assert (told.at, told.code) == (point, -signal.SIGKILL)
            died.append(point)
        killed, torn_bytes = check_killed(path, told, old)
        check_gone_on(path, killed, torn_bytes, durability)
        shutil.rmtree(os.path.dirname(path))
    return died


@pytest.mark.parametrize("durability", DURABILITIES)
def test_row_12_kill_at_every_step(run_python, durability):
    """A process killed at any storage step loses only what was not acknowledged, and the next one goes on."""
    with quick_folder() as folder:
        done = run_python(program(kill_at_every_step), folder, durability, timeout=100)
    assert done.returncode == 0, done.stderr
    steps = {":".join(point.split(":")[::2]) for point in json.loads(done.stdout)}
    both = {"open@new", "write@log", "ftruncate@log", "rename@log", "open@plain", "open@partial", "write@partial"}
    both |= {"fsync@partial", "rename@partial", "unlink@plain", "unlink@packed"}
    both |= {"fsync@log", "fsync@dir"} if durability == "fsync" else set()
    wanted = {f"{step}:{when}" for step in both for when in ("before", "after")}
    assert wanted | {"write@log:within", "write@partial:within"} <= steps, wanted - steps


# -- rows 13 to 15 -------------------------------------------------------------------------

EVENTS = 40
FILES = {"max_bytes": 3_000, "compress": "gzip"}
QUEUED = 3


def finish_cases(folder, cases, work, signals=MappingProxyType({})):
    """Fork a child for each case, which works and then ends as the interpreter does, after its return from here.

    Each writes to a file of its own what it prints. A child that is to be sent a signal says before when it is ready.
    """
    ends = {}
    for case in cases:
        reading, tell = os.pipe()
        pid = os.fork()
        if not pid:
            output = os.open(os.path.join(folder, f"{case}.out"), os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            return work(os.path.join(folder, f"{case}.jsonl"), *case.split("-"), tell)
        os.close(tell)
        with open(reading, encoding="utf-8") as pipe:
            said = pipe.readline() if case in signals else ""
            if said:
                os.kill(pid, signals[case])
            ends[case] = [exit_code(pid), said + pipe.read()]
    return ends


def wait_for_end():
    """Wait for a signal; not in one system call: one that comes just before it would be heard only after it."""
    while True:
        select.select([], [], [], 0.05)


def printed(folder, case):
    return (folder / f"{case}.out").read_text(encoding="utf-8")


def events_in(path):
    """Return the numbers of the events of a log that one process wrote."""
    return list(chain(*numbers(whole_lines(path)).values()))


# -- row 13 --------------------------------------------------------------------------------

ENDINGS = {"normal": 0, "exit": 3, "exception": 1, "sigint": -signal.SIGINT, "thread": 0}  # with their exit codes
EXITS = [f"{durability}-{ending}" for durability in DURABILITIES for ending in ENDINGS]


def leave_open(path, durability, ending, tell):
    """Emit, and end in some way without a close."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever was inherited
    log = blm.open_log(path, durability=durability, **FILES)
    if ending == "thread":
        threading.Thread(target=emit_after_main, args=(log,)).start()
        return
    for number in range(EVENTS):
        log.emit(tool(number))
    send(tell, "ready")
    if ending == "exit":
        sys.exit(3)
    if ending == "exception":
        raise ValueError("not caught")
    if ending == "sigint":
        wait_for_end()


def emit_after_main(log):
    """Emit from a thread that the end of the main thread does not end."""
    threading.main_thread().join()
    for number in range(EVENTS):
        log.emit(tool(number))


def end_in_every_way(folder):
    signals = {case: signal.SIGINT for case in EXITS if case.endswith("sigint")}
    return finish_cases(folder, EXITS, leave_open, signals)


@pytest.fixture(scope="module")
def exits(tmp_path_factory):
    """Return the folder of the logs of all endings, and the exit codes."""
    folder = tmp_path_factory.mktemp("exits")
    return folder, run_cases(end_in_every_way, folder)


def run_cases(function, folder, before=""):
    done = subprocess.run(
        [sys.executable, "-c", before + program(function), folder],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", EXITS)
def test_row_13_exit_without_close(exits, case):
    """An ordinary end without a close loses nothing, and the last line says that the log has stopped."""
    folder, ends = exits
    path = folder / f"{case}.jsonl"
    assert ends[case][0] == ENDINGS[case.partition("-")[2]], printed(folder, case)
    assert events_in(path) == list(range(EVENTS))
    assert whole_lines(path)[-1]["event"] == "system.worker_stopped"
    assert len(rotated(path)) > 1
    assert blm.verify(path).ok
    blm.open_log(path, **FILES).close()  # compresses what an interpreter that starts no threads any more could not
    assert [name.endswith(".gz") for name in rotated(path)] == [True] * (len(rotated(path)) - 1) + [False]


# -- row 14 --------------------------------------------------------------------------------

HELD_UP = [
    f"{durability}-{by}-{ending}"
    for durability, by in (("queue", "gate"), ("queue", "lock"), ("write", "lock"), ("fsync", "lock"))
    for ending in ("sigterm", "exit")
]


def leave_queued(path, durability, by, ending, tell):
    """Emit what gets through and then what is held up; and end, by a signal or by itself."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gate = GateSink(shut=False)
    log = open_log_on(gate, path, durability=durability, block_timeout=0.05, **FILES)
    for number in range(EVENTS):
        log.emit(tool(number))
    assert log.flush()
    if by == "gate":
        gate.shut_gate()
    else:
        folder, name = os.path.split(path)
        fcntl.flock(os.open(f"{folder}/.{name}.lock", os.O_RDWR), fcntl.LOCK_EX)
    accepted = [log.emit(tool(EVENTS + number)) for number in range(QUEUED)]
    send(tell, json.dumps([log.stats().writer, log.stats().queued, accepted]))
    if ending == "exit":
        os._exit(9)
    wait_for_end()


def end_while_held_up(folder):
    signals = {case: signal.SIGTERM for case in HELD_UP if case.endswith("sigterm")}
    return finish_cases(folder, HELD_UP, leave_queued, signals)


@pytest.fixture(scope="module")
def held_up(tmp_path_factory):
    """Return the folder of the logs whose processes ended while something was queued, and what they said."""
    folder = tmp_path_factory.mktemp("held_up")
    return folder, run_cases(end_while_held_up, folder)


@pytest.mark.parametrize("case", HELD_UP)
def test_row_14_what_is_queued_is_lost(held_up, case):
    """SIGTERM and os._exit lose exactly what was queued, none of which durability had acknowledged; verify says so."""
    folder, ends = held_up
    path = folder / f"{case}.jsonl"
    code, said = ends[case]
    assert code == (-signal.SIGTERM if case.endswith("sigterm") else 9), printed(folder, case)
    writer, queued, accepted = json.loads(said)
    assert queued == QUEUED
    assert accepted == [case.startswith("queue")] * QUEUED
    assert events_in(path) == list(range(EVENTS))
    assert torn(path) == 0
    assert problems(path) == [("unclean_end", writer)]


# -- row 15 --------------------------------------------------------------------------------

# What the program does before it imports the package: functions that atexit and weakref call later than the package's.
FIRST = """
import atexit, weakref
class Owner: pass
late, owner = [], Owner()
atexit.register(lambda: [each() for each in late])
weakref.finalize(owner, int)
"""
MOMENTS = {  # when it is emitted, and whether the log is still open then
    "threading": True,  # at the end of the threads, before atexit
    "atexit": True,
    "atexitfirst": False,
    "finalize": False,
    "del": False,
    "cycle": False,
}
LATE = [f"{durability}-{moment}" for durability in DURABILITIES for moment in MOMENTS]


class AtDeath:
    """Does something when it is collected."""

    def __init__(self, work):
        self.work = work
        self.itself = None

    def __del__(self):
        self.work()


def leave_late(path, durability, moment, tell):
    """Have an event emitted late in the interpreter's end, with what stands in no module that may be gone then."""
    log, event, main = blm.open_log(path, durability=durability, **FILES), tool(EVENTS), sys.modules["__main__"]
    for number in range(EVENTS):
        log.emit(tool(number))

    def late(write=os.write):
        accepted, stats = log.emit(event), log.stats()
        counts = f"[{stats.emitted}, {stats.written}, {stats.queued}, {dict(stats.dropped)}]".replace("'", '"')
        write(tell, f"[{int(accepted)}, {counts}]".encode())

    if moment == "threading":
        threading._register_atexit(late)
    elif moment == "atexit":
        atexit.register(late)
    elif moment == "atexitfirst":
        main.late.append(late)
    elif moment == "finalize":
        weakref.finalize(main.owner, late)
    else:
        main.dying = AtDeath(late)
        main.dying.itself = main.dying if moment == "cycle" else None


def end_late(folder):
    return finish_cases(folder, LATE, leave_late)


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """Return the folder of the logs to which it was emitted late, and what the emits answered."""
    folder = tmp_path_factory.mktemp("late")
    return folder, run_cases(end_late, folder, FIRST)


@pytest.mark.parametrize("case", LATE)
def test_row_15_emit_at_exit(late, case):
    """An event that is emitted late in the interpreter's end is written, or refused and counted; without any noise."""
    folder, ends = late
    path, is_open = folder / f"{case}.jsonl", MOMENTS[case.partition("-")[2]]
    code, said = ends[case]
    assert (code, printed(folder, case)) == (0, "")
    assert said, "it was not called"
    accepted, (emitted, written, queued, dropped) = json.loads(said)
    assert accepted == is_open
    assert dropped == ({} if is_open else {"closed": 1})
    assert emitted == EVENTS + 1 == written + queued + sum(dropped.values())
    assert events_in(path) == list(range(EVENTS + is_open))
    assert whole_lines(path)[-1]["event"] == "system.worker_stopped"
    assert blm.verify(path).ok
