from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faults import QuickFS
from support.loki_server import LokiServer
from support.ship_world import Waits
from support.stub_server import Reply, StubServer

from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.ship import GivenUpError, Shipped, Shipper

WRITER = "a" * 20
MINUTE = 60 * 10**9
LONG = 300 * 1024


class Case:
    """A log with lines of chosen ages, a Loki, and shippers between them.

    Args:
        folder: the folder of the log.
        stub: the server.
        to: the interface of Loki, "loki" or "otlp".
    """

    def __init__(self, folder, stub, to="loki"):
        self.path = os.path.join(folder, "a.jsonl")
        self.letters_path = os.path.join(folder, f".a.jsonl.{to}.dead-letter")
        self.server = {"to": to, "url": stub.url + ("/otlp" if to == "otlp" else "")}
        self.stub = stub
        self.loki = LokiServer().install(stub)
        self.now = time.time_ns()
        self.count = 0

    def write(self, *minutes, size=0, level="info"):
        """Append a line for each age in minutes."""
        with open(self.path, "ab") as file:
            for age in minutes:
                self.count += 1
                record = {
                    "timestamp": format_ns(self.now - round(age * MINUTE)), "level": level, "event": "chat.x", "v": 1,
                    "writer": WRITER, "seq": self.count, "note": "x" * size,
                }  # fmt: skip
                file.write(json.dumps(record).encode() + b"\n")

    def shipper(self, **options):
        """Return a shipper that waits for nothing."""
        quick = {"fs": QuickFS(), "clock": Waits(), "on_trouble": lambda _: None}
        return Shipper(self.path, **self.server, **quick, **options)

    def ship(self, **options):
        """Ship to the end, or until the server has failed once."""
        try:
            return self.shipper(**options).run(give_up_after=0)
        except GivenUpError:
            return None

    @property
    def there(self):
        """The numbers of the lines that Loki has."""
        return [seq for _, seq in self.loki.there]

    @property
    def dead(self):
        """The numbers of the lines in the dead-letter file."""
        try:
            with open(self.letters_path, encoding="utf-8") as file:
                return [json.loads(letter)["seq"] for letter in file]
        except FileNotFoundError:
            return []


@pytest.fixture(params=["loki", "otlp"])
def case(tmp_path, stub, request):
    return Case(tmp_path, stub, request.param)


def test_row_38_a_batch_is_sent_by_time(case):
    """Of lines at -5 h, -1 h and -4.9 h in one batch, Loki takes all, because they come in the order of their times."""
    case.write(300, 60, 294)
    assert case.ship() == Shipped(3, 0, 0)
    assert (case.there, case.dead) == ([1, 2, 3], [])


def test_row_38_the_oldest_are_refused(case):
    """Loki refuses the oldest lines for their age, and the dead letters name these and no others."""
    case.write(0)
    assert case.ship() == Shipped(1, 0, 0)
    case.write(300, 30, 294, 61, 59)
    assert case.ship() == Shipped(2, 3, 0)
    assert (case.there, sorted(case.dead)) == ([1, 3, 6], [2, 4, 5])


@pytest.mark.parametrize("lost", [Reply(reset=True), Reply(500, store=True), Reply(503, store=True)])
def test_row_37_lines_that_come_again_are_not_refused(case, lost):
    """A request whose answer is lost is sent again, by this shipper or the next, and no line of it becomes a dead letter."""
    case.write(300, 200, 294, 199, 100, 1)
    case.stub.reply(Reply(), lost)
    assert case.ship() is None
    assert case.there == [1, 2, 3, 4]
    assert case.ship() == Shipped(6, 0, 0)
    assert (case.there, case.dead) == ([1, 2, 3, 4, 5, 6], [])


def test_row_38_a_long_line_among_hours(tmp_path, stub):
    """A line that is too long for Loki is found, though Loki has taken the later lines of the batch: it alone is refused."""
    case = Case(tmp_path, stub)
    case.write(300, 299)
    case.write(298, size=LONG)
    case.write(250, 100, 99, 1)
    assert case.ship() == Shipped(6, 1, 0)
    assert (case.there, case.dead) == ([1, 2, 4, 5, 6, 7], [3])


@pytest.mark.parametrize("long", [(300,), (300, 299), (300, 299, 240)])
def test_row_38_lines_that_are_tried_alone_are_the_next(tmp_path, stub, long):
    """On a server that has never taken a line, what is tried alone comes in order, so that no good line is refused for it."""
    case = Case(tmp_path, stub)
    case.write(*long, size=LONG)
    case.write(*range(200, 0, -20))
    assert case.ship(batch_bytes=64 * 1024 * 1024) == Shipped(10, len(long), 0)
    assert case.dead == list(range(1, len(long) + 1))


def test_row_38_dead_letters_of_hours_are_sent_again(tmp_path, stub):
    """Dead letters of several hours go out by time too; those that are taken leave the file, those refused again stay."""
    case = Case(tmp_path, stub)
    case.write(300)
    case.loki.line_bytes = 1_000
    case.write(200, 100, 50, size=2_000)
    assert case.ship() == Shipped(1, 3, 0)
    case.loki.line_bytes = 10_000
    case.loki.newest = dict.fromkeys(case.loki.newest, case.now - 130 * MINUTE)  # by another shipper
    assert case.shipper().resend(give_up_after=0) == Shipped(2, 1, 0)
    assert (case.there, case.dead) == ([1, 3, 4], [2])


LINES = st.tuples(st.integers(-5, 11_000), st.sampled_from([0, 0, 0, LONG]), st.sampled_from(["info", "error"]))
REPLIES = st.sampled_from(
    [Reply(), Reply(), Reply(503), Reply(reset=True), Reply(500, store=True), Reply(429, store=True)]
)


@settings(max_examples=30)
@given(
    batches=st.lists(st.lists(LINES, min_size=1, max_size=6), min_size=1, max_size=3),
    replies=st.lists(REPLIES, max_size=8),
)
def test_row_38_each_line_is_there_or_dead(tmp_path_factory, batches, replies):
    """Whatever the ages, limits, lost answers and restarts: each line is in Loki or a dead letter, never both, and counted."""
    with StubServer() as stub:
        case = Case(tmp_path_factory.mktemp("loki"), stub)
        case.write(0.5)  # the server has taken something: a URL that takes nothing may be wrong
        case.ship()
        for number, lines in enumerate(batches):
            for age, size, level in lines:
                case.write(age, size=size, level=level)
            stub.reply(*replies[number :: len(batches)])
            for _ in range(len(replies) + 1):
                if case.ship() is not None:
                    break
            stub._replies.clear()
        assert sorted([*case.there, *case.dead]) == list(range(1, case.count + 1))
        with open(os.path.join(os.path.dirname(case.path), ".a.jsonl.loki.checkpoint"), "rb") as file:
            state = json.loads(file.readline())
        assert (state["shipped"], state["refused"], state["lost"]) == (len(case.there), len(case.dead), 0)
        assert "ahead" not in state
