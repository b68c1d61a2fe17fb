"""Rows 32 and 33 of the fault matrix: fork, whatever is held or queued at that moment.

The forks are made by a program of its own, where a hang is a death by SIGALRM.
"""

from __future__ import annotations

import json

import pytest
from support import TESTS
from support.tools import flat, of_kind, typed

import bamboo_logmetrics as blm

START = """
import fcntl, json, logging, multiprocessing, os, signal, sys, threading, warnings
sys.path.insert(0, sys.argv[2])
warnings.simplefilter("ignore")  # from 3.12 on, about forks beside threads
from support import locks
from support.faults import FaultyFS
from support.tools import tool
import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import GateSink, open_log_on

path, home = sys.argv[1], os.getpid()
signal.alarm(60)

def fork(child):
    "Run child in a forked process, which ends as programs do; return a function that waits for its end."
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        sys.exit(child())  # None is success
    def ended():
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == 0, f"the child ended with {code}"
    return ended

def use(log, name, count):
    "Use a log in a child as its own; return what is wrong."
    if log.stats().emitted or log.stats().queued: return "the child does not start at zero"
    for n in range(count):
        if not log.emit(tool(f"{name}-{n}")): return "emit"
    if not log.flush(10): return "flush"
    if log.stats().written != count: return "written"
    if not log.close(10): return "close"

class Park:
    "Stops the first thread that comes by, in this process only."
    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.either = threading.Event()
    def __call__(self, *_):
        if os.getpid() == home and not self.reached.is_set():
            self.reached.set()
            self.either.set()
            self.go_on.wait(40)

def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread

def later(log, names, park):
    "Emit in a thread, so that one that is parked is not this one; also where nobody was parked it is heard of."
    def emit():
        for name in names: log.emit(tool(name))
        log.flush(40)
        park.either.set()
    return in_thread(emit)

def is_free(lock_path):
    fd = os.open(lock_path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
"""


@pytest.fixture
def program(run_python, path):
    def running(code, *args):
        done = run_python(START + code, path, TESTS, *args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return running


def ids(path):
    return [line["tool_call_id"][1:] for line in typed(path)]


def names(name, count):
    return [f"{name}-{n}" for n in range(count)]


def assert_sound(path, writers=2):
    """Every writer began, ended and numbered its lines without a gap."""
    report = blm.verify([path], complete=True)
    assert report.ok, report
    assert len({line["writer"] for line in flat(path)}) == writers
    assert len(of_kind(path, "system.worker_started")) == len(of_kind(path, "system.worker_stopped")) == writers


EACH_LOCK = """
durability, how = sys.argv[3:]
real_start = threading.Thread.start

def refuse(thread):
    if thread.name == "bamboo-logmetrics":
        raise RuntimeError("can't start new thread")
    real_start(thread)

def opened(file):
    if how == "its own":  # the worker is to be started, under the lock for that, when the hook is there
        threading.Thread.start = refuse
    return blm.open_log(file, durability=durability, max_bytes=1000, compress="gzip", block_timeout=40)

def places(log):
    return {place.name: place for place in locks.find(pipeline=log._pipeline)}

def stop_inside(log, place, park):
    if how == "its own":  # a thread of the log's, or one that emits, in the passage that the lock guards
        place.hook(park, park)
        threading.Thread.start = real_start
        return later(log, [f"parked-{n}" for n in range(9)], park)
    def hold():
        taken = place.lock.acquire(blocking=False)  # if not, it is held anyway
        park()
        if taken: place.lock.release()
    return in_thread(hold)

log = opened(f"{path}0")
names = sorted(places(log))
log.close()
reached = {}
for number, name in enumerate(names, 1):
    log, park = opened(f"{path}{number}"), Park()
    log.emit(tool("before-0"))
    log.flush(20)
    place = places(log)[name]
    thread = stop_inside(log, place, park)
    park.either.wait(40)
    ended = fork(lambda: use(log, "child", 5))
    ended()  # while the thread is where it was
    park.go_on.set()
    thread.join()
    for n in range(5): assert log.emit(tool(f"after-{n}"))
    assert log.close(20), name
    reached[name] = park.reached.is_set()
    assert reached[name] or place.lock.locked(), name  # who is never taken is held for good: pauses wait for it
print(json.dumps(reached))
"""


@pytest.mark.parametrize(("durability", "how"), [("queue", "any"), ("queue", "its own"), ("write", "its own")])
def test_row_32_fork_with_each_lock_held(program, path, durability, how):
    """Whichever lock of the log a thread holds at a fork, the child logs, flushes and ends, and the parent goes on."""
    reached = json.loads(program(EACH_LOCK, durability, how))
    assert {name for name in reached if reached[name]} >= {
        f"pipeline._worker.{key}" for key in ("_step_lock._lock", "_start_lock._lock", "_wakeup")
    }
    for number, name in enumerate(sorted(reached), 1):
        file = f"{path}{number}"
        parked = names("parked", 9 if how == "its own" else 0)
        expected = [*names("before", 1), *parked, *names("child", 5), *names("after", 5)]
        assert sorted(ids(file)) == sorted(expected), name
        assert_sound(file)


FLOCK = """
fs, park = FaultyFS(), Park()
log = blm.open_log(path, fs=fs)
assert log.flush()
fs.plan["write"] = park
log.emit(tool("parent"))
park.reached.wait(40)
lock_path = os.path.join(os.path.dirname(path), ".a.jsonl.lock")
assert not is_free(lock_path)
fork(lambda: None)()  # a child that only ends
assert not is_free(lock_path)
read, write = os.pipe()

def child():
    log.emit(tool("child-0"))
    if log.flush(0.1): return "it wrote beside the holder"
    if is_free(lock_path): return "the parent's lock is gone"
    os.write(write, b"x")
    if not log.flush(15): return "flush"
    return None if log.close() else "close"

ended = fork(child)
assert os.read(read, 1)
assert not is_free(lock_path)
park.go_on.set()
ended()
assert log.close()
"""


def test_row_32_fork_with_the_file_locked(program, path):
    """A child of a process that is in a write leaves the file's lock alone, waits for it, and writes when it is free."""
    program(FLOCK)
    assert sorted(ids(path)) == ["child-0", "parent"]
    assert_sound(path)


HANDLER = """
class Slow:
    def __str__(self):
        park()
        return "slow"

park = Park()
handler = blm.MetricsHandler(path)
assert [place.name for place in locks.find(handler=handler) if place.owner is handler] == []
logger = logging.getLogger("app")
logger.addHandler(handler)
thread = in_thread(lambda: logger.warning(Slow()))
park.reached.wait(40)

def child():
    logger.warning("child")
    handler.flush()
    return None if handler.stats().written == 1 and handler._log.close() else "not written"

fork(child)()
park.go_on.set()
thread.join()
logging.shutdown()
"""


def test_row_32_fork_within_the_handler(program, path):
    """A fork while a thread is in the stdlib's handler leaves the child a handler that logs, flushes and closes."""
    program(HANDLER)
    assert sorted(line["event"] for line in flat(path) if line.get("plain")) == ["child", "slow"]
    assert_sound(path)


IMPORTS = """
import errno
late = []

class Finder:  # asked for each module that is not there yet
    @staticmethod
    def find_spec(name, *_):
        if threading.current_thread().name.startswith("bamboo"):
            late.append(name)

sys.meta_path.insert(0, Finder)
fs = FaultyFS()
log = blm.open_log(path, fs=fs, max_bytes=2000, rotate_every="hour", compress="gzip", backup_count=3, queue_size=20)
for n in range(60):
    log.emit(tool(n), text="x" * 3000, odd="\\ud800 \\u2028", number=2**70, password="Bearer abc")
    log.info("plain \\ud800", value=[1, float("nan"), object()])
    if n == 20: fs.fail("write", errno.ENOSPC, times=2)
    if n == 40: fs.fail("rename", errno.EACCES)
    if n % 4 == 0: log.flush()
for n in range(200): log.emit(tool(n))
assert log.close()
assert log.stats().dropped
print(late)
"""


def test_row_32_no_fork_in_the_middle_of_an_import(program):
    """The log's own threads import nothing: a child forked in the middle of that would never have the module."""
    assert program(IMPORTS) == "[]\n"


PENDING = """
warnings.simplefilter("ignore")
M, hold, count = 50, sys.argv[3], int(sys.argv[4])

def end(how):
    if how == "exit": sys.exit(0)
    if how == "exception":
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        raise ValueError("the child's own")

def child(log, how, release):
    release()
    ok = not log.stats().emitted and all([log.emit(tool(f"child-{n}")) for n in range(count)])
    if not ok: os._exit(9)
    end(how)

def held_by_gate(file):
    sink = GateSink()
    log = open_log_on(sink, file)
    sink.wait_for_writer()
    return log, sink.open_gate, sink.open_gate

def held_by_lock(file):
    log = blm.open_log(file)
    assert log.flush()
    fd = os.open(os.path.join(os.path.dirname(file), f".{os.path.basename(file)}.lock"), os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return log, lambda: os.close(fd), lambda: (fcntl.flock(fd, fcntl.LOCK_UN), os.close(fd))

def run(how, log, release):
    if how == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=child, args=(log, how, release))
        process.start()
        return lambda: (process.join(), process.exitcode)[1]
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        child(log, how, release)
        sys.exit()
    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

writers = []
for number, how in enumerate(["end", "exit", "exception", "multiprocessing"]):
    log, in_child, in_parent = {"gate": held_by_gate, "lock": held_by_lock}[hold](f"{path}{number}")
    for n in range(M): log.emit(tool(f"parent-{n}"))
    ended = run(how, log, in_child)
    if hold == "lock" and count: in_parent()  # else neither could write
    code = ended()
    assert code == (how == "exception"), (how, code)
    if not (hold == "lock" and count): in_parent()
    assert log.stats().emitted == M
    assert log.close(20)
    writers.append(log.stats().writer)
print(json.dumps(writers))
"""


@pytest.mark.parametrize("hold", ["gate", "lock"])
@pytest.mark.parametrize("count", [0, 7])
def test_row_33_fork_with_events_pending(program, path, hold, count):
    """The parent writes, once, the records that are queued at a fork; a child starts at zero as a writer of its own, or leaves no line."""
    for number, parent in enumerate(json.loads(program(PENDING, hold, count))):
        file = f"{path}{number}"
        assert [line["tool_call_id"][1:] for line in typed(file) if line["writer"] == parent] == names("parent", 50)
        assert [line["tool_call_id"][1:] for line in typed(file) if line["writer"] != parent] == names("child", count)
        seqs = [line["seq"] for line in flat(file) if line["writer"] != parent]
        assert seqs == (list(range(1, count + 3)) if count else [])
        assert_sound(file, writers=2 if count else 1)
