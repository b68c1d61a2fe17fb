"""A small model of a log, and a world in which a real log runs beside it.

A *program* is a list of steps, each a plain list that JSON can hold, such as ``["emit", "a", 3]``. Each step is
done by a real log in a process of its own (`World`) and followed by the model (`Writer` and `Held`, which is all
there is to it); `Play`, in test_state_machine.py, compares the two with each other and with the files.

The rows of the fault matrix, and the steps that make them:

=====  ==================================================  ===============================================
row    fault                                               steps
=====  ==================================================  ===============================================
1-3    the queue overflows, then silence                   hold, emit, plain, crowd, clock
4      blocked callers                                     hold, emit, crowd, release (at once or later)
5      close on a full queue                               hold, emit, release later, close
6      a record that cannot be encoded                     bad
7      SystemExit, MemoryError, RecursionError             fail with exit, memory, recursion
8      no thread can be started                            threads, open
9      emit after close, close twice                       close, emit, close
10     emit from inside the sink                           fail with emit
12-15  killed at a step of the storage, ended, not closed  fail with kill, crash, exit
16-20  a disk that fails once, often, in the middle        fail with an errno or short, heal
21     a rotation that fails                               fail open or rename, with small files
22-24  the file is moved, removed, truncated from outside  outside
25     a torn tail                                         outside torn, fail write with kill_half
26     a compression that fails or is killed               fail, with compress
27     rotations in one tick, the clock goes back          clock, wall
28     retention beside foreign files                      begin with backup_count
29-30  several writers, and their rotations                open b beside a
31     the holder of the lock is killed                    fail write with kill
32-33  fork with records pending, and with locks held      fork, also while held
=====  ==================================================  ===============================================
"""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from _thread import allocate_lock
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from msgspec.structs import force_setattr

import bamboo_logmetrics as blm
from bamboo_logmetrics.logfiles import rotating
from bamboo_logmetrics.pipeline import worker
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock
from support.tools import tool

LONG = 30.0  # seconds of the program's clock: all pauses of a log that works are over by then
PATIENCE = 20  # real seconds
PAUSE = 5.0  # seconds; the longest after which a log tries again to write
TORN = b'{"timestamp":"2026-1'  # half a line of this package


# -- the model -----------------------------------------------------------------------------


@dataclass
class Call:
    """One emit."""

    ident: str  # its first letter tells the thread: m, 0 to 7, or x for one from inside the sink
    kind: str  # event, plain (it has no answer) or bad (an event that cannot be encoded)
    answer: bool | None = None
    kept: bool | None = None  # whether a queue that drops its oldest kept it, where that is known


@dataclass
class Writer:
    """The history of one opening of the log by one process: its calls, and how it ended."""

    ident: str
    options: dict
    calls: list[Call] = field(default_factory=list)
    stats: dict = field(default_factory=dict)  # the last snapshot
    closed: bool = False  # from now on everything is refused
    refused_late: int = 0  # so much was
    complete: bool = False  # it was closed in time: all that was accepted is in the files
    gave_up: bool = False  # a close ran out of time: what waited is counted as lost
    dead: bool = False  # its process has ended: there are no more snapshots

    @property
    def durable(self):
        return self.options.get("durability", "queue") != "queue"

    @property
    def oldest_go(self):
        return self.options.get("on_full") == "drop_oldest"

    def must(self, call):
        """Return True if the line must be in the files of a complete log; of a durable one, of any."""
        return call.answer is True and (call.kept is True or self.durable or not self.oldest_go)

    def may(self, call):
        """Return True if the line may be there: a durable emit can return False for a line that is still written later."""
        return call.kept is not False and (call.answer is not False or self.durable)


class Held:
    """The queue of a log whose worker has one record in hand and takes no other."""

    def __init__(self, writer):
        self.writer = writer
        self.size = writer.options.get("queue_size", 65_536)
        self.on_full = writer.options.get("on_full", "drop_newest")
        self.plain_size = self.size if self.on_full == "block" else max(1, int(self.size * 0.9))
        self.waiting = []
        self.dropped = Counter(writer.stats["dropped"])

    def put(self, call):
        """Take a call in or refuse it; tell whether it is in."""
        size = self.plain_size if call.kind == "plain" else self.size
        if len(self.waiting) < size:
            self.waiting.append(call)
        elif self.on_full == "block":
            self.dropped["block_timeout"] += 1
            return False
        elif size < self.size:
            self.dropped["plain_gave_way"] += 1
            return False
        else:
            self.dropped["queue_full"] += 1
            if self.on_full == "drop_newest":
                return False
            self.waiting.pop(0).kept = False
            self.waiting.append(call)
        return True

    def release(self):
        """Let the worker write what waits."""
        for call in self.waiting:
            call.kept = True


# -- the world: time and threads -----------------------------------------------------------


class Turns(ManualClock):
    """A clock under which one thread runs at a time.

    Threads change only where one waits, and time passes only when all of them wait: to the moment that the first
    of them waits for. So a program takes the same course each time, and long pauses take no time.
    """

    def __init__(self):
        super().__init__()
        self.alone()

    def alone(self):
        """Start with the calling thread as the only one, as a forked child must."""
        self._guard = threading.Condition()
        self.threads = [threading.current_thread()]  # in the order of their turns; the main thread is the last
        self._until = {}  # of those that wait
        self._looked = set()  # those that have seen in vain whether they can go on

    def wait(self, lock, timeout):
        """Take ``lock``, or give up after ``timeout`` seconds."""
        if lock.acquire(blocking=False):
            return True
        if timeout is not None and timeout <= 0:
            return False
        return self.turn(lambda: lock.acquire(blocking=False), timeout)

    def turn(self, ready=lambda: True, timeout=None):
        """Let the other threads run until all of them wait, and go on when ``ready``."""
        me = threading.current_thread()
        with self._guard:
            self._until[me] = None if timeout is None else self._passed + timeout
            self._looked.clear()
            self._guard.notify_all()
            while True:
                if self._has_turn(me):
                    if (is_ready := ready()) or (timeout is not None and self._passed >= self._until[me]):
                        break
                    self._looked.add(me)
                    if len(self._looked) == len(self.threads):
                        self._pass_time()
                    self._guard.notify_all()
                else:
                    self._guard.wait()
            del self._until[me]
            self._looked.clear()
        return is_ready

    def leave(self, thread):
        """Count a thread out that ends."""
        with self._guard:
            self.threads.remove(thread)
            self._guard.notify_all()

    def _has_turn(self, me):
        waiting = [thread for thread in self.threads if thread in self._until]
        return waiting == self.threads and me is next(t for t in waiting if t not in self._looked)

    def _pass_time(self):
        moments = [moment for moment in self._until.values() if moment is not None]
        if not moments:
            fail("all threads wait, for ever")
        self._wall += round((min(moments) - self._passed) * 1e9)
        self._passed = min(moments)
        self._looked.clear()


class TurnThread(threading.Thread):
    """A thread of the package, or of the world's own, that waits for its turn."""

    world = None  # set by World

    def __init__(self, *, target, name="", daemon=True):
        super().__init__(target=target, name=name, daemon=daemon)
        self.owner = getattr(target, "__self__", None)
        self._over = allocate_lock()
        self._over.acquire()

    def start(self):
        if self.owner is not None and not self.world.threads_allowed:
            msg = "can't start new thread"
            raise RuntimeError(msg)
        self.world.clock.threads.insert(0, self)
        try:
            super().start()
        except RuntimeError:  # the interpreter ends
            self.world.clock.threads.remove(self)
            raise

    def run(self):
        clock = self.world.clock
        clock.turn()
        try:
            super().run()
        finally:
            self._over.release()
            clock.leave(self)

    def join(self, timeout=None):
        self.world.clock.wait(self._over, timeout) and self._over.release()


# -- the world: the disk -------------------------------------------------------------------


class Disk(FS):
    """An FS whose next calls do as they are told, and that removes no line for good."""

    def __init__(self, world):
        self._world = world
        self.faults = {}  # by call: (what the next calls do, whether the last of it is for good)
        self.hangs = None  # the worker whose writes hang
        self.gate = allocate_lock()

    def act(self, name, real, args):
        """Do one call, or what was asked for instead."""
        do = partial(real, self, *args)
        thread = threading.current_thread()
        if name == "write" and self.hangs is not None and getattr(thread, "owner", None) is self.hangs:
            self._world.clock.wait(self.gate, None)
            self.gate.release()
        what = self._next(name)
        if what == "ok":
            return do()
        if what in {"short", "kill_half"}:
            return self._half(what, do, args)
        if what == "emit":
            self._world.emit_inside()
            return do()
        if what == "kill_after" or name == "close":  # a close that fails has closed
            do()
        if what.startswith("kill"):
            crash()
        return self._fail(what)

    def _next(self, name):
        what, for_good = self.faults.get(name, ([], False))
        if not what:
            return "ok"
        return what[0] if for_good and len(what) == 1 else what.pop(0)

    def _half(self, what, do, args):
        if not isinstance(args[-1], (bytes, memoryview)) or len(args[-1]) < 2:
            return do()
        taken = os.write(args[0], args[-1][: len(args[-1]) // 2])
        return crash() if what == "kill_half" else taken

    def _fail(self, what):
        if what in errno.__dict__:
            raise OSError(getattr(errno, what), what)
        worker = threading.current_thread() is not threading.main_thread()
        if not (worker or self._world.emitting):  # in open and close they are the application's to see
            raise OSError(errno.EIO, "EIO")
        if what == "exit" and worker:
            raise SystemExit
        raise RecursionError if what == "recursion" else MemoryError

    def unlink(self, path):
        """Remove a file; keep what retention removes where the end of the program finds it."""
        base = path.removesuffix(".gz")
        twins = [form for form in (base, f"{base}.gz") if form != path and os.path.exists(form)]
        if not twins and not os.path.basename(path).startswith("."):
            os.link(path, self._world.beside(path))
        FS.unlink(self, path)

    def fsync(self, fd):
        """Do nothing, which is fast: what a process has written outlives it."""


def _scripted(name):
    real = getattr(Disk, name)
    return lambda self, *args: self.act(name, real, args)


for _name in vars(FS).keys() - {"urandom"}:
    if not _name.startswith("_"):
        setattr(Disk, _name, _scripted(_name))


# -- the world: a process that logs --------------------------------------------------------


_to_say = []


def say(*message, now=False):
    """Tell the test something; not before the end of the step, unless ``now``."""
    _to_say.append(json.dumps(message) + "\n")
    if now:
        os.write(1, "".join(_to_say).encode())
        _to_say.clear()


def fail(text):
    """Fail with a message."""
    say("error", text, now=True)
    os._exit(3)


def crash():
    """Be killed."""
    say("killed", now=True)
    os.kill(os.getpid(), signal.SIGKILL)


class World:
    """Does the steps of a program, one at a time, and tells what happened."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "log", "a.jsonl")
        self._side = os.path.join(directory, "side")
        self.clock = Turns()
        self.disk = Disk(self)
        self.threads_allowed = True
        self.emitting = False
        self.logs = {}  # by name
        self.all = []  # also those whose name was given to another
        self._number = 0
        TurnThread.world = self
        worker.Thread = rotating.Thread = TurnThread

    def serve(self):
        """Take commands until there are no more."""
        while command := hear():
            try:
                answer = getattr(self, command[0])(*command[1:])
                self.clock.turn()  # until all threads wait
                say("done", answer, [snapshot(log) for log in self.all], now=True)
            except Exception:
                fail(traceback.format_exc())

    def beside(self, path):
        """Return a new name outside the log's directory."""
        return os.path.join(self._side, f"{len(os.listdir(self._side))}-{os.path.basename(path)}")

    def _timed(self, call, *args):
        before = self.clock.monotonic()
        return call(*args), self.clock.monotonic() - before

    # -- the steps -------------------------------------------------------------------------

    def open(self, name, options):
        log = self.logs[name] = blm.open_log(self.path, clock=self.clock, fs=self.disk, **options)
        self.all.append(log)
        say("opened", name, log.stats().writer)

    def emit(self, name, kind, count, thread="m"):
        log = self.logs[name]
        for _ in range(count):
            self._number += 1
            ident, writer, answer = f"{thread}{self._number}", log.stats().writer, None
            say("call", name, writer, ident, kind)
            before = self.clock.monotonic()
            self.emitting = True
            if kind == "plain":
                log.info(f"c{ident}")  # as tool() names an event
            else:
                event = tool(ident)
                if kind == "bad":
                    force_setattr(event, "latency_ms", object())
                answer = log.emit(event)
            self.emitting = False
            say("answer", writer, ident, answer, self.clock.monotonic() - before)

    def emit_inside(self):
        if "a" in self.logs:
            self.emit("a", "event", 1, "x")

    def crowd(self, name, count):
        threads = [TurnThread(target=partial(self.emit, name, "event", count, str(n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def time(self, seconds):
        self.clock.advance(seconds)

    def wall(self, seconds):
        self.clock.set_wall(self.clock.time_ns() + round(seconds * 1e9))

    def threads(self, allowed):
        self.threads_allowed = allowed

    def flush(self, name, timeout):
        return self._timed(self.logs[name].flush, timeout)

    def close(self, name, timeout):
        return self._timed(self.logs[name].close, timeout)

    def fail(self, call, what, for_good):
        self.disk.faults[call] = (what, for_good)

    def heal(self):
        self.disk.faults.clear()
        self._catch_up()

    def hold(self, name):
        """Have the worker hang in a write, with one event in hand and nothing behind it."""
        self.disk.faults.clear()
        log = self.logs[name]
        if not log.flush(LONG):
            fail("nothing is wrong, and flush said no")
        self.disk.hangs = log._pipeline._worker
        self.disk.gate.acquire()
        self.emit(name, "event", 1)
        self.clock.advance(log._pipeline.options.flush_interval)

    def release(self, later):
        if later:
            TurnThread(target=partial(self._release_at, later)).start()
        else:
            self._release_at(0)
            self._catch_up()

    def _release_at(self, later):
        never = allocate_lock()
        never.acquire()
        self.clock.wait(never, later)
        self.disk.hangs = None
        self.disk.gate.release()

    def _catch_up(self):
        """Let the longest pause pass after which a log tries again, and then flush_interval."""
        for seconds in (PAUSE, 0.05):
            self.clock.turn()
            self.clock.advance(seconds)

    def outside(self, what):
        """Do to the file what others may do, and keep its lines."""
        if not os.path.exists(self.path):
            return
        if what == "rename":
            os.rename(self.path, self.beside(self.path))
        elif what == "unlink":
            os.link(self.path, self.beside(self.path))
            os.unlink(self.path)
        elif what == "truncate":
            shutil.copy(self.path, self.beside(self.path))
            os.truncate(self.path, 0)
        else:
            with open(self.path, "a+b", buffering=0) as file:
                file.seek(max(0, os.path.getsize(self.path) - len(TORN)))
                if file.read() != TORN:  # two halves behind each other would be no beginning of a line any more
                    file.write(TORN)

    def fork(self, name, count, how):
        if pid := os.fork():
            os.waitpid(pid, 0)
            return
        self.clock.alone()
        self.disk.faults, self.disk.hangs = {}, None
        self.emit(name, "event", count)
        if how == "close":
            closed = self.logs[name].close(LONG)
            say("child", snapshot(self.logs[name]), closed)
        if how == "exit":
            self.exit()
        say("left", now=True)
        os._exit(0)

    def crash(self):
        crash()

    def exit(self):
        say("left", now=True)
        sys.exit()


def snapshot(log):
    stats = log.stats()
    return {name: getattr(stats, name) for name in blm.Stats.__slots__} | {"dropped": dict(stats.dropped)}


def hear():
    """Return the next message; there is never more than one on its way."""
    text = b""
    while not text.endswith(b"\n"):
        if not (more := os.read(0, 65_536)):
            return None
        text += more
    return json.loads(text)


def serve_worlds():
    """Fork a world for each directory that is asked for, and tell how it ended."""
    gc.collect()
    gc.freeze()
    while directory := hear():
        pid = os.fork()
        if not pid:
            World(directory).serve()
            os._exit(0)
        say("started", pid, now=True)
        _, status = os.waitpid(pid, 0)
        say("ended", os.waitstatus_to_exitcode(status), now=True)


class Worlds:
    """Starts worlds, as forks of one interpreter that has imported everything, and talks with the one that lives."""

    def __init__(self, stderr):
        self._stderr = str(stderr)
        self._read = 0
        self._heard = b""
        self._pid = 0
        with open(self._stderr, "wb") as file:
            command = [sys.executable, "-W", "ignore::DeprecationWarning", __file__]
            self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file)

    def start(self, directory):
        self._send(directory)
        self._pid = self._hear()[1]

    def ask(self, *command):
        """Return all that the world says to a command; the last of it is done, error or ended."""
        self._send(command)
        heard = [self._hear()]
        while heard[-1][0] not in {"done", "error", "ended"}:
            heard.append(self._hear())
        if heard[-1][0] != "done":
            self._pid = 0
        if heard[-1][0] == "error":
            self._hear()
        return heard

    def stop(self):
        """End the world that lives, if one does."""
        if self._pid:
            self.ask("crash")

    def complaints(self):
        """Return the text that was written to stderr since the last call."""
        with open(self._stderr, encoding="utf-8") as file:
            file.seek(self._read)
            text = file.read()
            self._read = file.tell()
        return text

    def end(self):
        self.stop()
        self._parent.stdin.close()
        self._parent.stdout.close()
        self._parent.wait(60)

    def _send(self, message):
        self._parent.stdin.write(json.dumps(message).encode() + b"\n")
        self._parent.stdin.flush()

    def _hear(self):
        while b"\n" not in self._heard:
            if self._pid and not select.select([self._parent.stdout], [], [], PATIENCE)[0]:
                os.kill(self._pid, signal.SIGKILL)
                return ["error", f"no answer for {PATIENCE} s"]
            self._heard += os.read(self._parent.stdout.fileno(), 65_536) or b'["ended", "all worlds"]\n'
        line, self._heard = self._heard.split(b"\n", 1)
        return json.loads(line)


if __name__ == "__main__":
    serve_worlds()
