"""Random programs: writers, rotation, retention, faults and kills in any order, and shippers that end up with it all.

A program is a list of steps. Each is done where the shipper stands still: when it has settled a batch (the next one is
read by then), at the end of the files, or in a pause. After the last step one more shipper runs to the end of the
files. What must hold then, by the files of the log and by what the server has stored:

- no writer misses a line unless it is reported as lost, and what is in the files is not lost (a line may be both
  stored and lost: when the answer was lost, and then the line before it could be sent again);
- no line came twice, but for batches whose answers were lost, or which were under way at a kill;
- at each request, the checkpoint was not ahead of what was stored (S).
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.crashpoints import quick_folder
from support.faults import FaultyFS, QuickFS
from support.ship_world import Waits, World
from support.shiplog import compress, ids_in
from support.stub_server import Reply, StubServer

from bamboo_logmetrics.logfiles.follower import Follower
from bamboo_logmetrics.ship import http

CHANGING = ("write", "rename", "fsync", "ftruncate")
PATIENCE = 500  # steps; then something goes round in circles


@pytest.fixture(scope="module", autouse=True)
def one_context():
    """Make the certificates' context once: it takes as long as a small program."""
    found = httpx.create_ssl_context()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "_tls", lambda access: found)
        yield


class Killed(BaseException):
    """The process is killed: nothing that it would do afterwards reaches the disk."""


class Play:
    """One program, and one shipper after the other beside it."""

    def __init__(self, folder, stub, to):
        self.world = World(folder, stub, to)
        self.log, self.stub = self.world.log, stub
        self.half = b""  # the rest of a line that is begun
        self.away = None  # the name under which the active file waits to be put back
        self.bad = set()  # what the server never takes
        self.under_way = set()  # what was stored since a batch was settled
        self.excused = set()  # what may come twice
        self.removed = False
        self.done = 0
        stub.poison = lambda identity: "never" if identity in self.bad else None
        stub.after = self.stored

    def stored(self, request):
        self.under_way |= {*request.stored}
        if request.reset:
            self.excused |= {*request.stored}

    def run(self, steps):
        self.log.write(2, "a")
        self.world.ship()
        self.steps = [*steps, ("tidy up",)]
        while self.steps:
            self.one_shipper(follow=True)
        self.one_shipper(follow=False)
        self.check()

    def one_shipper(self, *, follow):
        """Run a shipper until it is stopped or killed, or to the end."""
        self.fs = QuickFS()
        self.world.clock = Waits()
        self.world.clock.then = self.step
        self.following = follow
        self.under_way.clear()
        self.shipper = self.world.shipper(fs=self.fs, on_progress=self.settled)
        with suppress(Killed):
            self.shipper.run(follow=follow)
        self.excused |= self.under_way

    def settled(self, _):
        self.under_way.clear()
        self.step()

    def step(self):
        """Do the next step; after the last the shipper is stopped."""
        self.done += 1
        assert self.done < PATIENCE
        self.world.look()
        if self.steps:
            name, *args = self.steps.pop(0)
            getattr(self, "do_" + name.replace(" ", "_"))(*args)
        if self.following and not self.steps:
            self.shipper.stop()

    # -- the log -----------------------------------------------------------------------------

    def ready(self):
        """Put back a file that is away, and finish a line of which half is there."""
        if self.away:
            os.rename(self.away, self.log.path)
        self.log.append(self.half)
        self.away, self.half = None, b""

    def do_emit(self, writer, count):
        self.ready()
        self.log.write(count, writer)

    def do_half(self, writer):
        self.ready()
        data = self.log.make(1, writer)
        self.log.append(data[:60])
        self.half = data[60:]

    def do_junk(self):
        self.ready()
        self.log.append(b"junk\n")

    def do_rotate(self):
        self.ready()
        self.log.rotate()

    def do_away(self):
        self.ready()
        self.away = self.log.rotate(new=False)

    def do_compress(self, kind):
        self.ready()
        for path in self.log.plain[:1]:
            compress(path, kind)

    def do_retain(self, count):
        self.ready()
        for path in self.log.rotated[: max(0, len(self.log.rotated) - count)]:
            os.unlink(path)
            self.removed = True

    def do_truncate(self):
        self.ready()
        shutil.copy(self.log.path, self.log.path + ".copy")
        os.truncate(self.log.path, 0)
        self.removed = True

    def do_tidy_up(self):
        self.ready()

    # -- the server, the disk, the process -----------------------------------------------------

    def do_poison(self, writer, ahead):
        self.bad.add((writer * 20, self.log.last[writer] + ahead))

    def do_fail(self, status, times):
        self.stub.fail(status, times=times)

    def do_lose_answer(self):
        self.stub.reset()

    def do_lose_request(self):
        self.stub.reply(Reply(500, reset=True))

    def do_disk_full(self, call, times):
        self.fs.fail(call, times=times, when=lambda *args: call != "open" or args[1] & os.O_CREAT)

    def do_kill(self):
        for call in CHANGING:
            self.fs.fail(call, Killed(), times=None)
        raise Killed

    def do_stop(self):
        self.shipper.stop()

    def do_wait(self):
        pass

    # -- what must hold -------------------------------------------------------------------------

    def check(self):
        delivered, refused, lost = {*self.stub.stored}, {*self.world.dead()}, {*self.world.lost()}
        assert self.world.ahead == []
        assert not refused & (delivered | lost)
        assert delivered & lost <= self.excused  # it was stored, the answer was lost, and then the line
        known = delivered | refused | lost
        assert known <= {*self.log.written}
        state = self.world.state()
        assert {(writer, seq) for writer, last in state.writers.items() for seq in range(1, last + 1)} <= known
        assert {each for each in known if each[1] > state.writers.get(each[0], 0)} <= self.excused
        assert self.in_files() <= delivered | refused
        assert refused <= self.bad
        assert self.removed or not lost
        assert {each for each in delivered if self.stub.stored.count(each) > 1} <= self.excused
        assert self.world.to != "elasticsearch" or len(self.stub.stored) == len(delivered)
        assert state.lost == len(lost)
        assert len(delivered - self.excused) <= state.shipped <= len(delivered)

    def in_files(self):
        follower = Follower(self.log.path, fs=FaultyFS())
        found = set()
        while (piece := follower.read(1_000_000)) is not None:
            found |= {*ids_in(piece.lines)}
        follower.close()
        return found


def one(*values):
    return st.tuples(*(value if isinstance(value, st.SearchStrategy) else st.just(value) for value in values))


WRITER = st.sampled_from("abc")
TIMES = st.integers(1, 4)
EMIT = one("emit", WRITER, st.integers(1, 12))
FILES = [
    EMIT,
    one("half", WRITER),
    one("rotate"),
    one("away"),
    one("compress", st.sampled_from(["gzip", "zstd"])),
    one("retain", st.integers(0, 2)),
    one("truncate"),
    one("junk"),
]
FAULTS = [
    one("poison", WRITER, st.integers(1, 6)),
    one("fail", st.sampled_from([429, 500, 503]), TIMES),
    one("lose answer"),
    one("lose request"),
    one("disk full", st.sampled_from(["open", "write", "rename"]), TIMES),
    one("kill"),
    one("stop"),
    one("wait"),
]
PROGRAMS = st.lists(st.one_of(EMIT, *FILES, *FAULTS), max_size=30)


@settings(deadline=None, max_examples=120, derandomize=True)
@given(PROGRAMS, st.sampled_from(["loki", "elasticsearch"]))
@example([("emit", "a", 9), ("rotate",), ("emit", "b", 5), ("truncate",), ("emit", "b", 1)], "loki")
@example([("emit", "c", 9), ("disk full", "rename", 4), ("kill",), ("lose answer",), ("emit", "c", 2)], "loki")
@example([("emit", "a", 3), ("away",), ("stop",), ("emit", "a", 3), ("rotate",), ("retain", 0)], "elasticsearch")
def test_any_program(program, to):
    """Any program ends with every line delivered once, refused or reported as lost, and the checkpoint never ahead."""
    with quick_folder() as folder, StubServer() as stub:
        Play(folder, stub, to).run(program)
