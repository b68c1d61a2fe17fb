from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from support.faults import FaultyFS
from support.tools import flat, kinds, of_kind, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.pipeline import process

START = """
import sys, os
import bamboo_logmetrics as blm
path = sys.argv[1]
def tool(n):
    return blm.ToolCalled(tool_call_id=str(n), round_id="r", session_id="s", tool_name="t", latency_ms=1, success=True)
log = blm.open_log(path)
"""


@pytest.fixture
def program(run_python, path):
    def running(code, **options):
        return run_python(START + code, path, **options)

    return running


def counted(path, events):
    """Assert that the log holds so many events and that every writer ended well."""
    assert len(typed(path)) == len({line["tool_call_id"] for line in typed(path)}) == events
    assert blm.verify([path]).ok
    writers = {line["writer"] for line in flat(path)}
    assert len(of_kind(path, "system.worker_stopped")) == len(writers)
    return len(writers)


@pytest.mark.parametrize(
    ("ending", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise ValueError", 1), ("import signal; signal.raise_signal(signal.SIGINT)", -2)],
)
def test_every_ordinary_exit_writes_all(program, path, ending, code):
    """Without a close, an end of the program, sys.exit, an exception and Ctrl-C each write everything."""
    done = program("for n in range(10_000): log.emit(tool(n))\n" + ending)
    assert done.returncode == code
    assert done.stdout == ""
    assert counted(path, 10_000) == 1


def test_an_emit_after_the_close_at_exit_is_counted(program, path):
    """Events that an exit function emits after the log's own are refused and counted, not lost in silence."""
    done = program("""
import atexit
from bamboo_logmetrics.pipeline import process
def late():
    print(log.emit(tool(2)), dict(log.stats().dropped))
atexit.register(late)
process.atexit.unregister(process.close_all)
atexit.unregister(late)
atexit.register(late)
atexit.register(process.close_all)
log.emit(tool(1))
""")
    assert done.stdout == "False {'closed': 1}\n"
    assert counted(path, 1) == 1


def test_an_emit_before_the_close_at_exit_is_written(program, path):
    """Events that an exit function registered later emits are written: it runs first."""
    program("""
import atexit
atexit.register(lambda: log.emit(tool(2)))
log.emit(tool(1))
""")
    assert counted(path, 2) == 1


def test_a_log_opened_at_exit_is_written(program, path):
    """A log that is opened so late that no thread can be started is written where it is used."""
    done = program("""
import atexit
def late():
    with blm.open_log(path) as second:
        second.emit(tool(2))
atexit.register(late)
log.emit(tool(1))
""")
    assert done.stderr == ""
    assert counted(path, 2) == 2


def test_a_forked_child_is_a_writer_of_its_own(program, path):
    """A child writes its own events under its own writer, none of the parent's, and the parent's once."""
    done = program("""
for n in range(500): log.emit(tool(n))
pid = os.fork()
if pid == 0:
    before = log.stats()
    for n in range(500, 600): log.emit(tool(n))
    log.close()
    os._exit(0 if before.emitted == 0 and log.stats().written == 100 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
log.close()
""")
    assert done.returncode == 0, done.stderr
    assert counted(path, 600) == 2


def test_a_child_that_logs_nothing_leaves_no_trace(program, path):
    """A forked child that never emits writes no line, also when it ends in an ordinary way."""
    done = program("""
if os.fork() == 0:
    sys.exit(0)
os.wait()
log.emit(tool(1))
""")
    assert done.returncode == 0, done.stderr
    assert counted(path, 1) == 1


def test_forks_under_load(program, path):
    """Children forked while threads emit can log, flush and end; nothing is lost or doubled on either side."""
    done = program(
        """
import threading
stop = threading.Event()
def emit(name):
    n = 0
    while not stop.is_set():
        log.emit(tool(f"{name}-{n}")); n += 1
        stop.wait(0.0001)
    counts.append(n)
counts = []
threads = [threading.Thread(target=emit, args=(name,)) for name in "abc"]
for thread in threads: thread.start()
for child in range(10):
    pid = os.fork()
    if pid == 0:
        for n in range(50): log.emit(tool(f"child{child}-{n}"))
        ok = log.flush(20)
        os._exit(0 if log.close(20) and ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop.set()
for thread in threads: thread.join()
log.close()
print(sum(counts))
""",
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert counted(path, int(done.stdout) + 500) == 11


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_lose_nothing(run_python, path, method):
    """A multiprocessing child that returns without a close has written everything, though it never runs atexit."""
    done = run_python(
        START.replace("log = blm.open_log(path)", "")
        + """
import multiprocessing
def work(path, name):
    log = blm.open_log(path)
    for n in range(100): log.emit(tool(f"{name}-{n}"))
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    children = [context.Process(target=work, args=(path, name)) for name in "ab"]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0, 0]
""",
        path,
        method,
    )
    assert done.returncode == 0, done.stderr
    assert counted(path, 200) == 2


def test_pool_workers_lose_nothing(run_python, path):
    """Workers of a concurrent.futures pool, which end when it shuts down, have written everything."""
    done = run_python(
        START.replace("log = blm.open_log(path)", "log = None")
        + """
from concurrent.futures import ProcessPoolExecutor
def start(path):
    global log
    log = blm.open_log(path)
def work(n):
    log.emit(tool(n))
    return os.getpid()
if __name__ == "__main__":
    with ProcessPoolExecutor(2, initializer=start, initargs=(path,)) as pool:
        print(len(set(pool.map(work, range(200), chunksize=10))))
""",
        path,
    )
    assert done.returncode == 0, done.stderr
    assert counted(path, 200) == 2


def test_an_inherited_log_in_a_multiprocessing_child(program, path):
    """A forked multiprocessing child that uses the parent's log object writes everything on returning."""
    done = program("""
import multiprocessing, warnings
warnings.simplefilter("ignore")
def work():
    for n in range(100): log.emit(tool(f"child-{n}"))
child = multiprocessing.get_context("fork").Process(target=work)
child.start(); child.join()
log.emit(tool("parent"))
""")
    assert done.returncode == 0, done.stderr
    assert counted(path, 101) == 2


def test_a_killed_process_is_named(program, path):
    """After SIGKILL, verify reports that the writer's end is unclean, and exits 1 at the prompt."""
    done = program("""
import signal
log.emit(tool(1)); log.flush()
os.kill(os.getpid(), signal.SIGKILL)
""")
    assert done.returncode == -9
    report = blm.verify([path])
    assert not report.ok
    assert len(typed(path)) == 1


def test_importing_loads_no_extra(run_python):
    """import bamboo_logmetrics loads none of the extras, and dataclasses-json only when the tagged form is used."""
    done = run_python("""
import sys, bamboo_logmetrics as blm
heavy = {"click", "rich", "zstandard", "dataclasses_json", "marshmallow", "multiprocessing"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
blm.WorkerStarted().to_json()
assert "dataclasses_json" in sys.modules and "click" not in sys.modules
""")
    assert done.returncode == 0, done.stderr


def test_exit_takes_its_time_once(program, path):
    """Several logs that cannot be written are given up on together, within one timeout, and each reports it."""
    done = program("""
import errno
from bamboo_logmetrics import system
from bamboo_logmetrics.pipeline import pipeline, process
class Broken(system.FS):
    def write(self, fd, data): raise OSError(errno.ENOSPC, "full")
process._EXIT_TIMEOUT = 2.0
timeouts, close = [], pipeline.Pipeline.close
def noting(self, timeout): timeouts.append(timeout); return close(self, timeout)
log.close()
pipeline.Pipeline.close = noting
logs = [blm.open_log(f"{path}{n}", fs=Broken()) for n in range(4)]
for each in logs: each.emit(tool(1))
process.close_all()
print(*timeouts)
""")
    first, *others = map(float, done.stdout.split())
    assert 1 < first <= 2
    assert len(others) == 3
    assert max(others) < 1
    assert done.stderr.count("closed before all was written") == 4


def test_a_log_that_cannot_be_closed_does_not_keep_the_others(open_log, path, monkeypatch, capsys):
    """An error in closing one log at exit is shown, and the others are closed."""
    broken, fine = open_log("b.jsonl"), open_log()
    fine.emit(blm.WorkerStarted())

    def fail(_):
        raise ValueError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(broken._pipeline, "close", fail)
        process.close_all()
    assert "ValueError: broken" in capsys.readouterr().err
    assert flat(path)[-1]["event"] == "system.worker_stopped"


def test_configure_in_a_forked_child(program, path):
    """A child forked while the parent configures can configure a log of its own."""
    done = program("""
blm.configure(path + "2")
if os.fork() == 0:
    blm.configure(path + "3"); blm.get_logger().emit(tool(1)); blm.close(); os._exit(0)
os.wait()
""")
    assert done.returncode == 0, done.stderr
    assert blm.verify([f"{path}3"]).ok


def test_a_manual_clock_does_not_hold_up_the_exit(program, path):
    """At exit the test kit's clock moves by itself, so that a log that was not closed can give up."""
    done = program("""
import errno
from bamboo_logmetrics.pipeline import process
process._EXIT_TIMEOUT = 0.5
from bamboo_logmetrics import system, testing
class Broken(system.FS):
    def write(self, fd, data): raise OSError(errno.ENOSPC, "full")
other = blm.open_log(path + "2", fs=Broken(), clock=testing.ManualClock())
other.emit(tool(1))
""")
    assert done.returncode == 0
    assert "closed before all was written" in done.stderr


def test_interrupts_tear_nothing(program, path):
    """After hundreds of exceptions from a signal handler in durable emits, every line is there once and all adds up."""
    done = program("""
import signal
class Interrupted(BaseException): pass
inside, interrupts = [], []
def interrupt(*_):
    if inside:
        inside.clear()
        interrupts.append(True)
        raise Interrupted
log.close()
log = blm.open_log(path, durability="write")
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.0017)
while len(interrupts) < 500:
    try:
        inside.append(True)
        log.emit(tool(len(interrupts)))
        inside.clear()
    except Interrupted:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
stats = log.stats() if log.close() else None
print(stats.emitted == stats.written + stats.dropped_total, stats.queued, stats.written)
""")
    assert done.returncode == 0, done.stderr
    added_up, queued, written = done.stdout.split()
    assert (added_up, queued) == ("True", "0")
    assert len(typed(path)) == int(written)
    assert blm.verify([path]).ok


def test_a_child_that_emits_in_an_at_fork_hook(program, path):
    """A multiprocessing child whose at-fork hook emits, before multiprocessing has made it a child, loses nothing."""
    done = program("""
import multiprocessing, warnings
warnings.simplefilter("ignore")
os.register_at_fork(after_in_child=lambda: log.emit(tool("hook")))
def work():
    for n in range(500): assert log.emit(tool(n))
context = multiprocessing.get_context("fork")
log.emit(tool("parent"))
child = context.Process(target=work); child.start(); child.join()
print(child.exitcode)
""")
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert counted(path, 502) == 2


def test_a_child_whose_threads_go_on(program, path):
    """A multiprocessing child that returns while a thread of its goes on emitting has all of that written."""
    done = program("""
import multiprocessing, threading, warnings
warnings.simplefilter("ignore")
def work():
    log.emit(tool("first"))
    returned = threading.main_thread()
    def late():
        gate.wait()
        for n in range(100): assert log.emit(tool(n))
    gate = threading.Event()
    threading.Thread(target=late).start()
    from multiprocessing import util
    util.Finalize(None, gate.set, exitpriority=0)
    threading._register_atexit(gate.set)  # Python 3.13 waits for threads before its finalizers
child = multiprocessing.get_context("fork").Process(target=work); child.start(); child.join()
print(child.exitcode)
""")
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert len(typed(path)) == 101
    assert blm.verify([path]).ok


# tests/guarantees proves the following with real signals and children; here it runs where coverage is measured.


@pytest.fixture
def sigterm():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    process._ending = False


def test_sigterm_is_passed_on(open_log, path, sigterm):
    """With a handler of the application, SIGTERM leaves a well-ended file, calls it, and the log goes on."""
    came = []
    signal.signal(signal.SIGTERM, lambda *_: came.append(flat(path)[-1]["event"]))
    log = open_log(close_on_sigterm=True)
    for number in range(3):
        log.emit(tool(number))
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert came == ["system.worker_stopped"] * 4
    log.emit(tool(3))
    assert log.close()
    assert log._pipeline.flush_and_mark_stopped()
    assert len(typed(path)) == 4
    assert blm.verify([path]).ok
    assert len(of_kind(path, "system.worker_stopped")) == 4


def test_after_sigterm_logs_write_through(open_log, sigterm):
    """Once SIGTERM went to the application's handler, every log of the process writes through, also one opened later."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    first = open_log(close_on_sigterm=True, flush_interval=1000)
    second = open_log("b.jsonl", flush_interval=1000)
    signal.raise_signal(signal.SIGTERM)
    third = open_log("c.jsonl", flush_interval=1000)
    for log in (first, second, third):
        for n in range(3):
            assert log.emit(tool(n))
            assert [line["tool_call_id"] for line in typed(log.path)][-1] == f"c{n}"
        assert flat(log.path)[-1]["event"] == "system.worker_stopped"


def test_a_child_forked_after_sigterm_queues_again(program, path):
    """A child that is forked while its parent is ending is not ending itself: its events are queued, and written at its end."""
    done = program("""
import signal, warnings
warnings.simplefilter("ignore")
signal.signal(signal.SIGTERM, lambda *_: None)
other = blm.open_log(path + "2", close_on_sigterm=True)
signal.raise_signal(signal.SIGTERM)
child = os.fork()
if not child:
    late = blm.open_log(path + "3")
    for target in (log, other, late):
        for n in range(200): target.emit(tool(("child", n)))
        print(target._pipeline._worker.writes_through)
else:
    log.emit(tool("parent"))
    os.waitpid(child, 0)
""")
    assert done.stdout == "False\nFalse\nFalse\n"
    assert len({line["tool_call_id"] for line in typed(path)}) == 201
    assert blm.verify([path, f"{path}2", f"{path}3"]).ok


def test_sigterm_within_the_step_waits_for_its_end(open_log, sigterm):
    """A SIGTERM that strikes within a durable emit reaches the application's handler after the line is stored."""
    came, fs = threading.Event(), FaultyFS()
    signal.signal(signal.SIGTERM, lambda *_: came.set())
    log = open_log(close_on_sigterm=True, durability="write", fs=fs)
    fs.plan["write"] = lambda *_: (fs.heal(), signal.raise_signal(signal.SIGTERM))[0]
    assert log.emit(tool(1))
    assert came.wait(30)


@pytest.mark.parametrize("threads", [True, False])
def test_sigterm_that_kills(open_log, sigterm, monkeypatch, threads):
    """Where SIGTERM kills, the logs are closed first, and the signal is sent until it arrives."""
    log, sent, handler = open_log(), threading.Semaphore(0), process._OnSigterm(signal.SIG_DFL)

    def kill(pid, signum):
        sent.release()
        if not threads and signal.getsignal(signum) is not signal.SIG_DFL:
            handler._die(signum, None)

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(process.os, "kill", kill)
    if not threads:
        monkeypatch.setattr(process, "start_new_thread", refuse)
    log.emit(tool(1))
    handler._pid = os.getpid()
    handler._die(signal.SIGTERM, None)  # one more that comes while the logs are being closed
    assert signal.getsignal(signal.SIGTERM) is not handler._die
    handler(signal.SIGTERM, None)
    if threads:
        assert sent.acquire(timeout=30)
        assert sent.acquire(timeout=30)  # it did not arrive
        handler._die(signal.SIGTERM, None)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert log.close()
    assert log.stats().written == 1
    handler._pid = 0  # as in a child
    monkeypatch.setattr(handler, "_repeat_after", lambda work, _: sent.release())
    handler._die(signal.SIGTERM, None)
    assert handler._pid == os.getpid()


def test_where_sigterm_cannot_be_caught(sigterm, monkeypatch):
    """Ignored, it stays ignored; outside the main thread, and where the handler is not Python's, it is a ConfigError."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    process.catch_sigterm()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with ThreadPoolExecutor() as pool, pytest.raises(ConfigError, match="needs the main thread"):
        pool.submit(process.catch_sigterm).result()
    monkeypatch.setattr(process.signal, "getsignal", lambda _: None)
    with pytest.raises(ConfigError, match="not Python's"):
        process.catch_sigterm()


def test_the_end_of_a_child_waits_for_its_threads(open_log, monkeypatch):
    """The exit of a child closes its logs once its threads have ended."""
    log, go = open_log(), threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(), log.emit(tool(1))))
    thread.start()
    threading.Timer(0, go.set).start()
    process._close_child()
    assert log.stats().written == 1
    monkeypatch.setattr(process, "_finalized_in", 5)
    process._enter_child(None)
    assert process._finalized_in == 0


@pytest.mark.parametrize("before", [None, lambda *args: 5])
def test_a_pool_worker_closes_the_logs_after_its_own_exit(open_log, monkeypatch, before):
    """A worker of billiard's pool closes the logs when it ends, after its own on_exit; any other object is left alone."""

    class Worker:
        on_exit = staticmethod(before) if before else None

    worker, log = Worker(), open_log()
    monkeypatch.setitem(sys.modules, "billiard.pool", SimpleNamespace(Worker=Worker))
    process._close_with(None)
    process._close_with(worker)
    worker.on_exit(1, 2)
    assert not log.emit(tool(1))


def test_without_multiprocessing(monkeypatch):
    """Where multiprocessing was never imported, no process is a child of it."""
    monkeypatch.delitem(sys.modules, "multiprocessing", raising=False)
    monkeypatch.delitem(sys.modules, "multiprocessing.util", raising=False)
    monkeypatch.setattr(process, "_finalized_in", 5)
    process.enter_process()
    process._after_fork_in_child()
    assert process._finalized_in == 5


# -- hosts that fork in C, or replace threads -------------------------------------------------


# A thread that waits for the GIL at a fork in C hangs CPython in the child, so the parent starts none.
FORK_IN_C = START.replace(
    "log = ",
    """
import ctypes, threading
start = threading.Thread.start
def refuse(_): raise RuntimeError("can't start new thread")
def fork():
    child = ctypes.PyDLL(None).fork()
    if not child: threading.Thread.start = start
    return child
threading.Thread.start = refuse
log = """,
)


def test_a_fork_without_hooks_is_noticed_by_the_first_call(run_python, path):
    """A child forked in C, as uWSGI forks, is a writer of its own from its first call on, with threads that race for it too."""
    done = run_python(
        FORK_IN_C
        + """
log.emit(tool("parent"))
if not fork():
    threads = [threading.Thread(target=log.emit, args=(tool(("child", n)),)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(log.close(), log.stats().written, flush=True)
    os._exit(0)
os.wait()
log.emit(tool("parent again"))
print(log.flush(), log.stats().written)
""",
        path,
    )
    assert (done.stdout, done.stderr) == ("True 8\nTrue 2\n", "")
    assert counted(path, 10) == 2


@pytest.mark.parametrize("call", ["log.flush()", "log.close()", "log.stats()", "process.close_all()", "del log"])
def test_a_fork_without_hooks_is_noticed_by_every_call(run_python, path, call):
    """Whatever a child that was forked in C calls first, it neither waits for the parent's worker nor writes its events."""
    done = run_python(
        FORK_IN_C
        + f"""
from bamboo_logmetrics.pipeline import process
log.emit(tool("parent"))
if not fork():
    {call}
    print(process._pid == os.getpid(), flush=True)
    os._exit(0)
os.wait()
""",
        path,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert counted(path, 1) == 1


def test_a_hook_that_emits_before_the_logs_hook(run_python, path):
    """An event that an at-fork hook emits in the child before the log's own hook, in an idle log, is the child's, and is written."""
    done = run_python(
        """
import os
os.register_at_fork(after_in_child=lambda: log.emit(tool("hook")))
"""
        + START
        + """
log.emit(tool("parent"))
assert log.flush()
log._pipeline.channel.sleep_until_woken()
if not os.fork():
    log.emit(tool("child"))
else:
    os.wait()
""",
        path,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(line["tool_call_id"] for line in typed(path)) == ["child", "hook", "parent"]
    assert blm.verify([path]).ok


def test_in_the_master_of_uwsgi_every_event_is_written_at_once(open_log, path, monkeypatch):
    """In uWSGI's master, which never calls atexit, no thread is started, and the file ends well after each call."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(worker_id=lambda: 0))
    log = open_log()
    assert kinds(path) == ["system.worker_started", "system.worker_stopped"]
    assert log.emit(tool(1))
    assert kinds(path)[2:] == ["chat.tool_called", "system.worker_stopped"]
    assert not log._pipeline._worker._has_thread
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(worker_id=lambda: 1))
    process._after_fork_in_child()
    assert log.emit(tool(2))
    assert log._pipeline._worker._has_thread
    assert log.close()
    assert blm.verify([path]).ok


def test_another_module_named_uwsgi_is_no_matter(open_log, path, monkeypatch):
    """A module that only has uWSGI's name changes nothing."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace())
    assert open_log().emit(tool(1))


def test_where_gevent_has_replaced_threads_a_real_one_works(open_log, path, monkeypatch):
    """A log whose locks are real ones has a real worker and a real tidier, also after gevent has replaced threads."""
    monkeypatch.setattr("_thread.start_new_thread", lambda *_: None)
    monkeypatch.setattr("threading.Thread.start", lambda _: pytest.fail("a greenlet"))
    log = open_log(max_bytes=2_000, compress="gzip")
    for n in range(50):
        assert log.emit(tool(n))
    assert log.close()
    assert len(typed(path)) == 50
    assert blm.verify([path]).ok
    assert list(path.parent.glob("*.gz"))


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("notice", [process.notice_fork, process._on_fork])
def test_as_in_a_child_forked_without_hooks(path, monkeypatch, capsys, notice):
    """In another process than the one that the logs belong to, they are reset, once, whichever way it is noticed."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs)
    fs.fail("write", times=None)
    for n in range(3):
        log.emit(tool(n))
    parent = log._pipeline._encoder.writer
    capsys.readouterr()
    notice()
    assert log._pipeline._encoder.writer == parent
    monkeypatch.setattr(process, "_pid", 0)
    monkeypatch.setattr(process, "_fork_locks", {})
    notice()
    assert process._pid == os.getpid()
    assert log._pipeline._encoder.writer != parent
    assert log.stats().emitted == 0
    fs.heal()
    assert log.emit(tool("child"))
    assert log.close()
    assert [line["tool_call_id"] for line in typed(path)] == ["cchild"]
    process.stderr.report_owed()
    assert ("while 2 events were queued: left to the parent" in capsys.readouterr().err) == (
        notice is process.notice_fork
    )
    monkeypatch.setattr(process, "_pid", 0)
    monkeypatch.setattr(process, "_fork_locks", {})
    notice()  # nothing is queued
    process.stderr.report_owed()
    assert capsys.readouterr().err == ""
