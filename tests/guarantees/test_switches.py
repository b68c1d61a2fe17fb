"""Where the interpreter may leave a function: the exact counts rest on this (docs/decisions/0050)."""

from __future__ import annotations

import dis
import inspect
import json
import signal
import sys

import pytest
from support import TESTS

from bamboo_logmetrics.pipeline.channel import Channel

# Instructions that never let another thread, a signal handler or a finaliser in, of all that a step may have. What is
# not in this list is none until it is proved to be: a new Python with a new instruction fails here.
QUIET = {
    "LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_BORROW_LOAD_FAST_BORROW", "LOAD_FAST_LOAD_FAST", "LOAD_CONST",
    "LOAD_SMALL_INT", "LOAD_COMMON_CONSTANT", "LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "STORE_FAST", "STORE_FAST_STORE_FAST",
    "STORE_FAST_LOAD_FAST", "COMPARE_OP", "TO_BOOL", "BINARY_OP", "BINARY_ADD", "BINARY_SUBTRACT", "INPLACE_ADD",
    "INPLACE_SUBTRACT", "BUILD_TUPLE", "COPY", "SWAP", "DUP_TOP", "ROT_TWO", "ROT_THREE", "NOP", "NOT_TAKEN", "CACHE",
    "PUSH_NULL", "EXTENDED_ARG", "POP_JUMP_IF_FALSE", "POP_JUMP_IF_TRUE", "POP_JUMP_FORWARD_IF_FALSE",
    "POP_JUMP_FORWARD_IF_TRUE", "SETUP_FINALLY", "BINARY_SUBSCR",
}  # fmt: skip
CALLS = {"CALL", "PRECALL", "CALL_FUNCTION", "CALL_METHOD"}  # they let others in when the call is over

# each step: the function, and how its first and its last line begin
STEPS = [
    ("put", "if self.accepted < self.limit", "self._append(record)"),
    ("put_plain", "if self.accepted < self.plain_limit", "self._append(record)"),
    ("_put_by_policy", "not self._shut", "self._append(record)"),
    ("_put_by_policy", "self.closed += 1", "self.refused += 1"),
    ("_refuse", "self.block_timeout += 1", "self.refused += 1"),
    ("_refuse", "self.plain_gave_way += 1", "self.refused += 1"),
    ("_refuse", "self.queue_full += 1", "self.refused += 1"),
    ("_drop_oldest", "more = self._queue[0].slots", "oldest = self._queue.popleft()"),
    ("take", "if self.accepted == self.taken", "self.more_taken = self.more_accepted"),
    ("take", "self.taken += count", "into.extend(pops)"),
    ("sleep_until_woken", "if self._open", "self.limit = self.plain_limit = 0"),
    ("close", "self._shut = True", "self.limit = self.plain_limit = _SHUT"),
    ("stats", "emitted, written, own =", "self.storage,"),
]


@pytest.mark.parametrize(("function", "first", "last"), STEPS, ids=[f"{name}: {first}" for name, first, _ in STEPS])
def test_a_step_of_the_channel_is_one(function, first, last):
    """Between the check, the count and the append there is no instruction at which something else may run."""
    code = getattr(Channel, function)
    lines, number = inspect.getsourcelines(code)
    start = next(n for n, text in enumerate(lines) if text.strip().startswith(first))
    end = next(n for n, text in enumerate(lines) if n >= start and text.strip().startswith(last))
    within, line = [], 0
    for item in dis.get_instructions(code):
        line = item.positions.lineno if sys.version_info >= (3, 11) else item.starts_line or line
        if number + start <= (line or 0) <= number + end:
            within.append(item.opname)
    calls = [n for n, name in enumerate(within) if name in CALLS]
    step = within[: calls[0]] if calls else within
    assert len(step) > 3
    assert bool(calls) == ("(" in last)
    assert [name for name in step if name not in QUIET and name != "LOAD_GLOBAL"] == []
    assert step.count("LOAD_GLOBAL") == (1 if last.endswith("_SHUT") else 0)  # a name that this module always has


PROBE = """
import collections, dis, gc, itertools, json, signal, sys, threading
class Probe:
    __slots__ = ("_append", "accepted", "limit", "queue", "refused", "shut", "taken")
    def __init__(self):
        self.accepted = self.taken = self.refused = 0
        self.limit, self.shut = 10 ** 12, False
        self.queue = collections.deque(maxlen=9)
        self._append = self.queue.append
        self._append([0])
    def put(self, record):
        if self.accepted < self.limit:
            self.accepted += 1
            self._append(record)
            return True
        return False
    def put_slowly(self, record, capacity):
        if not self.shut and self.accepted - self.taken < capacity:
            self.accepted += 1
            self.taken += 1
            self.refused += 1
            self.taken, self.refused = self.taken - 1, self.refused + 1
            first = self.queue[0]
            self.refused += 1
            if self.refused:
                self.refused += 1
            self.limit = self.taken + capacity
            self._append(record)
            return True
        return False

CODES = {each.__code__: {i.offset: i.opname for i in dis.get_instructions(each)} for each in (Probe.put, Probe.put_slowly)}
seen, totals = collections.Counter(), collections.Counter()
def note(kind, frame):
    if frame is not None and frame.f_code in CODES:
        seen[kind, CODES[frame.f_code].get(frame.f_lasti, "START")] += 1
        totals[kind] += 1

class Cycle:
    def __init__(self): self.me = self
    def __del__(self):
        frame = sys._getframe()
        note("finaliser", frame.f_back)

def watch():  # while this thread runs, the main thread stands where it was left
    while not done: note("thread", sys._current_frames().get(main))

done, probe, main = [], Probe(), threading.get_ident()
sys.setswitchinterval(1e-6)
gc.set_threshold(1)
signal.signal(signal.SIGALRM, lambda _, frame: note("signal", frame))
signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)  # more often, the handler's frame would hide the function's from the thread
watcher = threading.Thread(target=watch, daemon=True)  # else an error would leave it running for ever
watcher.start()
for number in itertools.count():
    for _ in range(1_000):
        probe.put(number)
        probe.put_slowly([], 10 ** 12)
    Cycle()
    probe.put([])
    if totals["signal"] >= 500 and totals["thread"] >= 50: break  # not a loop over seen, which grows meanwhile
signal.setitimer(signal.ITIMER_REAL, 0)
done.append(True)
watcher.join()
print(json.dumps([[*key, times] for key, times in seen.items()]))
"""

# a call, the start of a function, a jump back; at the end a frame may be seen while it is taken down
LETS_IN = {*CALLS, "RESUME", "START", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "RETURN_VALUE", "RETURN_CONST"}


@pytest.mark.parametrize("jit", ["0", "1"])
def test_where_the_interpreter_lets_others_in(run_python, monkeypatch, jit):
    """Under storms of threads, signals and finalisers a function is left at calls and at its start and end only."""
    monkeypatch.setenv("PYTHON_JIT", jit)  # a build without the JIT does not look at it
    done = run_python(PROBE, TESTS)
    for _ in range(3):
        if (
            done.returncode == -signal.SIGSEGV
        ):  # CPython 3.11 seldom survives it that another thread looks at its frames
            done = run_python(PROBE, TESTS)
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(done.stdout)
    assert {kind for kind, _, _ in seen} >= {"signal", "thread"}
    assert {name for _, name, _ in seen} <= LETS_IN
