"""Row 29 of the fault matrix: many processes on one rotating file, and the ends of their children."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support import TESTS
from support.counting import findings, lines_of, tools_of_writers
from support.tools import typed

import bamboo_logmetrics as blm

START = f"""
import json, os, sys
sys.path.insert(0, {TESTS!r})
import bamboo_logmetrics as blm
from support.counting import *
path = sys.argv[1]
"""


@pytest.fixture
def program(run_python, path):
    def running(code, *args):
        done = run_python(START + code, path, *args)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return running


def write_small_files(program, events, compress, fs="FS"):
    options = f"max_bytes=50_000, compress={compress!r}, fs={fs}"
    answers = program(f"print(json.dumps(write_at_once(path, 8, {events}, {options})))")
    return answers, [f"c{name}-{n}" for name in range(8) for n in range(events)]


# -- many processes on one file -------------------------------------------------------------


@pytest.mark.parametrize(("compress", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_row_29_eight_processes_on_one_file(program, path, compress, suffix):
    """8 processes x 2,000 events through about a hundred rotations and compressions: 16,000, each once."""
    answers, emitted = write_small_files(program, 2000, compress)
    assert findings(path, emitted) == {}
    assert tools_of_writers(path) == {writer: written for writer, written, _ in answers}
    assert [written for _, written, _ in answers] == [2000] * 8
    assert len(list(path.parent.glob(f"*{suffix}"))) > 50
    assert not list(path.parent.glob(".*.tmp"))
    report = blm.verify([path])
    assert report.ok
    assert (report.written, len(report.writers), report.lines) == (16_000, 8, len(lines_of(path)))


@pytest.mark.parametrize(
    ("fs", "per_plant"),
    [
        ("DroppingFS", {"lost": 1}),
        ("DoublingFS", {"doubled": 1, "repeated": 1}),
        ("MergingFS", {"lost": 2, "broken": 1}),
    ],
)
def test_row_29_the_count_sees_what_is_planted(program, path, fs, per_plant):
    """Every line that a lying file system drops, doubles or merges is found, by the count and by verify, no fewer."""
    answers, emitted = write_small_files(program, 1000, "gzip", fs)
    planted = sum(count for _, _, count in answers)
    assert 350 < planted <= 400
    assert findings(path, emitted) == {name: each * planted for name, each in per_plant.items()}
    report = blm.verify([path])
    assert not report.ok
    assert report.broken_lines == per_plant.get("broken", 0) * planted
    assert sum(writer.missing for writer in report.writers) == per_plant.get("lost", 0) * planted
    assert sum(writer.repeats for writer in report.writers) == per_plant.get("repeated", 0) * planted


STOPPED_IN_A_WRITE = """
from bamboo_logmetrics.system import FS
locking = sys.argv[2] == "locking"
writing, say_writing = os.pipe()
go_on, say_go_on = os.pipe()

class Stopped(FS):
    "Stops in the write of the tools until the other process lets it go on."
    def lock(self, fd): return super().lock(fd) if locking else True
    def write(self, fd, data):
        if b"tool_called" in bytes(data):
            os.write(say_writing, b"."); os.read(go_on, 1)
        return super().write(fd, data)

class Other(FS):
    "Lets the first process go on when it meets its lock."
    def lock(self, fd):
        free = super().lock(fd) if locking else True
        if not free: os.write(say_go_on, b".")
        return free

def first(barrier):
    log = blm.open_log(path, fs=Stopped(), max_bytes=20_000, compress="gzip")
    for n in range(50): log.emit(tool(f"first-{n}"))
    return log.close(60)

def second(barrier):
    os.read(writing, 1)
    log = blm.open_log(path, fs=Other(), max_bytes=20_000, compress="gzip")
    for n in range(300): log.emit(tool(f"second-{n}"))
    closed = log.close(60)
    os.write(say_go_on, b".")
    return closed

print(json.dumps(fork_all([first, second])))
"""


@pytest.mark.parametrize(("how", "lost"), [("locking", 0), ("without a lock", 50)])
def test_row_29_the_count_sees_a_lock_that_does_not_lock(program, path, how, lost):
    """Lines written into a file that others rotate and compress meanwhile are lost without the lock, and kept with it."""
    assert program(STOPPED_IN_A_WRITE, how) == [True, True]
    expected = [f"cfirst-{n}" for n in range(50)] + [f"csecond-{n}" for n in range(300)]
    assert findings(path, expected) == ({"lost": lost} if lost else {})
    report = blm.verify([path])
    assert report.ok is not bool(lost)
    assert sum(writer.missing for writer in report.writers) == lost


# -- children that never run atexit ---------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run a program that makes several logs, once for all tests of its kind; return their folder and its answer."""
    done = {}

    def running(code, *args):
        if (code, args) not in done:
            folder = tmp_path_factory.mktemp("logs")
            script = folder / "program.py"
            script.write_text(code, encoding="utf-8")
            command = [sys.executable, script, folder / "a.jsonl", *args]
            process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert process.returncode == 0, process.stderr
            done[code, args] = folder, json.loads(process.stdout)
        return done[code, args]

    return running


CHILDREN = (
    START
    + """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

log = None

def emit(*names):
    for name in names: (log or blm.get_logger()).emit(tool(name))

def open_here(path):
    global log
    log = blm.open_log(path)

def configure_and_emit(path, first, ending):
    blm.configure(path)
    emit(*range(first, first + 50))
    if ending == "exits": sys.exit(3)
    if ending == "raises": raise ValueError("as the test wants it")

def emit_fifty(first):
    emit(*range(first, first + 50))

def processes(target, *args):
    children = [context.Process(target=target, args=(*args[:1], first, *args[1:])) for first in (0, 50)]
    for child in children: child.start()
    for child in children: child.join()
    return [child.exitcode for child in children]

def pool(**options):
    with_pool = context.Pool(2, **options)
    with_pool.map(emit, range(100), chunksize=34)
    with_pool.close(); with_pool.join()

def executor(**options):
    with ProcessPoolExecutor(2, mp_context=context, **options) as running:
        list(running.map(emit, range(100), chunksize=34))

def inherited(run, *args):
    global log
    log = blm.open_log(where)
    emit("before"); run(*args); emit("after")
    log = log.close() and None

def inherited_configured(run, *args):
    blm.configure(where)
    emit("before"); run(*args); emit("after")
    blm.close()

def forked_processes():
    children = [context.Process(target=emit_fifty, args=(first,)) for first in (0, 50)]
    for child in children: child.start()
    for child in children: child.join()

CASES = {
    "process returns": lambda: processes(configure_and_emit, where, "returns"),
    "process exits": lambda: processes(configure_and_emit, where, "exits"),
    "process raises": lambda: processes(configure_and_emit, where, "raises"),
    "pool": lambda: pool(initializer=open_here, initargs=(where,)),
    "pool recycled": lambda: pool(initializer=blm.configure, initargs=(where,), maxtasksperchild=1),
    "executor": lambda: executor(initializer=blm.configure, initargs=(where,)),
    "executor recycled": lambda: executor(initializer=open_here, initargs=(where,), max_tasks_per_child=1),
    "inherited processes": lambda: inherited_configured(forked_processes),
    "inherited pool": lambda: inherited(pool),
    "inherited pool configured": lambda: inherited_configured(pool),
    "inherited executor": lambda: inherited(executor),
    "inherited executor configured": lambda: inherited_configured(executor),
}
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    if sys.argv[2] == "forkserver":
        context.set_forkserver_preload(["bamboo_logmetrics", "counting"])
    done = {}
    for case in sys.argv[3:]:
        where = f"{path}.{case.replace(' ', '-')}"
        done[case] = CASES[case]()
    print(json.dumps(done))
"""
)
ANYWHERE = ["process returns", "pool", "pool recycled", "executor"]
FORKED = [
    "process exits",
    "process raises",
    "inherited processes",
    "inherited pool",
    "inherited pool configured",
    "inherited executor",
    "inherited executor configured",
]
# concurrent.futures replaces no children that were forked, and none at all before 3.11
STARTED = ["executor recycled"] if sys.version_info >= (3, 11) else []
BY_METHOD = {
    "fork": [*ANYWHERE, *FORKED],
    "spawn": [*ANYWHERE, *STARTED],
    "forkserver": [*ANYWHERE, *STARTED],
}
EXIT_CODES = {"process returns": 0, "process exits": 3, "process raises": 1}


@pytest.mark.parametrize(("method", "case"), [(method, case) for method, cases in BY_METHOD.items() for case in cases])
def test_row_29_children_lose_nothing(ran, method, case):
    """Children of multiprocessing and concurrent.futures that end by themselves have written all, and said so."""
    folder, codes = ran(CHILDREN, method, *BY_METHOD[method])
    path = folder / f"a.jsonl.{case.replace(' ', '-')}"
    own = ["before", "after"] if case.startswith("inherited") else []
    assert codes[case] == ([EXIT_CODES[case]] * 2 if case in EXIT_CODES else None)
    assert findings(path, [f"c{n}" for n in [*own, *range(100)]]) == {}
    report = blm.verify([path])
    assert report.ok
    assert {writer.end for writer in report.writers} == {"stopped"}
    assert report.written == 100 + len(own)
    assert len(report.writers) >= len(own) // 2 + (3 if "recycled" in case else 1)


TERMINATED = (
    START
    + """
import multiprocessing, select, warnings
from bamboo_logmetrics.system import FS
warnings.simplefilter("ignore")  # forking beside the log's own thread is what is tested
disk, on_sigterm = sys.argv[2:]
context = multiprocessing.get_context("fork")
reports, say = os.pipe()
blocked, never = os.pipe()

class Disk(FS):
    hangs = False
    def lock(self, fd):  # not in a write, where it would hold up the other child too
        if self.hangs: os.read(blocked, 1)
        return super().lock(fd)

# what does not hang may wait for a minute in the queue
options = {"fs": Disk(), "flush_interval": 60 if disk == "idle" else 0.05}
if on_sigterm == "close": options["close_on_sigterm"] = True

def work(where, name):
    log = inherited or blm.open_log(where, **options)
    for n in range(50): log.emit(tool(f"{name}-{n}"))
    assert log.flush(20)
    Disk.hangs = disk == "hangs"
    if disk == "races": os.write(say, b".")
    for n in range(50, 150): log.emit(tool(f"{name}-{n}"))
    if disk != "races": os.write(say, b".")
    while True: select.select([], [], [], 0.05)  # a signal just before one long call would be heard only after it

def in_pool(where):
    pool = context.Pool(2)
    children = list(pool._pool)
    for name in "ab": pool.apply_async(work, (where, name))
    for _ in children: os.read(reports, 1)
    pool.terminate(); pool.join()
    return children

def in_processes(where):
    children = [context.Process(target=work, args=(where, name)) for name in "ab"]
    for child in children: child.start()
    for _ in children: os.read(reports, 1)
    for child in children: child.terminate()
    for child in children: child.join()
    return children

ended = {}
for opened in ("child", "parent"):  # in this order: children inherit the parent's handler too
    for how, run in {"pool": in_pool, "process": in_processes}.items():
        where = f"{path}.{how}-{opened}"
        inherited = blm.open_log(where, **options) if opened == "parent" else None
        ended[f"{how}-{opened}"] = [(child.pid, child.exitcode) for child in run(where)]
        if inherited: inherited.close()
print(json.dumps(ended))
"""
)
OPENED = ["pool-child", "process-child", "pool-parent", "process-parent"]


def of_terminated(path):
    """Return how many tools of each child are there, all in order and from the first on."""
    counts = []
    for name in "ab":
        numbers = [line["tool_call_id"] for line in typed(path) if line["tool_call_id"].startswith(f"c{name}-")]
        assert numbers == [f"c{name}-{n}" for n in range(len(numbers))]
        counts.append(len(numbers))
    return counts


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize(("disk", "most"), [("races", 150), ("hangs", 50)])
def test_row_29_terminate_loses_what_was_queued(ran, disk, most, opened):
    """A terminated child has lost the end of what it emitted after its last flush, nothing before, and is named."""
    folder, ended = ran(TERMINATED, disk, "die")
    assert [code for _, code in ended[opened]] == [-15, -15]
    path = folder / f"a.jsonl.{opened}"
    assert all(50 <= count <= most for count in of_terminated(path))
    report = blm.verify([path])
    unclean = [writer for writer in report.writers if writer.end == "unclean end"]
    assert {writer.pid for writer in unclean} == {pid for pid, _ in ended[opened]}
    assert {(found.kind, found.writer) for found in report.problems} == {("unclean_end", w.writer) for w in unclean}
    assert len(report.problems) == 2


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize(("disk", "least"), [("races", 50), ("idle", 150)])
def test_row_29_terminate_with_close_on_sigterm_loses_nothing(ran, disk, least, opened):
    """A terminated child whose log closes on SIGTERM has written what it emitted, and the signal still kills it."""
    folder, ended = ran(TERMINATED, disk, "close")
    assert [code for _, code in ended[opened]] == [-15, -15]
    path = folder / f"a.jsonl.{opened}"
    report = blm.verify([path])
    assert report.ok
    assert {writer.end for writer in report.writers} == {"stopped"}
    stopped = {writer.pid: writer.stopped for writer in report.writers}
    accepted = [stopped[pid].emitted - stopped[pid].dropped.get("closed", 0) for pid, _ in ended[opened]]
    assert sorted(of_terminated(path)) == sorted(accepted)
    assert min(accepted) >= least
