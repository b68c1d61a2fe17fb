from __future__ import annotations

import errno
import json
import os
import signal
import threading
from contextlib import suppress

import pytest
from support.crashpoints import exit_code, fork
from support.faults import FaultyFS, HurriedClock, QuickFS
from support.shiplog import HandLog, ids_in, ship
from support.stub_server import Reply, StubServer
from support.tools import physical, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship import GivenUpError, Shipped, Shipper, shipper, status
from bamboo_logmetrics.ship.background import BackgroundCalls
from bamboo_logmetrics.ship.log_state import load_state
from bamboo_logmetrics.testing import ManualClock

LONG = 30  # seconds after which a test that waits has failed


class Running:
    """A shipper that follows in a thread; ``settled`` is released for each batch, ``said`` is what was wrong."""

    def __init__(self, files, stub, **options):
        self.settled = threading.Semaphore(0)
        self.said = []
        self.heard = threading.Semaphore(0)
        self.shipper = Shipper(
            files,
            url=stub.url,
            on_trouble=self.hear,
            on_progress=lambda _: self.settled.release(),
            **({"to": "loki", "fs": QuickFS(), "poll_interval": 0.001} | options),
        )

    def hear(self, error):
        self.said.append(error)
        self.heard.release()

    def until_settled(self, count=1):
        for _ in range(count):
            assert self.settled.acquire(timeout=LONG)

    def until_heard(self):
        assert self.heard.acquire(timeout=LONG)

    def __enter__(self):
        self.shipper.start()
        return self

    def __exit__(self, *_):
        self.shipper.close()


def on_disk(log, name="loki"):
    return load_state(FaultyFS(), log.hidden("checkpoint", name))


# -- to the end --------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["loki", "elasticsearch", "otlp"])
def test_everything_once(tmp_path, stub, to):
    """A real log, rotated and compressed, is delivered whole to each kind of server, and nothing at a second run."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path, max_bytes=2_000, compress="gzip") as log:
        for number in range(30):
            log.emit(tool(number))
            log.info("hello", number=number)
    written = len(physical(path))
    assert ship(HandLog(tmp_path), stub, to=to) == Shipped(written, 0, 0)
    assert len(stub.kept) == len(set(stub.kept)) == written
    count = len(stub.requests)
    assert ship(HandLog(tmp_path), stub, to=to) == Shipped(0, 0, 0)
    assert len(stub.requests) == count
    assert status(path)[0].lag_bytes == 0


@pytest.mark.parametrize("layout", ["ecs", "otel"])
def test_every_layout_arrives(tmp_path, stub, layout):
    """A log in another layout is delivered to each kind of server."""
    with blm.open_log(tmp_path / "a.jsonl", layout=layout) as log:
        log.emit(tool(1))
    for to in ("loki", "elasticsearch", "otlp"):
        assert ship(HandLog(tmp_path), stub, to=to) == Shipped(3, 0, 0)


def test_in_batches(hand_log, stub):
    """Each request holds about so many bytes of lines, in order, and progress is told in bytes."""
    hand_log.write(20)
    done = []
    ship(hand_log, stub, batch_bytes=400, on_progress=done.append)
    assert len(stub.requests) == len(done) > 5
    assert stub.stored == hand_log.written
    assert sum(done) == os.path.getsize(hand_log.path)


def test_several_logs_take_turns(tmp_path, stub):
    """Of several logs each has its turn, and a checkpoint of its own."""
    logs = [HandLog(tmp_path, f"{name}.jsonl") for name in "ab"]
    for log, writer in zip(logs, "ab", strict=True):
        log.write(4, writer)
    assert Shipper([each.path for each in logs], to="loki", url=stub.url, batch_bytes=1).run() == Shipped(8, 0, 0)
    assert [writer[0] for writer, _ in stub.stored] == list("abababab")
    assert all(on_disk(each).shipped == 4 for each in logs)


def test_what_is_said_of_lines(hand_log, stub):
    """Service and environment go with the lines; the service is the log's name unless given."""
    hand_log.write(1)
    ship(hand_log, stub)
    ship(hand_log, stub, name="two", service="shop", env="production")
    (first, *_), (second, *_) = stub.entries
    assert (dict(first)["service_name"], "env" in dict(first)) == ("a", False)
    assert (dict(second)["service_name"], dict(second)["env"]) == ("shop", "production")
    ship(hand_log, stub, to="elasticsearch", data_stream="logs-x-y")
    assert stub.requests[-1].path == "/logs-x-y/_bulk"


def test_arguments_without_meaning(hand_log):
    """A name that is none, an unknown kind and a bad URL are refused at once."""
    for bad in (
        {"name": "a.b"},
        {"to": "nowhere"},
        {"url": "nothing"},
        {"data_stream": "x"},
        {"files": []},
        {"batch_bytes": 0},
        {"poll_interval": 0},
    ):
        with pytest.raises(ConfigError):
            Shipper(**({"files": hand_log.path, "to": "loki", "url": "http://localhost:1"} | bad))


def test_no_valid_checkpoint(hand_log, stub):
    """A log whose checkpoints are all torn is delivered from its beginning again, with a notice."""
    hand_log.write(2)
    ship(hand_log, stub)
    os.truncate(hand_log.hidden("checkpoint"), 5)
    os.truncate(hand_log.hidden("checkpoint.old"), 5)
    notices = []
    assert ship(hand_log, stub, on_notice=notices.append) == Shipped(2, 0, 0)
    assert notices == [f"no checkpoint of {hand_log.path} is valid: it is delivered from its beginning again"]


def test_it_runs_once(hand_log, stub):
    """A shipper that has run is not run again."""
    hand_log.write(1)
    made = Shipper(hand_log.path, to="loki", url=stub.url)
    assert made.run() == Shipped(1, 0, 0)
    with pytest.raises(RuntimeError, match="a shipper runs once"):
        made.run()
    with pytest.raises(RuntimeError, match="a shipper runs once"):
        made.start()


def test_it_starts_once(hand_log, stub):
    """A shipper that was started is not started again, and goes on."""
    hand_log.write(1)
    with Running(hand_log.path, stub) as running:
        with pytest.raises(RuntimeError, match="a shipper runs once"):
            running.shipper.start()
        running.until_settled()
        hand_log.write(2)
        running.until_settled()
    assert stub.stored == hand_log.written


def test_no_such_log(hand_log, stub):
    """Without following, a log that is not there is an error."""
    with pytest.raises(FileNotFoundError, match="no such log"):
        ship(hand_log, stub)


def test_lines_that_are_no_lines_need_no_server(hand_log, stub):
    """A batch in which nothing is to be delivered is settled without a request."""
    hand_log.append(b"junk\nmore\n")
    assert ship(hand_log, stub) == Shipped(0, 2, 0)
    assert not stub.requests
    assert ship(hand_log, stub) == Shipped(0, 0, 0)


@pytest.mark.parametrize("count", [0, 3])
def test_a_line_that_cannot_take_the_form(hand_log, stub, count):
    """A line that cannot be made what the server takes, as it is too deep, is refused, and the others are delivered."""
    hand_log.write(count)
    deep = hand_log.make(1)[:-2] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}\n"
    hand_log.append(deep)
    hand_log.write(count)
    assert ship(hand_log, stub, to="otlp") == Shipped(2 * count, 1, 0)
    assert ship(hand_log, stub, to="otlp") == Shipped(0, 0, 0)
    assert stub.stored == [each for each in hand_log.written if each[1] != count + 1]
    with open(hand_log.hidden("dead-letter", "otlp"), encoding="utf-8") as file:
        (letter,) = map(json.loads, file)
    assert letter["reason"].startswith("it cannot take the server's form: ")
    assert letter["line"].encode() + b"\n" == deep


def test_an_error_of_the_disk_is_raised(hand_log, stub):
    """Without following, a file that cannot be read is an error, and what was under way counts."""
    hand_log.write(10)
    fs = QuickFS()
    stub.before = lambda _: fs.fail("pread", errno.EIO, times=None)
    with pytest.raises(OSError, match="Input/output"):
        ship(hand_log, stub, batch_bytes=400, fs=fs)
    assert on_disk(hand_log).shipped == len(stub.stored) > 0


def test_an_error_at_the_opening_is_raised(hand_log, stub):
    """Without following, a log that cannot be opened is an error, and nothing is left open."""
    hand_log.write(1)
    fs = QuickFS()
    fs.fail("lock", errno.ENOLCK)
    with pytest.raises(OSError, match="locks.*checkpoint-dir.*loki.checkpoint"):
        ship(hand_log, stub, fs=fs)


def test_lines_of_a_newer_version(hand_log, stub):
    """A line of a newer version is not refused: it waits for a package that can read it, and that is said."""
    hand_log.write(2)
    ship(hand_log, stub)
    hand_log.append(hand_log.make(1).replace(b'"v":1', b'"v":2'))
    with pytest.raises(ConfigError, match="a line of version 2; this package reads version 1: update it"):
        ship(hand_log, stub)
    with Running(hand_log.path, stub) as running:
        running.until_heard()
        assert running.shipper.close() is False
    (said,) = running.said
    assert said.startswith(f"{hand_log.path}: a line of version 2")
    assert on_disk(hand_log).error == said
    assert (on_disk(hand_log).shipped, on_disk(hand_log).refused) == (2, 0)


@pytest.mark.parametrize("follow", [True, False])
def test_a_newer_line_holds_up_only_what_is_behind_it(tmp_path, stub, follow):
    """Lines before a line of a newer version are delivered, and so are other logs; a newer package goes on there."""
    one, two = HandLog(tmp_path, "one.jsonl"), HandLog(tmp_path, "two.jsonl")
    one.write(3)
    one.append(one.make(1).replace(b'"v":1', b'"v":2'))
    one.write(2)
    two.write(4, writer="b")
    files = [one.path, two.path]
    if follow:
        with Running(files, stub) as running:
            running.until_settled(2)
            running.until_heard()
    else:
        with pytest.raises(ConfigError, match="a line of version 2"):
            Shipper(files, to="loki", url=stub.url, fs=QuickFS()).run()
    assert sorted(stub.stored) == sorted([*one.written[:3], *two.written])
    with open(one.path, "rb") as file:
        lines = file.read().replace(b'"v":2', b'"v":1')
    with open(one.path, "wb") as file:
        file.write(lines)
    assert Shipper(files, to="loki", url=stub.url, fs=QuickFS()).run() == Shipped(3, 0, 0)
    assert sorted(stub.stored) == sorted([*one.written, *two.written])


def test_a_batch_of_lines_that_cannot_take_the_form(hand_log, stub):
    """A batch without any line that can be encoded stops neither the log nor the lines after it."""
    for _ in range(2):
        hand_log.append(hand_log.make(1)[:-2] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}\n")
    assert ship(hand_log, stub, to="otlp") == Shipped(0, 2, 0)
    hand_log.write(1)
    assert ship(hand_log, stub, to="otlp") == Shipped(1, 0, 0)


def test_checkpoints_in_a_directory(tmp_path, stub):
    """Two logs of one name with one directory for checkpoints are two logs."""
    logs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        logs.append(HandLog(tmp_path / name))
        logs[-1].write(3)
    options = {"to": "elasticsearch", "url": stub.url, "checkpoint_dir": str(tmp_path / "ship")}
    assert Shipper([log.path for log in logs], **options).run() == Shipped(6, 0, 0)
    assert [each.shipped for each in status([log.path for log in logs], checkpoint_dir=str(tmp_path / "ship"))] == [
        3,
        3,
    ]
    assert len(stub.documents) == 3  # the same writer and numbers: the second time they were there


# -- following ---------------------------------------------------------------------------


def test_it_follows(hand_log, stub):
    """Appended lines are delivered, through rotation, and at the end all lines are."""
    hand_log.write(3)
    with Running(hand_log.path, stub) as running:
        running.until_settled()
        hand_log.write(2)
        running.until_settled()
        hand_log.rotate()
        hand_log.write(2)
        running.until_settled()
        hand_log.write(5)
        assert running.shipper.close()
        assert running.shipper.close()  # once more is nothing
    assert stub.stored == hand_log.written
    assert running.said == []


def test_logs_that_are_not_there_yet(tmp_path, stub):
    """It waits for logs, finds new ones while another is busy, and says of one that another process ships it."""
    busy, late, taken = (HandLog(tmp_path, f"{name}.jsonl") for name in ("busy", "late", "taken"))
    fs = QuickFS()
    lock = fs.open(taken.hidden("shipper"), os.O_RDWR | os.O_CREAT)
    assert fs.lock(lock)
    with Running(str(tmp_path / "*.jsonl"), stub, clock=HurriedClock(), batch_bytes=1) as running:
        running.until_heard()
        busy.write(1, "a")
        running.until_settled()
        taken.write(1, "b")
        late.write(1, "c")
        while not any("another process ships" in each for each in running.said):
            busy.write(10, "a")
            running.until_settled(10)
        while not os.path.exists(late.hidden("checkpoint")):
            busy.write(10, "a")
            running.until_settled(10)
    os.close(lock)
    assert running.said[0] == f"no log is there yet: waiting for {tmp_path}/*.jsonl"
    assert stub.kept == sorted(busy.written + late.written)


def test_a_log_that_another_process_ships(hand_log, stub):
    """A log that another shipper of this name ships is an error at the start, which is said where nobody hears it."""
    hand_log.write(1)
    with Running(hand_log.path, stub) as running:
        running.until_settled()
        with pytest.raises(ConfigError, match="another process ships"):
            Shipper(hand_log.path, to="loki", url=stub.url).run(follow=True)
        second = Running(hand_log.path, stub)
        second.shipper.start()
        second.until_heard()
        assert second.shipper.close() is False
        (said,) = second.said  # once, though it has looked again
        assert said.startswith("another process ships")


def test_a_file_that_cannot_be_read_is_tried_again(hand_log, stub):
    """While it follows, an error of the disk is said, at the first look or later, and reading goes on when it is over."""
    hand_log.write(1)
    fs = QuickFS()
    fs.fail("pread", errno.EIO, times=3)
    with Running(hand_log.path, stub, fs=fs, clock=HurriedClock()) as running:
        running.until_settled()
        fs.fail("pread", errno.EIO, times=3)
        hand_log.write(1)
        running.until_settled()
    assert running.said[0] == f"{hand_log.path} cannot be read: [Errno {errno.EIO}] Input/output error"
    assert running.said[-1] == ""
    assert stub.stored == hand_log.written


def test_trouble_that_is_left(hand_log, stub):
    """When one trouble is over and another is not, the one that is left is told again, and the end when none is."""
    hand_log.write(1)
    fs = QuickFS()
    with Running([hand_log.path, f"{hand_log.folder}/other.jsonl"], stub, fs=fs, clock=HurriedClock()) as running:
        running.until_heard()  # the other is not there
        running.until_settled()
        fs.fail("pread", errno.EIO, times=3)
        hand_log.write(1)
        running.until_settled()
        HandLog(hand_log.folder, "other.jsonl").write(1, writer="b")
        running.until_settled()
    waiting = running.said[0]
    assert waiting.startswith("no log is there yet")
    assert running.said == [
        waiting,
        f"{hand_log.path} cannot be read: [Errno {errno.EIO}] Input/output error",
        waiting,
        "",
    ]


def descriptors_of(log):
    return [name for name in os.listdir("/proc/self/fd") if log.path in _target(name)]


def _target(name):
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""


@pytest.mark.parametrize("rest", [b"", b'{"half'], ids=["whole", "half"])
def test_logs_that_are_gone_are_let_go(hand_log, stub, rest):
    """A log whose files are gone for a minute is closed, with what stood in it; when it is there again it is gone on with."""
    hand_log.write(3)
    clock = ManualClock()
    with Running(f"{hand_log.folder}/*.jsonl", stub, clock=clock) as running:
        running.until_settled()
        hand_log.append(rest)
        kept = set(descriptors_of(hand_log))
        assert kept
        os.unlink(hand_log.path)
        for seconds in (2.1, 57, 1):  # it is seen to be gone after the first
            assert clock.until_waiting()
            clock.advance(seconds)
            assert set(descriptors_of(hand_log)) == kept
        while running_descriptors := descriptors_of(hand_log):
            assert len(running_descriptors) <= len(kept)
            clock.advance(1)
            assert clock.until_waiting()
        hand_log.write(2)
        for _ in range(2 if rest else 1):
            while not running.settled.acquire(timeout=0.01):
                clock.advance(1)
        running.shipper.stop()
    assert stub.stored == hand_log.written
    state = on_disk(hand_log)
    assert (state.shipped, state.refused, state.lost) == (5, bool(rest), 0)
    assert os.path.exists(hand_log.hidden("dead-letter")) is bool(rest)


@pytest.mark.parametrize("pattern", [False, True])
def test_a_log_that_was_waited_for_has_no_beginning_but_its_own(hand_log, stub, pattern):
    """Of a log that appears while it is waited for, what is removed before it is found is lost, and that is counted."""
    with Running(f"{hand_log.folder}/*.jsonl" if pattern else hand_log.path, stub, clock=HurriedClock()) as running:
        running.until_heard()
        made = hand_log.make(5)
        other = hand_log.path + ".tmp"
        with open(other, "wb") as file:
            file.write(hand_log.make(3))
        os.rename(other, hand_log.path)
        running.until_settled()
    assert ids_in(made)[-1] == ("a" * 20, 5)
    assert stub.stored == [("a" * 20, seq) for seq in (6, 7, 8)]
    assert (on_disk(hand_log).shipped, on_disk(hand_log).lost) == (3, 5)


def test_a_log_that_was_there_may_have_had_another_beginning(hand_log, stub):
    """Of a log that was there when the shipper came, nobody knows what it held before: nothing counts as lost."""
    hand_log.make(5)
    hand_log.write(3)
    with Running(hand_log.path, stub) as running:
        running.until_settled()
    assert (on_disk(hand_log).shipped, on_disk(hand_log).lost) == (3, 0)


def test_a_directory_in_the_place_of_a_log(hand_log, stub):
    """A directory where the log was is said, and when the log is there again it is gone on with."""
    hand_log.write(2)
    with Running(hand_log.path, stub, clock=HurriedClock()) as running:
        running.until_settled()
        os.unlink(hand_log.path)
        os.mkdir(hand_log.path)
        while not any("not a regular file" in text for text in running.said):
            running.until_heard()
        os.rmdir(hand_log.path)
        hand_log.write(3)
        running.until_settled()
    assert stub.stored == hand_log.written


def test_the_directory_vanishes(tmp_path, stub):
    """A log whose directory is moved away and made again is gone on with."""
    folder = tmp_path / "logs"
    folder.mkdir()
    log = HandLog(folder)
    log.write(2)
    with Running(log.path, stub, clock=HurriedClock()) as running:
        running.until_settled()
        os.rename(folder, tmp_path / "old")
        folder.mkdir()
        log.write(3)
        running.until_settled()
    assert stub.stored == log.written
    assert on_disk(log).shipped == 5


@pytest.mark.parametrize("follow", [True, False])
def test_a_file_without_new_lines_is_passed(hand_log, stub, follow):
    """A file that is rotated when all of it is delivered is passed in the checkpoint, so that retention need not wait."""
    hand_log.write(2)
    ship(hand_log, stub)
    name = os.path.basename(hand_log.rotate())
    if follow:
        with Running(hand_log.path, stub):
            pass
    else:
        ship(hand_log, stub)
    assert on_disk(hand_log).position.passed == name
    assert len(stub.requests) == 1


def test_counts_are_those_of_this_run(tmp_path, stub):
    """Lines that were delivered before are not counted again, also when the log is found later."""
    log = HandLog(tmp_path)
    log.write(5)
    ship(log, stub)
    os.rename(log.path, log.path + ".away")
    clock, done = ManualClock(), []
    running = Running(log.path, stub, clock=clock)
    thread = threading.Thread(target=lambda: done.append(running.shipper.run(follow=True)))
    thread.start()
    running.until_heard()
    os.rename(log.path + ".away", log.path)
    log.write(2)
    assert clock.until_waiting()
    clock.advance(3)
    running.until_settled()
    running.shipper.stop()
    thread.join(LONG)
    assert done == [Shipped(2, 0, 0)]


# -- the disk ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
def test_a_full_disk_holds_up_and_counts_once(hand_log, stub, call):
    """A checkpoint that cannot be saved is saved again after growing pauses; nothing goes on before, or counts twice."""
    hand_log.write(2)
    hand_log.append(b"junk\n")
    hand_log.write(2)
    fs = QuickFS()
    clock = ManualClock()

    def fail(_):
        fs.fail(call, errno.ENOSPC, times=None, when=lambda *args: call != "open" or args[1] & os.O_CREAT)

    stub.after = fail
    running = Running(hand_log.path, stub, fs=fs, clock=clock)
    thread = threading.Thread(target=running.shipper.run)
    thread.start()
    for pause in (0.5, 1.0, 2.0):
        assert clock.until_waiting()
        assert on_disk(hand_log).shipped == 0
        clock.advance(pause - 0.01)
        failed = fs.failed
        clock.advance(0.02)
        assert running.heard.acquire(timeout=LONG) if pause == 0.5 else fs.failed >= failed
    fs.heal()
    clock.advance(100)
    thread.join(LONG)
    assert (on_disk(hand_log).shipped, on_disk(hand_log).refused) == (4, 1)
    assert len(stub.requests) == 1
    assert running.said == [f"the checkpoint cannot be saved: [Errno {errno.ENOSPC}] No space left on device", ""]
    with open(hand_log.hidden("dead-letter"), encoding="utf-8") as file:
        assert len(file.readlines()) == 1


def test_stopped_while_the_disk_is_full(hand_log, stub):
    """A shipper that waits for the disk can be stopped; what was not saved comes again."""
    hand_log.write(2)
    fs = QuickFS()
    fs.fail("rename", errno.ENOSPC, times=None)
    with Running(hand_log.path, stub, fs=fs, clock=ManualClock()) as running:
        running.until_heard()
        running.shipper.stop()
    assert on_disk(hand_log) is None
    assert ship(hand_log, stub, to="loki") == Shipped(2, 0, 0)
    assert stub.kept == hand_log.written


def test_stopped_while_a_checkpoint_cannot_be_saved(hand_log, stub):
    """A shipper whose disk became full meanwhile can be stopped; what was not saved comes again."""
    hand_log.write(2)
    fs = QuickFS()
    with Running(hand_log.path, stub, fs=fs) as running:
        running.until_settled()
        fs.fail("rename", errno.ENOSPC, times=None)
        hand_log.write(3)
        running.until_heard()
        running.shipper.stop()
    assert running.said == [f"the checkpoint cannot be saved: [Errno {errno.ENOSPC}] No space left on device"]
    assert on_disk(hand_log).shipped == 2
    assert ship(hand_log, stub) == Shipped(3, 0, 0)
    assert stub.kept == hand_log.written


def test_given_up_while_a_checkpoint_cannot_be_saved(hand_log, stub):
    """A disk that stays full for too long is a reason to give up as well; what was not saved comes again."""
    hand_log.write(2)
    assert ship(hand_log, stub) == Shipped(2, 0, 0)
    hand_log.write(3)
    fs = QuickFS()
    fs.fail("rename", errno.ENOSPC, times=None, after=2)  # both names of the checkpoint that is saved first
    with pytest.raises(GivenUpError, match="the checkpoint cannot be saved: .*No space left"):
        ship(hand_log, stub, give_up_after=60, clock=HurriedClock(), fs=fs)
    assert on_disk(hand_log).shipped == 2
    assert ship(hand_log, stub) == Shipped(3, 0, 0)
    assert stub.kept == hand_log.written


# -- a server that does not answer ---------------------------------------------------------


def test_a_server_that_does_not_answer(hand_log, stub, monkeypatch):
    """That a request has no answer for long is said, and is a reason to give up before the request itself ends."""
    monkeypatch.setattr(shipper, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(shipper, "_LAST_ANSWER", 0.01)
    hand_log.write(2)
    answer = threading.Event()
    stub.reply(Reply(late=answer))
    clock = ManualClock()
    said = []
    heard = threading.Semaphore(0)
    made = Shipper(
        hand_log.path,
        to="loki",
        url=stub.url,
        fs=QuickFS(),
        clock=clock,
        on_trouble=lambda text: said.append(text) or heard.release(),
    )
    failed = []

    def run():
        try:
            made.run(give_up_after=100)
        except GivenUpError as error:
            failed.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    assert stub.reached.acquire(timeout=LONG)
    clock.advance(50)
    assert heard.acquire(timeout=LONG)
    clock.advance(60)
    thread.join(LONG)
    answer.set()
    url = f"{stub.url}/loki/api/v1/push"
    assert said == [f"{url} has not answered for more than 40 s"]
    assert failed == [f"nothing could be delivered for 110 s: {url} does not answer"]
    assert ship(hand_log, stub) == Shipped(2, 0, 0)


# -- the end -----------------------------------------------------------------------------


def test_given_up(hand_log, stub):
    """Without any success for long enough it gives up; nothing was counted."""
    hand_log.write(2)
    stub.fail(503, times=50)
    with pytest.raises(GivenUpError, match="nothing could be delivered for .*503"):
        ship(hand_log, stub, give_up_after=60, clock=HurriedClock())
    assert (on_disk(hand_log).shipped, on_disk(hand_log).position.offset) == (0, 0)
    assert on_disk(hand_log).error.startswith("503")


def test_closed_while_the_server_is_away(hand_log, stub):
    """Closing gives a server that is away only its time, and says that not all was delivered."""
    hand_log.write(2)
    stub.fail(503, times=1_000)
    with Running(hand_log.path, stub) as running:
        running.until_heard()
        assert running.shipper.close(timeout=0.0) is False
    assert on_disk(hand_log).shipped == 0
    stub._replies.clear()
    assert ship(hand_log, stub) == Shipped(2, 0, 0)


def test_closed_before_it_was_started(hand_log, stub):
    """Closing a shipper that was never started is nothing, and stopping it beforehand ends it soon."""
    hand_log.write(1_000)
    made = Shipper(hand_log.path, to="loki", url=stub.url, batch_bytes=100)
    assert made.close()
    made.stop()
    made.stop()
    assert made.run().shipped < 10


def test_stopped_under_way(hand_log, stub, monkeypatch):
    """Stopping waits a little for the answer to what is under way; when it comes, it counts."""
    hand_log.write(2)
    gate = stub.hold()
    with Running(hand_log.path, stub) as running:
        assert stub.until_reached()
        running.shipper.stop()
        gate.set()
    assert on_disk(hand_log).shipped == 2


def test_stopped_and_no_answer(hand_log, stub, monkeypatch):
    """Without an answer in time it ends, and what that thread says later changes nothing for the next shipper."""
    monkeypatch.setattr(shipper, "_LAST_ANSWER", 0.01)
    hand_log.write(2)
    stub.reply(*[])
    gate = stub.hold()
    with Running(hand_log.path, stub) as running:
        assert stub.until_reached()
        running.shipper.stop()
    assert not gate.is_set()
    assert on_disk(hand_log).shipped == 0
    assert ship(hand_log, stub) == Shipped(2, 0, 0)
    said = list(running.said)
    before = on_disk(hand_log)
    stub.stop()
    for thread in threading.enumerate():
        if thread.name == "bamboo-logmetrics-delivery":
            thread.join(LONG)
    assert (on_disk(hand_log), running.said) == (before, said)


def test_stopped_at_each_batch(hand_log, stub):
    """Stopped after any number of batches it ends there, and the next goes on: all once."""
    hand_log.write(12)
    for _ in range(20):
        running = Running(hand_log.path, stub, to="elasticsearch", batch_bytes=1)
        stub.after = lambda _, made=running.shipper: made.stop()
        running.shipper.run()
    assert stub.stored == hand_log.written
    assert on_disk(hand_log, "elasticsearch").shipped == 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_signal_while_it_waits(hand_log, stub, number, where):
    """Ctrl-C and SIGTERM end a run that waits for a server; what is acknowledged in time counts."""
    hand_log.write(3)
    main = threading.main_thread().ident
    gate = stub.hold(stored=where == "after")

    def interrupt(_):
        signal.pthread_kill(main, number)
        threading.Timer(0.05, gate.set).start()

    setattr(stub, where, interrupt)
    made = Shipper(hand_log.path, to="elasticsearch", url=stub.url)
    before = signal.signal(signal.SIGTERM, lambda *_: made.stop())
    try:
        if number == signal.SIGINT:
            with pytest.raises(KeyboardInterrupt):
                made.run(follow=True)
        else:
            assert made.run(follow=True) == Shipped(3, 0, 0)
    finally:
        signal.signal(signal.SIGTERM, before)
        setattr(stub, where, lambda _: None)
    assert on_disk(hand_log, "elasticsearch").shipped == 3
    assert not status(hand_log.path)[0].running


def test_ctrl_c_as_a_batch_sets_out(hand_log, stub, monkeypatch):
    """A batch that is on its way is waited for, also if Ctrl-C comes at that moment."""
    submit = BackgroundCalls.submit

    def interrupted(calls, call):
        submit(calls, call)
        raise KeyboardInterrupt

    monkeypatch.setattr(BackgroundCalls, "submit", interrupted)
    hand_log.write(3)
    with pytest.raises(KeyboardInterrupt):
        ship(hand_log, stub)
    assert on_disk(hand_log).shipped == len(stub.stored) == 3


@pytest.mark.parametrize("call", ["open", "pread", "write", "fsync", "rename", "listdir", "stat"])
def test_ctrl_c_at_any_call(tmp_path, call):
    """Wherever Ctrl-C comes, the checkpoint is not ahead, and the next run delivers the rest: nothing is lost."""
    for nth in range(60):
        log = HandLog(tmp_path, f"{nth}.jsonl")
        log.write(4)
        log.rotate()
        log.append(b"junk\n")
        log.write(4)
        fs = QuickFS()
        fs.fail(call, KeyboardInterrupt(), after=nth)
        with StubServer() as stub:
            with suppress(KeyboardInterrupt):
                ship(log, stub, to="elasticsearch", batch_bytes=400, fs=fs)
            state = on_disk(log, "elasticsearch")
            assert (state.shipped if state else 0) <= len(stub.stored)
            ship(log, stub, to="elasticsearch")
            assert stub.stored == log.written
        if not fs.failed:
            return
    raise AssertionError("there is always one more call")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_it_follows(hand_log, stub):
    """A child that is forked while a shipper follows can close it and end; the parent's goes on."""
    hand_log.write(1)
    with Running(hand_log.path, stub) as running:
        running.until_settled()
        pid = fork(running.shipper.close)
        assert exit_code(pid) == 0
        hand_log.write(1)
        running.until_settled()
    assert stub.stored == hand_log.written
