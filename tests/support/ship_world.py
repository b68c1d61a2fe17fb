"""A log, a server and a shipper that can be killed, for tests of what is delivered."""

from __future__ import annotations

import json

from bamboo_logmetrics.ship import Shipped, Shipper
from bamboo_logmetrics.ship.log_state import load_state
from bamboo_logmetrics.testing import ManualClock
from support.faults import FaultyFS, QuickFS
from support.shiplog import HandLog

BATCH = 500  # bytes; three lines


class Waits(ManualClock):
    """A clock on which each wait is over at once; ``waits`` are those that were asked for. ``then`` is called in each."""

    def __init__(self):
        super().__init__()
        self.waits = []
        self.then = lambda: None

    def wait(self, lock, timeout):
        self.waits.append(timeout)
        self.advance(timeout)
        self.then()
        return lock.acquire(blocking=False)


class World:
    """A log, a server, and what is known of a shipper between the two."""

    def __init__(self, folder, stub, to="loki", name="a.jsonl"):
        self.log = HandLog(folder, name)
        self.to = to
        self.stub = stub
        self.clock = Waits()
        self.said = []
        self.ahead = []  # what broke S
        stub.before = self.look

    def look(self, _=None):
        """Look whether the checkpoint is ahead of the server."""
        state = self.state()
        if state is None:
            return
        there = {*self.stub.stored, *self.dead(), *self.lost(), *self.among()}
        numbers = [(writer, seq) for writer, last in state.writers.items() for seq in range(1, last + 1)]
        self.ahead += [each for each in numbers if each not in there]

    def state(self):
        return load_state(FaultyFS(), self.log.hidden("checkpoint", self.to))

    def letters(self):
        try:
            with open(self.log.hidden("dead-letter", self.to), "rb") as file:
                return [json.loads(each) for each in file if each.endswith(b"\n")]
        except FileNotFoundError:
            return []

    def dead(self):
        return [(each["writer"], each["seq"]) for each in self.letters() if "seq" in each]

    def among(self):
        """Return the lines that a rejection without line numbers may mean."""
        ranges = [(writer, *pair) for each in self.letters() for writer, pair in each.get("among", {}).items()]
        return [(writer, seq) for writer, first, last in ranges for seq in range(first, last + 1)]

    def lost(self):
        ranges = [(each["writer"], *each["lost"]) for each in self.letters() if "lost" in each]
        return [(writer, seq) for writer, first, last in ranges for seq in range(first, last + 1)]

    def shipper(self, **options):
        arguments = {"to": self.to, "url": self.stub.url, "fs": QuickFS(), "clock": self.clock, "batch_bytes": BATCH}
        return Shipper(self.log.path, on_trouble=self.said.append, on_notice=self.said.append, **(arguments | options))

    def ship(self, **options):
        """Ship to the end of the files, and look whether all adds up."""
        done = self.shipper(**options).run()
        self.check()
        return done

    def follow(self, *steps):
        """Follow the log, and do a step whenever it has come to the end; stop after the last."""
        left = [*steps]

        def then():
            if left:
                left.pop(0)()
            else:
                shipper.stop()

        self.clock.then = then
        shipper = self.shipper()
        done = shipper.run(follow=True)
        self.clock.then = lambda: None
        self.check()
        return done

    def play(self, how, *steps):
        """Do steps between two looks of a shipper that follows, or between two shippers."""
        if how == "live":
            return self.follow(*steps)
        done = [self.ship()]
        for step in steps:
            step()
            done.append(self.ship())
        return Shipped(*map(sum, zip(*done, strict=True)))

    def check(self):
        self.look()
        assert self.ahead == []
        state = self.state()
        if state is not None and self.to != "otlp":
            assert state.shipped == len(set(self.stub.kept))
            assert state.lost == len(set(self.lost()))

    @property
    def sent(self):
        """The ids of each request."""
        return [request.ids for request in self.stub.requests]
