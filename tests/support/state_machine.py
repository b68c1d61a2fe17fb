"""The state machine of a log, run against its model."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import os
import pathlib
import shutil
import signal
import tempfile
from collections import Counter

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import bamboo_logmetrics as blm
from support.model import LONG, Call, Held, Writer
from support.tools import flat

FOREIGN = "a.jsonl.20260101T000000000000Z-0123456789abcdef0123.old"  # looks like a rotated file, and is none


BLOCK_TIMEOUT = 5.0  # the option's default


STOPPED, DROPPED = "system.worker_stopped", "system.metrics_dropped"


class Play:
    """Does a program, step by step, in a world and on the model, and compares the two."""

    def __init__(self, worlds, directory):
        self.program = []
        self.worlds = worlds
        self.path = os.path.join(directory, "log", "a.jsonl")
        self.side = os.path.join(directory, "side")  # where files go that are moved or removed
        self.files = {}  # the options of the file
        self.writers = {}  # by id, all that there ever were
        self.open = {}  # by name, "a" or "b"
        self._start_anew()

    def _start_anew(self):
        self.alive = False
        self.threads_allowed = True
        self.held = None  # the queue that is known exactly, while the disk hangs
        self.hangs = False  # the disk, and with it all who want the lock of the file
        self.slow = False  # it will work again, in a while
        self.faulty = False  # some calls fail
        self.broken = False  # a call fails for good, or will kill
        self.inside = False  # the sink emits
        self.open = {}
        self.moved_after = None  # so many lines, the file was moved away

    @property
    def works(self):
        """Return True if every wait must end well, given enough time."""
        return not (self.hangs or self.broken)

    def do(self, *step):
        """Do one step; one that makes no sense now is left out."""
        name, *args = json.loads(json.dumps(step))
        if not getattr(self, f"can_{name}", lambda *_: self.alive)(*args):
            return
        self.program.append([name, *args])
        with self._said_with_the_program():
            getattr(self, f"do_{name}")(*args)
            if self.alive:
                self.check_now()

    def finish(self):
        """Make everything well, end all that runs, and check what is in the files."""
        with self._said_with_the_program():
            if self.alive:
                self.do_heal()
                self.do_threads(True)
            for name in list(self.open):
                self.do_close(name, LONG)
                self.do_forget(name)
            self.do_open("a", {})  # repairs what a killed one has left
            self.do_close("a", LONG)
            self.check_now()
            self.do_crash()
            self.check_files()

    @contextlib.contextmanager
    def _said_with_the_program(self):
        try:
            yield
        except AssertionError as error:
            steps = ",\n".join(f"  {json.dumps(step)}" for step in self.program)
            msg = f"{error}\n\nThe program (once mended, keep it as programs/<what it is about>.json):\n[\n{steps}\n]"
            raise AssertionError(msg) from error

    # -- talking with the world ------------------------------------------------------------

    def _ask(self, *command):
        """Have the world do something, take down what it says, and return its answer; None if it died of it."""
        *said, (how, *last) = self.worlds.ask(*command)
        for what, *args in said:
            getattr(self, f"said_{what}", lambda: None)(*args)
        assert how != "error", last[0]
        if how == "ended":
            self._ended(command[0], *last)
            return None
        for stats in last[1]:
            self._snapshot(stats)
        return last[0]

    def said_opened(self, name, ident):
        self.writers[ident] = self.open[name] = Writer(ident, self.options)

    def said_call(self, name, ident, call, kind):
        if ident not in self.writers:  # a forked child's
            self.writers[ident] = Writer(ident, self.open[name].options)
        self.writers[ident].calls.append(Call(call, kind))

    def said_answer(self, ident, call, answer, took):
        writer = self.writers[ident]
        made = next(made for made in writer.calls if made.ident == call)
        made.answer = answer
        allowed = 0 if call.startswith("x") else BLOCK_TIMEOUT
        assert took <= allowed + 1e-6 or not self.threads_allowed, f"{call} took {took} s"
        if writer.closed:
            writer.refused_late += 1
            assert answer is not True, f"{call} was accepted after close"
        elif self.held and self.held.writer is writer:
            accepted = self.held.put(made)
            assert answer in {None, accepted}, f"{call}: {answer}, while the disk hangs"

    def said_child(self, stats, closed):
        if stats["writer"] in self.writers:  # it has emitted
            writer = self.writers[stats["writer"]]
            writer.closed, writer.complete, writer.stats = True, closed, stats
            assert closed == (not self.hangs), f"close said {closed} in a forked child: {stats}"

    def _snapshot(self, stats):
        writer = self.writers[stats["writer"]]
        assert stats["written"] >= writer.stats.get("written", 0), f"written went down: {stats}"
        writer.stats = stats

    def _ended(self, command, status):
        allowed = {"exit": [0], "crash": [-signal.SIGKILL]}.get(command, [])
        assert status in allowed or (self.broken and status == -signal.SIGKILL), f"it died of {command}: {status}"
        for writer in self.writers.values():
            writer.dead = True
        self._start_anew()

    # -- the steps -------------------------------------------------------------------------

    def can_begin(self, _):
        return not self.program

    def do_begin(self, files):
        self.files = files
        os.makedirs(os.path.dirname(self.path))
        os.makedirs(self.side)
        pathlib.Path(self.path).with_name(FOREIGN).touch()

    def can_open(self, name, _):
        return name not in self.open

    def do_open(self, name, options):
        if not self.alive:
            self.worlds.start(os.path.dirname(self.side))
            self.alive = True
        self.options = self.files | options
        self._ask("open", name, self.options)

    def _is_open(self, name, *_):
        return self.alive and name in self.open

    can_emit = can_plain = can_bad = can_crowd = can_flush = can_close = _is_open

    def do_emit(self, name, count):
        self._ask("emit", name, "event", count)

    def do_plain(self, name, count):
        self._ask("emit", name, "plain", count)

    def do_bad(self, name):
        self._ask("emit", name, "bad", 1)

    def do_crowd(self, name, count):
        self._ask("crowd", name, count)

    def do_clock(self, seconds):
        self._ask("time", seconds)
        self._check_written()
        self.slow = self.slow and seconds < LONG

    def do_wall(self, seconds):
        self._ask("wall", seconds)

    def do_threads(self, allowed):
        self.threads_allowed = allowed
        self._ask("threads", allowed)

    def do_flush(self, name, timeout):
        writer, works = self.open[name], self.works
        if answer := self._ask("flush", name, timeout):
            flushed, took = answer
            # without threads one try for the lock of the file, which takes 5 s, may be under way
            assert took <= timeout + 1e-6 or not self.threads_allowed, f"flush({timeout}) took {took} s"
            assert flushed or timeout < LONG or not works or writer.gave_up, "flush said no, and nothing is wrong"
            assert not flushed or self.inside or not writer.stats["queued"], f"flush said yes: {writer.stats}"

    def do_close(self, name, timeout):
        writer, works = self.open[name], self.works
        if self.held and self.held.writer is writer and not writer.closed:
            self.held.dropped["shutdown"] += len(self.held.waiting)
            self.held.waiting = []
        again, writer.closed = writer.closed, True
        if answer := self._ask("close", name, timeout):
            closed, took = answer
            assert took <= timeout + 1e-6 or not self.threads_allowed, f"close({timeout}) took {took} s"
            assert closed or timeout < LONG or not works or again, "close said no, and nothing is wrong"
            assert not closed or not (self.held and self.held.writer is writer), "close said yes, and the disk hangs"
            writer.complete = writer.complete or (closed and not again)
            writer.gave_up = not writer.complete
            assert self.hangs or self.slow or not writer.stats["queued"], f"neither written nor counted: {writer.stats}"

    def can_forget(self, name):
        return self._is_open(name) and self.open[name].closed

    def do_forget(self, name):
        """Let the name be given to another log."""
        del self.open[name]

    def do_fail(self, call, what, for_good):
        self.faulty = True
        self.broken = self.broken or for_good or any(item.startswith("kill") for item in what)
        self.inside = self.inside or "emit" in what
        self._ask("fail", call, what, for_good)

    def do_heal(self):
        self.faulty = self.broken = self.inside = False
        self._ask("heal")
        if self.hangs:
            self.do_release(0)
        self._check_written()

    def can_hold(self, name):
        sound = self.works and self.threads_allowed and not (self.slow or self.inside)
        return sound and self._is_open(name) and not (self.open[name].durable or self.open[name].closed)

    def do_hold(self, name):
        self.faulty = False
        self._ask("hold", name)
        self.hangs = True
        self.held = Held(self.open[name])
        assert self.held.writer.stats["queued"] == 1, self.held.writer.stats

    def can_release(self, _):
        return self.hangs

    def do_release(self, later):
        held, self.held = self.held, None
        self.hangs, self.slow = False, later > 0
        self._ask("release", later)
        if self.alive and not (later or self.faulty):
            held.release()
            assert not held.writer.stats["queued"], f"the disk works again: {held.writer.stats}"
            assert held.writer.stats["dropped"] == held.dropped + Counter(closed=held.writer.refused_late)

    def can_outside(self, what):
        return self.alive and not (what == "torn" and (self.hangs or self.slow))

    def do_outside(self, what):
        self._ask("outside", what)
        if what in {"rename", "unlink"} and not (self.hangs or self.slow):
            self.moved_after = self._all_lines()

    def _all_lines(self):
        return sum(writer.stats.get("written", 0) + writer.stats.get("own", 0) for writer in self.writers.values())

    def can_fork(self, name, *_):
        return self._is_open(name) and not (self.open[name].closed or self.slow)

    def do_fork(self, name, count, how):
        before, healthy = set(self.writers), not self.hangs
        self._ask("fork", name, count, how)
        for ident in set(self.writers) - before:
            self.writers[ident].dead = True
            self.writers[ident].complete |= healthy and how == "exit"

    def do_crash(self):
        self._ask("crash")

    def do_exit(self):
        healthy = self.works and not self.inside
        ending = [writer for writer in self.open.values() if not writer.closed]
        self._ask("exit")
        for writer in ending:
            writer.complete = healthy

    def _check_written(self):
        """After flush_interval, or a retry's pause: what was emitted is written, if nothing is wrong."""
        if self.threads_allowed and not (self.faulty or self.hangs or self.slow):
            late = [writer.stats for writer in self.open.values() if writer.stats["queued"]]
            assert not late, f"still not written: {late}"

    # -- the checks ------------------------------------------------------------------------

    def check_now(self):
        """After each step: L, the drops as far as they are known, W."""
        there = Counter(
            line["writer"] for line in [*read(os.path.dirname(self.path)), *read(self.side)] if is_users(line)
        )
        for ident, writer in self.writers.items():
            if writer.stats and not writer.dead:
                stats = writer.stats
                assert stats["emitted"] == stats["written"] + stats["dropped_total"] + stats["queued"], stats
                assert stats["emitted"] == len(writer.calls), f"{len(writer.calls)} calls: {stats}"
                assert stats["written"] == there[ident], f"{there[ident]} lines are in the files: {stats}"
                self._check_drops(writer, Counter(stats["dropped"]))
        if self.moved_after is not None and self._all_lines() > self.moved_after:
            assert os.path.exists(self.path), "lines were written to the file that was moved away"
            self.moved_after = None

    def _check_drops(self, writer, dropped):
        if self.held and self.held.writer is writer:
            expected = self.held.dropped + Counter(closed=writer.refused_late)
            assert dropped == expected, f"{dropped} and not {expected}, while the disk hangs"
        assert dropped["closed"] == writer.refused_late, f"{writer.refused_late} calls after close: {dropped}"
        assert writer.gave_up or not dropped["shutdown"] + dropped["storage"], f"no close ran out of time: {dropped}"
        refused = dropped["plain_gave_way"] + dropped["block_timeout"] + dropped["queue_full"] * (not writer.oldest_go)
        answers = Counter(call.answer for call in writer.calls)
        no = answers[False] + answers[None] - writer.refused_late
        assert refused <= no, f"{no} calls had no yes: {dropped}"
        assert writer.durable or refused >= answers[False] - writer.refused_late, f"{answers}: {dropped}"

    def check_files(self):
        """At the end: F, U, W, A, every accepted event once and in order, and what verify says."""
        here, side = flat(self.path), read(self.side)
        found = {}
        for line in [*here, *side]:
            found.setdefault(line["writer"], {}).setdefault(line["seq"], []).append(line)
        assert found.keys() <= self.writers.keys()
        for ident, writer in self.writers.items():
            numbered = found.get(ident, {})
            assert all(len(twice) == 1 for twice in numbered.values()), f"(writer, seq) twice: {numbered}"
            assert sorted(numbered) == list(range(1, len(numbered) + 1)), f"a hole in {sorted(numbered)}"
            check_writer(writer, [numbered[seq][0] for seq in sorted(numbered)])
        self._check_verify(here, {(line["writer"], line["seq"]) for line in side})
        self._check_beside()

    def _check_verify(self, here, side):
        """Verify names exactly who did not stop, and exactly what was taken away from outside."""
        report = blm.verify(self.path)
        assert {entry.writer for entry in report.writers} == {line["writer"] for line in here}
        for entry in report.writers:
            kinds = {line["seq"]: line["event"] for line in here if line["writer"] == entry.writer}
            assert entry.end == ("stopped" if kinds[max(kinds)] == STOPPED else "unclean end"), entry
            missing = set(range(1, max(kinds))) - kinds.keys()
            assert {(entry.writer, seq) for seq in missing} <= side, entry
            named = {seq for first, last in entry.gaps for seq in range(first, last + 1)}
            assert named == {seq for seq in missing if not entry.removed_by_retention or seq > min(kinds)}, entry
            assert entry.ok == (entry.end == "stopped" and not named), entry
        assert report.ok == all(entry.ok for entry in report.writers), report.problems

    def _check_beside(self):
        names = os.listdir(os.path.dirname(self.path))
        assert FOREIGN in names, "a foreign file was removed"
        assert not [name for name in names if name.endswith(".tmp")], f"a partial file was left: {names}"
        keep = self.files.get("backup_count")
        assert keep is None or len(names) - 3 <= keep, f"{keep} rotated files were to be kept: {names}"
        removed = [name.partition("-")[2] for name in os.listdir(self.side) if ".jsonl.2" in name]
        rotated = [name for name in names if ".jsonl.2" in name and name != FOREIGN]
        assert max(removed, default="") < min(rotated, default="z"), f"removed {removed} before {rotated}"
        complaints = self.worlds.complaints().splitlines()
        assert all(line.startswith("bamboo_logmetrics: ") for line in complaints), complaints


def check_writer(writer, found):
    """Compare all lines of one writer with the calls that were made."""
    users = [line for line in found if is_users(line)]
    there = [call_of(line) for line in users]
    assert len(there) >= writer.stats.get("written", 0), f"{len(there)} lines are in the files: {writer.stats}"
    made = {call.ident for call in writer.calls if writer.may(call)} | {None}
    assert set(there) <= made, f"refused, and written: {set(there) - made}"
    for thread in {call.ident[0] for call in writer.calls}:
        check_order(writer, thread, [call for call in there if (call or "m")[0] == thread])
    stopped = bool(found) and found[-1]["event"] == STOPPED
    assert stopped or not (writer.complete and found), f"closed in time, and the last line is {found[-1]}"
    if stopped:
        said = found[-1]
        announced = Counter()
        for line in found:
            announced[line.get("reason")] += line["count"] if line["event"] == DROPPED else 0
        assert said["written"] == len(users), f"{len(users)} lines: {said}"
        assert announced + Counter(closed=said["dropped"].get("closed", 0)) == said["dropped"], f"{announced}: {said}"
        assert said["emitted"] == said["written"] + sum(said["dropped"].values()), said


def check_order(writer, thread, there):
    """Compare the lines of one thread's calls with the calls: in order, each once, and none left out that counts."""
    calls = [call for call in writer.calls if call.ident[0] == thread]
    names = [None if call.kind == "bad" else call.ident for call in calls]
    rest = iter(names)
    assert all(name in rest for name in there), f"not in order, or twice: {there} of {names}"
    if not (writer.complete or writer.durable):  # what was not stored in time is lost, but only the end of it
        upto = names.index(there[-1]) if there and there[-1] else 0
        calls, names = calls[:upto], names[:upto]
    musts = Counter(name for name, call in zip(names, calls, strict=True) if writer.must(call))
    assert not musts - Counter(there), f"accepted, and lost: {musts - Counter(there)}"


def is_users(line):
    return "plain" in line or not line["event"].startswith("system.")


def call_of(line):
    """Return which call made a line; None for one that could not be encoded."""
    return line.get("tool_call_id", line["event"])[1:] if "encode_error" not in line else None


def read(directory):
    """Return the whole lines of all files of a log; a last line that is torn is none."""
    names, found = set(os.listdir(directory)) - {FOREIGN}, []
    for name in sorted(names):
        if name.startswith(".") or (name.endswith(".gz") and name[:-3] in names):
            continue
        with (gzip.open if name.endswith(".gz") else open)(os.path.join(directory, name), "rb") as file:
            found += [parsed(line) for line in file.read().split(b"\n")[:-1]]
    return found


@functools.lru_cache(maxsize=10_000)
def parsed(line):
    try:
        return json.loads(line)
    except ValueError as error:
        raise AssertionError(f"not JSON: {line}") from error


FILES = st.fixed_dictionaries(
    {"max_bytes": st.sampled_from([1_000, 3_000, 1_000_000])},
    optional={"backup_count": st.integers(0, 3), "compress": st.just("gzip"), "rotate_every": st.just("hour")},
)


QUEUED = {
    "queue_size": st.sampled_from([10, 50, 3, 1]),
    "on_full": st.sampled_from(["drop_newest", "drop_oldest", "block"]),
}


DURABLE = QUEUED | {"durability": st.sampled_from(["write", "fsync"])}


OPTIONS = st.one_of(*[st.fixed_dictionaries(QUEUED)] * 3, st.fixed_dictionaries(DURABLE))


ERRORS = ["ENOSPC", "EIO", "EMFILE", "EACCES", "EDQUOT", "EFBIG", "EAGAIN", "exit", "memory", "recursion"]


CALLS = ["write"] * 8 + ["open", "rename", "ftruncate", "fsync", "unlink", "pread", "lock"] * 2
CALLS += ["unlock", "close", "stat", "fstat", "fchmod", "listdir"]


ONCE = st.lists(st.sampled_from(["short", "ok", "emit", "EINTR", *ERRORS]), min_size=1, max_size=3)


HALF = st.sampled_from(ERRORS).map(lambda error: ["short", error])


KILL = st.builds(
    lambda after, how: ["ok"] * after + [how], st.integers(0, 3), st.sampled_from(["kill", "kill_half", "kill_after"])
)


KILLED = ["write", "open", "rename", "unlink", "fsync", "ftruncate"]


NAMES = st.sampled_from(["a", "a", "a", "b"])


COUNTS = st.integers(1, 20)


def step(name, *args):
    return st.tuples(st.just(name), *[arg if isinstance(arg, st.SearchStrategy) else st.just(arg) for arg in args])


def steps(*several):
    return st.tuples(*several)


EMIT = step("emit", NAMES, COUNTS)


TICK = step("clock", 1)


LOGGING = st.one_of(
    *[steps(EMIT)] * 3,
    steps(step("plain", NAMES, COUNTS), EMIT),
    steps(EMIT, step("bad", NAMES), EMIT),
    steps(step("crowd", NAMES, st.integers(1, 3))),
)


HOLD = (step("heal"), step("threads", True), step("hold", "a"))


FULL = st.one_of(
    *[steps(*HOLD, step("plain", "a", COUNTS), step("emit", "a", COUNTS))] * 3,
    steps(*HOLD, step("emit", "a", COUNTS), step("crowd", "a", 1)),
    steps(step("release", st.sampled_from([0, 0.5]))),
)


WAITING = st.one_of(
    steps(step("clock", st.sampled_from([0.05, 1, 3_600]))),
    steps(step("wall", st.sampled_from([-1, -86_400]))),
    steps(step("flush", NAMES, st.sampled_from([LONG, 0.01, 0]))),
)


FAULTS = st.one_of(
    *[steps(step("fail", st.sampled_from(CALLS), ONCE, False), EMIT, TICK)] * 4,
    *[steps(step("fail", "write", HALF, False), EMIT, TICK)] * 2,
    steps(step("fail", st.sampled_from(CALLS), st.sampled_from(ERRORS).map(lambda error: [error]), True), EMIT, TICK),
    *[steps(step("fail", st.sampled_from(KILLED), KILL, False), EMIT, TICK)] * 2,
    steps(step("heal"), step("threads", True)),
    steps(step("threads", False)),
)


OTHERS = st.one_of(
    *[steps(step("outside", what), EMIT, TICK) for what in ("torn", "torn", "rename", "unlink", "truncate")],
    *[steps(step("fork", NAMES, st.integers(0, 5), how)) for how in ("close", "exit", "_exit")],
    *[steps(step("open", "b", OPTIONS), step("emit", "b", COUNTS))] * 2,
)


ENDING = st.one_of(
    *[
        steps(step("close", NAMES, timeout), step("emit", "a", 1), step("close", NAMES, 0), step("forget", "a"))
        for timeout in (LONG, LONG, 0.01, 0)
    ],
    steps(step("crash")),
    steps(step("exit")),
)


REOPEN = steps(step("forget", "b"), step("open", "a", OPTIONS), step("emit", "a", COUNTS))


class Machine(RuleBasedStateMachine):
    """Makes programs up. Each rule does a few steps that are of more use together, such as a fault and who meets it."""

    worlds = root = None  # set by run_machine

    def __init__(self):
        super().__init__()
        self.directory = tempfile.mkdtemp(dir=self.root)
        self.play = Play(self.worlds, self.directory)
        self.sound = True

    def do(self, *several):
        self.sound = False
        for each in several:
            self.play.do(*each)
        self.sound = True

    @initialize(files=FILES, options=OPTIONS)
    def begin(self, files, options):
        self.do(["begin", files], ["open", "a", options])

    @rule(several=LOGGING)
    def log(self, several):
        self.do(*several)

    @rule(several=FULL)
    def overflow(self, several):
        self.do(*several)

    @rule(several=WAITING)
    def wait(self, several):
        self.do(*several)

    @rule(several=FAULTS)
    def fail(self, several):
        self.do(*several)

    @rule(several=OTHERS)
    def meet_others(self, several):
        self.do(*several)

    @rule(several=ENDING, anew=REOPEN)
    def end(self, several, anew):
        self.do(*several, *anew)

    def teardown(self):
        try:
            if self.sound and self.play.program:
                self.play.finish()
        finally:
            self.worlds.stop()
            self.worlds.complaints()
            shutil.rmtree(self.directory)


ORDINARY = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,  # the same programs in each run; tests/stress makes others up
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def run_machine(worlds, root, how, number=None):
    """Run programs that the machine makes up, those of the seed ``number`` if there is one."""

    class Here(Machine):
        pass

    Here.worlds, Here.root = worlds, root
    if number is not None:
        seed(number)(Here)
    run_state_machine_as_test(Here, settings=how)
