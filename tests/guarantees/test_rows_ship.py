"""Rows 36 to 40: servers that are away, answers that are lost, lines that are refused, crashes, and files that change.

Each request is looked at by the stub server before anything is stored: the checkpoint on the disk must never be ahead
of what is stored or refused by then (S).
"""

from __future__ import annotations

import os
import random
import shutil
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import httpx
import pytest
from support.crashpoints import CrashFS, every_point, exit_code, fork, join_workers, quick_folder
from support.faults import FaultyFS, QuickFS
from support.ship_world import BATCH, World
from support.shiplog import compress, ids_in, line
from support.stub_server import REASON, Reply, StubServer
from support.tools import physical, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.events.times import from_ns
from bamboo_logmetrics.logfiles.names import rotated_name
from bamboo_logmetrics.ship import Shipped, Shipper, http, status
from bamboo_logmetrics.ship.log_source import LogSource
from bamboo_logmetrics.ship.log_state import ShipperIdentity

DESTINATIONS = ("loki", "elasticsearch", "otlp")


@pytest.fixture(autouse=True)
def one_context(monkeypatch):
    """Make the certificates' context once: it takes as long as a small source."""
    found = httpx.create_ssl_context()
    monkeypatch.setattr(http, "_tls", lambda access: found)


@pytest.fixture
def world(tmp_path, stub):
    return World(tmp_path, stub)


# -- row 36 --------------------------------------------------------------------------------

AWAY = {
    "429": Reply(429),
    "500": Reply(500, body=b"oops"),
    "503": Reply(503),
    "408": Reply(408),
    "401": Reply(401),
    "not stored, then reset": Reply(500, reset=True),
    "another answer": Reply(302, {"Location": "/"}),
}


@pytest.mark.parametrize("to", DESTINATIONS)
@pytest.mark.parametrize("fault", AWAY)
def test_row_36_backoff(tmp_path, stub, to, fault):
    """While the server is away the pauses double, by chance up to a half shorter, up to 30 s; then all is there once."""
    random.seed(36)
    world = World(tmp_path, stub, to)
    world.log.write(7)
    world.stub.reply(*[AWAY[fault]] * 10)
    assert world.ship() == Shipped(7, 0, 0)
    bounds = [min(0.5 * 2**number, 30.0) for number in range(10)]
    assert all(most / 2 <= pause <= most for pause, most in zip(world.clock.waits, bounds, strict=True))
    assert len({pause / most for pause, most in zip(world.clock.waits, bounds, strict=True)}) == 10
    assert stub.stored == world.log.written
    if fault != "500":  # a part of a batch may be taken then
        assert world.sent[:11] == [world.sent[0]] * 11
    assert world.said[-1] == ""


def test_row_36_retention_is_near(tmp_path, stub):
    """While the server is away, no pause is longer than the time in which the log fills a file, so retention stays behind."""
    world = World(tmp_path, stub)
    now = from_ns(world.clock.time_ns())

    def rotate(seconds):
        world.log.write(2)
        name = rotated_name(os.path.basename(world.log.path), now + timedelta(seconds=seconds), "a" * 20)
        os.rename(world.log.rotate(), os.path.join(world.log.folder, name))

    for number in range(5):
        rotate(4 * number)  # the log fills a file in four seconds, and goes on with that
    world.log.write(1)
    world.clock.then = lambda: rotate(world.clock.monotonic())
    world.clock.advance(17)
    stub.fail(503, times=20)
    world.ship()
    assert max(world.clock.waits) <= 5.0
    assert len({*stub.stored}) == len({*world.log.written})


@pytest.mark.parametrize("to", DESTINATIONS)
def test_row_36_the_checkpoint_does_not_move(tmp_path, stub, to):
    """Until a batch is acknowledged the checkpoint on the disk says what it said before, but for what is wrong."""
    world = World(tmp_path, stub, to)
    world.log.write(3)
    world.ship()
    before = world.state()
    world.log.write(3)
    seen = []
    stub.before = lambda _: (seen.append(world.state()), world.look())
    stub.fail(503, times=12, body=b"no room")
    assert world.ship() == Shipped(3, 0, 0)
    assert len(seen) == 13
    for state in seen:
        assert (state.position, state.shipped, state.writers) == (before.position, 3, before.writers)
    assert {state.error for state in seen[2:]} == {"503 Service Unavailable: no room"}
    assert world.state().error == ""


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0.25, 0.5),
        ("3600", 600, 600),
        ("nonsense", 0.25, 0.5),
        ("-5", 0.25, 0.5),
        (120, 60, 120),  # seconds from now, as a date
        (-120, 0.25, 0.5),
        (86_400, 600, 600),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
def test_row_36_retry_after(world, text, least, most, code):
    """The server's own wish is waited for, in seconds or as a date, ten minutes at most; nonsense is none."""
    if isinstance(text, int):
        text = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=text), usegmt=True)
    world.log.write(2)
    world.stub.fail(code, {"Retry-After": text})
    assert world.ship() == Shipped(2, 0, 0)
    (pause,) = world.clock.waits
    assert least <= pause <= most
    assert world.stub.stored == world.log.written


def test_row_36_no_answer_in_time(world, monkeypatch):
    """A server that does not answer in time is one that is away."""
    monkeypatch.setattr(http, "_TIMEOUT", httpx.Timeout(5.0, read=0.05))
    world.log.write(3)
    world.stub.hold()
    world.stub.hold()
    assert world.ship() == Shipped(3, 0, 0)
    assert len(world.clock.waits) == 2
    assert world.said[0].startswith("ReadTimeout")
    assert world.stub.stored == world.log.written


def test_row_36_nobody_listens(world):
    """Refused connections are waited out, however long, until somebody listens again."""
    world.log.write(5)
    world.stub.stop()
    again = []

    def then():
        if len(world.clock.waits) == 20:
            again.append(StubServer(world.stub.port).start())

    world.clock.then = then
    assert world.shipper().run() == Shipped(5, 0, 0)
    again[0].stop()
    assert world.said[0].startswith("ConnectError")
    assert again[0].stored == world.log.written
    assert sum(world.clock.waits) > 300


# -- row 37 --------------------------------------------------------------------------------


@pytest.mark.parametrize("to", DESTINATIONS)
@pytest.mark.parametrize("nth", range(4))
def test_row_37_the_answer_is_lost(tmp_path, stub, to, nth):
    """A batch that is stored and not acknowledged is sent again, it alone: Loki and Elasticsearch keep it once."""
    world = World(tmp_path, stub, to)
    world.log.write(12)
    stub.reply(*[Reply()] * nth)
    stub.reset(times=2)
    assert world.ship() == Shipped(12, 0, 0)
    lost = world.sent[nth]
    assert world.sent.count(lost) == 3
    twice = {each for each in stub.stored if stub.stored.count(each) > 1}
    assert twice == (set() if to == "elasticsearch" else set(lost))
    assert stub.kept == sorted(world.log.written + (lost + lost if to == "otlp" else []))
    assert world.state().refused == 0


def test_row_37_every_answer_is_lost(tmp_path, stub):
    """However many answers are lost, in Elasticsearch each line is once: that it is there already is an answer too."""
    world = World(tmp_path, stub, "elasticsearch")
    world.log.write(12)
    for _ in range(4):
        stub.reset(times=2)
        stub.reply(Reply())
    assert world.ship() == Shipped(12, 0, 0)
    assert stub.stored == world.log.written


# -- row 38 --------------------------------------------------------------------------------


def poison(*numbers):
    """Return a function for the server that refuses these numbers for good."""
    return lambda identity: f"cannot take {identity[1]}" if identity[1] in numbers else None


def test_row_38_only_the_failed_are_sent_again(tmp_path, stub):
    """Of a batch of Elasticsearch only the lines that were not taken are sent again, and no line is lost or doubled."""
    world = World(tmp_path, stub, "elasticsearch")
    world.log.write(10)
    stub.item = lambda identity, times: {3: 429, 5: 503, 8: 403}.get(identity[1]) if times <= 2 else None
    assert world.ship(batch_bytes=100_000) == Shipped(10, 0, 0)
    assert [[seq for _, seq in ids] for ids in world.sent] == [list(range(1, 11)), [3, 5, 8], [3, 5, 8]]
    assert stub.kept == world.log.written
    assert len(stub.stored) == 10


@pytest.mark.parametrize("numbers", [(1,), (7,), (20,), (4, 5), (1, 9, 20), tuple(range(1, 21))])
@pytest.mark.parametrize("to", DESTINATIONS)
def test_row_38_poison(tmp_path, stub, to, numbers):
    """Lines that are never taken go to the dead-letter file with the reason, and are counted; all others arrive."""
    world = World(tmp_path, stub, to)
    world.log.write(3, "b")
    world.ship()
    world.log.write(20)
    stub.poison = lambda identity: poison(*numbers)(identity) if identity[0][0] == "a" else None
    assert world.ship(batch_bytes=100_000) == Shipped(20 - len(numbers), len(numbers), 0)
    assert {*world.log.written} - {*stub.kept} == {("a" * 20, seq) for seq in numbers}
    letters = world.letters()
    if to == "otlp":
        assert sum(each.get("refused", 1) for each in letters) == len(numbers) == world.state().refused
        assert all("cannot take" in each["reason"] for each in letters)
        assert len(stub.requests) == 2
        return
    assert [(each["writer"], each["seq"]) for each in letters] == [("a" * 20, seq) for seq in numbers]
    for each in letters:
        assert f"cannot take {each['seq']}" in each["reason"]
        assert (REASON in each["reason"]) is (to == "elasticsearch")
        assert each["line"].encode() + b"\n" == line("a", each["seq"])
    assert status(world.log.path)[0].refused == len(numbers)
    assert world.ship() == Shipped(0, 0, 0)


def test_row_38_poison_and_lost_answers(tmp_path, stub):
    """Poison, failures of single lines and lost answers together lose and double nothing."""
    world = World(tmp_path, stub, "elasticsearch")
    world.log.write(12)
    stub.poison = poison(2, 11)
    stub.item = lambda identity, times: 429 if (identity[1] + times) % 3 == 0 else None
    for _ in range(6):
        stub.reset()
        stub.reply(Reply())
    assert world.ship() == Shipped(10, 2, 0)
    assert len(stub.stored) == len(set(stub.stored)) == 10
    assert [seq for _, seq in world.dead()] == [2, 11]


def test_row_38_too_large(world):
    """A body that is too large is halved until it fits; a line that is too large alone is refused."""
    world.log.write(3)
    world.log.write(1, text="x" * 4_000)
    world.log.write(12)
    world.stub.largest = 2_000
    assert world.ship(batch_bytes=100_000) == Shipped(15, 1, 0)
    assert [seq for _, seq in world.dead()] == [4]
    assert world.letters()[0]["reason"].startswith("413")
    assert len(world.stub.stored) == 15


def test_row_38_what_is_no_line(world):
    """A line that is not JSON, or not of a log, goes to the dead-letter file, and the lines around it are delivered."""
    world.log.write(2)
    world.log.append(b'no JSON\n{"message":"hi"}\n[1]\n\xff\n\n')
    world.log.append(line("a", 2)[:60] + b"\n")
    world.log.write(2)
    assert world.ship() == Shipped(4, 6, 0)
    assert [each["line"] for each in world.letters()][:3] == ["no JSON", '{"message":"hi"}', "[1]"]
    assert all(each["reason"].startswith("not a line of this log: ") for each in world.letters())
    assert world.stub.kept == world.log.written


# -- row 39 --------------------------------------------------------------------------------


def prepared(world):
    """Write what makes a shipper pass all its steps: two files, junk, poison, and a gap."""
    world.log.write(4)
    world.log.rotate()
    world.log.append(b"junk\n")
    world.log.make(2)
    world.log.write(4)
    world.stub.poison = poison(9)


def crash(path, to, url, point):
    Shipper(path, to=to, url=url, batch_bytes=BATCH, fs=CrashFS(point)).run()


def crash_points(to):
    """Return every point that a clean run passes."""
    fs = CrashFS()
    with quick_folder() as folder, StubServer() as stub:
        world = World(folder, stub, to)
        prepared(world)
        world.ship(fs=fs)
    join_workers()
    return every_point(fs.passed)


@pytest.mark.parametrize("to", ["loki", "elasticsearch"])
def test_row_39_killed_at_every_step(to):
    """Wherever it is killed, the checkpoint is not ahead, and the next loses nothing and sends at most a batch again."""
    points = crash_points(to)
    assert len(points) > 40
    for point in points:
        with quick_folder() as folder:
            world = World(folder, StubServer(), to)
            prepared(world)
            pid = fork(crash, world.log.path, to, world.stub.url, point)
            with world.stub as stub:
                assert exit_code(pid) == -9, point
                world.look()
                world.ship()
            assert stub.kept == sorted({*world.log.written} - {("a" * 20, 9)}), point
            again = {each for each in stub.stored if stub.stored.count(each) > 1}
            assert len(again) <= (3 if to == "loki" else 0), point  # a batch has three lines
            state = world.state()
            assert (state.shipped, state.refused, state.lost) == (7, 2, 2), point
            assert {("a" * 20, 9)} == {*world.dead()}, point
        join_workers()


def resend(path, to, url, fs):
    """Send the dead letters of a log again, with a system that may kill."""
    Shipper(path, to=to, url=url, fs=fs, batch_bytes=1).resend(give_up_after=30)


def crash_while_resending(path, to, url, point):
    resend(path, to, url, CrashFS(point))


def test_row_39_killed_while_resending():
    """Wherever it is killed while dead letters are sent again, none is lost, and each counts once at last."""
    with quick_folder() as folder, StubServer() as stub:
        world = World(folder, stub, "elasticsearch")
        refuse_three(world)
        fs = CrashFS()
        stub.poison = lambda _: None
        resend(world.log.path, world.to, stub.url, fs)
    join_workers()
    points = every_point(fs.passed)
    assert len(points) > 20
    for point in points:
        with quick_folder() as folder:
            world = World(folder, StubServer(), "elasticsearch")
            world.stub.start()
            refuse_three(world)
            world.stub.stop()
            port = world.stub.port
            world.stub = StubServer(port)
            pid = fork(crash_while_resending, world.log.path, world.to, world.stub.url, point)
            with world.stub as stub:
                assert exit_code(pid) == -9, point
                state = world.state()
                assert state.shipped + state.refused == 9, point
                assert state.shipped - 6 <= len({*stub.stored}), point  # nothing is counted that is not there
                resend(world.log.path, world.to, stub.url, QuickFS())
            assert {*stub.stored} == {("a" * 20, seq) for seq in (2, 5, 8)}, point
            state = world.state()
            assert (state.shipped, state.refused, state.resent) == (9, 0, {}), point
            assert world.letters() == [], point
        join_workers()


def refuse_three(world):
    """Ship nine lines, of which three are refused."""
    world.log.write(9)
    world.stub.poison = lambda identity: "no" if identity[1] in {2, 5, 8} else None
    assert world.ship() == Shipped(6, 3, 0)
    world.stub.poison = lambda _: None


def test_row_39_torn_at_every_byte(tmp_path, stub):
    """A checkpoint that is cut at any byte is left out: the one before counts, and costs one batch."""
    world = World(tmp_path, stub, "elasticsearch")
    world.log.write(9)
    states = []
    stub.after = lambda _: states.append(world.state())
    world.ship()
    path = world.log.hidden("checkpoint", "elasticsearch")
    with open(path, "rb") as file:
        whole = file.read()
    names = ShipperIdentity("elasticsearch", "elasticsearch", world.state().url)
    for cut in range(len(whole)):
        with open(path, "wb") as file:
            file.write(whole[:cut])
        source = LogSource(world.log.path, names, moved=False, fs=FaultyFS(), clock=world.clock)
        assert not source.restarted
        assert source.state == states[-1]
        batch = source.next_batch(BATCH)
        source.close()
        assert ids_in([entry.line for entry in batch.entries]) == world.sent[len(states) - 1]
    requests = len(stub.requests)
    assert world.ship() == Shipped(len(world.sent[requests - 1]), 0, 0)
    assert world.sent[requests:] == world.sent[requests - 1 : requests]
    assert stub.stored == world.log.written
    assert world.said == []


def test_row_39_both_torn(tmp_path, stub):
    """Where both checkpoints are torn, everything is delivered from the beginning, and that is said."""
    world = World(tmp_path, stub, "elasticsearch")
    world.log.write(9)
    world.ship()
    path = world.log.hidden("checkpoint", "elasticsearch")
    for each in (path, path + ".old"):
        os.truncate(each, os.path.getsize(each) - 1)
    assert world.shipper().run() == Shipped(9, 0, 0)
    assert world.said[0] == f"no checkpoint of {world.log.path} is valid: it is delivered from its beginning again"
    assert stub.stored == world.log.written


# -- row 40 --------------------------------------------------------------------------------

HOW = ("live", "restarted")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", [None, "gzip", "zstd"])
@pytest.mark.parametrize("rotations", [1, 2, 5])
def test_row_40_rotated(world, how, kind, rotations):
    """However often the log is rotated and compressed between two reads, each line arrives once, in order."""
    log = world.log

    def rotate():
        for _ in range(rotations):
            log.write(3)
            name = log.rotate()
            log.write(1)
            if kind:
                compress(name, kind)

    log.write(5)
    world.play(how, rotate, rotate)
    assert world.stub.stored == log.written
    assert world.state().repeated == world.state().lost == 0


@pytest.mark.parametrize("kind", [None, "gzip", "zstd"])
def test_row_40_rotated_under_way(world, kind):
    """Rotations and compressions while batches are under way change nothing."""
    log = world.log
    log.write(10)

    def rotate(request):
        world.look()
        if len(world.stub.requests) in (1, 2, 4):
            log.write(4)
            name = log.rotate()
            if kind:
                compress(name, kind)

    world.stub.before = rotate
    world.ship()
    world.ship()
    assert world.stub.stored == log.written
    assert world.state().repeated == world.state().lost == 0


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("same_inode", [True, False])
def test_row_40_another_file_at_the_path(world, how, same_inode):
    """A file with other content, with the same inode or another, shorter or longer, is read from its beginning."""
    log = world.log

    def another():
        if same_inode:
            os.truncate(log.path, 0)
        else:
            os.unlink(log.path)
        log.write(12, "b")
        log.write(1)

    log.write(6)
    assert world.play(how, another) == Shipped(19, 0, 0)
    assert world.stub.stored == log.written


@pytest.mark.parametrize("how", HOW)
def test_row_40_the_inode_comes_again(world, how):
    """A file that gets the number of the one that was removed, as file systems do, is another file."""
    log = world.log
    log.write(6)
    inode = os.stat(log.path).st_ino

    def again():
        copies = []
        os.unlink(log.path)
        for number in range(50):  # one of them gets it, where the file system gives numbers again
            copies.append(f"{log.path}.{number}")
            with open(copies[-1], "wb") as file:
                file.write(log.make(0))
            if os.stat(copies[-1]).st_ino == inode:
                break
        os.rename(copies.pop(), log.path)
        for each in copies:
            os.unlink(each)
        log.write(9)

    assert world.play(how, again) == Shipped(15, 0, 0)
    assert world.stub.stored == log.written


@pytest.mark.parametrize("how", HOW)
def test_row_40_retention_was_faster(world, how):
    """Lines in files that were removed unseen are lost: counted exactly, by writer, in status and dead letters."""
    log = world.log
    gone = []

    def remove():
        log.write(3)
        log.rotate()
        for _ in range(3):
            log.write(2)
            log.write(2, "b")
            log.write(1, "c")
            log.rotate()
        log.write(1)
        log.write(1, "b")
        log.write(1, "c")
        for path in log.rotated[1:3] if how == "live" else log.rotated[:3]:
            with open(path, "rb") as file:
                gone.extend(ids_in(file.read()))
            os.unlink(path)

    log.write(4)
    world.play(how, remove)
    missing = sorted({*log.written} - {*world.stub.stored})
    assert missing == sorted(set(gone) - set(world.stub.stored)) == sorted(world.lost())
    assert len(missing) >= 10
    assert status(log.path)[0].lost == len(missing)
    assert len(world.stub.stored) == len(set(world.stub.stored))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("again", [0, 1, 20])
def test_row_40_copied_and_truncated(world, how, again):
    """After copy-and-truncate from outside what is new arrives, and what went unseen is lost, exactly."""
    log = world.log

    def truncate():
        log.write(3)
        shutil.copy(log.path, log.path + ".1")
        os.truncate(log.path, 0)
        log.write(again)

    log.write(8)
    world.play(how, truncate, lambda: log.write(2))
    assert sorted(world.lost()) == [("a" * 20, seq) for seq in (9, 10, 11)]
    assert world.stub.stored == [each for each in log.written if each not in world.lost()]


@pytest.mark.parametrize("how", HOW)
def test_row_40_cut_shorter(world, how):
    """A file that was cut shorter from outside is read from its beginning; what comes again is left out."""
    log = world.log

    def cut():
        os.truncate(log.path, len(line("a", 1)) * 2 + 30)
        log.append(b"\n")
        log.write(20)

    log.write(9)
    world.play(how, cut)
    assert world.stub.stored == log.written
    assert (world.state().repeated, world.state().lost, world.state().refused) == (2, 0, 1)


@pytest.mark.parametrize("how", HOW)
def test_row_40_half_a_line(world, how):
    """Half a last line waits, also over a rotation of the shipper's own; complete, it is delivered once."""
    log = world.log
    log.write(3)
    data = log.make(1)
    half = [lambda: log.append(data[:70]), lambda: log.append(data[70:150]), lambda: log.append(data[150:])]
    world.play(how, *half)
    assert world.stub.stored == [("a" * 20, seq) for seq in (1, 2, 3, 4)]
    assert world.state().refused == 0


@pytest.mark.parametrize("how", HOW)
def test_row_40_a_rotation_that_is_put_back(world, how):
    """A rotation that fails, and is put back, is none."""
    log = world.log
    names = []
    log.write(4)
    world.play(
        how,
        lambda: names.append(log.rotate(new=False)),
        lambda: os.rename(names[0], log.path),
        lambda: log.write(3),
        lambda: log.rotate(),
        lambda: log.write(2),
    )
    assert world.stub.stored == log.written
    if how == "live":
        assert world.state().repeated == 0


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("damage", ["cut", "changed", "junk behind"])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_row_40_a_damaged_file(world, how, damage, kind):
    """Of a damaged compressed file what can be read arrives, the rest is lost and counted, and it is said why."""
    log = world.log

    def harm():
        log.rotate()
        log.write(40, text="".join(random.choices("0123456789abcdef", k=50)))
        path = compress(log.rotate(), kind)
        size = os.path.getsize(path)
        if damage == "cut":
            os.truncate(path, size // 2)
        else:
            with open(path, "r+b") as file:
                file.seek(size // 2 if damage == "changed" else size)
                file.write(b"\0" * 20)
        log.write(1)

    log.write(2)
    world.play(how, harm)
    delivered = {*world.stub.stored}
    assert {("a" * 20, 1), ("a" * 20, 2), ("a" * 20, 43)} <= delivered
    assert delivered | {*world.lost()} == {*log.written}
    assert not delivered & {*world.lost()}
    assert world.state().refused == 1
    assert any(kind in each["reason"] for each in world.letters())
    assert len(world.stub.stored) == len(delivered)


@pytest.mark.parametrize("how", HOW)
def test_row_40_a_torn_tail_is_repaired(world, how):
    """Half a line that a killed writer left is cut away by the next one, and the shipper has never seen it."""
    log = world.log

    def next_writer():
        with blm.open_log(log.path) as again:
            again.emit(tool(1))

    with blm.open_log(log.path) as first:
        first.emit(tool(0))
    world.play(how, lambda: log.append(b'{"timestamp":"2026-1'), next_writer)
    assert world.state().refused == 0
    assert {seq for _, seq in world.stub.stored} == {1, 2, 3}
    assert len(world.stub.stored) == len(physical(log.path)) == 6


def test_row_40_under_load(tmp_path, stub):
    """A real log that is rotated and compressed all the time while it is followed arrives whole, each line once."""
    path = tmp_path / "a.jsonl"
    with Shipper(path, to="loki", url=stub.url, fs=QuickFS(), poll_interval=0.001, batch_bytes=3_000) as shipper:
        with blm.open_log(path, max_bytes=20_000, compress="gzip") as log:
            for number in range(2_000):
                log.emit(tool(number))
        assert shipper.close(timeout=60)
    assert sorted(stub.stored) == sorted(ids_in(physical(path)))
    assert len(set(stub.stored)) == len(stub.stored)
    (found,) = status(path)
    assert (found.lost, found.repeated, found.refused, found.lag_bytes) == (0, 0, 0, 0)
