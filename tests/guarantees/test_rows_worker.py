"""Rows 6, 7, 8, 10 and 11 of the fault matrix: what strikes the worker, and calls from where nobody expects them."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import signal
import sys
import threading
from contextlib import suppress

import pytest
from msgspec.structs import force_setattr
from support import TESTS, locks
from support.faults import WATCHED, FaultyFS
from support.layouts import WrittenBy
from support.tools import balanced, dropped, flat, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import layouts
from bamboo_logmetrics.system import FS, Clock
from bamboo_logmetrics.testing import FailingSink, GateSink, ManualClock, open_log_on

FATAL = [SystemExit, MemoryError, RecursionError, KeyboardInterrupt, GeneratorExit]
DURABILITIES = ["queue", "write"]


class Hasty(Clock):
    """A clock that runs twenty times as fast, so that the pauses after faults are short."""

    def monotonic(self):
        return super().monotonic() * 20

    def wait(self, lock, timeout):
        return super().wait(lock, None if timeout is None else timeout / 20)


@pytest.fixture(autouse=True)
def quiet(capsys):
    """Keep what the log says on stderr out of the report; it is one line per fault at most."""
    yield
    assert capsys.readouterr().err.count("\n") <= 2


def ids(path):
    return [line["tool_call_id"][1:] for line in typed(path)]


def assert_sound(path):
    assert blm.verify([path], complete=True).ok
    seqs = [line["seq"] for line in flat(path)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len({line["writer"] for line in flat(path)}) == 1


def worker_count():
    return sum(thread.name == "bamboo-logmetrics" for thread in threading.enumerate())


# -- row 6 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("error", [ValueError, MemoryError, RecursionError])
@pytest.mark.parametrize("bad", [0, 3, 6])
def test_row_06_a_record_that_the_encoder_refuses(path, monkeypatch, durability, error, bad):
    """In the place of an event that cannot be encoded stands a line that says so; the others are written as they are."""

    def layout(record):
        if record.get("tool_call_id") == f"c{bad}":
            raise error
        return record

    monkeypatch.setitem(layouts.LAYOUTS, "native", WrittenBy(layout))
    with blm.open_log(path, durability=durability) as log:
        assert [log.emit(tool(n)) for n in range(7)] == [True] * 7
    lines = flat(path)[1:8]
    assert (lines[bad]["event"], lines[bad]["encode_error"]) == (
        "chat.tool_called could not be encoded",
        error.__name__,
    )
    assert ids(path) == [str(n) for n in range(7) if n != bad]
    assert (log.stats().written, log.stats().dropped_total) == (7, 0)
    assert_sound(path)


def test_row_06_an_event_that_was_broken_after_emit(path):
    """An event into whose fields something foreign was forced costs no other line, and its own says what is wrong."""
    with blm.open_log(path) as log:
        for n in range(5):
            event = tool(n)
            log.emit(event)
            if n == 2:
                force_setattr(event, "latency_ms", object())
    assert len(flat(path)) == 7
    assert [name for name in ids(path) if name != "2"] == ["0", "1", "3", "4"]
    assert log.stats().written == 5
    assert_sound(path)


# -- row 7 -------------------------------------------------------------------------------------


class Striking(FaultyFS):
    """Lets call number ``nth`` of one name raise, before or after it is done, in whatever thread works for the log."""

    def strike(self, name, nth, error, *, done):
        left = [nth]
        self.struck = False

        def answer(*args):
            left[0] -= 1
            if left[0]:
                return
            self.struck = True
            if done:
                getattr(FS, name)(self, *args)
            raise error

        self.plan[name] = answer


BEFORE = [(name, False) for name in WATCHED if name not in {"close", "read", "fsync"}]
AFTER = [(name, True) for name in ("write", "rename", "lock", "unlock", "close", "ftruncate")]  # not open: it leaks


def strike_through(path, durability, *strike, done):
    """Emit six events through three files while a fault strikes; return whether it struck."""
    fs = Striking()
    log = blm.open_log(path, durability=durability, fs=fs, clock=Hasty(), max_bytes=800, flush_interval=0.01)
    assert log.flush(100)
    fs.strike(*strike, done=done)
    for n in range(6):
        with suppress(SystemExit, KeyboardInterrupt, GeneratorExit):  # a durable emit does the work itself
            log.emit(tool(n))
        assert balanced(log.stats())
        assert worker_count() <= 1
        if n % 2:
            assert log.flush(100)
    assert log.close(100)
    assert (log.stats().emitted, log.stats().written, log.stats().queued) == (6, 6, 0)
    assert ids(path) == [str(n) for n in range(6)]
    assert_sound(path)
    return fs.struck


@pytest.mark.parametrize(
    ("error", "durability"),
    [
        (SystemExit, "queue"),
        (SystemExit, "write"),
        (MemoryError, "queue"),
        (RecursionError, "write"),
        (KeyboardInterrupt, "write"),
        (GeneratorExit, "queue"),
    ],
)
def test_row_07_faults_in_the_worker(tmp_path, capsys, error, durability):
    """Whatever is raised out of whichever system call, the writer goes on with its next number and each line is once."""
    struck = 0
    for name, done in [*BEFORE, *AFTER]:
        nth = 1
        path = tmp_path / f"{name}-{done}-{nth}.jsonl"
        while strike_through(path, durability, name, nth, error, done=done):
            nth += 1
            path = tmp_path / f"{name}-{done}-{nth}.jsonl"
        struck += nth - 1
    assert struck > 50
    capsys.readouterr()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_row_07_faults_in_the_encoder(path, monkeypatch, capsys, error):
    """Whatever comes out of the encoder in the middle of a batch, each record of it is written once, in order."""
    left = [10]

    def layout(record):
        left[0] -= 1
        if left[0] == 0:
            raise error
        return record

    monkeypatch.setitem(layouts.LAYOUTS, "native", WrittenBy(layout))
    with blm.open_log(path, clock=Hasty()) as log:
        for n in range(20):
            log.emit(tool(n))
    assert left[0] < 0
    assert ids(path) == [str(n) for n in range(20)]
    assert_sound(path)
    capsys.readouterr()


@pytest.mark.parametrize("error", FATAL)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_row_07_faults_in_the_compression(path, capsys, error):
    """After any fault in the thread that compresses, later rotations are compressed again."""
    fs = FaultyFS()
    fs.fail("fsync", error())
    log = blm.open_log(path, fs=fs, max_bytes=1000, compress="gzip")
    for n in range(30):
        log.emit(tool(n))
        assert log.flush()
        for thread in threading.enumerate():
            if thread.name == "bamboo-logmetrics-tidy":
                thread.join()
    assert log.close()
    assert ids(path) == [str(n) for n in range(30)]
    rotated = sorted(name for name in os.listdir(path.parent) if name.startswith("a.jsonl.2"))
    assert len(rotated) > 3
    assert [name.endswith(".gz") for name in rotated] == [True] * (len(rotated) - 1) + [False]
    capsys.readouterr()


@pytest.mark.parametrize("durability", DURABILITIES)
def test_row_07_the_end_of_the_stack(path, capsys, durability):
    """An emit with next to no stack left raises RecursionError or is accepted; the counts stay exact either way."""
    log = blm.open_log(path, durability=durability, block_timeout=0.05)
    assert log.flush()
    answers = {}

    def emit_at(depth, number):
        if depth:
            emit_at(depth - 1, number)
        else:
            answers[number] = None
            answers[number] = log.emit(tool(number))

    limit = sys.getrecursionlimit()
    for number in range(100):
        with suppress(RecursionError):
            emit_at(limit - 100 + number, number)
        assert balanced(log.stats())
    assert None in answers.values()
    assert log.flush()  # after the pause that a fault is followed by
    log.emit(tool("after"))
    assert log.close()
    found = ids(path)
    assert "after" in found
    assert {str(number) for number, answer in answers.items() if answer} <= set(found)
    assert len(found) == len(set(found)) == log.stats().emitted == log.stats().written
    assert_sound(path)
    capsys.readouterr()


# -- row 8 -------------------------------------------------------------------------------------


@pytest.fixture
def no_threads(monkeypatch):
    """Let the next starts of a worker fail: with ``error``, ``times`` times, for good where None."""

    def failing(error=RuntimeError, times=None):
        real, count = threading.Thread.start, [0]

        def start(thread):
            count[0] += thread.name == "bamboo-logmetrics"
            if thread.name == "bamboo-logmetrics" and (times is None or count[0] <= times):
                raise error("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    return failing


@pytest.mark.parametrize("durability", ["queue", "write", "fsync"])
@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
@pytest.mark.parametrize("times", [1, 4, None])
def test_row_08_no_thread_can_be_started(path, no_threads, durability, error, times):
    """While no worker can be started an event is in the file when emit returns; as soon as one can, it takes over."""
    no_threads(error, times)
    log = blm.open_log(path, durability=durability)
    for n in range(10):
        refused = worker_count() == 0
        assert log.emit(tool(n))
        assert balanced(log.stats())
        if refused and worker_count() == 0:
            assert ids(path)[-1] == str(n)
    assert worker_count() == (times is not None)
    assert log.flush()
    assert log.close()
    assert ids(path) == [str(n) for n in range(10)]
    assert_sound(path)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_row_08_an_interrupt_while_the_worker_is_started(path, no_threads, durability):
    """A Ctrl-C while a worker is being started passes to the caller, and the next call starts one."""
    no_threads(times=1)
    log = blm.open_log(path, durability=durability)
    no_threads(KeyboardInterrupt, times=1)
    with suppress(KeyboardInterrupt):
        log.emit(tool(1))
    assert log.emit(tool(2))
    assert log.flush()
    assert log.close()
    assert ids(path) == ["1", "2"]
    assert_sound(path)


def test_row_08_no_thread_and_no_space(path, no_threads):
    """Where there is neither a thread nor space, the queue fills and then refuses, and each refusal is counted."""
    no_threads()
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs, queue_size=20)
    fs.fail("write", errno.ENOSPC, times=None)
    answers = [log.emit(tool(n)) for n in range(100)]
    assert balanced(log.stats())
    assert log.stats().dropped == {"queue_full": answers.count(False)}
    fs.heal()
    assert log.close()
    assert ids(path) == [str(n) for n, answer in enumerate(answers) if answer]
    assert dropped(path) == {"queue_full": answers.count(False)}
    assert_sound(path)


THREADLESS = """
import os, resource, sys, threading
sys.path.insert(0, sys.argv[2])
from support.tools import tool, typed
import bamboo_logmetrics as blm

def ids(path): return [line["tool_call_id"][1:] for line in typed(path)]

def starve():
    # more stack for a thread than there may be memory: the system itself refuses
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    threading.stack_size(512 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), used + (256 << 20)))
    try:
        threading.Thread(target=print).start()
    except RuntimeError:
        return
    sys.exit(77)

def emit(log, names):
    for name in names:
        assert log.emit(tool(name)) and ids(sys.argv[1])[-1] == name, name

log = blm.open_log(sys.argv[1])
for n in range(100): log.emit(tool(f"before-{n}"))
assert log.flush()
starve()
if os.fork() == 0:
    emit(log, [f"child-{n}" for n in range(10)])
    sys.exit(not log.close())
assert os.wait()[1] == 0
assert log.emit(tool("parent")) and log.close()
with blm.open_log(sys.argv[1]) as log:
    emit(log, [f"late-{n}" for n in range(10)])
assert log.close() and len(threading.enumerate()) == 1
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to know how much memory is in use")
def test_row_08_the_system_refuses_threads(run_python, path):
    """Where the system itself refuses threads, a forked child and a log that is opened then write at each emit."""
    done = run_python(THREADLESS, path, TESTS)
    if done.returncode == 77:
        pytest.skip("this system starts a thread beyond the limit of memory")
    assert done.returncode == 0, done.stderr
    expected = [f"{kind}-{n}" for kind, count in (("before", 100), ("child", 10)) for n in range(count)]
    assert ids(path) == [*expected, "parent", *(f"late-{n}" for n in range(10))]
    assert blm.verify([path], complete=True).ok


# -- row 10 ------------------------------------------------------------------------------------


class Deep(FailingSink):
    """A sink that does something with the log in the middle of a write, and knows how deep its writes are nested."""

    def __init__(self):
        super().__init__()
        self.depth = self.deepest = 0
        self.action = None

    def write(self, lines, deadline=None):
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        try:
            action, self.action = self.action, None
            if action:
                action()
            super().write(lines, deadline)
        finally:
            self.depth -= 1


class Calls:
    """Calls the log in every way, once for each time it is armed, and notes what it emitted."""

    def __init__(self):
        self.log = None
        self.names = []
        self.armed = False
        self.how = None

    def __call__(self, *_):
        if self.armed:
            self.armed = False
            getattr(self, self.how)()
        return "text"

    __str__ = __repr__ = __call__

    def emit(self):
        for _ in range(12):  # beyond the half of the queue, where an emit wakes the worker
            self.names.append(f"inner-{len(self.names)}")
            self.log.emit(tool(self.names[-1]))

    def info(self):
        self.log.info("inner", value=self)

    def flush(self):
        self.emit()
        self.log.flush()

    def stats(self):
        self.emit()
        assert balanced(self.log.stats())

    def bind(self):
        self.names.append(f"inner-{len(self.names)}")
        self.log.bind(a=self).emit(tool(self.names[-1]), b=self)

    def close(self):
        self.emit()
        self.log.close(60)


def call_from(place, log, sink, calls, handler):
    """Have ``calls`` called from one place within the log while it is given one event."""
    calls.armed = True
    calls.names.append(f"outer-{len(calls.names)}")
    event = tool(calls.names[-1])
    if place == "sink":
        sink.action = calls
        log.emit(event)
    elif place == "processor":
        log.emit(event)
    elif place == "repr":
        log.emit(event, value=[calls])
    elif place == "str":
        log.info(calls)
        log.emit(event)
    else:
        handler.handle(logging.makeLogRecord({"msg": calls, "levelno": 20, "levelname": "INFO"}))
        log.emit(event)
    log.flush(60)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("threads", ["worker", "no worker"])
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("place", ["sink", "processor", "repr", "str", "handler"])
def test_row_10_calls_from_within(path, no_threads, place, durability, threads):
    """Emit, flush, stats, bind and close from within the log come back, nest no deeper than one write, and all counts."""
    if threads == "no worker":
        no_threads()
    calls, sink = Calls(), Deep()
    processors = [lambda _, __, beside: (calls(), beside)[1]] if place == "processor" else []
    options = {"durability": durability, "block_timeout": 60, "processors": processors, "queue_size": 20}
    log = calls.log = open_log_on(sink, path, **options)
    handler = blm.MetricsHandler(log)
    assert log.flush()
    for calls.how in ("emit", "info", "flush", "stats", "bind", "close"):
        call_from(place, log, sink, calls, handler)
        assert balanced(log.stats())
    handler.close()
    assert log.close()
    assert not calls.armed
    assert sink.deepest == 1
    missing = set(calls.names) - set(ids(path))
    assert len(ids(path)) == len(set(ids(path)))
    users = [line for line in flat(path) if line["event"].startswith("chat.") or line.get("plain")]
    assert len(users) == log.stats().written
    assert len(missing) <= log.stats().dropped.get("closed", 0) <= 3
    assert log.stats().emitted == len(users) + log.stats().dropped.get("closed", 0)
    assert_sound(path)


@pytest.mark.timeout(30)
def test_row_10_a_full_queue_from_within(path):
    """An emit from within the sink does not wait for room in a full queue: nobody else could make any."""
    sink, answers = Deep(), []
    log = open_log_on(sink, path, on_full="block", block_timeout=1000, queue_size=20)
    assert log.flush()
    sink.action = lambda: answers.extend([log.emit(tool(n)) for n in range(25)])
    log.emit(tool("outer"))
    assert log.flush()
    assert log.close()
    assert answers == [True] * 20 + [False] * 5
    assert ids(path) == ["outer", *(str(n) for n in range(20))]
    assert dropped(path) == {"block_timeout": 5}
    assert_sound(path)


def test_row_10_a_value_that_logs_itself_for_ever(path):
    """A value whose repr logs the value ends at the stack's end with a line for each call, and the log goes on."""

    class Echo:
        calls = 0

        def __repr__(self):
            log.info("echo", value=self)
            Echo.calls += 1
            return "echo"

    with blm.open_log(path) as log:
        assert log.emit(tool(1), value=Echo())
        assert log.emit(tool(2))
    assert ids(path) == ["1", "2"]
    echoes = [line for line in flat(path) if line["event"] == "echo"]
    # at the end of the stack a call may be cut off between its line and its count
    assert 0 < Echo.calls <= len(echoes) <= Echo.calls + 10
    assert log.stats().written == len(echoes) + 2
    assert_sound(path)


# -- row 11 ------------------------------------------------------------------------------------


class Cycle:
    """Garbage that only the collector finds; it emits when it is found."""

    def __init__(self, emit):
        self.me, self.emit = self, emit

    def __del__(self):
        self.emit()


class Striker:
    """Emits, wherever it is called, from a signal handler and from a finaliser; not without end, nor within itself."""

    def __init__(self, log, times):
        self.log, self.left = log, times
        self.calls, self.within = [], set()

    def __call__(self):
        me = threading.get_ident()
        if me in self.within or self.left <= 0:
            return
        self.left -= 1
        self.within.add(me)
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGUSR1)  # the handler runs before this returns
        Cycle(self.emit)
        gc.collect(1)
        self.within.discard(me)

    def emit(self, *_):
        name = f"strike-{len(self.calls)}-{threading.get_ident()}"
        self.calls.append(name)
        self.log.emit(tool(name))


@pytest.fixture
def on_signal():
    """Set the handler of SIGUSR1; after the test it is what it was."""
    previous = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, previous)


def places_of(log):
    return {place.name: place for place in locks.find(pipeline=log._pipeline)}


def strike_in(path, name, on_signal, **options):
    """Have events emitted from within one lock while a log is used in every way."""
    log = blm.open_log(
        path, max_bytes=1000, compress="gzip", backup_count=90, flush_interval=0.001, block_timeout=100, **options
    )
    place, striker = places_of(log)[name], Striker(log, times=40)
    on_signal(striker.emit)
    place.hook(striker, striker)
    sent = []
    for n in range(20):
        sent.append(f"main-{n}")
        log.emit(tool(sent[-1]))
        assert balanced(log.stats())
        if n % 5 == 4:
            assert log.flush(20), name
    assert log.close(20), name
    striker.left = 0
    stats = log.stats()
    assert stats.emitted == len(sent) + len(striker.calls) == stats.written + stats.dropped.get("closed", 0), name
    assert stats.dropped.keys() <= {"closed"}, name
    found = ids(path)
    assert len(found) == len(set(found)) == stats.written, name
    assert set(sent) <= set(found), name
    assert_sound(path)
    assert striker.calls or place.lock.locked(), name  # who is never taken is held for good: pauses wait for it


@pytest.mark.timeout(30)
@pytest.mark.parametrize("threads", ["worker", "no worker"])
@pytest.mark.parametrize("durability", DURABILITIES)
def test_row_11_emit_while_a_lock_is_held(tmp_path, no_threads, on_signal, durability, threads):
    """An emit from a signal handler or a finaliser in a thread that holds any one lock of the log neither hangs nor is lost."""
    with blm.open_log(tmp_path / "a.jsonl", compress="gzip") as log:
        names = list(places_of(log))
    assert {
        "pipeline._worker._step_lock._lock",
        "pipeline._worker._start_lock._lock",
        "pipeline._worker._wakeup",
    } <= set(names)
    for number, name in enumerate(names):
        no_threads(times=1 if threads == "worker" else None)  # the first start fails, so that one comes under the hook
        strike_in(tmp_path / f"{number}.jsonl", name, on_signal, durability=durability)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("threads", ["worker", "no worker"])
@pytest.mark.parametrize("durability", DURABILITIES)
def test_row_11_an_interrupt_while_a_lock_is_held(tmp_path, no_threads, durability, threads):
    """A Ctrl-C that comes just after a caller has taken any one lock of the log leaves the log at work."""
    with blm.open_log(tmp_path / "a.jsonl", compress="gzip") as log:
        names = list(places_of(log))
    interrupts = []
    for number, name in enumerate(names):
        no_threads(times=1 if threads == "worker" else None)
        path, struck = tmp_path / f"{number}.jsonl", []
        log = blm.open_log(path, durability=durability, max_bytes=1000, compress="gzip", block_timeout=100)

        def interrupt(struck=struck):
            if not struck and threading.current_thread() is threading.main_thread():
                struck.append(True)
                raise KeyboardInterrupt

        places_of(log)[name].hook(interrupt)
        for n in range(9):
            with suppress(KeyboardInterrupt):
                log.emit(tool(n))
        struck.append(False)  # from here on no more
        assert log.flush(20), name
        assert log.close(20), name
        assert sorted(ids(path)) == [str(n) for n in range(9)], name
        assert balanced(log.stats())
        assert_sound(path)
        interrupts += [name] * struck[0]
    assert {"pipeline._worker._start_lock._lock"} <= set(interrupts) or durability == "write"
    assert {"pipeline._worker._step_lock._lock"} <= set(interrupts) or durability == "queue"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("ending", ["time", "room"])
def test_row_11_emit_while_the_thread_waits_for_room(path, on_signal, ending):
    """A signal handler's emit while its thread waits for room is refused at once and counted; the wait goes on."""
    clock, sink, answers = ManualClock(), GateSink(), []
    log = open_log_on(sink, path, on_full="block", block_timeout=10, queue_size=5, clock=clock)
    assert sink.wait_for_writer()
    assert all(log.emit(tool(n)) for n in range(5))

    def strike():
        clock.until_waiting()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    def handler(*_):
        answers.append(log.emit(tool("handler")))
        clock.advance(10 if ending == "time" else 0)
        if ending == "room":
            sink.open_gate()

    on_signal(handler)
    thread = threading.Thread(target=strike)
    thread.start()
    assert log.emit(tool("main")) == (ending == "room")
    thread.join()
    assert answers == [False]
    sink.open_gate()
    assert log.close()
    assert ids(path) == [*(str(n) for n in range(5)), *(["main"] if ending == "room" else [])]
    assert dropped(path) == {"block_timeout": 1 if ending == "room" else 2}
    assert_sound(path)


STORM = """
import gc, itertools, json, signal, sys
sys.path.insert(0, sys.argv[2])
from support.tools import tool
import bamboo_logmetrics as blm

class Cycle:
    def __init__(self, emit): self.me, self.emit = self, emit
    def __del__(self): self.emit("final")

def storm(path, durability, on_full):
    log = blm.open_log(path, durability=durability, on_full=on_full, queue_size=100, block_timeout=0.5, max_bytes=99_999)
    numbers, answers, counts, within = itertools.count(), {}, {"main": 0, "signal": 0, "final": 0}, []
    done, cycles = [], 0
    def emit(kind):
        name = f"{kind}-{next(numbers)}"
        counts[kind] += 1
        answers[name] = None
        answers[name] = log.emit(tool(name))
        done.append(kind)
    def handler(*_):
        emit("signal")
        if not within:  # and what an application does at SIGTERM
            within.append(True)
            log.flush(0.5)
            within.clear()
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    while counts["signal"] < 500 or counts["final"] < 500:
        Cycle(emit)
        cycles += 1
        emit("main")
    signal.setitimer(signal.ITIMER_REAL, 0)
    while done.count("final") < cycles:  # another thread's collection may still be calling finalisers
        gc.collect()
    return [log.close(20), len(answers), [name for name, ok in answers.items() if ok], list(answers.values()).count(None)]

gc.set_threshold(40)
policies = itertools.product(["queue", "write"], ["drop_newest", "block"])
print(json.dumps([storm(f"{sys.argv[1]}{n}", *policy) for n, policy in enumerate(policies)]))
"""


def test_row_11_a_storm_of_signals_and_finalisers(run_python, path):
    """Of thousands of emits from signal handlers and finalisers that strike a loop of emits, each is written or counted."""
    done = run_python(STORM, path, TESTS)
    assert (done.returncode, done.stderr) == (0, "")
    for number, (closed, calls, accepted, raised) in enumerate(json.loads(done.stdout)):
        file = f"{path}{number}"
        found = ids(file)
        assert (closed, raised) == (True, 0)
        assert len(found) == len(set(found))
        assert len(found) + sum(dropped(file).values()) == calls
        assert set(accepted) <= set(found)
        assert_sound(file)
